"""Reads a chunked body and stops as soon as it grows over the limit."""

import re

from gateway_app.http1.framing import Refused

MAX_CHUNK_LINE_BYTES = 256
MAX_TRAILER_BYTES = 4 * 1024
FREE_FRAMING_BYTES = 64 * 1024
"""Chunk lines with their extensions may take this much and a sixteenth of the limit; a large body of one-byte
chunks is an attack, not an upload.
"""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


class TooLarge(Exception):
    """The decoded body is over the limit."""


class ChunkedBody:
    """Feed it the connection's buffer; it takes what belongs to the body and leaves the rest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._max_framing = FREE_FRAMING_BYTES + limit // 16
        self._parts: list[bytes] = []
        self._size = 0
        self._framing = 0
        self._left = 0
        self._state = "line"

    def take(self, buffer: bytearray) -> bytes | None:
        """The whole body once its last chunk and its trailers are there, before that None.

        Raises:
            TooLarge: over the limit.
            Refused: the framing is broken.
        """
        while True:
            if self._state == "data":
                if not self._take_data(buffer):
                    return None
                continue
            line = self._take_line(buffer)
            if line is None:
                return None
            if self._state == "line":
                self._start_chunk(line)
            elif not line:
                return b"".join(self._parts)

    def _take_line(self, buffer: bytearray) -> bytes | None:
        limit = MAX_CHUNK_LINE_BYTES if self._state == "line" else MAX_TRAILER_BYTES
        end = buffer.find(b"\r\n", 0, limit)
        if end < 0:
            if len(buffer) >= limit:
                raise Refused(400, "bad_chunk", "The chunked body is malformed")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        self._framing += end + 2
        if self._framing > self._max_framing or b"\n" in line or b"\r" in line or b"\0" in line:
            raise Refused(400, "bad_chunk", "The chunked body is malformed")
        return line

    def _start_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if not match:
            raise Refused(400, "bad_chunk", "The chunked body is malformed")
        size = int(match[1], 16)
        self._size += size
        if self._size > self._limit:
            raise TooLarge
        self._left = size
        self._state = "data" if size else "trailer"

    def _take_data(self, buffer: bytearray) -> bool:
        """Waits for the whole chunk and its CRLF: chunks are at most as long as the limit."""
        if len(buffer) < self._left + 2:
            return False
        if buffer[self._left : self._left + 2] != b"\r\n":
            raise Refused(400, "bad_chunk", "The chunked body is malformed")
        self._parts.append(bytes(buffer[: self._left]))
        del buffer[: self._left + 2]
        self._state = "line"
        return True

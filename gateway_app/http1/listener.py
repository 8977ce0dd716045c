"""A listening socket that can be closed without breaking the connection of anybody who has just got one."""

import contextlib
import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
_SYN = 0x02
_TCP_FLAGS_OFFSET = 13


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A socket that listens. OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    listener.setblocking(False)
    return listener


def refuse_new_connections(listener: socket.socket) -> None:
    """From now on nobody new gets in, while handshakes that have begun still end well.

    Closing a listening socket resets the connections that wait to be accepted, and between the last look at them and
    the close there may always be another. So the kernel first drops the packets that ask for a connection (SYN): such
    a client asks again a second later, and is refused properly then, or finds our successor.
    """
    program = [
        (0x30, 0, 0, _TCP_FLAGS_OFFSET),  # load the byte with the flags
        (0x45, 0, 1, _SYN),  # is SYN among them?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    with contextlib.suppress(OSError):  # not Linux: then a few clients may see a reset
        option = struct.pack("HL", len(program), ctypes.addressof(code))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)

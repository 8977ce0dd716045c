"""The gateway's connection to Redis: one, kept open, with every command in flight on it at once.

A deadline bounds all that one request asks, a breaker bounds the waiting of all: while Redis is known to be away
nothing waits at all, and a task of our own tries until it is back, so that no request pays for the question.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from typing import Any, cast

import hiredis
from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url

SILENT_BUDGETS = 4
"""How many time budgets without any answer make Redis count as away; also what connecting may take."""
RETRY_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0
TICK_SECONDS = 0.01

log = logging.getLogger(__name__)


class RedisAway(Exception):
    """Redis did not answer within the budget, or is known not to."""


class _Broken(RedisAway):
    """The connection ended before the answer came."""


class RedisRefused(Exception):
    """Redis answered with an error."""


class _Connection(asyncio.Protocol):
    """Answers come in the order of the commands; each command waits until a moment of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._ticking = False
        self._first_sent_at = 0.0
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def call(self, command: tuple[Any, ...], until: float) -> asyncio.Future[Any]:
        """The future answer, waited for until that moment. Commands of one turn of the loop go out together."""
        answer = self._loop.create_future()
        if self.ended.done():
            answer.set_exception(_Broken("the connection has ended"))
            return answer
        if not self._waiting:
            self._first_sent_at = time.monotonic()
        self._waiting.append((answer, until))
        if not self._outgoing:
            self._loop.call_soon(self._send)
        self._outgoing.append(hiredis.pack_command(command))
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)
        return answer

    @property
    def silence(self) -> float:
        """For how many seconds somebody has been waiting without any answer coming."""
        return time.monotonic() - self._first_sent_at if self._waiting else 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answers have come."""
        self._reader.feed(data)
        self._first_sent_at = time.monotonic()
        try:
            while (answer := self._reader.gets()) is not False:
                future, _ = self._waiting.popleft()
                if not future.done():
                    if isinstance(answer, hiredis.ReplyError):
                        future.set_exception(RedisRefused(str(answer)))
                    else:
                        future.set_result(answer)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """It has ended; nobody gets an answer any more."""
        self._transport = None
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(_Broken("the connection broke"))
        self._waiting.clear()
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _tick(self) -> None:
        """Tells those whose time is over; their answers may still come and are dropped then."""
        now = time.monotonic()
        for future, until in self._waiting:
            if until < now and not future.done():
                future.set_exception(RedisAway("no answer in time"))
        self._ticking = bool(self._waiting)
        if self._ticking:
            self._loop.call_later(TICK_SECONDS, self._tick)


class RedisLink:
    """Lives in the event loop, from `start` to `stop`; `away` may be read from anywhere."""

    def __init__(self, url: str, timeout_ms: int) -> None:
        self._address = parse_url(url)
        self._budget = timeout_ms / 1000
        self._patience = self._budget * SILENT_BUDGETS
        self._connection: _Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self.away = True

    async def start(self) -> None:
        """Connects, and keeps connected from now on. Redis may be away already."""
        with contextlib.suppress(OSError, RedisAway, RedisRefused):
            await self._open()
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Disconnects."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._connection is not None:
            self._connection.close()

    def deadline(self) -> float:
        """Until when (monotonic) a request that begins to ask now may wait, for all of its commands together."""
        return time.monotonic() + self._budget

    async def call(self, *command: Any, until: float, again: bool = False) -> Any:
        """The answer to one command, which has to come before `until`. None waits when Redis is away.

        With `again` it goes out once more when the connection breaks, over the next, so it may run twice.

        Raises:
            RedisAway: no answer in time.
            RedisRefused: an error for an answer.
        """
        try:
            return await self._call(command, until)
        except _Broken:
            if not again:
                raise
        if self._connection is not None and self._connection.ended.done():
            self._settled.clear()  # the keeper has not noticed yet
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), until - time.monotonic())
        return await self._call(command, until)

    async def _call(self, command: tuple[Any, ...], until: float) -> Any:
        if self._connection is None:
            raise RedisAway("away") if self.away else _Broken("connecting")
        return await self._connection.call(command, until)

    async def _keep(self) -> None:
        while True:
            try:
                connection = self._connection or await self._open()
                await self._watch(connection)
            except (OSError, RedisAway, RedisRefused) as error:
                self._note_away(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self, connection: _Connection) -> None:
        """Returns when the connection has ended: by itself, or because nothing comes over it any more."""
        heartbeat_at = 0.0
        try:
            while not connection.ended.done():
                await asyncio.wait((connection.ended,), timeout=self._budget / 2)
                if connection.silence > self._patience:
                    raise RedisAway("silent")
                if time.monotonic() > heartbeat_at:
                    heartbeat_at = time.monotonic() + HEARTBEAT_SECONDS
                    connection.call(("PING",), heartbeat_at).add_done_callback(_forget)
        finally:
            self._connection = None
            self._settled.clear()
            connection.close()

    async def _open(self) -> _Connection:
        try:
            async with asyncio.timeout(self._patience):
                connection = await self._connect()
                try:
                    for command in self._introduction():
                        await connection.call(command, time.monotonic() + self._patience)
                except BaseException:
                    connection.close()
                    raise
        except TimeoutError as error:
            raise RedisAway("no connection in time") from error
        self._connection = connection
        if self.away:
            log.info("redis is there")
        self.away = False
        self._settled.set()
        return connection

    async def _connect(self) -> _Connection:
        loop, address = asyncio.get_running_loop(), self._address
        kind = address.get("connection_class")
        if kind is UnixDomainSocketConnection:
            _, connection = await loop.create_unix_connection(_Connection, address["path"])
            return connection
        context = ssl.create_default_context() if kind is SSLConnection else None
        host, port = address.get("host", "localhost"), address.get("port", 6379)
        _, connection = await loop.create_connection(_Connection, host, port, ssl=context)
        return connection

    def _introduction(self) -> list[tuple[Any, ...]]:
        address = self._address
        commands: list[tuple[Any, ...]] = []
        if address.get("password"):
            who = (address["username"],) if address.get("username") else ()
            commands.append(("AUTH", *who, address["password"]))
        if address.get("db"):
            commands.append(("SELECT", address["db"]))
        return [*commands, ("PING",)]

    def _note_away(self, error: Exception) -> None:
        if not self.away:
            log.warning("redis is away", extra={"error": str(error) or type(error).__name__})
        self.away = True
        self._settled.set()


def _forget(answer: "asyncio.Future[Any]") -> None:
    """Looks at a result that nobody waits for, so that the loop does not complain of it."""
    if not answer.cancelled():
        answer.exception()

"""The gateway's connections to Redis: a small time budget, a breaker around it, recovery by itself.

redis-py's connections without its client: the client alone costs more CPU per command than the rest of the
request. A command that fails says so within the budget; while the breaker is open nothing waits at all, and a
thread of our own asks Redis until it is back, so that no request pays for the question.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from typing import Any

import hiredis
from redis import ConnectionPool, RedisError
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

PATIENT_BUDGETS = 4
"""How many time budgets a revocation check may take, and how long a silence makes Redis count as away."""
PROBE_SECONDS = 0.1
MAX_IDLE = 256

log = logging.getLogger(__name__)


class RedisAway(Exception):
    """Redis did not answer within its budget, or is known not to."""


class RedisLink:
    """Sends single commands. Thread safe; `start` and `stop` frame its life."""

    def __init__(self, url: str, timeout_ms: int) -> None:
        seconds = timeout_ms / 1000
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=True,
        )
        self._idle: deque[ConnectionInterface] = deque(maxlen=MAX_IDLE)
        self._budget = seconds
        self._failing_since: float | None = None
        self._open = threading.Event()
        self._stopped = threading.Event()
        self._prober: threading.Thread | None = None

    @property
    def away(self) -> bool:
        """The breaker is open: Redis was away a moment ago."""
        return self._open.is_set()

    def start(self) -> None:
        """Starts the thread that looks for a Redis that is away."""
        self._prober = threading.Thread(target=self._probe_while_away, name="redis-probe", daemon=True)
        self._prober.start()

    def stop(self) -> None:
        """Ends the thread and closes the idle connections."""
        self._stopped.set()
        self._open.set()
        if self._prober is not None:
            self._prober.join(timeout=2)
        self._drop_idle()

    def call(self, *command: Any, patient: bool = False) -> Any:
        """The answer to one command.

        A command that needs one may be `patient`: it waits several budgets, as long as nobody else finds Redis away.
        Over a connection that Redis has closed meanwhile the command goes out again, over a new one; so commands
        given here may run twice.

        Raises:
            RedisAway: no answer in time.
            redis.ResponseError: Redis refused the command.
        """
        if self._open.is_set():
            raise RedisAway("the breaker is open")
        packed = hiredis.pack_command(command)
        sent_at = time.monotonic()
        try:
            answer = self._exchange(packed, PATIENT_BUDGETS if patient else 1)
        except ResponseError:
            self._failing_since = None
            raise
        except (RedisError, OSError) as error:
            self._failed(error, sent_at)
            raise RedisAway("no answer in time") from error
        self._failing_since = None
        return answer

    def _exchange(self, packed: bytes, budgets: int) -> Any:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange_over(self._connect(), packed, budgets)
        try:
            return self._exchange_over(connection, packed, budgets)
        except RedisConnectionError:
            # The others of the same age are as dead: Redis has been restarted, or has dropped idle clients.
            self._drop_idle()
            return self._exchange_over(self._connect(), packed, budgets)

    def _exchange_over(self, connection: ConnectionInterface, packed: bytes, budgets: int = 1) -> Any:
        try:
            connection.send_packed_command([packed], check_health=False)
            answer = self._wait(connection, budgets)
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answer

    def _wait(self, connection: ConnectionInterface, budgets: int) -> Any:
        while True:
            try:
                return connection.read_response(disconnect_on_error=False)
            except RedisTimeoutError:
                budgets -= 1
                if budgets <= 0 or self._open.is_set():
                    raise

    def _connect(self) -> ConnectionInterface:
        connection: ConnectionInterface = self._pool.make_connection()
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _failed(self, error: Exception, sent_at: float) -> None:
        """Opens the breaker: at once when nobody listens, else when nobody has got an answer for a while. One late
        answer on a busy machine must not turn requests away.
        """
        since = self._failing_since = self._failing_since or sent_at
        silent = time.monotonic() - since >= self._budget * PATIENT_BUDGETS
        if (silent or isinstance(error, RedisConnectionError | OSError)) and not self._open.is_set():
            log.warning("redis is away", extra={"error": type(error).__name__})
            self._open.set()

    def _probe_while_away(self) -> None:
        while not self._stopped.is_set():
            self._open.wait()
            if self._stopped.wait(PROBE_SECONDS):
                return
            self._drop_idle()
            with contextlib.suppress(RedisError, OSError):
                self._exchange_over(self._connect(), hiredis.pack_command(("PING",)))
                self._failing_since = None
                self._open.clear()
                log.warning("redis is back")

    def _drop_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().disconnect()

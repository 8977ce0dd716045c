"""A PostgreSQL server that is stopped in its tracks (SIGSTOP): it takes connections and never answers."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from devstack.postgres import Postgres


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    """The server with all of its processes does nothing within the block."""
    with postgres.administration() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    assert server is not None
    processes = [server, *server.children()]
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # a connection that has just ended
                process.suspend()
        yield
    finally:
        # all of them: one that stays stopped would hold up every later DROP DATABASE
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()

"""Servers of their own for the randomised runs: they are killed there."""

from collections.abc import Iterator

import pytest

from tests.faults.harness.processes import start_fork_server
from tests.faults.harness.servers import Servers


@pytest.fixture(scope="session")
def fault_servers() -> Iterator[Servers]:
    """A PostgreSQL and a Redis that seeds may cut off, restart and fill."""
    start_fork_server()
    with Servers() as servers:
        yield servers

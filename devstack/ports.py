"""Ports on 127.0.0.1: free ones, and who holds a taken one."""

import contextlib
import random
import socket

import psutil

LOWEST, HIGHEST = 20_000, 32_000
"""Below the ports that systems give to outgoing connections: one of those could take it before the server does."""


def free_port() -> int:
    """A TCP port that nothing listens on at the moment, by chance, so that two who ask get different ones."""
    while True:
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - not a secret
        if is_free(port):
            return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now; a former server in TIME_WAIT does not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on `port`, in words: process id and command line, as far as this user may see them."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr.port == port:
                return _describe(connection.pid)
    return "a process that this user may not look at"


def _describe(pid: int) -> str:
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = "unknown command"
    return f"process {pid} ({command[:120]})"

"""A listening socket that can be closed without breaking the connection of anybody who has just got one."""

import contextlib
import socket

_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 0x7FFFFFFF


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A socket that listens. OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    listener.setblocking(False)
    return listener


def refuse_new_connections(listener: socket.socket) -> None:
    """From now on nobody new gets in, while handshakes that have begun still end well.

    Closing a listening socket resets the connections that wait to be accepted, and between the last look at them and
    the close there may always be another. So the socket first moves to a network interface that does not exist: who
    asks for a connection finds nobody listening, and is refused or finds our successor. Handshakes that have begun
    are bound to the interface that they began on. Takes no privilege.
    """
    with contextlib.suppress(OSError):  # not Linux, or older than 5.7: then a few clients may see a reset
        listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)

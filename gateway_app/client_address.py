"""The client's address, as far as the connection and trusted proxies tell it."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

MAX_HOPS = 32


class ClientAddress:
    """Finds the client's address behind the proxies that the operator trusts, and behind no other."""

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, trusted_proxies))
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    def of(self, peer: str, forwarded_for: str | None) -> str:
        """The rightmost address in `X-Forwarded-For` that no trusted proxy has; the peer's when it is not trusted."""
        if not self._networks or not forwarded_for or not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(forwarded_for.split(",")[-MAX_HOPS:]):
            address = _address(hop.strip())
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _is_trusted(self, address: str) -> bool:
        parsed = ip_address(address)
        return any(parsed in network for network in self._networks)


def _address(text: str) -> str | None:
    """A proxy may add a port, and brackets around IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None

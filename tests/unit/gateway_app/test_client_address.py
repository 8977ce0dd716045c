"""Whose address counts: X-Forwarded-For is believed to trusted proxies only."""

import pytest

from gateway_app.client_address import ClientAddress

PROXIES = ClientAddress(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5, 10.9.9.9", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, nonsense, 10.3.3.3", "10.3.3.3"),
        ("10.0.0.1", '1.1.1.1"}\r', "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", ",".join(["10.0.0.2"] * 1000), "10.0.0.2"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_clients(
    peer: str, header: str | None, client: str
) -> None:
    assert PROXIES.of(peer, header) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert ClientAddress([]).of("127.0.0.1", "1.1.1.1") == "127.0.0.1"

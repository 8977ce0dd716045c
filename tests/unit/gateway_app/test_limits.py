"""Rate limits: keys that Flask-Limiter shares, and the headers."""

import time

import pytest
from limits import parse_many

from gateway_app.limits import Policy, client_key, user_key


def test_keys_are_the_ones_of_flask_limiter() -> None:
    (item,) = parse_many("5 per 2 minutes")
    _, keys = Policy("default", "5 per 2 minutes").quota("ip:127.0.0.1", "user:7")
    assert keys == [item.key_for("user:7", "default"), item.key_for("ip:127.0.0.1", "default")]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("127.0.0.1", "ip:127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "ip:2001:db8:1:2::"),
        ("::ffff:10.0.0.1", "ip:10.0.0.1"),
        ("fe80::1%eth0", "ip:fe80::"),
    ],
)
def test_an_ipv6_client_cannot_escape_by_another_address_of_its_network(address: str, key: str) -> None:
    assert client_key(address) == key


def test_headers_tell_every_limit_and_the_one_with_the_least_left() -> None:
    quota, _ = Policy("default", "10 per minute; 100 per hour").quota("ip:1", user_key(7))
    headers = dict(quota.headers([4, 30_500, 20, 3_000_000, 9, 59_001, 50, 3_500_000]))
    assert headers["RateLimit-Policy"] == (
        '"default-user";q=10;w=60, "default-user";q=100;w=3600, "default-ip";q=10;w=60, "default-ip";q=100;w=3600'
    )
    assert headers["RateLimit"] == (
        '"default-user";r=6;t=31, "default-user";r=80;t=3000, "default-ip";r=1;t=60, "default-ip";r=50;t=3500'
    )
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("10", "1")
    assert abs(int(headers["X-RateLimit-Reset"]) - time.time() - 60) < 3
    assert "Retry-After" not in headers and not quota.breached([4, 1, 20, 1, 9, 1, 50, 1])


def test_a_breach_says_when_to_come_again() -> None:
    quota, _ = Policy("credentials", "3 per minute").quota("ip:1", None)
    assert quota.breached([4, 12_001])
    assert dict(quota.headers([4, 12_001]))["Retry-After"] == "13"
    assert dict(quota.headers([4, 0]))["Retry-After"] == "1"
    assert not quota.breached([3, 12_001])

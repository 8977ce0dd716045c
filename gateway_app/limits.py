"""Rate limits: what is counted under which key, and the headers that tell a client how much is left.

Keys and windows are those of the `limits` library's fixed window, which Flask-Limiter uses, so that a route that
the gateway answers itself and one that it passes on count in the same place.
"""

import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItem, parse_many

Headers = list[tuple[str, str]]

IPV6_PREFIX_BITS = 64
"""One customer usually holds a whole /64; a limit on single addresses would not limit anybody."""


def client_key(address: str) -> str:
    """Whose requests count together: an IPv4 address, or an IPv6 network."""
    if ":" in address:
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address):
            mapped = parsed.ipv4_mapped
            kept = int(parsed) >> (128 - IPV6_PREFIX_BITS) << (128 - IPV6_PREFIX_BITS)
            return f"ip:{mapped or IPv6Address(kept)}"
    return f"ip:{address}"


def user_key(user_id: int) -> str:
    """Whose requests count together: a user's, from wherever."""
    return f"user:{user_id}"


class Window:
    """One limit: at most `amount` requests in `seconds`. `label` names it in headers."""

    def __init__(self, policy: str, item: RateLimitItem, whose: str) -> None:
        self.label = f"{policy}-{whose}"
        self.amount = item.amount
        self.seconds = item.get_expiry()
        self._before, self._behind = item.key_for("\0", policy).split("\0")

    def key(self, who: str) -> str:
        """The counter's key; the same that Flask-Limiter makes for (`who`, policy)."""
        return self._before + who + self._behind


class Quota:
    """The windows that one kind of request moves.

    `moved` below is what the gatekeeper tells: for each window in turn the counter after this request and the
    milliseconds that are left; it may end early.
    """

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = tuple(windows)
        self.seconds = tuple(window.seconds for window in self.windows)
        policies = [f'"{window.label}";q={window.amount};w={window.seconds}' for window in self.windows]
        self._policy_field = ("RateLimit-Policy", ", ".join(policies))

    def breached(self, moved: Sequence[int]) -> bool:
        """Whether at least one limit is exceeded."""
        return any(count > window.amount for window, count in zip(self.windows, moved[::2], strict=False))

    def headers(self, moved: Sequence[int]) -> Headers:
        """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) for every window, the older
        `X-RateLimit-*` for the one with the least left; on a breach `Retry-After` too.
        """
        if not moved:
            return []
        states, least, wait = [], None, 0
        for window, count, left_ms in zip(self.windows, moved[::2], moved[1::2], strict=False):
            remaining, resets_in = max(0, window.amount - count), -(-left_ms // 1000)
            states.append(f'"{window.label}";r={remaining};t={resets_in}')
            if count > window.amount:
                wait = max(wait, resets_in, 1)
            if least is None or remaining < least[0]:
                least = (remaining, resets_in, window.amount)
        if least is None:
            return []
        headers = [
            self._policy_field,
            ("RateLimit", ", ".join(states)),
            ("X-RateLimit-Limit", str(least[2])),
            ("X-RateLimit-Remaining", str(least[0])),
            ("X-RateLimit-Reset", str(int(time.time()) + least[1])),
        ]
        if wait:
            headers.append(("Retry-After", str(wait)))
        return headers


class Policy:
    """A named set of limits, from Flask-Limiter's syntax (`600 per minute; 5000 per hour`)."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        items = sorted(parse_many(text))
        self.of_client = Quota(Window(name, item, "ip") for item in items)
        self.of_user = Quota(Window(name, item, "user") for item in items)
        self._both = Quota([*self.of_user.windows, *self.of_client.windows])

    def quota(self, client: str, user: str | None) -> tuple[Quota, list[str]]:
        """What a request of that client (and user) moves: the windows, and the counters' keys."""
        if user is None:
            return self.of_client, [window.key(client) for window in self.of_client.windows]
        keys = [window.key(user) for window in self.of_user.windows]
        return self._both, keys + [window.key(client) for window in self.of_client.windows]

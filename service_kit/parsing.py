"""What the texts of environment variables mean.

A parser answers the value, or raises ValueError with what the text should be: never what it is, it may be a secret.
"""

import os
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from limits import parse_many
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def text(value: str) -> str:
    """The value as it is."""
    return value


def file_path(value: str) -> str:
    """An absolute path; `~` is the home folder."""
    return os.path.abspath(os.path.expanduser(value))


def words(value: str) -> tuple[str, ...]:
    """A comma-separated list."""
    found = tuple(word.strip() for word in value.split(",") if word.strip())
    if not found:
        raise ValueError("a comma-separated list with at least one entry")
    return found


def http_urls(value: str) -> tuple[str, ...]:
    """A comma-separated list of addresses without a path."""
    urls = tuple(url.rstrip("/") for url in words(value))
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError("a comma-separated list of addresses like http://127.0.0.1:5001")
    return urls


def networks(value: str) -> tuple[str, ...]:
    """A comma-separated list of networks, each in its normal form."""
    try:
        return tuple(str(ip_network(word, strict=False)) for word in words(value))
    except ValueError as error:
        raise ValueError("a comma-separated list of networks like 10.0.0.0/8") from error


def database_url(value: str) -> str:
    """Names the driver: a bare `postgresql://` means psycopg 3 to SQLAlchemy 2.1, and psycopg2 is what we
    install.
    """
    expected = "an address like postgresql://role:password@127.0.0.1:5432/database"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        raise ValueError(expected) from error
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg2") or not url.database:
        raise ValueError(expected)
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def redis_url(value: str) -> str:
    """A Redis address, TCP, TLS or a socket."""
    parts = urlsplit(value)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.scheme == "unix"):
        raise ValueError("an address like redis://127.0.0.1:6379/0")
    return value


def rate_limit(value: str) -> str:
    """A limit in Flask-Limiter's syntax."""
    try:
        parse_many(value)
    except ValueError as error:
        raise ValueError('a limit like "600 per minute"') from error
    return value


def switch(value: str) -> bool:
    """on or off, in the usual spellings."""
    if value.lower() in ("1", "on", "true", "yes"):
        return True
    if value.lower() in ("0", "off", "false", "no"):
        return False
    raise ValueError("on or off")


def choice(*allowed: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """A parser that takes one of `allowed`; `fold` brings a spelling into its normal form."""

    def parse(value: str) -> str:
        if fold(value) not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return fold(value)

    return parse


def number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    """A parser of numbers of `kind` (int or float) from `low` to `high`."""
    noun = "a whole number" if kind is int else "a number"

    def parse(value: str) -> Any:
        try:
            number = kind(value)
        except ValueError as error:
            raise ValueError(f"{noun} from {low} to {high}") from error
        if not low <= number <= high:
            raise ValueError(f"{noun} from {low} to {high}")
        return number

    return parse


PORT = number(int, 1, 65535)

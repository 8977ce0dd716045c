"""What users, preferences and activity are, and what can be wrong with a request about them. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_kit.errors import Invalid, NotFound

THEMES = ("light", "dark", "system")
MAX_LANGUAGE = 35
"""Characters of the longest language tag that RFC 5646 asks software to store."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{2,8}){0,2}")


class UserExists(Invalid):
    """A registration with an address that somebody has."""

    default_message = "User already exists"
    bare = True


class EmailTaken(Invalid):
    """A profile update with somebody else's address."""

    default_message = "Email already taken by another user"
    bare = True


class NothingToUpdate(Invalid):
    """An update without any field."""

    default_message = "No fields to update"
    bare = True


class UserNotFound(NotFound):
    """The token's user is no longer there."""

    default_message = "User not found"
    bare = True


@dataclass(frozen=True)
class User:
    """A user as clients see one. In a legacy file `name` and `created_at` are values of any SQLite type."""

    id: int
    email: Any
    name: Any
    created_at: Any


@dataclass(frozen=True)
class Client:
    """Where a request comes from, as the gateway saw it."""

    ip: str
    user_agent: str


@dataclass(frozen=True)
class ProfileChange:
    """What a profile update sets; None leaves a field alone. One of the two is set."""

    email: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.email is None and self.name is None:
            raise NothingToUpdate

    def against(self, user: User) -> dict[str, dict[str, Any]]:
        """field -> {"old", "new"} for the fields that really change."""
        wanted = {"email": self.email, "name": self.name}
        return {
            field: {"old": getattr(user, field), "new": value}
            for field, value in wanted.items()
            if value is not None and value != getattr(user, field)
        }


@dataclass(frozen=True)
class Preferences:
    """What a user has chosen; the defaults hold for users who never chose."""

    theme: str = "system"
    language: str = "en"
    notifications_enabled: bool = True


@dataclass(frozen=True)
class PreferencesChange:
    """What an update sets; None leaves a preference alone. At least one is set."""

    theme: str | None = None
    language: str | None = None
    notifications_enabled: bool | None = None

    def __post_init__(self) -> None:
        if all(value is None for value in vars(self).values()):
            raise NothingToUpdate


@dataclass(frozen=True)
class ActivityEntry:
    """Something that a user did: `type` of the event, `data` as far as the user may see it."""

    id: int
    type: str
    occurred_at: datetime
    data: dict[str, Any]


def is_language(text: str) -> bool:
    """Whether `text` looks like a language tag: language, script, region, variants."""
    return len(text) <= MAX_LANGUAGE and _LANGUAGE.fullmatch(text) is not None


def legacy_created_at(at: datetime | None, source: str | None) -> int | float | str | None:
    """The value that the legacy server answered: the exact source when there is one, else YYYY-MM-DD HH:MM:SS.

    `at` is UTC. `source`: a letter for the type, then the value (i:1700000000, r:2460000.5, t:text).
    """
    if source is not None:
        kind, _, text = source.partition(":")
        return int(text) if kind == "i" else float(text) if kind == "r" else text
    return None if at is None else at.isoformat(sep=" ", timespec="seconds")

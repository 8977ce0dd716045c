"""What the auth service does when it hears of an event."""

from sqlalchemy import Connection

from auth_app.domain import epoch_ms
from auth_app.repository import emails, revocations
from auth_app.use_cases import revocation
from service_kit.events import catalog
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.settings import Settings


def consumers(_settings: Settings) -> list[Consumer]:
    """The consumers of this service."""
    return [
        Consumer(
            name="auth.account-emails",
            source="user",
            types=frozenset({catalog.USER_REGISTERED, catalog.USER_PROFILE_UPDATED}),
            handle=keep_email,
            reset=emails.clear,
            repeatable=True,
        ),
        Consumer(
            name="auth.session-revocation",
            source="auth",
            types=frozenset({catalog.USER_PASSWORD_CHANGED}),
            handle=end_other_sessions,
            repeatable=True,
        ),
    ]


def keep_email(connection: Connection, event: Event) -> None:
    """Note the user's email; a profile update that left it alone tells none."""
    user_id = int(event.data["user_id"])
    if event.type == catalog.USER_REGISTERED:
        emails.store(connection, user_id, event.data["email"], event.timestamp)
    elif "email" in event.data["changes"]:
        emails.store(connection, user_id, event.data["changes"]["email"]["new"], event.timestamp)


def end_other_sessions(connection: Connection, event: Event) -> None:
    """End the sessions of before a password change, but the one that made it.

    The request that changed the password has usually done so; it could not when auth_db was away, or when the
    change was made in the legacy file by a program that knows no sessions. Redis is told by `auth_app.keeper`.
    """
    user_id = int(event.data["user_id"])
    revocations.lock_user(connection, user_id)
    revocation.end_others_later(connection, user_id, event.data["kept_token"], epoch_ms(event.timestamp))

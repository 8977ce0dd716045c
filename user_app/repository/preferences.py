"""Rows of user_preferences. They live in user_db in every phase: the legacy file has none."""

from sqlalchemy import Connection

from user_app.domain import Preferences, PreferencesChange

_GET = "SELECT theme, language, notifications_enabled FROM user_preferences WHERE user_id = %(id)s"
_UPDATE = """
INSERT INTO user_preferences (user_id, theme, language, notifications_enabled)
VALUES (%(id)s, COALESCE(%(theme)s, %(default_theme)s), COALESCE(%(language)s, %(default_language)s),
    COALESCE(%(notifications_enabled)s, %(default_notifications_enabled)s))
ON CONFLICT (user_id) DO UPDATE SET
    theme = COALESCE(%(theme)s, user_preferences.theme),
    language = COALESCE(%(language)s, user_preferences.language),
    notifications_enabled = COALESCE(%(notifications_enabled)s, user_preferences.notifications_enabled),
    updated_at = now()
RETURNING theme, language, notifications_enabled
"""


def get(connection: Connection, user_id: int) -> Preferences:
    """The user's choices, the defaults when there is no row."""
    row = connection.exec_driver_sql(_GET, {"id": user_id}).one_or_none()
    return Preferences() if row is None else Preferences(*row)


def update(connection: Connection, user_id: int, change: PreferencesChange) -> Preferences:
    """Apply `change` to the user's choices and return them."""
    defaults = {f"default_{name}": value for name, value in vars(Preferences()).items()}
    row = connection.exec_driver_sql(_UPDATE, {"id": user_id, **vars(change), **defaults}).one()
    return Preferences(*row)

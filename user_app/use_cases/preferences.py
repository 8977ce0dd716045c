"""A user's preferences, kept in user_db whichever store holds the user."""

from sqlalchemy import Engine

from service_kit.db import transaction
from user_app.domain import Preferences, PreferencesChange
from user_app.repository import preferences
from user_app.use_cases.profiles import Profiles


class PreferenceKeeping:
    """Preferences of all users. Every method raises UserNotFound for a user who is gone."""

    def __init__(self, engine: Engine, profiles: Profiles) -> None:
        self._engine = engine
        self._profiles = profiles

    def get(self, user_id: int) -> Preferences:
        """What the user has chosen, or the defaults."""
        self._profiles.get(user_id)
        with transaction(self._engine) as connection:
            return preferences.get(connection, user_id)

    def update(self, user_id: int, change: PreferencesChange) -> Preferences:
        """Apply `change`; answers all preferences."""
        self._profiles.get(user_id)
        with transaction(self._engine) as connection:
            return preferences.update(connection, user_id, change)

"""What a user did lately, read from the projection that `user_app.consumers` keeps."""

from sqlalchemy import Engine

from service_kit.db import transaction
from user_app.domain import ActivityEntry
from user_app.repository import activity
from user_app.use_cases.profiles import Profiles


class ActivityFeed:
    """The activity of all users."""

    def __init__(self, engine: Engine, profiles: Profiles) -> None:
        self._engine = engine
        self._profiles = profiles

    def page(self, user_id: int, limit: int, before: int | None) -> tuple[list[ActivityEntry], int | None]:
        """At most `limit` entries older than `before`, newest first, and the `before` of the next page.

        Raises:
            UserNotFound.
        """
        self._profiles.get(user_id)
        with transaction(self._engine) as connection:
            entries = activity.newest(connection, user_id, limit + 1, before)
        more = len(entries) > limit
        return entries[:limit], entries[limit - 1].id if more else None

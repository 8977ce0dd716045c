"""Publishing a committed revocation within the request that made it."""

import logging
from collections.abc import Sequence

from redis import RedisError

from auth_app.metrics import Metrics
from auth_app.mirror import RevocationMirror
from auth_app.repository.revocations import Row
from service_kit.errors import Unavailable

log = logging.getLogger(__name__)


class RevocationPublisher:
    """Tells Redis. `mirror` decides how long that may take; a committed revocation is worth more patience than a
    question is.

    What does not get there in time stays unpublished in auth_db, and `auth_app.keeper` goes on trying.
    """

    def __init__(self, mirror: RevocationMirror, metrics: Metrics) -> None:
        self._mirror = mirror
        self._metrics = metrics

    def publish(self, rows: Sequence[Row]) -> None:
        """Answers once Redis has the rows; Unavailable when it has not: they are revoked, but later."""
        if not self.try_publish(rows):
            raise Unavailable("Revoked; it takes effect as soon as the token store answers again")

    def try_publish(self, rows: Sequence[Row]) -> bool:
        """Whether Redis has the rows now."""
        try:
            self._mirror.publish(rows)
        except RedisError as error:
            log.warning("Redis did not take a revocation: %s", error)
            self._metrics.unpublished.inc(len(rows))
            return False
        return True

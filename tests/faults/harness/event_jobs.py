"""The events processes of both services, as `python -m user_app.events` runs them, and a consumer that counts.

The other service's feed is read from its store, not over HTTP. The counting consumer's effect is not repeatable: a row
for every time that it handled an event. So an event that has no effect, or two, shows.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Engine

from auth_app.consumers import consumers as auth_consumers
from service_kit.db import engine_for
from service_kit.events import catalog, runner
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.events.retry import RetryPolicy
from service_kit.events.source import Source, StoreSource
from service_kit.settings import Settings
from tests.faults.harness.servers import Databases, run_sql
from user_app.consumers import consumers as user_consumers

EFFECTS = "CREATE TABLE faults_effects (place BIGSERIAL, source TEXT, event_id UUID, user_id BIGINT, position BIGINT)"
CONSUMERS: dict[str, Callable[[Settings], list[Consumer]]] = {"user": user_consumers, "auth": auth_consumers}


def prepare(databases: Databases) -> None:
    """Make the table of the counting consumer in both databases."""
    for url in (databases.user_db, databases.auth_db):
        run_sql(url, EFFECTS)


def work(settings: Settings, service: str, urls: dict[str, str]) -> None:
    """Run one service's events process until SIGTERM."""
    engines = {name: _engine(urls[f"{name.upper()}_DATABASE_URL"], service) for name in ("user", "auth")}

    def source(_settings: Settings, _service: str, _engine: Engine, consumer: Consumer) -> Source:
        return StoreSource(engines[consumer.source])

    runner._source = source
    runner.RetryPolicy = _quick_retries
    wanted = CONSUMERS[service](settings) + [_counting(service, source) for source in ("user", "auth")]
    url = urls[f"{service.upper()}_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
    runner.work(settings, service, url, wanted)


def _quick_retries(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts, base=0.02, cap=0.1)


def _engine(url: str, service: str) -> Engine:
    return engine_for(
        url.replace("postgresql://", "postgresql+psycopg2://"), name=f"{service} events", pool_size=6
    )


def _counting(service: str, source: str) -> Consumer:
    def count(connection: Connection, event: Event) -> None:
        connection.exec_driver_sql(
            "INSERT INTO faults_effects (source, event_id, user_id, position) VALUES (%s, %s, %s, %s)",
            (source, event.id, event.user_id, event.position),
        )

    return Consumer(f"faults.{service}-counts-{source}", source, frozenset(catalog.KEYS), count)

"""What the event system is doing, out of its tables, and what of it needs somebody's attention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from service_kit.db import transaction

ERROR, WARNING = "error", "warning"

_HEAD = """
SELECT last_position AS head, owner,
    EXTRACT(EPOCH FROM clock_timestamp() - heartbeat_at)::float AS heartbeat_age,
    (SELECT count(*) FROM events WHERE position IS NULL) AS unsequenced,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(recorded_at))::float
     FROM events WHERE position IS NULL) AS unsequenced_age,
    COALESCE((SELECT position FROM events WHERE position IS NOT NULL ORDER BY position LIMIT 1),
        last_position + 1) AS first
FROM event_head WHERE id = 1
"""
_CONSUMERS = """
SELECT consumer_id, source, position, last_processed_event_id::text AS last_processed_event_id,
    last_processed_at, replay_from, owner, problem, source_head,
    EXTRACT(EPOCH FROM clock_timestamp() - heartbeat_at)::float AS heartbeat_age,
    EXTRACT(EPOCH FROM clock_timestamp() - behind_since)::float AS behind_seconds
FROM event_consumers ORDER BY consumer_id
"""
_STATES = "SELECT consumer_id, state, count(*) FROM event_failures GROUP BY consumer_id, state"
_READERS = """
SELECT consumer_id, position, EXTRACT(EPOCH FROM clock_timestamp() - seen_at)::float AS seen_age
FROM event_readers ORDER BY consumer_id
"""
_LAG = """
SELECT last_position - %(position)s AS events,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - recorded_at)::float FROM events
     WHERE position > %(position)s ORDER BY position LIMIT 1) AS seconds
FROM event_head WHERE id = 1
"""
_SHOWN = (
    "consumer_id",
    "lag_events",
    "lag_seconds",
    "retry",
    "waiting",
    "parked",
    "dead",
    "heartbeat_age_seconds",
)


@dataclass(frozen=True)
class Limits:
    """From when on something is wrong, in seconds."""

    lag: float = 60.0
    unsequenced: float = 10.0
    silence: float = 15.0
    reader_silence: float = 600.0


@dataclass(frozen=True)
class Breach:
    """`code` is stable and for machines."""

    code: str
    severity: str
    message: str
    remedy: str


def collect(connection: Connection, service: str, stores: Mapping[str, Connection]) -> dict[str, Any]:
    """State of the events and consumers in the database of `service`.

    `stores`: service -> connection to its database, as far as there is one. A consumer of a store out of
    reach is shown as its process last saw it. Ages and lags are in seconds, to the millisecond.
    """
    head = dict(connection.exec_driver_sql(_HEAD).mappings().one())
    states: dict[str, dict[str, int]] = {}
    for consumer_id, state, count in connection.exec_driver_sql(_STATES):
        states.setdefault(consumer_id, {})[state] = count
    rows = [dict(row) for row in connection.exec_driver_sql(_CONSUMERS).mappings()]
    return {
        "service": service,
        "head": head["head"],
        "first": head["first"],
        "unsequenced": {"count": head["unsequenced"], "age_seconds": _rounded(head["unsequenced_age"])},
        "sequencer": {"owner": head["owner"], "heartbeat_age_seconds": _rounded(head["heartbeat_age"])},
        "consumers": [_consumer(row, states.get(row["consumer_id"], {}), stores) for row in rows],
        "readers": [
            {"consumer_id": consumer_id, "position": position, "seen_age_seconds": _rounded(age)}
            for consumer_id, position, age in connection.exec_driver_sql(_READERS)
        ],
    }


def breaches(state: Mapping[str, Any], limits: Limits) -> list[Breach]:
    """What is wrong in the answer of `collect`, the worst first. Pure."""
    found = [*_store_breaches(state, limits)]
    for consumer in state["consumers"]:
        found += _consumer_breaches(consumer, limits)
    for reader in state["readers"]:
        if reader["seen_age_seconds"] > limits.reader_silence:
            message = f"{reader['consumer_id']} last read this store {reader['seen_age_seconds']:.0f} s ago"
            found.append(
                Breach(
                    "reader_silent",
                    WARNING,
                    message,
                    "old events are kept until it goes on; flask events retire, if it never will",
                )
            )
    return sorted(found, key=lambda breach: breach.severity != ERROR)


def readiness(engine: Engine, service: str, limits: Limits = Limits()) -> dict[str, Any]:
    """The numbers that /readyz shows, without hosts and error texts: whoever can reach it may read it.

    Raises Unavailable only when the database is: a service whose events are late still serves its requests.
    """
    with transaction(engine) as connection:
        state = collect(connection, service, {service: connection})
    wrong = [breach.code for breach in breaches(state, limits) if breach.severity == ERROR]
    consumers = [{name: consumer[name] for name in _SHOWN} for consumer in state["consumers"]]
    return {
        "events": "behind" if wrong else "ok",
        "breaches": wrong,
        "head": state["head"],
        "unsequenced": state["unsequenced"],
        "sequencer_heartbeat_age_seconds": state["sequencer"]["heartbeat_age_seconds"],
        "consumers": consumers,
    }


def _consumer(
    row: Mapping[str, Any], states: Mapping[str, int], stores: Mapping[str, Connection]
) -> dict[str, Any]:
    if row["source"] in stores:
        lag = stores[row["source"]].exec_driver_sql(_LAG, {"position": row["position"]}).mappings().one()
        lag_events, lag_seconds = lag["events"], lag["seconds"]
    else:
        lag_events, lag_seconds = row["source_head"] - row["position"], row["behind_seconds"]
    return {
        "consumer_id": row["consumer_id"],
        "source": row["source"],
        "position": row["position"],
        "last_processed_event_id": row["last_processed_event_id"],
        "last_processed_at": row["last_processed_at"].isoformat() if row["last_processed_at"] else None,
        "lag_events": lag_events,
        "lag_seconds": _rounded(lag_seconds) or 0.0,
        **{state: states.get(state, 0) for state in ("retry", "waiting", "parked", "dead", "discarded")},
        "replay_from": row["replay_from"],
        "owner": row["owner"],
        "heartbeat_age_seconds": _rounded(row["heartbeat_age"]),
        "problem": row["problem"],
    }


def _store_breaches(state: Mapping[str, Any], limits: Limits) -> list[Breach]:
    found = []
    age = state["sequencer"]["heartbeat_age_seconds"]
    service = state["service"]
    if age is None or age > limits.silence:
        message = f"no events process of the {service} service has shown a sign of life{_since(age)}"
        found.append(Breach("sequencer_silent", ERROR, message, f"start `python -m {service}_app.events`"))
    waiting = state["unsequenced"]
    if waiting["count"] and waiting["age_seconds"] > limits.unsequenced:
        message = f"{waiting['count']} events have no position, the oldest for {waiting['age_seconds']:.0f} s"
        found.append(Breach("unsequenced", ERROR, message, "see the log of the events process"))
    return found


def _consumer_breaches(consumer: Mapping[str, Any], limits: Limits) -> list[Breach]:
    name, age, found = consumer["consumer_id"], consumer["heartbeat_age_seconds"], []
    if age is None or age > limits.silence:
        message = f"{name} has shown no sign of life{_since(age)}"
        found.append(
            Breach("consumer_silent", ERROR, message, "start its events process, or see what it hangs in")
        )
    if consumer["problem"]:
        severity = WARNING if name == "relay" else ERROR
        found.append(Breach("consumer_problem", severity, f"{name}: {consumer['problem']}", ""))
    if consumer["lag_events"] < 0:
        message = f"{name} is at {consumer['position']}, {-consumer['lag_events']} beyond its source's end"
        found.append(Breach("cursor_beyond_head", ERROR, message, "was the source restored from a backup?"))
    if consumer["lag_seconds"] > limits.lag and name != "relay":
        message = f"{name} is {consumer['lag_events']} events and {consumer['lag_seconds']:.0f} s behind"
        found.append(Breach("lag", ERROR, message, "see its problem and its heartbeat"))
    if consumer["dead"]:
        message = (
            f"{name} has {consumer['dead']} dead letters, {consumer['waiting']} events wait behind others"
        )
        found.append(Breach("dead_letters", ERROR, message, "flask events dead, then requeue or discard"))
    if consumer["parked"]:
        message = f"{name} has {consumer['parked']} events of an unknown type or version"
        found.append(
            Breach("parked", WARNING, message, "deploy the release that knows them, or discard them")
        )
    return found


def _since(age: float | None) -> str:
    return " ever" if age is None else f" for {age:.0f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)

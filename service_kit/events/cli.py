"""`flask events`: state, dead letters, replay, retirement. On the stores of both services.

Exit codes: 0 done, or nothing wrong; 1 refused, failed, or something is wrong; 2 wrong usage or settings.
"""

import getpass
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from service_kit.events import cursors, decisions, status, store
from service_kit.events.answer import Answer, answering, json_option, render_status
from service_kit.events.failures import DEAD, PARKED, RETRY
from service_kit.settings import Settings, SettingsError, load

SERVICES = ("user", "auth")


@click.group("events")
def events_group() -> None:
    """The events between the services: state, dead letters, replay."""


@events_group.command("status")
@click.option(
    "--max-lag", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds allowed."
)
@json_option
def status_command(max_lag: float, as_json: bool) -> None:
    """Head, lag, dead letters and signs of life of everything; exit code 1 when something is wrong."""
    with answering("events status", as_json, render_status) as answer, _stores(answer) as stores:
        answer.data["services"] = [status.collect(stores[name], name, stores) for name in stores]
        for state in answer.data["services"]:
            for breach in status.breaches(state, status.Limits(lag=max_lag)):
                answer.add(breach.code, breach.severity, breach.message, breach.remedy)


@events_group.command("dead")
@click.option("--consumer", help="Only this one's.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--traceback", "with_traceback", is_flag=True, help="Show where each one failed.")
@json_option
def dead_command(consumer: str | None, limit: int, with_traceback: bool, as_json: bool) -> None:
    """Events that a consumer has given up, and those parked for their unknown type or version."""
    with answering("events dead", as_json) as answer, _stores(answer) as stores:
        found = []
        for name, connection in stores.items():
            for each in _consumers(connection, consumer):
                rows = decisions.unhandled(connection, each, (DEAD, PARKED), limit)
                found += [
                    {"service": name, "consumer_id": each} | _plain(row, with_traceback) for row in rows
                ]
        answer.data["events"] = found
        if found:
            answer.next("flask events requeue --consumer NAME --position N, when the cause is gone")
            answer.next(
                "flask events discard --consumer NAME --position N --reason TEXT, to go on without it"
            )


@events_group.command("requeue")
@click.option("--consumer", required=True)
@click.option("--position", type=click.IntRange(min=1), help="This event only.")
@click.option("--key", help="The event of this key, such as user:7.")
@click.option("--all", "everything", is_flag=True, help="All of this consumer.")
@json_option
def requeue_command(
    consumer: str, position: int | None, key: str | None, everything: bool, as_json: bool
) -> None:
    """Give dead or parked events their attempts again; the rest of the user's events follows in order."""
    if [position is not None, key is not None, everything].count(True) != 1:
        raise click.UsageError("one of --position, --key and --all")
    with answering("events requeue", as_json) as answer, _stores(answer) as stores:
        with _home(stores, consumer, answer).engine.begin() as connection:
            answer.data["positions"] = decisions.requeue(
                connection, consumer, _me(), position=position, key=key
            )
        if not answer.data["positions"]:
            answer.fail(
                "nothing_to_requeue", f"{consumer} has no such dead or parked event", "flask events dead"
            )


@events_group.command("discard")
@click.option("--consumer", required=True)
@click.option("--position", type=click.IntRange(min=1), required=True)
@click.option("--reason", required=True, help="Kept with the event, with your name and the time.")
@json_option
def discard_command(consumer: str, position: int, reason: str, as_json: bool) -> None:
    """Never handle this event; it stays listed as discarded, and the next of its user has its turn."""
    with answering("events discard", as_json) as answer, _stores(answer) as stores:
        with _home(stores, consumer, answer).engine.begin() as connection:
            done = decisions.discard(connection, consumer, position, _me(), reason)
        answer.data |= {"consumer_id": consumer, "position": position, "by": _me(), "reason": reason}
        if not done:
            answer.fail("not_found", f"{consumer} has no unhandled event {position}", "flask events dead")


@events_group.command("replay")
@click.option("--consumer", required=True)
@click.option(
    "--from", "position", type=click.IntRange(min=0), required=True, help="The first one to handle again."
)
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait until it is done.")
@json_option
def replay_command(consumer: str, position: int, wait: float, as_json: bool) -> None:
    """Let a consumer handle events again; from 1 it rebuilds its projection, where it can."""
    position = max(position, 1)
    with answering("events replay", as_json) as answer, _stores(answer) as stores:
        home = _home(stores, consumer, answer)
        found = decisions.replayable(home, consumer)
        if found is None or found.source not in stores:
            answer.refuse(
                "source_unreachable", f"the events of {consumer} are out of reach", "see the issues"
            )
        first, head = store.bounds(stores[found.source])
        reason = decisions.refusal(found, position, first, head)
        if reason:
            answer.refuse("not_replayable", f"{consumer} cannot be replayed from {position}: {reason}", "")
        with home.engine.begin() as connection:
            decisions.want_replay(connection, consumer, position, _me())
        answer.data |= {"consumer_id": consumer, "from": position, "head": head}
        answer.data["done"] = _wait_for(home, consumer, head, wait)
        if not answer.data["done"]:
            answer.next("flask events status: it is done when replay_from is gone and the lag is 0")


@events_group.command("retire")
@click.option("--consumer", required=True)
@json_option
def retire_command(consumer: str, as_json: bool) -> None:
    """Forget a consumer that will never run again, so that old events need not be kept for it."""
    with answering("events retire", as_json) as answer, _stores(answer) as stores:
        home = _found_home(stores, consumer)
        reason = decisions.keeps_from_retiring(home, consumer) if home else None
        if answer.issues or reason:
            message = f"{consumer} cannot be retired: {reason or 'a store is out of reach'}"
            answer.refuse("not_retirable", message, "stop its process; flask events dead, then discard")
        position = decisions.retire(home, consumer) if home else None
        read = [name for name, store in stores.items() if decisions.forget_reader(store, consumer)]
        if position is None and not read:
            answer.refuse("unknown_consumer", f"no consumer {consumer!r} has ever run", "flask events status")
        answer.data |= {"consumer_id": consumer, "position": position, "read_from": read}


@contextmanager
def _stores(answer: Answer) -> Iterator[dict[str, Connection]]:
    """Service -> connection, each statement a transaction of its own; who is out of reach is named and left
    out."""
    with ExitStack() as stack:
        stores: dict[str, Connection] = {}
        for name, url in _urls(_settings()).items():
            engine = create_engine(
                url, connect_args={"connect_timeout": 3, "application_name": "flask events"}
            )
            stack.callback(engine.dispose)
            try:
                connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            except DBAPIError as error:
                message = f"the store of the {name} service: {str(error.orig).strip().splitlines()[0]}"
                answer.fail("store_unreachable", message, f"is {name.upper()}_DATABASE_URL right?")
                continue
            stores[name] = stack.enter_context(connection)
        yield stores


def _home(stores: dict[str, Connection], consumer: str, answer: Answer) -> Connection:
    """The connection to the database where `consumer` keeps its cursor."""
    home = _found_home(stores, consumer)
    if home is not None:
        return home
    return answer.refuse(
        "unknown_consumer", f"no consumer {consumer!r} has ever run", "flask events status lists them"
    )


def _found_home(stores: dict[str, Connection], consumer: str) -> Connection | None:
    return next((each for each in stores.values() if cursors.find(each, consumer) is not None), None)


def _consumers(connection: Connection, wanted: str | None) -> list[str]:
    rows = connection.exec_driver_sql("SELECT consumer_id FROM event_consumers ORDER BY consumer_id")
    return [row[0] for row in rows if wanted in (None, row[0])]


def _wait_for(connection: Connection, consumer: str, head: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        cursor = cursors.find(connection, consumer)
        if cursor and cursor.replay_from is None and cursor.position >= head:
            unfinished = decisions.unhandled(connection, consumer, (RETRY,), 1)
            return not unfinished
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _plain(row: dict[str, Any], with_traceback: bool) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if with_traceback or name != "traceback"}
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in shown.items()
    }


def _urls(settings: Settings) -> dict[str, str]:
    return {"user": settings.user_database_url, "auth": settings.auth_database_url}


def _settings() -> Settings:
    try:
        return load("worker")
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"

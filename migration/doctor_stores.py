"""Doctor's look at PostgreSQL, Redis and the workers: reachable, right version and schema, and really ours."""

import os
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from migration import indexes
from migration import plan as plans
from migration.answer import ERROR, INFO, WARNING, Issue, Refused
from migration.dual_write import refuse_strangers
from migration.plan import COPY
from migration.session import Session
from migration.task_queue import celery_for
from migration.throttle import redis_for
from service_kit.settings import MIN_JWT_SECRET_BYTES
from service_kit.stack_env import stack_environment
from service_kit.truth.legacy_file import COPIED, CUTOVER, VERIFIED

OLDEST_POSTGRES = 140_000
_PACKAGES = {"user_db": "user_app", "auth_db": "auth_app", "migration_db": "migration"}
_PING_SECONDS = 1.0


def examine_stores(session: Session, phase: str) -> tuple[list[Issue], dict[str, Any]]:
    """Findings about the databases, then about what is around them; versions as facts."""
    issues: list[Issue] = []
    facts: dict[str, Any] = {}
    engines = {"user_db": session.user, "auth_db": session.auth, "migration_db": session.migration}
    whole = True
    for name, engine in engines.items():
        found = list(_database(name, engine, facts))
        whole = whole and not any(issue.severity == ERROR for issue in found)
        issues += found
    if whole:
        issues += _bindings(session, phase)
    issues += _redis(session, facts)
    issues += _secret()
    return issues, facts


def _database(name: str, engine: Engine, facts: dict[str, Any]) -> Iterator[Issue]:
    try:
        with engine.connect() as connection:
            yield from _server(name, connection, facts)
            yield from _schema(name, connection)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        remedy = "Is it running, and is its address right?"
        yield Issue("unreachable", ERROR, f"{name} cannot be looked at: {cause}", remedy)


def _server(name: str, connection: Connection, facts: dict[str, Any]) -> Iterator[Issue]:
    version, number, encoding, standby, durable, synchronous = connection.exec_driver_sql(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
        " current_setting('server_encoding'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,"
        " current_setting('fsync')::boolean, current_setting('synchronous_commit')"
    ).one()
    facts[name] = f"PostgreSQL {version}"
    if number < OLDEST_POSTGRES:
        yield Issue(
            "postgres_too_old", ERROR, f"{name} is PostgreSQL {version}; 14 is needed.", "Use a newer server."
        )
    if encoding != "UTF8":
        message = f"{name} stores text as {encoding}, which cannot hold every name."
        yield Issue("encoding_not_utf8", ERROR, message, "Make the database with ENCODING 'UTF8'.")
    if standby:
        remedy = "Point the address at the primary server."
        yield Issue("database_read_only", ERROR, f"{name} takes no writes.", remedy)
    if not durable or synchronous == "off":
        message = f"{name} may lose commits when the machine fails (fsync, synchronous_commit)."
        yield Issue("commits_not_durable", WARNING, message, "Turn both on before the cutover.")


def _schema(name: str, connection: Connection) -> Iterator[Issue]:
    """Whether the database is at the newest revision of the history that its package brings."""
    package = _PACKAGES[name]
    remedy = f"python -m {package}.manage upgrade"
    if connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
        yield Issue("schema_missing", ERROR, f"{name} has no tables of ours.", remedy)
        return
    present = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    head = _head(package)
    if head is not None and head not in present:
        message = f"The schema of {name} is at {', '.join(present) or 'nothing'}, the code at {head}."
        yield Issue("schema_behind", ERROR, message, remedy)
        return
    table = {"user_db": "users", "auth_db": "user_credentials"}.get(name)
    if table is not None:
        yield from _capture(name, table, connection)


def _capture(name: str, table: str, connection: Connection) -> Iterator[Issue]:
    enabled = connection.exec_driver_sql(
        "SELECT tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = 'migration_capture'",
        (table,),
    ).scalar()
    if enabled not in ("O", "A"):
        message = (
            f"{name} would not log its changes for the way back: the trigger on {table} is gone or disabled."
        )
        yield Issue(
            "no_reverse_capture", ERROR, message, f"ALTER TABLE {table} ENABLE TRIGGER migration_capture"
        )


def _head(package: str) -> str | None:
    """The newest revision in the package's history; None when the package is not installed here."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return ScriptDirectory(str(Path(spec.origin).parent / "migrations")).get_current_head()


def _bindings(session: Session, phase: str) -> Iterator[Issue]:
    try:
        refuse_strangers(session)
    except Refused as refusal:
        yield from refusal.issues
    except sqlite3.Error:  # the look at the file has said so
        pass
    if phase in (COPIED, VERIFIED, CUTOVER) and not indexes.present(session.user):
        yield indexes.missing()
    plan = plans.running(session.migration)
    if plan is not None:
        verb = "copy" if plan.kind == COPY else "verification"
        message = f"A {verb} is under way since {plan.created_at:%Y-%m-%d %H:%M:%S}."
        yield Issue("plan_running", INFO, message, f"flask migration {plan.kind} goes on with it.")


def _redis(session: Session, facts: dict[str, Any]) -> Iterator[Issue]:
    client = redis_for(session.settings.redis_url)
    try:
        info: Any = client.info()
        facts["redis"] = info.get("redis_version")
        policy = info.get("maxmemory_policy")
        if policy not in (None, "noeviction"):
            message = f"Redis may throw keys away (maxmemory-policy {policy}): revocations and tasks would get lost."
            yield Issue("redis_evicts", WARNING, message, "Set maxmemory-policy noeviction.")
    except RedisError as error:
        remedy = "Start it, or correct REDIS_URL. Without it no worker gets a chunk."
        yield Issue("redis_unreachable", ERROR, f"Redis cannot be reached: {error}", remedy)
        return
    finally:
        client.close()
    workers = _workers(session)
    facts["workers"] = workers
    if not workers:
        message = "No Celery worker answers, so nobody would copy."
        yield Issue(
            "no_worker", WARNING, message, "celery --app celery_worker.app worker (make up starts one)."
        )


def _workers(session: Session) -> list[str]:
    with celery_for(session.settings) as app:
        try:
            answers = app.control.ping(timeout=_PING_SECONDS)
        except (KombuError, RedisError, OSError):
            return []
    return sorted(name for answer in answers or () for name in answer)


def _secret() -> Iterator[Issue]:
    """The toolkit is never given the secret; where it shares an environment with the services it can look."""
    environ = stack_environment()
    path = environ.get("JWT_SECRET_FILE", "")
    secret = environ.get("JWT_SECRET", "")
    if not secret and path and os.access(path, os.R_OK):
        secret = Path(path).read_text(encoding="utf-8").strip()
    if not secret:
        message = "JWT_SECRET is not set here, so it was not looked at."
        yield Issue(
            "jwt_secret_unknown",
            INFO,
            message,
            "Give gateway and auth the old server's, or all users log in anew.",
        )
    elif len(secret.encode()) < MIN_JWT_SECRET_BYTES:
        message = f"JWT_SECRET is shorter than {MIN_JWT_SECRET_BYTES} bytes."
        remedy = "Keep it with ALLOW_WEAK_JWT_SECRET=1 until the last old token has expired, then change it."
        yield Issue("jwt_secret_short", WARNING, message, remedy)

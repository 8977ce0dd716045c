"""Whether the events tell what happened, and had their effect once, by plain psycopg2.

Of a user whose rows the bulk copy brought, the first events may be missing (nobody knows what changed before the copy
came by); from the first event on, every change must continue where the last one ended, up to the row that is there.
"""

from typing import Any

from tests.faults.harness.servers import Databases, run_sql

_EVENTS = "SELECT id, position, CAST(event_id AS TEXT), type, user_id, data FROM events ORDER BY id"
_STANDING = (
    "SELECT (SELECT count(*) FROM events WHERE position IS NULL), (SELECT last_position FROM event_head),"
    " (SELECT count(*) FROM event_failures WHERE state <> 'discarded')"
)


def behind(databases: Databases) -> list[str]:
    """What the events processes have still to do; empty when everything is numbered and handled."""
    heads: dict[str, int] = {}
    found = []
    for name, url in _urls(databases).items():
        unnumbered, heads[name], failures = run_sql(url, _STANDING)[0]
        found += [f"{unnumbered} events of {name} have no number"] * bool(unnumbered)
        found += [f"{failures} events wait or are dead in {name}_db"] * bool(failures)
    for name, url in _urls(databases).items():
        for consumer, source, position in run_sql(
            url, "SELECT consumer_id, source, position FROM event_consumers"
        ):
            if position != heads[source]:
                found.append(f"{consumer} in {name}_db is at {position} of {heads[source]}")
    return found


def faults(databases: Databases, touched: set[int]) -> list[str]:
    """Every event that is missing, doubled, out of order, or tells of something else than what happened. The rows of
    `touched` users were changed behind everybody's back."""
    found = []
    events = {name: run_sql(url, _EVENTS) for name, url in _urls(databases).items()}
    for name, rows in events.items():
        positions = sorted(row[1] for row in rows if row[1] is not None)
        if positions != list(range(1, len(rows) + 1)):
            found.append(f"the positions of {name} are not 1 to {len(rows)}")
    found += _effects(databases, events)
    found += _profiles(databases, events["user"], touched)
    kept = [(row[4], row[5]["kept_token"]) for row in events["auth"] if row[3] == "user.password.changed"]
    told = [pair for pair in kept if pair[1] is not None]
    found += [f"the password change {pair} is told twice" for pair in set(told) if told.count(pair) > 1]
    return found


def _urls(databases: Databases) -> dict[str, str]:
    return {"user": databases.user_db, "auth": databases.auth_db}


def _effects(databases: Databases, events: dict[str, list[Any]]) -> list[str]:
    found = []
    for name, url in _urls(databases).items():
        rows = run_sql(
            url, "SELECT source, CAST(event_id AS TEXT), user_id, position FROM faults_effects ORDER BY place"
        )
        for source, there in events.items():
            handled = [row for row in rows if row[0] == source]
            if sorted(row[1] for row in handled) != sorted(row[2] for row in there):
                found.append(f"{len(there)} events of {source} had {len(handled)} effects in {name}_db")
            for user in {row[2] for row in handled if row[2] is not None}:
                order = [row[3] for row in handled if row[2] == user]
                if order != sorted(order):
                    found.append(f"events of user {user} had their effects out of order in {name}_db")
    return found


def _profiles(databases: Databases, events: list[Any], touched: set[int]) -> list[str]:
    found = []
    known: dict[int, dict[str, Any]] = {}
    for _, _, event_id, kind, user, data in events:
        if user in touched:
            continue
        state = known.setdefault(user, {})
        if kind == "user.registered":
            known[user] = {"email": data["email"], "name": data["name"]}
        for field, change in data.get("changes", {}).items():
            if state.get(field, change["old"]) != change["old"]:
                found.append(
                    f"event {event_id} of user {user}: {field} was {state[field]!r}, not {change['old']!r}"
                )
            state[field] = change["new"]
    rows = run_sql(databases.user_db, "SELECT id, email, name FROM users WHERE status = 'active'")
    for user, email, name in rows:
        for field, value in (("email", email), ("name", name)):
            told = known.get(user, {}).get(field, value)
            if told != value:
                found.append(f"user {user} has {field} {value!r}, the events end with {told!r}")
    return found

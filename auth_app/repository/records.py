"""What happened: the audit log, and this service's events, written side by side in one transaction."""

import json
from typing import Any

from sqlalchemy import Connection

from auth_app.domain import Client
from service_kit.log import correlation_id


def audit(
    connection: Connection, action: str, user_id: int | None, client: Client, **detail: str | int | None
) -> None:
    """Add a line to the audit log. `detail` must hold no secret."""
    connection.exec_driver_sql(
        "INSERT INTO audit_log (user_id, action, ip, user_agent, correlation_id, detail)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (user_id, action, client.ip, client.user_agent, correlation_id(), _json(detail)),
    )


def _json(detail: dict[str, Any]) -> str:
    return json.dumps(detail)

"""No code path publishes an event but the relay: whatever else did would publish what may be rolled back."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("service_kit", "gateway_app", "user_app", "auth_app", "migration", "celery_worker")


def test_only_the_relay_publishes_in_redis() -> None:
    callers = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in ("publish", "spublish"):
                    receiver = ast.unparse(node.value)
                    if "redis" in receiver or "pipeline" in receiver or "client" in receiver:
                        callers.add(str(path.relative_to(ROOT)))
    assert callers == {"service_kit/events/relay.py"}

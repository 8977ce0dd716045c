"""Replays the exchanges that were recorded from the legacy server, and compares by its own rules.

What differs by nature (ids, tokens, clock times) is compared by shape. Everything else has to be equal: status,
every key, every message, every null. The order of keys is not looked at.
"""

import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "data" / "contract" / "legacy_api.json"

_SHAPES = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), '<time "Y-m-d H:M:S">'),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<iso8601>"),
)
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


def differences(base_url: str) -> Iterator[str]:
    """Replay every exchange against the server at `base_url`; one text for each that is answered differently."""
    names: dict[str, str] = {"run": "r" + secrets.token_hex(4)}
    for case in json.loads(RECORDED.read_text()):
        status, body = _send(base_url, case, names)
        for name, path in case.get("save", {}).items():
            names[name] = _pick(body, path)
        wanted = case["expect"]["status"], case["expect"]["body"]
        found = status, _shape(body, names["run"])
        if case.get(
            "free"
        ):  # a framework's error page in the recording: its class of status is all that counts
            if status // 100 != wanted[0] // 100:
                yield f"{case['name']}: {status} instead of {wanted[0]}"
        elif found != wanted:
            yield f"{case['name']}: {json.dumps(found)} instead of {json.dumps(wanted)}"


def count() -> int:
    """How many exchanges there are."""
    return len(json.loads(RECORDED.read_text()))


def _send(base_url: str, case: dict[str, Any], names: dict[str, str]) -> tuple[int, Any]:
    headers = _fill(case.get("headers", {}), names)
    data = None
    if "json" in case or "raw" in case:
        data = (case["raw"] if "raw" in case else json.dumps(_fill(case["json"], names))).encode()
        headers = {"Content-Type": "application/json", **headers}
    url = base_url + _fill(case["path"], names)
    request = urllib.request.Request(url, data, headers, method=case["method"])
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: _fill(inner, names) for key, inner in value.items()}
    return value


def _pick(body: Any, path: str) -> str:
    for part in path.split("."):
        body = body[part]
    return str(body)


def _shape(value: Any, run: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner, run, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner, run) for inner in value]
    if key == "id" and type(value) is int:
        return "<int>"
    if not isinstance(value, str):
        return value
    if key == "token" and _TOKEN.fullmatch(value):
        return "<jwt>"
    return next(
        (shape for pattern, shape in _SHAPES if pattern.fullmatch(value)), value.replace(run, "{run}")
    )

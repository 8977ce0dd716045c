"""The API's description as one page: no script, nothing fetched from elsewhere, so that helmet's policy holds."""

import json
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: 4px; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; text-transform: uppercase; }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .2rem .6rem; text-align: left; }
"""


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    sections = "".join(_section(tag, document) for tag in document["tags"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])}</h1><p>{_text(info['description'])} For machines: "
        f'<a href="/api/openapi.json">openapi.json</a>. Routes marked <em>token</em> want '
        f"<code>Authorization: Bearer TOKEN</code>.</p>{sections}<h2>Shapes</h2>{_shapes(document)}</body></html>"
    )


def _section(tag: dict[str, Any], document: dict[str, Any]) -> str:
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    return f"<h2>{escape(tag['description'])}</h2>{''.join(operations)}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    key = " <em>token</em>" if operation.get("security") else ""
    parts = [_parameters(operation.get("parameters", []))]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Takes <code>{escape(media)}</code>: {_shape(content['schema'])}</p>")
    parts.append(_responses(operation["responses"]))
    return (
        f'<details><summary><span class="method">{method}</span> <code>{escape(path)}</code>{key} '
        f"{_text(operation['summary'])}</summary>{''.join(parts)}</details>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{escape(item['in'])}</td>"
        f"<td>{_text(item.get('description', ''))} <code>{escape(json.dumps(item['schema']))}</code></td></tr>"
        for item in parameters
    )
    return f"<table><tr><th>Parameter</th><th>in</th><th></th></tr>{rows}</table>"


def _responses(responses: dict[str, Any]) -> str:
    rows = []
    for status, response in responses.items():
        shapes = ", ".join(_shape(content["schema"]) for content in response["content"].values())
        rows.append(f"<tr><td>{status}</td><td>{_text(response['description'])}</td><td>{shapes}</td></tr>")
    return f"<table><tr><th>Status</th><th></th><th>Shape</th></tr>{''.join(rows)}</table>"


def _shape(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#{name}">{name}</a>' if name else f"<code>{escape(json.dumps(schema))}</code>"


def _shapes(document: dict[str, Any]) -> str:
    return "".join(
        f'<details id="{name}"><summary><code>{name}</code></summary>'
        f"<pre>{escape(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )


def _text(text: str) -> str:
    """Escaped, with `code` between back quotes."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))

"""``/docs`` and ``/``: what openapi.json says, as a page for people, and what is where.

The pages are plain HTML without a script, made once: they need no internet and pass any
Content-Security-Policy that allows their one style sheet.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources

__all__ = ["POLICY", "STYLE", "front_page", "operations", "whole_page"]

STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;"
    "overflow-wrap:anywhere}"
    "code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow-x:auto;padding:.5rem;"
    "border:1px solid;border-radius:4px}"
    "summary{cursor:pointer;padding:.4rem 0}dt{font-weight:600}dd{margin:0 0 .4rem 1.2rem}"
    "details{border-bottom:1px solid}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
#: What a page of ours may load: its own style, nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_METHODS = ("get", "put", "post", "delete", "patch")
_Node = Mapping[str, object]


def whole_page(title: str, body: str) -> str:
    """A whole page round ``body``, which is HTML already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )


def front_page(workbench: str | None) -> str:
    """What is where, from openapi.json; with a link to the ``workbench`` where one is set."""
    described = _description()
    lines: list[str] = []
    for path, method, operation in _operations(described):
        shown = f"<code>{method.upper()} {escape(path)}</code>"
        if method == "get" and "{" not in path:
            shown = f'<a href="{escape(path[1:])}">{shown}</a>'
        lines.append(f"<dt>{shown}</dt><dd>{escape(_text(operation, 'summary'))}</dd>")
    where = (
        "<p>There is no page for people here unless <code>workbench.url</code> names one: "
        "<code>waybill workbench</code> serves them.</p>"
    )
    if workbench is not None:
        where = (
            f'<p><a href="{escape(workbench)}">To the workbench</a>: see and correct labels.</p>'
        )
    return whole_page(
        "Waybill",
        '<p>This sidecar labels log records. <a href="docs">What each call takes and answers</a>, '
        '<a href="openapi.json">the same for tools</a>.</p>'
        f"{where}<dl>{''.join(lines)}</dl>",
    )


def operations() -> str:
    """Every call of openapi.json with what it takes and what it answers, as HTML."""
    described = _description()
    pieces: list[str] = []
    for path, method, operation in _operations(described):
        pieces.append(
            f"<details><summary><code>{method.upper()} {escape(path)}</code> "
            f"{escape(_text(operation, 'summary'))}</summary>"
            f"{_paragraph(_text(operation, 'description'))}"
            f"{_parameters(operation)}{_body(operation)}{_answers(operation)}</details>"
        )
    pieces.append("<h2>Schemas</h2>")
    schemas = _node(_node(described, "components"), "schemas")
    for name in schemas:
        shown = f"<summary><code>{escape(name)}</code></summary>{_json(schemas[name])}"
        pieces.append(f'<details id="{escape(name)}">{shown}</details>')
    return "".join(pieces)


def _description() -> _Node:
    text = resources.files("waybill.api").joinpath("openapi.json").read_bytes()
    described: dict[str, object] = json.loads(text)
    return described


def _operations(described: _Node) -> Iterator[tuple[str, str, _Node]]:
    for path, item in _node(described, "paths").items():
        for method in _METHODS:
            operation = _node(item, method)
            if operation:
                yield path, method, operation


def _parameters(operation: _Node) -> str:
    lines: list[str] = []
    given = operation.get("parameters")
    for one in given if isinstance(given, list) else []:
        schema = _node(one, "schema")
        kind = f"{_text(one, 'in')} {_text(schema, 'type')}".strip()
        allowed = schema.get("enum")
        if isinstance(allowed, list):
            kind += ": " + ", ".join(map(str, allowed))
        if "default" in schema:
            kind += f"; else {schema['default']}"
        lines.append(
            f"<dt><code>{escape(_text(one, 'name'))}</code> ({escape(kind)})</dt>"
            f"<dd>{escape(_text(one, 'description'))}</dd>"
        )
    return f"<h3>Parameters</h3><dl>{''.join(lines)}</dl>" if lines else ""


def _body(operation: _Node) -> str:
    content = _node(_node(operation, "requestBody"), "content")
    return "<h3>Body</h3>" + _content(content) if content else ""


def _answers(operation: _Node) -> str:
    lines: list[str] = []
    for status, answer in _node(operation, "responses").items():
        words = escape(_text(answer, "description"))
        lines.append(
            f"<dt>{escape(status)}</dt><dd>{words}{_content(_node(answer, 'content'))}</dd>"
        )
    return f"<h3>Answers</h3><dl>{''.join(lines)}</dl>"


def _content(content: _Node) -> str:
    pieces: list[str] = []
    for kind, media in content.items():
        schema = _node(media, "schema")
        reference = _text(schema, "$ref").rpartition("/")[2]
        shown = _json(schema) if schema else ""
        if reference:
            shown = f' <a href="#{escape(reference)}">{escape(reference)}</a>'
        pieces.append(f"<div><code>{escape(kind)}</code>{shown}</div>")
    return "".join(pieces)


def _json(value: object) -> str:
    return f'<pre tabindex="0">{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _text(node: object, name: str) -> str:
    value = node.get(name) if isinstance(node, dict) else None
    return value if isinstance(value, str) else ""


def _node(node: object, name: str) -> _Node:
    value = node.get(name) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}

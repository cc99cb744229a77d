"""``config/waybill.yaml``: every setting with its default, and its meaning above it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator

import msgspec

from waybill.settings.catalogue import Setting, describe, nested
from waybill.settings.generate.words import flow, note
from waybill.settings.schema import Section, Settings
from waybill.settings.sources import SECRET_KEYS

_WIDTH = 98
#: Stands for a blank that is no place to break a line.
_GLUE = "\0"
_HEAD = """\
Waybill: every setting with its default. Made by `python -m waybill.settings.generate` from
the fields in sidecar/waybill/settings/sections; edit those, not this file.

Use a file like it with `waybill serve --config FILE`; leave out what stays as it is. Each key
can also be set as an environment variable (http.listen is WAYBILL_HTTP_LISTEN) or as a flag
(--set http.listen=0.0.0.0:9880). A flag wins over the environment, the environment over the
file. Secrets never stand here: tokens and keys come from the files named below, the key of the
language model from GROQ_API_KEY, GEMINI_API_KEY or WAYBILL_LLM_API_KEY.
"""


def defaults_file() -> str:
    """The text of the file."""
    head = [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    return "\n".join([*head, *_section(Settings, "", 0)]) + "\n"


def _section(section: type[Section], prefix: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for field in msgspec.structs.fields(section):
        path = f"{prefix}{field.encode_name}"
        inner = nested(field)
        if depth == 0:
            yield ""
        if inner is not None:
            yield from _comment(inspect.getdoc(inner) or "", indent)
            yield f"{indent}{field.encode_name}:"
            yield from _section(inner, f"{path}.", depth + 1)
        elif path not in SECRET_KEYS:
            yield from _setting(describe(field, path), field.encode_name, indent)


def _setting(setting: Setting, key: str, indent: str) -> Iterator[str]:
    yield from _comment(setting.description, indent, note(setting))
    if setting.element is None or not setting.default:
        yield f"{indent}{key}: {flow(setting.default)}"
        return
    yield f"{indent}{key}:"
    elements = msgspec.to_builtins(setting.default)
    for element in elements:
        yield from _element(element, f"{indent}  ")


def _element(element: dict[str, object], indent: str) -> Iterator[str]:
    mark = "- "
    for key, value in element.items():
        yield f"{indent}{mark}{key}: {flow(value)}"
        mark = "  "


def _comment(text: str, indent: str, unbroken: str = "") -> Iterator[str]:
    """``text`` as lines of a comment, then ``unbroken`` in brackets, which stays on one line."""
    words = text.replace("``", "`")
    if unbroken:
        bracket = f"[{unbroken}]"
        words = f"{words} {bracket.replace(' ', _GLUE)}"
    for line in textwrap.wrap(words, _WIDTH - len(indent), break_on_hyphens=False):
        yield f"{indent}# {line.replace(_GLUE, ' ')}"

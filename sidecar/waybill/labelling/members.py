"""Flattens a structured line: level, message, then the rest as ``key=value``; no word of it is lost
but those of times.

>>> flattened('CEF:0|acme|gate|0|0|locked out|0|act=User locked out msg=too many')
'CEF:0|acme|gate|0|0|locked out|0| too many act="User locked out"'
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["flattened", "flattened_data"]

#: Names and bare values.
_Pairs: TypeAlias = Sequence[tuple[str, str]]

# Quoted values stop at an unescaped quote; bare ones at a delimiter, or where a member begins.
_KEY = r"[\w.@/-]{1,64}"
_QUOTED = r'"(?:[^"\\]|\\.)*"?'
_JSON_OPEN = re.compile(r'\{ ?"')
_JSON_PAIR = re.compile(rf'"({_KEY})" ?: ?({_QUOTED}|[^,{{}}\[\]"]{{1,200}})')
_MEMBER = re.compile(rf"(?<![^ |])({_KEY})=({_QUOTED})?((?:[^ ]+)?(?: (?!{_KEY}=)[^ ]+)*)")
_NEXT_ELEMENT = re.compile(r"(?<!\\)\]\[[^ \]]{1,32}")
#: Where a line of members must begin.
_HEAD_CHARS = 64
_MESSAGES = frozenset(
    (
        "msg",
        "message",
        "log",
        "event",
        "text",
        "textpayload",
        "body",
        "short_message",
        "@message",
        "@m",
        "m",
    )
)
_LEVELS = frozenset(
    (
        "level",
        "lvl",
        "severity",
        "levelname",
        "loglevel",
        "log.level",
        "@level",
        "severity_text",
        "@l",
    )
)
_TIMES = frozenset(
    ("ts", "time", "timestamp", "@timestamp", "date", "datetime", "t", "stream", "_p")
)


def flattened(text: str) -> str:
    """A shaped and folded text, flattened where one of its members is a message."""
    opened = _JSON_OPEN.search(text)
    if opened is not None:
        pairs = _of_json(text, opened.start())
        if pairs:
            return f"{text[: opened.start()]}{_rendered(pairs)}"
    if "=" not in text[:_HEAD_CHARS]:
        return text
    members = list(_MEMBER.finditer(text))
    if not any(member[1].lower() in _MESSAGES for member in members):
        return text
    head = text[: members[0].start()]
    gap = " " if head.endswith("|") else ""
    return f"{head}{gap}{_rendered(list(map(_of_member, members)))}"


def flattened_data(data: str) -> str:
    """As `flattened`, for the structured data of RFC 5424: ``[id key="value"][id key="value"]``."""
    members = _NEXT_ELEMENT.sub(" ", data[1:-1])
    return _rendered(list(map(_of_member, _MEMBER.finditer(members))))


def _of_json(text: str, start: int = 0) -> _Pairs:
    return [(key, _bare(value)) for key, value in _JSON_PAIR.findall(text, start)]


def _of_member(member: re.Match[str]) -> tuple[str, str]:
    return member[1], f"{_bare(member[2] or '')}{member[3]}".strip()


def _rendered(pairs: _Pairs) -> str:
    """Level, message and the rest as ``key=value``; times are left out."""
    levels, messages, rest = [], [], []
    for key, value in pairs:
        name = key.lower()
        if name in _LEVELS:
            levels.append(value)
        elif name in _MESSAGES:
            inner = _of_json(value) if value.startswith('{"') else []
            messages.append(_rendered(inner) if inner else value)
        elif name not in _TIMES and value:
            # Quotes show where a value ends: what hides secrets before a line leaves relies on it.
            rest.append(f"{key}={_quoted(value)}")
    return " ".join(levels + messages + rest)


def _bare(value: str) -> str:
    """A value without its quotes and their escapes."""
    if not value.startswith('"'):
        return value.strip()
    return (
        value[1:]
        .removesuffix('"')
        .replace('\\"', '"')
        .replace("\\n", " ")
        .replace("\\t", " ")
        .strip()
    )


def _quoted(value: str) -> str:
    """A value in quotes if its end would not show without."""
    if " " not in value and '"' not in value:
        return value
    return '"' + value.replace('"', '\\"') + '"'

"""Where message, source and label stand in a record that is a mapping, by the settings.

For tools and the library call; what is served is read from bytes (`waybill.wire.fields`).

>>> places = Places(FieldSettings())
>>> places.message_of({"log_message": "disk full"}), places.source_of({"service": "nas"})
('disk full', 'nas')
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from waybill.core.prepare import is_blank
from waybill.core.text import text_of_bytes
from waybill.settings.schema import FieldSettings
from waybill.wire.fields import parse_path

__all__ = ["Members", "Places", "members_in", "named"]

#: So many names are read in a message.
_MOST_NAMED = 12

#: A record: columns or members by name.
Members: TypeAlias = Mapping[str, object]
#: A name of ``fields``, and the path that it is when it leads into members.
Place: TypeAlias = tuple[str, tuple[str, ...]]


def members_in(text: str) -> Members | None:
    """The record that ``text`` is; None where it is not a JSON object.

    >>> members_in('{"log": "disk full"}'), members_in("disk full")
    ({'log': 'disk full'}, None)
    """
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def named(names: Iterable[str]) -> str:
    """``names`` in a sentence for people; of many the first few, and how many there are."""
    words = list(names)
    if len(words) <= _MOST_NAMED:
        return ", ".join(words)
    return f"{', '.join(words[:_MOST_NAMED])} and {len(words) - _MOST_NAMED} more"


class Places:
    """The places that one `FieldSettings` names."""

    def __init__(self, fields: FieldSettings) -> None:
        self.message_names = tuple(fields.message)
        self._message = [(name, parse_path(name)) for name in fields.message]
        self._source = [(name, parse_path(name)) for name in fields.source]
        self._label = fields.label

    @property
    def named_messages(self) -> str:
        """The places of messages, in a sentence for people."""
        return f"{named(self.message_names)} (fields.message)"

    def message_of(self, members: Members) -> str | None:
        """The first text at one of the places of ``fields.message``; None without one."""
        for place in self._message:
            value = _find(members, place)
            text = value if isinstance(value, str) else text_of_bytes(value)
            if text is not None and not is_blank(text):
                return text
        return None

    def source_of(self, members: Members) -> str:
        """The first name at one of the places of ``fields.source``, or an empty string."""
        return _first_name(members, self._source)

    def label_of(self, members: Members) -> str | None:
        """What stands in ``fields.label``; None where that is empty or no text."""
        value = members.get(self._label)
        if isinstance(value, str) and value:
            return value
        return None


def _first_name(members: Members, places: Sequence[Place]) -> str:
    for place in places:
        value = _find(members, place)
        if value and isinstance(value, str | int) and not is_blank(str(value)):
            return str(value)
    return ""


def _find(members: Members, place: Place) -> object:
    """A column of that very name, or a member of a member."""
    name, path = place
    value = members.get(name)
    if value is None:
        value = _at(members, path)
    return value


def _at(members: object, path: tuple[str, ...]) -> object:
    value = members
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value

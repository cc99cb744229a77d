"""Settings as plain data for logs and ``waybill check --print``, with every secret masked."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from waybill.settings.schema import Secret, Settings

_PASSWORD = re.compile(r"//[^/@]*@")
#: What stands behind the names of a URL's query: some receivers take their token there.
_IN_QUERY = re.compile(r"(?<=[?&])([\w.-]+=)[^&#\s]+")


def dump_settings(settings: Settings) -> dict[str, object]:
    """The tree as plain data with every secret, and what may be one in URLs, masked."""
    return _section(settings)


def _section(section: msgspec.Struct) -> dict[str, object]:
    names = zip(section.__struct_encode_fields__, section.__struct_fields__, strict=True)
    return {key: _value(getattr(section, name)) for key, name in names}


def _value(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return _section(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, str):
        return _IN_QUERY.sub(r"\1***", _PASSWORD.sub("//***@", value)) if "://" in value else value
    return value


def changed_settings(settings: Settings) -> dict[str, object]:
    """As `dump_settings`, but only what is not as by default."""
    return _changed(dump_settings(settings), dump_settings(Settings()))


def _changed(now: Mapping[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in now.items():
        other = usual.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            below = _changed(value, other)
            if below:
                found[name] = below
        elif value != other:
            found[name] = value
    return found

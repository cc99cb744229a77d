"""What to write instead of a key that no section has: another name, another place.

>>> advice_for("poll", {}, ())
''
>>> advice_for("LOG_LEVEL", "debug", ())
'; keys stand below their section, as in log: {level: ...}'
"""

from __future__ import annotations

from collections.abc import Collection

from waybill.settings.catalogue import catalogue
from waybill.settings.schema import Settings

#: What a listener's address is called elsewhere, in whole or in part.
_LISTEN = frozenset(("port", "host", "hostname", "bind", "bind_address", "address", "addr"))
_MOST_PLACES = 6


def plain_key(key: str) -> str:
    """``key`` as keys are written here: ``Poll-Secs`` is ``poll_secs``."""
    return key.strip().lower().replace("-", "_")


def nested_example(path: str) -> str:
    """How the setting at ``path`` is written into a file."""
    *sections, key = path.split(".")
    written = f"{key}: ..."
    for section in reversed(sections):
        written = f"{section}: {{{written}}}"
    return f"keys stand below their section, as in {written}"


def advice_for(key: str, value: object, known: Collection[str]) -> str:
    """What to do about ``key``, which is not in ``known``; "" when nothing can be told.

    ``value`` is what stands behind it.
    """
    word = plain_key(key)
    if word in _LISTEN and "listen" in known:
        return "; write both parts of the address in one, as in listen: 127.0.0.1:9880"
    below = value.keys() & Settings.__struct_encode_fields__ if isinstance(value, dict) else ()
    if below:
        return f"; {min(below)} stands at the top of the file, below no other key"
    name = word.removeprefix("waybill_")
    for path in catalogue():
        if name in (path, path.replace(".", "_")):
            return f"; {nested_example(path)}"
    places = [path for path in catalogue() if path.endswith(f".{word}")]
    if 0 < len(places) <= _MOST_PLACES:
        return f"; it is one of another section: {' or '.join(places)}"
    return ""

"""A record with a value that strict parsers refuse: that value as text, all others as they are.

>>> read_object(b'{"log":"disk full","ratio":NaN,"n":1}')
{'log': 'disk full', 'ratio': 'NaN', 'n': 1}
"""

from __future__ import annotations

import json

import msgspec
import orjson

from waybill.wire.codec import DECODE_ERRORS
from waybill.wire.event import Record, members_of
from waybill.wire.json import scan

__all__ = ["read_object"]

#: JSON in JSON in ... : beyond this, encoders of other encodings give up on the whole record.
_MAX_DEPTH = 64


def read_object(text: bytes) -> Record | None:
    """The members of the object in ``text``; None where it cannot be told where they end.

    A member that a strict parser refuses (NaN, a raw TAB, a lone surrogate, a byte that is not
    UTF-8, a number out of range, nesting without end) is read as far as it goes, and else is its
    own text. Of too much none is taken.
    """
    if scan.is_too_much(text):
        return None
    try:
        value = msgspec.json.decode(text)
    except DECODE_ERRORS:
        return _member_by_member(text)
    if not isinstance(value, dict):
        return None
    if _may_have_twins(text, value):
        return _with_twins(text) or value
    return value


def _may_have_twins(text: bytes, value: object) -> bool:
    """Whether a name may stand twice in ``text``, of which ``value`` was read: then it has colons
    that are not written again.
    """
    if b"\\" in text and b"\\u003a" in text.lower():
        return True
    try:
        return text.count(b":") != orjson.dumps(value).count(b":")
    except orjson.JSONEncodeError:  # nested deeper than the encoder goes, or a large number
        return True


def _with_twins(text: bytes) -> Record | None:
    try:
        value = _load(text.decode())
    except (ValueError, RecursionError):  # a number that only the other reader takes
        return None
    return value if isinstance(value, dict) else None


def _load(text: str) -> object:
    found: object = json.loads(
        text, strict=False, parse_constant=str, parse_float=_float, object_pairs_hook=members_of
    )
    return found


def _member_by_member(text: bytes) -> Record | None:
    if text[:1] != b"{":
        return None
    pairs: list[tuple[str, object]] = []
    at = 1
    for name, _, value_at, end in scan.members(text, 0):
        pairs.append((name, _value(text[value_at:end])))
        at = end
    record = members_of(pairs)
    if not record or text[scan.skip_space(text, at) :].rstrip(scan.SPACE) != b"}":
        return None
    return record


def _value(data: bytes) -> object:
    try:
        value = msgspec.json.decode(data)
    except DECODE_ERRORS:
        pass
    else:
        if isinstance(value, dict | list) and _may_have_twins(data, value):
            return _with_twins(data) or value
        return value
    shown = data.decode("utf-8", "backslashreplace")
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH:
        return shown
    try:
        text = data.decode("utf-8", "surrogateescape")
        value = _load(text)
    except (ValueError, RecursionError):
        return shown
    return _clean(value)


def _float(text: str) -> object:
    value = float(text)
    return text if value in (float("inf"), float("-inf")) else value


def _clean(value: object) -> object:
    """``value`` with what UTF-8 cannot say written as an escape."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return members_of([(_clean_text(key), _clean(item)) for key, item in value.items()])
    return value


def _clean_text(text: str) -> str:
    r"""A byte that was no UTF-8 as ``\xff``, a lone surrogate as ``\ud800``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()

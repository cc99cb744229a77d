"""Values as they were given -> values of the types that the fields ask for, or why not.

msgspec decides whether a value fits its field. What a person may write beyond that (words in any
case, whole numbers where a fraction is possible) is put right before, and a refusal is said in
words: what was given, what is allowed, an example.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from waybill.core.errors import WaybillError
from waybill.settings.catalogue import Setting
from waybill.settings.problems import suggest
from waybill.settings.schema import Secret

_SWITCH: Mapping[str, bool] = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_LONGEST = 80
_WITH_UNIT = re.compile(r"\s*(?P<number>\d{1,18}(\.\d{1,9})?)\s*(?P<unit>[^\W\d_]{1,12})\s*")
_SECONDS = {
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), "0.001"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "1"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "60"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "3600"),
    **dict.fromkeys(("d", "day", "days"), "86400"),
}
_BYTES = {
    "b": "1",
    **dict.fromkeys(("k", "kb"), "1e3"),
    **dict.fromkeys(("m", "mb"), "1e6"),
    **dict.fromkeys(("g", "gb"), "1e9"),
    **dict.fromkeys(("ki", "kib"), str(1 << 10)),
    **dict.fromkeys(("mi", "mib"), str(1 << 20)),
    **dict.fromkeys(("gi", "gib"), str(1 << 30)),
}
#: Units that people write behind a number, as Kubernetes means them, and what they are by the
#: setting's unit: so many of it, and times that.
_UNITS: Mapping[str, tuple[Mapping[str, str], int]] = {
    "seconds": (_SECONDS, 1),
    "milliseconds": (_SECONDS, 1000),
    "days": (dict.fromkeys(("d", "day", "days"), "1"), 1),
    "bytes": (_BYTES, 1),
}


class RefusedError(WaybillError):
    """A value that cannot be used; the text says what would be."""


def convert(setting: Setting, value: object) -> object:
    """``value`` as the type of ``setting``.

    Raises:
        RefusedError: naming the value, what was expected, and an example.
    """
    if setting.form == "secret":
        return Secret(str(value)) if value else None
    value = _normalise(setting, value)
    try:
        converted = msgspec.convert(value, setting.hint)
    except msgspec.ValidationError as error:
        raise RefusedError(explain(setting, value) or str(error)) from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise RefusedError(f"{show(value)} is not a number to work with; {_example(setting)}")
    return converted


def explain(setting: Setting, value: object) -> str:
    """Why ``value`` does not fit, as a sentence; "" when no reason is known."""
    if value is None:
        return f"is empty; {_expected(setting)}"
    if setting.form in ("whole", "number"):
        return _explain_number(setting, value)
    if setting.form in ("texts", "words", "sections"):
        return _explain_list(setting, value)
    if setting.form == "word":
        return _explain_word(setting, value)
    if setting.form == "switch":
        return f"{show(value)} is neither true nor false"
    return _explain_text(setting, value)


def show(value: object) -> str:
    """A value as a person wrote it, cut to a length that fits a line."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return _cut(repr(value))
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return _cut(json.dumps(value, default=str, ensure_ascii=False))
    if isinstance(value, float):
        return f"{value:.12g}"
    return _cut(str(value))


def bounds(setting: Setting) -> str:
    """``0 to 1``, ``at least 1``, ``more than 0, at most 30``; "" without bounds."""
    if setting.at_least is not None and setting.at_most is not None:
        return f"{setting.at_least:g} to {setting.at_most:g}"
    parts: list[str] = []
    if setting.at_least is not None:
        parts.append(f"at least {setting.at_least:g}")
    if setting.more_than is not None:
        parts.append(f"more than {setting.more_than:g}")
    if setting.at_most is not None:
        parts.append(f"at most {setting.at_most:g}")
    return ", ".join(parts)


def _normalise(setting: Setting, value: object) -> object:
    if setting.form == "switch" and isinstance(value, str | int):
        return _SWITCH.get(str(value).strip().lower(), value)
    if setting.form == "word":
        return _word(setting, value)
    if setting.form == "words" and isinstance(value, list):
        return [_word(setting, item) for item in value]
    if setting.form in ("whole", "number") and isinstance(value, str):
        return _number(setting, value)
    return value


def _word(setting: Setting, value: object) -> object:
    """The word of the closed set that is meant, without regard to case; else the value."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    word = setting.also.get(word, word)
    return word if word in setting.words else value


def _number(setting: Setting, text: str) -> object:
    """The number that is written; else the text. ``1e6`` and what Helm makes of it are whole."""
    for read in (functools.partial(int, base=0), float):
        with contextlib.suppress(ValueError, OverflowError):
            return _fitting(setting, read(text))
    return text


def _fitting(setting: Setting, number: float) -> float:
    if setting.form == "number":
        return float(number)
    if number == math.inf or number % 1:
        return number
    return int(number)


def _explain_number(setting: Setting, value: object) -> str:
    unit = f" ({setting.unit})" if setting.unit else ""
    is_number = isinstance(value, int | float)
    if not is_number or (setting.form == "whole" and isinstance(value, float)):
        return f"{show(value)} is not {_noun(setting)}{unit}; {_in_unit(setting, value)}"
    return f"expected {bounds(setting)}{unit}, got {show(value)}"


def _in_unit(setting: Setting, value: object) -> str:
    """The number that stands for a text with a unit of its own; else the example."""
    found = _WITH_UNIT.fullmatch(str(value))
    units, times = _UNITS.get(setting.unit, ({}, 1))
    if found is None or found["unit"].lower() not in units:
        return _example(setting)
    number = Decimal(found["number"]) * Decimal(units[found["unit"].lower()]) * times
    if setting.form == "whole" and number % 1:
        return _example(setting)
    return f"write {number.normalize():f}"


def _explain_word(setting: Setting, value: object) -> str:
    meant = str(suggest(str(value).lower(), setting.words))
    if not meant and setting.words[0] in setting.description:  # it says what each word means
        meant = f". {setting.description}"
    return f"{show(value)} is not one of {', '.join(setting.words)}{meant}"


def _explain_list(setting: Setting, value: object) -> str:
    if not isinstance(value, list):
        return f"{_expected(setting)}; got {show(value)}"
    if len(value) < setting.min_length:
        return f"expected at least one element; {_example(setting)}"
    for item in value:
        if setting.form == "words" and item not in setting.words:
            return _explain_word(setting, item)
        if not isinstance(item, str):
            return f"expected a list of texts, but {show(item)} is not a text; write it in quotes"
        if not item:
            return f"an element is empty; {_example(setting)}"
        if not re.search(setting.item_pattern, item):
            return f"{show(item)} is not a {setting.item_shape}; {_example(setting)}"
    return ""


def _explain_text(setting: Setting, value: object) -> str:
    if isinstance(value, str):
        if not value:
            return f"is empty; {_expected(setting)}"
        return f"{show(value)} is not a {setting.shape}; {_example(setting)}"
    return f"{_expected(setting)}; got {show(value)}"


def _expected(setting: Setting) -> str:
    null = ", or null" if setting.is_nullable else ""
    return f"expected {_noun(setting)}{null}, {_example(setting)}"


def _noun(setting: Setting) -> str:
    if setting.form == "word":
        return f"one of {', '.join(setting.words)}"
    return {
        "whole": "a whole number",
        "number": "a number",
        "switch": "true or false",
        "texts": "a list",
        "words": "a list",
        "sections": "a list",
    }.get(setting.form, "text")


def _example(setting: Setting) -> str:
    example = msgspec.to_builtins(setting.example)
    if isinstance(example, str):
        return f"for example {example}"
    return f"for example {json.dumps(example, ensure_ascii=False)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."

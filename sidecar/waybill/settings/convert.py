"""Values as they were given -> values of the types that the fields ask for, or why not.

msgspec decides whether a value fits its field. What a person may write beyond that (words in any
case, whole numbers where a fraction is possible) is put right before, and a refusal is said in
words: what was given, what is allowed, an example.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

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
        raise RefusedError(f"{show(value)} is no number to work with; {_example(setting)}")
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
    if isinstance(value, bool):
        return str(value).lower()
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
    if setting.form == "number" and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value)
    return value


def _word(setting: Setting, value: object) -> object:
    """The word of the closed set that is meant, without regard to case; else the value."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    word = setting.also.get(word, word)
    return word if word in setting.words else value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _explain_number(setting: Setting, value: object) -> str:
    noun = _noun(setting)
    if isinstance(value, str) and _is_number(setting, value):
        return f"{show(value)} is text, not {noun}; write it without quotes"
    unit = f" ({setting.unit})" if setting.unit else ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (setting.form == "whole" and isinstance(value, float)):
        return f"{show(value)} is no {noun.partition(' ')[2]}{unit}; {_example(setting)}"
    return f"expected {bounds(setting)}{unit}, got {show(value)}"


def _is_number(setting: Setting, text: str) -> bool:
    try:
        number = int(text) if setting.form == "whole" else float(text)
    except ValueError:
        return False
    return math.isfinite(number)


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
    return ""


def _explain_text(setting: Setting, value: object) -> str:
    if isinstance(value, str):
        if not value:
            return f"is empty; {_expected(setting)}"
        return f"{show(value)} is no {setting.shape}; {_example(setting)}"
    if isinstance(value, int | float):
        told = f"{_expected(setting)}; got {show(value)}"
        return f'{told}, which is text in quotes only: "{show(value)}"'
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

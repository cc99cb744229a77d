"""How types, bounds and defaults are said in documents."""

from __future__ import annotations

import json

import msgspec

from waybill.settings.catalogue import Setting
from waybill.settings.convert import bounds

_NOUNS = {
    "whole": "whole number",
    "number": "number",
    "switch": "true or false",
    "text": "text",
    "secret": "secret",
    "texts": "list of texts",
    "words": "list",
    "sections": "list of mappings",
}


def type_words(setting: Setting) -> str:
    """``whole number, bytes, at least 1``; ``one of a, b``; ``text, or null``."""
    null = "or null" if setting.is_nullable else ""
    return _join(_noun(setting), setting.unit, bounds(setting), null)


def note(setting: Setting) -> str:
    """What a default does not show: the words of a closed set, unit and bounds."""
    noun = ""
    if setting.words or setting.shape or setting.form == "whole":
        noun = _noun(setting)
    return _join(noun, setting.unit, bounds(setting))


def _join(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _noun(setting: Setting) -> str:
    if setting.form == "word":
        return f"one of {', '.join(setting.words)}"
    if setting.form == "words":
        return f"list of {', '.join(setting.words)}"
    return setting.shape or _NOUNS[setting.form]


def default_text(setting: Setting) -> str:
    """The default as YAML on one line."""
    if setting.is_required:
        return "required"
    return flow(setting.default)


def flow(value: object) -> str:
    """A value as YAML on one line. Numbers keep their form: 20, not 20.0."""
    plain = msgspec.to_builtins(value)
    if isinstance(plain, list | tuple):
        return f"[{', '.join(flow(item) for item in plain)}]"
    if isinstance(plain, float) and plain.is_integer():
        return str(int(plain))
    if isinstance(plain, str) and _is_plain(plain):
        return plain
    if isinstance(plain, str):
        return "'" + plain.replace("'", "''") + "'"
    return json.dumps(plain)


def _is_plain(text: str) -> bool:
    """Whether YAML takes ``text`` without quotes for the text itself."""
    words = {"true", "false", "yes", "no", "on", "off", "null"}
    return (
        text.replace(" ", "").replace("_", "").replace("/", "").replace(".", "x").isalnum()
        and text[0].isalpha()
        and not text.endswith(".")
        and text.lower() not in words
    )

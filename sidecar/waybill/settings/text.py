"""Values written as one text: in an environment variable or behind ``--set``."""

from __future__ import annotations

import yaml

from waybill.core.yaml_text import read_yaml
from waybill.settings.catalogue import Setting
from waybill.settings.yaml_file import WrittenLoader

_NULL = frozenset({"", "null", "~"})


def parse(setting: Setting, text: str) -> object:
    """``text`` as the value of ``setting``; what cannot be read stays text, to be refused as such.

    Texts are kept as written, but for quotes around the whole; ``null`` is null where a setting
    may be null. Lists are YAML.
    """
    text = text.strip("\r\n")
    if setting.form in ("text", "word", "switch"):
        return _parse_text(setting, text)
    try:
        return read_yaml(text, WrittenLoader)
    except yaml.YAMLError:
        return text


def _parse_text(setting: Setting, text: str) -> str | None:
    may_be_empty = setting.form == "text" and setting.min_length == 0
    is_null = text.strip().lower() in _NULL
    if is_null and (setting.is_nullable or not may_be_empty):
        return None
    return _unquote(text if may_be_empty else text.strip())


def _unquote(text: str) -> str:
    """``text`` without quotes that stand around the whole of it."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    try:
        value = read_yaml(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, str) else text

"""The ``config`` part of the chart's ``values.schema.json``."""

from __future__ import annotations

import inspect
import json

import msgspec

from waybill.settings.catalogue import Setting, describe, nested
from waybill.settings.schema import Section, Settings
from waybill.settings.sources import SECRET_KEYS

_TYPES = {
    "whole": "integer",
    "number": "number",
    "switch": "boolean",
    "text": "string",
    "word": "string",
    "texts": "array",
    "words": "array",
    "sections": "array",
}


def chart_schema(text: str) -> str:
    """``values.schema.json`` as ``text``, with the part for ``config`` as the settings have it."""
    schema = json.loads(text)
    config = _section(Settings, "")
    config["type"] = "object"
    schema["properties"]["config"] = config
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(section: type[Section], prefix: str) -> dict[str, object]:
    properties: dict[str, object] = {}
    required: list[str] = []
    for field in msgspec.structs.fields(section):
        path = f"{prefix}{field.encode_name}"
        inner = nested(field)
        if inner is not None:
            properties[field.encode_name] = _section(inner, f"{path}.")
        elif path not in SECRET_KEYS:
            properties[field.encode_name] = _setting(describe(field, path))
        if field.required:
            required.append(field.encode_name)
    schema: dict[str, object] = {
        "type": ["object", "null"],
        "description": inspect.getdoc(section) or "",
        "additionalProperties": False,
        "properties": properties,
    }
    if required:
        schema["required"] = required
    return schema


def _setting(setting: Setting) -> dict[str, object]:
    schema: dict[str, object] = {"description": setting.description}
    kind = _TYPES[setting.form]
    schema["type"] = [kind, "null"] if setting.is_nullable else kind
    if setting.form == "word":
        nullable: list[object] = [None] if setting.is_nullable else []
        schema["enum"] = [*setting.words, *nullable]
    if kind == "array":
        schema["items"] = _items(setting)
    schema.update(_bounds(setting, kind))
    return schema


def _items(setting: Setting) -> dict[str, object]:
    if setting.element is not None:
        element = _section(setting.element, f"{setting.path}[].")
        element["type"] = "object"
        return element
    items: dict[str, object] = {"type": "string"}
    if setting.words:
        items["enum"] = list(setting.words)
    return items


def _bounds(setting: Setting, kind: str) -> dict[str, object]:
    length = "minItems" if kind == "array" else "minLength"
    bounds = {
        "minimum": setting.at_least,
        "exclusiveMinimum": setting.more_than,
        "maximum": setting.at_most,
        "pattern": setting.pattern or None,
        length: setting.min_length or None,
    }
    return {name: value for name, value in bounds.items() if value is not None}

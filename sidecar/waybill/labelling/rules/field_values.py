"""The values under ``fields:`` of a rule: what every encoding of a record can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import yaml

from waybill.core.yaml_text import VALUE_ERRORS

#: Integers of OTLP have 64 bits and a sign; what is larger would be another number there.
_SMALLEST = -(1 << 63)
_LARGEST = (1 << 63) - 1
#: What a field may be.
FieldValue = str | int | float | bool


def field_value(node: yaml.Node) -> FieldValue:
    """The value that ``node`` stands for.

    Raises:
        ValueError: it cannot be the value of a field; the message says what was expected.
    """
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("expected a text, number or boolean, not a list or a mapping")
    try:
        value = yaml.CSafeLoader("").construct_object(node)
    except (*VALUE_ERRORS, yaml.YAMLError):
        raise ValueError(f"YAML cannot read {_shown(node)}; put it in quotes") from None
    if value is None:
        raise ValueError("expected a text, number or boolean, not null; for an empty text write ''")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _integer(value, node)
    if isinstance(value, float):
        return _number(value, node)
    if isinstance(value, str):
        return _text(value)
    raise ValueError(f"expected a text, number or boolean; put {_shown(node)} in quotes")


def check_field_name(name: str, reserved: Sequence[str]) -> None:
    """Raise ValueError when a rule cannot add a field of this ``name``."""
    if not name.strip():
        raise ValueError("a field needs a name")
    if name in reserved:
        raise ValueError("is a field that every record gets from Waybill; take another name")
    _text(name)


def _integer(value: int, node: yaml.ScalarNode) -> int:
    if _SMALLEST <= value <= _LARGEST:
        return value
    raise ValueError(f"{_shown(node)} does not fit into 64 bits; put it in quotes")


def _number(value: float, node: yaml.ScalarNode) -> float:
    if math.isfinite(value):
        return value
    raise ValueError(
        f"{_shown(node)} is not a finite number; put it in quotes to have it as a text"
    )


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not text") from None
    return value


def _shown(node: yaml.ScalarNode) -> str:
    text = str(node.value)
    return repr(text if len(text) <= 40 else f"{text[:40]}...")

"""YAML that somebody else wrote: read, or refused with one kind of error, however it is made.

PyYAML's safe loader raises whatever a constructor does on what looks like a date or a number and is
none: ``2026-13-45``, ``!!int x``, an integer of 5,000 digits. It also gives what nobody can write
down again: a list within itself (``&a [*a]``), a number of 5,000 digits in hexadecimal.
"""

from __future__ import annotations

import yaml
from yaml.constructor import ConstructorError

__all__ = ["VALUE_ERRORS", "TextLoader", "compose_yaml", "read_yaml"]

#: What a safe loader raises beside its own errors.
VALUE_ERRORS = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)
_SHOWN_CHARS = 40
#: More bits than that no number has that means something.
_MOST_BITS = 1024
_TOO_DEEP = "it is nested too deeply"


class TextLoader(yaml.SafeLoader):
    """A safe loader whose errors are all `yaml.YAMLError`, with their place."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """As the safe loader's."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise OverflowError
            return value
        except VALUE_ERRORS:
            text = node.value if isinstance(node.value, str) else ""
            kind = node.tag.rpartition(":")[2]
            told = f"{text[:_SHOWN_CHARS]!r} is not a YAML {kind}; put text in quotes"
            raise ConstructorError(None, None, told, node.start_mark) from None

    def construct_document(self, node: yaml.Node) -> object:
        """As the safe loader's."""
        _refuse_circles(node, set(), set())
        return super().construct_document(node)


def _refuse_circles(node: yaml.Node, above: set[int], seen: set[int]) -> None:
    """Raises ConstructorError: ``node`` holds itself; or RecursionError."""
    if id(node) in above:
        told = "what an anchor (&) names holds an alias (*) of itself"
        raise ConstructorError(None, None, told, node.start_mark)
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    above.add(id(node))
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _refuse_circles(part, above, seen)
    above.remove(id(node))


def read_yaml(text: str, kind: type[TextLoader] = TextLoader) -> object:
    """The value in ``text``. Raises yaml.YAMLError."""
    try:
        return yaml.load(text, kind)  # noqa: S506 - a safe loader
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None


def compose_yaml(text: str) -> yaml.Node | None:
    """The nodes of ``text``. Raises yaml.YAMLError."""
    try:
        return yaml.compose(text, Loader=TextLoader)
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None

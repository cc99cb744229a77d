"""Every setting with what its field says of it: form, bounds, unit, words, example, meaning.

What reads values, explains refusals or writes documents asks here, so that nothing about a setting
is written down twice.

    >>> setting("http.workers").environment
    'WAYBILL_HTTP_WORKERS'
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

from waybill.settings.schema import Secret, Section, Settings

#: What a value looks like. ``texts`` and ``words`` are lists, ``sections`` is a list of mappings.
Form = Literal["switch", "whole", "number", "text", "word", "secret", "texts", "words", "sections"]
_SIMPLE: Mapping[object, Form] = {
    bool: "switch",
    int: "whole",
    float: "number",
    str: "text",
    Secret: "secret",
}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. ``hint`` is the annotation of its field, which msgspec converts values by."""

    path: str
    name: str
    hint: object
    form: Form
    default: object
    is_required: bool
    is_nullable: bool
    description: str
    example: object
    #: The words that may be said, for the forms ``word`` and ``words``.
    words: tuple[str, ...] = ()
    #: Other spellings of the words.
    also: Mapping[str, str] = {}
    at_least: float | None = None
    more_than: float | None = None
    at_most: float | None = None
    #: Of a text or a list.
    min_length: int = 0
    unit: str = ""
    pattern: str = ""
    #: What a text with a pattern is, in words.
    shape: str = ""
    #: The same for each text of a list.
    item_pattern: str = ""
    item_shape: str = ""
    role: str = ""
    #: The section of each element, for the form ``sections``.
    element: type[Section] | None = None

    @property
    def environment(self) -> str:
        """The environment variable that sets it."""
        return f"WAYBILL_{self.path.upper().replace('.', '_')}"


class _Hint:
    """An annotation taken apart: the bare type, whether null may stand for it, and the metas."""

    def __init__(self, hint: object) -> None:
        self.is_nullable = False
        self.metas: list[Meta] = []
        self.bare = self._peel(hint)

    def _peel(self, hint: object) -> object:
        while True:
            if typing.get_origin(hint) is Annotated:
                inner, *metas = typing.get_args(hint)
                self.metas += metas
            elif typing.get_origin(hint) in (typing.Union, types.UnionType):
                inner = self._without_null(hint)
            else:
                return hint
            hint = inner

    def _without_null(self, union: object) -> object:
        others = [option for option in typing.get_args(union) if option is not types.NoneType]
        assert len(others) == 1, f"a field has one type, or one type and null: {union}"
        self.is_nullable = True
        return others[0]

    def annotation(self, key: str) -> object:
        """The value of ``key`` in the extras; "" without one."""
        for meta in self.metas:
            if meta.extra and key in meta.extra:
                return meta.extra[key]
        return ""

    def first(self, name: str) -> typing.Any:
        """The outermost value of an attribute of the metas; None without one."""
        for meta in self.metas:
            value = getattr(meta, name)
            if value is not None:
                return value
        return None


def settings_of(section: type[Section], prefix: str = "") -> Iterator[Setting]:
    """The settings of ``section``, sections in it included, in the order of its fields."""
    for field in msgspec.structs.fields(section):
        inner = nested(field)
        path = f"{prefix}{field.encode_name}"
        if inner is not None:
            yield from settings_of(inner, f"{path}.")
        else:
            yield describe(field, path)


def nested(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds; None when it holds a value."""
    bare = _Hint(field.type).bare
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


@functools.cache
def catalogue() -> Mapping[str, Setting]:
    """Every setting by its dotted path, in the order of the fields."""
    return {one.path: one for one in settings_of(Settings)}


def setting(path: str) -> Setting:
    """The setting at a dotted path. Raises KeyError."""
    return catalogue()[path]


def describe(field: FieldInfo, path: str) -> Setting:
    """The setting of a field that holds a value, at a dotted path."""
    hint = _Hint(field.type)
    form, words, element = _form(hint.bare)
    item = _Hint(typing.get_args(hint.bare)[0] if form == "texts" else str)
    return Setting(
        path=path,
        name=field.name,
        hint=field.type,
        form=form,
        default=None if field.required else field.default,
        is_required=field.required,
        is_nullable=hint.is_nullable,
        description=hint.first("description") or "",
        example=_example(hint, field, words),
        words=words,
        also=typing.cast("Mapping[str, str]", hint.annotation("also") or {}),
        at_least=hint.first("ge"),
        more_than=hint.first("gt"),
        at_most=hint.first("le"),
        min_length=hint.first("min_length") or 0,
        pattern=hint.first("pattern") or "",
        unit=str(hint.annotation("unit")),
        shape=str(hint.annotation("form")),
        item_pattern=item.first("pattern") or "",
        item_shape=str(item.annotation("form")),
        role=str(hint.annotation("role")),
        element=element,
    )


def _form(bare: object) -> tuple[Form, tuple[str, ...], type[Section] | None]:
    """The form of a bare type, the words of a closed set, the section of a list's elements."""
    if typing.get_origin(bare) is Literal:
        return "word", typing.get_args(bare), None
    if typing.get_origin(bare) is not tuple:
        return _SIMPLE[bare], (), None
    item = _Hint(typing.get_args(bare)[0]).bare
    if typing.get_origin(item) is Literal:
        return "words", typing.get_args(item), None
    if isinstance(item, type) and issubclass(item, Section):
        return "sections", (), item
    return "texts", (), None


def _example(hint: _Hint, field: FieldInfo, words: tuple[str, ...]) -> object:
    examples = hint.first("examples")
    if examples:
        return examples[0]
    if not field.required and field.default not in (None, ()):
        return field.default
    return words[0] if words else None

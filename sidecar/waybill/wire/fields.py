r"""Which fields of a record are read, and what is spliced into it: shared by all encodings.

A *path* is a dotted name such as ``kubernetes.container_name``; a dot inside a key is written
``\.``. The fast decoders skip everything but these paths: `extraction_type` builds the msgspec
struct that says so. A record that already carries one of our own names fails that struct on
purpose and takes the tolerant way, so that the ordinary record pays nothing for the check.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings

Path = tuple[str, ...]
#: A type that no value has: its mere presence fails the fast decoder.
_Never = Annotated[int, msgspec.Meta(gt=0, lt=0)]


def parse_path(text: str) -> Path:
    r"""``a.b\.c`` as ``("a", "b.c")``."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", text))


class FieldPlan:
    """The paths and names of one `FieldSettings`, prepared for decoders and renderers."""

    def __init__(self, settings: FieldSettings) -> None:
        self.settings = settings
        self.message = [parse_path(text) for text in settings.message]
        self.source = [parse_path(text) for text in settings.source]
        self.time = [parse_path(text) for text in settings.time]
        optional = (
            settings.tier,
            settings.confidence,
            settings.rule,
            settings.reason,
            settings.record_id,
        )
        self.added = (settings.label, *(name for name in optional if name))
        first = {"m": self.message[0], "s": self.source[0] if self.source else ("",)}
        self.type, get = extraction_type([*self.message, *self.source], self.added, first)
        self.message_of = first_string([get[path] for path in self.message])
        self.source_of = first_string([get[path] for path in self.source])

    def values(self, verdict: Verdict, taken: Iterable[str] = ()) -> list[tuple[str, object]]:
        """What ``verdict`` adds to a record, in order, without the names in ``taken``."""
        names = self.settings
        pairs: list[tuple[str | None, object]] = [
            (names.label, verdict.label),
            (names.tier, verdict.tier),
            (names.confidence, verdict.confidence),
            (names.rule, verdict.rule),
            (names.reason, verdict.reason),
        ]
        own = {name for name, _ in pairs}
        pairs += [
            (name, value) for name, value in (verdict.fields or {}).items() if name not in own
        ]
        return [(n, value) for n, value in pairs if n and value is not None and n not in taken]


S = TypeVar("S")


class SuffixCache(dict[Verdict, S]):
    """What each verdict adds to a record, rendered once: a verdict is shared by many records."""

    #: Verdicts of rule sets and models that are gone fall out when the cache starts anew.
    _LIMIT = 16_384

    def __init__(self, render: Callable[[Verdict], S]) -> None:
        super().__init__()
        self._render = render

    def __missing__(self, verdict: Verdict) -> S:
        if len(self) >= self._LIMIT:
            self.clear()
        suffix = self[verdict] = self._render(verdict)
        return suffix


Getter = Callable[[Any], object]


def extraction_type(
    paths: Sequence[Path], never: Iterable[str], shortcuts: Mapping[str, Path]
) -> tuple[type, Mapping[Path, Getter]]:
    """A msgspec struct that decodes only ``paths`` and refuses the top-level names ``never``.

    ``shortcuts`` names attributes for top-level paths, so that the hot loop can read them without a
    call; where such a path lies deeper or is refused, the attribute is there and None.
    Returns the type and, for each path, a getter that takes an instance and gives the value or None.
    """
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[""] = True  # a value may end here
    extra: list[tuple[str, Any, Any]] = [
        (f"n{i}", _Never, msgspec.field(name=name, default=1)) for i, name in enumerate(never)
    ]
    names: dict[Path, tuple[str, ...]] = {}
    by_path: dict[Path, str] = {
        path: name
        for name, path in shortcuts.items()
        if len(path) == 1 and path[0] not in set(never)
    }
    extra += [(name, None, None) for name in shortcuts if name not in by_path.values()]
    kind = _struct(tree, (), (), names, extra, by_path)
    return kind, {path: _getter(names[path]) for path in paths}


def _struct(
    tree: Mapping[str, Any],
    above: Path,
    attributes: tuple[str, ...],
    names: dict[Path, tuple[str, ...]],
    extra: Sequence[tuple[str, Any, Any]] = (),
    shortcuts: Mapping[Path, str] = types.MappingProxyType({}),
) -> type:
    fields: list[tuple[str, Any, Any]] = []
    for i, (key, below) in enumerate((key, below) for key, below in tree.items() if key):
        path = (*above, key)
        chain = (*attributes, shortcuts.get(path, f"f{i}"))
        names[path] = chain
        kind: Any = str | None
        if any(below_key for below_key in below):
            inner = _struct(below, path, chain, names)
            kind = inner | str | None if "" in below else inner | None
        fields.append((chain[-1], kind, msgspec.field(name=key, default=None)))
    reserved = {field[2].name for field in extra if field[2]}
    fields = [field for field in fields if field[2].name not in reserved]
    return msgspec.defstruct("Extract", [*fields, *extra], gc=False)


def _getter(attributes: tuple[str, ...]) -> Getter:
    if len(attributes) == 1:
        (name,) = attributes
        return lambda record: getattr(record, name, None)

    def get(record: Any) -> object:
        for name in attributes:
            record = getattr(record, name, None)
        return record

    return get


def first_string(getters: Sequence[Getter]) -> Callable[[Any], str | None]:
    """The first of ``getters`` that gives a string, as one function."""

    def first(record: Any) -> str | None:
        for get in getters:
            value = get(record)
            if value.__class__ is str:
                return value
        return None

    return first

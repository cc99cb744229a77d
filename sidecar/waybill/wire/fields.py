r"""Which fields of a record are read, and what the fast decoders need to know about them.

A *path* is a dotted name such as ``kubernetes.container_name``; a dot inside a key is written
``\.``. The fast decoders skip everything but these paths: `extraction_type` builds the msgspec
struct that says so. A record that already carries one of our own names fails that struct on
purpose and takes the tolerant way, so that the ordinary record pays nothing for the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Protocol, cast

import msgspec

from waybill.settings.schema import FieldSettings
from waybill.wire.policy import LabelPolicy

Path = tuple[str, ...]
#: A type that no value has: its mere presence fails the fast decoder.
_Never = Annotated[int, msgspec.Meta(gt=0, lt=0)]


def parse_path(text: str) -> Path:
    r"""``a.b\.c`` as ``("a", "b.c")``."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", text))


class Extract(Protocol):
    """What a fast decoder makes of a record: the values at the first message and source path.

    Where a longer path shares the name, a value may be a struct as well: look at its class.
    """

    m: str | None
    s: str | None


Getter = Callable[[object], object]


class FieldPlan:
    """The paths and names of one `FieldSettings`, prepared for decoders and renderers."""

    def __init__(self, settings: FieldSettings) -> None:
        self.settings = settings
        self.policy = LabelPolicy(settings)
        self.message = [parse_path(text) for text in settings.message]
        self.source = [parse_path(text) for text in settings.source]
        self.time = [parse_path(text) for text in settings.time]
        first: dict[str, Path] = {"m": self.message[0], "s": ()}
        if self.source:
            first["s"] = self.source[0]
        paths = [*self.message, *self.source]
        self.type, get = extraction_type(paths, self.policy.added, first)
        self.message_of = first_string([get[path] for path in self.message])
        self.source_of = first_string([get[path] for path in self.source])


def extraction_type(
    paths: Sequence[Path], never: Iterable[str], shortcuts: Mapping[str, Path]
) -> tuple[type[Extract], Mapping[Path, Getter]]:
    """A msgspec struct that decodes only ``paths`` and refuses the top-level names ``never``.

    ``shortcuts`` names attributes for top-level paths, so that the hot loop can read them without a
    call; where such a path lies deeper or is refused, the attribute is there and None.
    Returns the type and, for each path, a getter: from an instance to the value or None.
    """
    refused = list(never)
    builder = _Builder(
        {path: name for name, path in shortcuts.items() if _is_top(path, refused)},
        frozenset(refused),
    )
    root = _Node()
    for path in paths:
        root.insert(path)
    extra: list[_Field] = []
    for i, name in enumerate(refused):
        extra.append((f"n{i}", _Never, msgspec.field(name=name, default=1)))
    absent = set(shortcuts).difference(builder.shortcuts.values())
    extra += [(name, None, None) for name in shortcuts if name in absent]
    kind = builder.struct(root, (), (), extra)
    return cast("type[Extract]", kind), {path: _getter(builder.chains[path]) for path in paths}


def _is_top(path: Path, refused: Sequence[str]) -> bool:
    return len(path) == 1 and path[0] not in refused


_Field = tuple[str, object, object]


class _Node:
    """One key of the tree of paths; ``is_end``: a value may stand here."""

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.is_end = False

    def insert(self, path: Path) -> None:
        node = self
        for key in path:
            node = node.below.setdefault(key, _Node())
        node.is_end = True


class _Builder:
    """Builds nested structs; ``chains`` are the attributes that lead to each path's value."""

    def __init__(self, shortcuts: Mapping[Path, str], refused: frozenset[str]) -> None:
        self.shortcuts = shortcuts
        self._refused = refused
        self.chains: dict[Path, Path] = {}

    def struct(self, node: _Node, above: Path, chain: Path, extra: Sequence[_Field] = ()) -> type:
        """The struct for what lies below ``node``, which is reached by ``above`` and ``chain``."""
        fields: list[_Field] = []
        for i, (key, child) in enumerate(node.below.items()):
            path = (*above, key)
            name = self.shortcuts.get(path, f"f{i}")
            self.chains[path] = (*chain, name)
            kind = self._kind(child, path)
            if above or key not in self._refused:
                fields.append((name, kind, msgspec.field(name=key, default=None)))
        return msgspec.defstruct("Extract", [*fields, *extra], gc=False)

    def _kind(self, node: _Node, path: Path) -> object:
        if not node.below:
            return str | None
        inner = self.struct(node, path, self.chains[path])
        if node.is_end:
            return inner | str | None
        return inner | None


def _getter(attributes: Path) -> Getter:
    if len(attributes) == 1:
        (name,) = attributes
        return lambda record: getattr(record, name, None)

    def get(record: object) -> object:
        for name in attributes:
            record = getattr(record, name, None)
        return record

    return get


def first_string(getters: Sequence[Getter]) -> Callable[[object], str | None]:
    """The first of ``getters`` that gives a string, as one function."""

    def first(record: object) -> str | None:
        for get in getters:
            value = get(record)
            if isinstance(value, str):
                return value
        return None

    return first

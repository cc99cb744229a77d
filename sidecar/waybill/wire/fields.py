r"""Which fields of a record are read, and what the fast decoders need to know about them.

A *path* is a dotted name such as ``kubernetes.container_name``; a dot inside a key is written
``\.``. Shippers flatten: such a name is found as one key with dots in it, too. A blank text at a
path is not text: the next path is asked. The fast decoders skip everything but these paths:
`extraction_type` builds the msgspec struct that says so. A record that already carries one of our
own names fails that struct on purpose and takes the tolerant way, so that the ordinary record pays
nothing for the check.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Protocol, cast

import msgspec

from waybill.core.prepare import is_blank
from waybill.settings.schema import FieldSettings
from waybill.wire.policy import LabelPolicy

Path = tuple[str, ...]
#: A type that no value has: its mere presence fails the fast decoder.
_Never = Annotated[int, msgspec.Meta(gt=0, lt=0)]


class _Object(msgspec.Struct, gc=False):
    """An object where a text is looked for: taken, and nothing of it is read."""


#: What may stand where a text is looked for without troubling the tolerant reader. Those that are
#: no text are only noticed.
LEAF = _Object | str | int | float | bool | None


def parse_path(text: str) -> Path:
    r"""``a.b\.c`` as ``("a", "b.c")``."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", text))


def parse_paths(texts: Iterable[str]) -> list[Path]:
    """Each of ``texts`` as one key and, where it has dots, as keys within keys; in this order."""
    paths: dict[Path, None] = {}
    for text in texts:
        path = parse_path(text)
        paths[(".".join(path),)] = None
        paths[path] = None
    return list(paths)


class Extract(Protocol):
    """What a fast decoder makes of a record: the values at the first message and source path.

    A value may be something else or blank: look at its class, and whether it `begins_visibly`.
    """

    m: str | None
    s: str | None


#: What a text begins with that is surely not blank.
_VISIBLE = frozenset(map(chr, range(ord("!"), 0x7F)))
_FIRST_CHAR = operator.itemgetter(0)


def begins_visibly(text: str) -> bool:
    """Whether ``text`` begins with a visible character of ASCII, and so is surely not blank."""
    return "!" <= text < "\x7f"


def tells_all(record: Extract) -> bool:
    """Whether message and source are texts, and surely not blank."""
    message = record.m
    source = record.s
    if message.__class__ is not str or source.__class__ is not str:
        return False
    return "!" <= message < "\x7f" and "!" <= source < "\x7f"


#: From a decoded record to the values at some paths, in order.
Values = Callable[[object], Sequence[object]]
#: Message and source paths that are read of every record. All of them are looked for only where
#: these lead to nothing (`waybill.wire.finder`): each costs a little for each key of each record.
_AT_ONCE = 5


class FieldPlan:
    """The paths and names of some `FieldSettings`, prepared for decoders and renderers.

    ``others`` are those of further labellings: of them only the names that are added count.
    """

    def __init__(self, settings: FieldSettings, *others: FieldSettings) -> None:
        self.settings = settings
        self.policy = LabelPolicy(settings, *others)
        self.message = parse_paths(settings.message)
        self.source = parse_paths(settings.source)
        self.time = parse_paths(settings.time)
        #: Where records lie in a JSON object that is no record itself.
        self.records = None if settings.records is None else parse_path(settings.records)
        messages = parse_paths(settings.message[:_AT_ONCE])
        sources = parse_paths(settings.source[:_AT_ONCE])
        added = self.policy.added
        #: What matters of a record's own members: where paths begin, and what we add.
        self.names = frozenset((*added, *(path[0] for path in (*self.message, *self.source))))
        texts = {path[0] for path in (*self.message, *self.source) if len(path) == 1}
        self.first = Stage(messages, sources, added, texts)
        #: Reads no more than ``m`` and ``s``: each path costs a little for each key of each record.
        self.glance = Stage(messages[:1], sources[:1], added, texts).type


class Stage:
    """Some message and source paths: a type for the fast decoder, and how its values are read."""

    def __init__(
        self,
        message: Sequence[Path],
        source: Sequence[Path],
        added: Sequence[str],
        texts: Collection[str],
    ) -> None:
        shortcuts: dict[str, Path] = {}
        for name, paths in (("m", message), ("s", source)):
            shortcuts[name] = paths[0] if paths else ()
        self.type, values_at = extraction_type([*message, *source], added, shortcuts, texts)
        self.source_of = first_text(values_at(source), self.type())


def extraction_type(
    paths: Sequence[Path],
    never: Iterable[str],
    shortcuts: Mapping[str, Path],
    texts: Collection[str] = (),
) -> tuple[type[Extract], Callable[[Sequence[Path]], Values]]:
    """A msgspec struct that decodes only ``paths`` and refuses the top-level names ``never``.

    ``shortcuts`` names attributes for top-level paths, so that the hot loop can read them without a
    call; where such a path lies deeper or is refused, the attribute is there and None.
    At ``texts``, top-level names, there often is a text even where a longer path begins so.
    Returns the type, and what makes of paths a function from an instance to the values there.
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
    chains = {path: builder.chains[path] for path in paths if path[0] not in refused}

    def values_at(wanted: Sequence[Path]) -> Values:
        found = [path for path in wanted if path in chains]
        doubtful = {chains[path][0] for path in found if path[0] in texts}
        return _values([chains[path] for path in found], doubtful)

    return cast("type[Extract]", kind), values_at


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
            kind, default = self._kind(child, path)
            if above or key not in self._refused:
                fields.append((name, kind, msgspec.field(name=key, default=default)))
        is_inner = bool(above)
        return msgspec.defstruct("Extract", [*fields, *extra], gc=False, frozen=is_inner)

    def _kind(self, node: _Node, path: Path) -> tuple[object, object]:
        """The type of what stands at ``path``, and what stands for it where there is nothing.

        An empty struct, so that what lies below can be asked for without looking whether it exists.
        """
        if not node.below:
            return LEAF, None
        inner = self.struct(node, path, self.chains[path])
        return inner | str | int | float | bool | None, inner()


def _values(chains: Sequence[Path], doubtful: Collection[str]) -> Values:
    """The value at the end of each of ``chains`` of attributes; None where a chain leads nowhere.

    Those that begin with one of ``doubtful`` often lead through a text.
    """
    apart: list[tuple[int, Path]] = []
    names: list[str] = []
    for position, chain in enumerate(chains):
        if len(chain) > 1 and chain[0] in doubtful:
            apart.append((position, chain))
        else:
            names.append(".".join(chain))
    if len(names) < 2:
        return lambda record: [_at(record, chain) for chain in chains]
    at_once = operator.attrgetter(*names)

    def values(record: object) -> Sequence[object]:
        try:
            found: Sequence[object] = at_once(record)
        except AttributeError:  # a text or null where an object might be
            return [_at(record, chain) for chain in chains]
        if apart:
            found = list(found)
            for position, chain in apart:
                found.insert(position, _at(record, chain))
        return found

    return values


def _at(record: object, chain: Path) -> object:
    for name in chain:
        record = getattr(record, name, None)
    return record


def are_visible(texts: Sequence[object]) -> bool:
    """Whether all are texts and surely not blank, as `begins_visibly`: in one pass in C."""
    try:
        return _VISIBLE.issuperset(map(_FIRST_CHAR, cast("Sequence[str]", texts)))
    except (TypeError, LookupError):  # something that is not text, or an empty one
        return False


def first_text(values_of: Values, empty: object) -> Callable[[object], str | None]:
    """The first of the values that is a text and not blank, as one function.

    ``empty`` is a record without any: most often one comparison tells that there is nothing.
    """
    nothing = values_of(empty)

    def first(record: object) -> str | None:
        values = values_of(record)
        if values == nothing:
            return None
        for value in values:
            if value.__class__ is str:
                text: str = value
                if "!" <= text < "\x7f" or not is_blank(text):
                    return text
        return None

    return first

"""Finds message and source of records where the fast paths cannot tell both at a glance.

Such a record is read as its members by name, and only those are looked into with which one of the
paths begins: what it costs depends on what is in it, not on how many paths there are. The way of
the fast decoders costs a little for each path, and there are a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, cast

import msgspec

from waybill.core.prepare import is_blank
from waybill.wire.fields import LEAF, FieldPlan, Path
from waybill.wire.policy import Reading, make_reading

__all__ = ["DecoderOf", "Finder"]

_Data: TypeAlias = bytes | msgspec.Raw
_Members: TypeAlias = Mapping[str, msgspec.Raw]
#: From a type to what decodes bytes as it.
DecoderOf: TypeAlias = Callable[[object], Callable[[_Data], object]]
_OTHERS = str | int | float | bool | None
#: What a path may lead through without troubling the tolerant reader.
_INNER = dict[str, msgspec.Raw] | _OTHERS
#: A record that is longer may have millions of members, and lists of them take 20 times its size.
_LARGE_BYTES = 64 << 10


class _Wanted:
    """The first text among the values at some paths, and whether one of them was no text."""

    __slots__ = ("is_other", "place", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.place = -1
        self.is_other = False

    def offer(self, value: object, place: int) -> None:
        """Take ``value``, which stands at the path number ``place``, if it is the first text."""
        if not isinstance(value, str):
            self.is_other |= value is not None
        elif (self.text is None or place < self.place) and not is_blank(value):
            self.text = value
            self.place = place


class _Node:
    """What is looked for at one key."""

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        #: Numbers of the paths that end here: of those of messages, and of those of sources.
        self.messages: list[int] = []
        self.sources: list[int] = []

    def at(self, path: Path) -> _Node:
        """The node to which ``path`` leads, made where there is none."""
        node = self
        for key in path:
            node = node.below.setdefault(key, _Node())
        return node

    def offer(self, value: object, message: _Wanted, source: _Wanted) -> None:
        """Take ``value``, which stands here."""
        for place in self.messages:
            message.offer(value, place)
        for place in self.sources:
            source.offer(value, place)


def _tree(messages: Sequence[Path], sources: Sequence[Path]) -> _Node:
    root = _Node()
    for place, path in enumerate(messages):
        root.at(path).messages.append(place)
    for place, path in enumerate(sources):
        root.at(path).sources.append(place)
    return root


class Finder:
    """Finds message and source by all the paths of ``plan``.

    ``decoder_of`` makes of a type what decodes bytes of one encoding as it.
    """

    def __init__(self, plan: FieldPlan, decoder_of: DecoderOf) -> None:
        self._root = _tree(plan.message, plan.source)
        self._members = cast("Callable[[_Data], _Members]", decoder_of(dict[str, msgspec.Raw]))
        self._inner = decoder_of(_INNER)
        self._leaf = decoder_of(LEAF)
        self._wanted = _decoders(self._root, decoder_of)

    def find(self, data: _Data) -> Reading:
        """What ``data``, an object, says.

        Raises `waybill.wire.codec.DECODE_ERRORS`: only the tolerant reader can tell.
        """
        is_large = len(memoryview(data)) > _LARGE_BYTES
        members = self._wanted[self._root](data) if is_large else self._members(data)
        hits = self._root.below.keys() & members.keys()
        if not hits:
            return Reading(None, None, "no_message")
        message, source = _Wanted(), _Wanted()
        self._look(self._root, members, hits, message, source)
        return make_reading(message.text, source.text, is_other=message.is_other)

    def _look(
        self,
        node: _Node,
        members: _Members,
        hits: Collection[str],
        message: _Wanted,
        source: _Wanted,
    ) -> None:
        """Look at the members ``hits``, of which ``node`` says what is wanted below them."""
        for name in hits:
            child = node.below[name]
            if not child.below:
                child.offer(self._leaf(members[name]), message, source)
                continue
            data = members[name]
            is_large = len(memoryview(data)) > _LARGE_BYTES
            value = self._wanted[child](data) if is_large else self._inner(data)
            child.offer(value, message, source)
            if isinstance(value, dict):
                self._look(child, value, child.below.keys() & value.keys(), message, source)


def _decoders(root: _Node, decoder_of: DecoderOf) -> dict[_Node, Callable[[_Data], Any]]:
    """What reads of an object only the members that are wanted below a node, for each node."""
    found: dict[_Node, Callable[[_Data], Any]] = {}
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.below.values())
        if node.below:
            found[node] = _decoder(list(node.below), decoder_of)
    return found


def _decoder(names: Sequence[str], decoder_of: DecoderOf) -> Callable[[_Data], Any]:
    fields = {f"f{place}": name for place, name in enumerate(names)}
    members = [(field, msgspec.Raw, None) for field in fields]
    kind = msgspec.defstruct("Wanted", members, rename=fields, gc=False)
    decode = decoder_of(kind | _OTHERS)

    def read(data: _Data) -> Any:
        value = decode(data)
        if not isinstance(value, msgspec.Struct):
            return value
        found = ((name, getattr(value, field)) for field, name in fields.items())
        return {name: raw for name, raw in found if raw is not None}

    return read

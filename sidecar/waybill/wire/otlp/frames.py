"""What both OTLP encodings share: the frames around records, and where message and source are.

A request holds resources, these hold scopes, these hold records. A batch lists its records flat, as every
batch does, and remembers the frames, so that a request can be put together again, whole or in parts.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from waybill.core.reasons import RecordReason
from waybill.core.records import Batch
from waybill.wire.fields import FieldPlan, Path

#: Where OpenTelemetry's semantic conventions say who wrote a record; asked after ``fields.source``.
CONVENTIONS: tuple[Path, ...] = (
    ("service.name",),
    ("k8s.deployment.name",),
    ("k8s.container.name",),
    ("container.name",),
)
#: (index of the child in front of which it stands, start, end)
Gap = tuple[int, int, int]
#: A child of a payload, as the field that resources have in a request, or scopes and records in what encloses them.
Wrap = Callable[[bytes, int], bytes]
_TOP, _NESTED = 1, 2


class Frame(msgspec.Struct):
    """A resource or a scope: the records ``first`` to ``stop`` and, as ``gaps``, all its bytes that are none.

    A resource has ``scopes`` and counts its gaps by them; a scope counts by records. ``name`` and
    ``fallback`` are the resource's own source, by ``fields.source`` and by the conventions; ``about`` is
    where the resource or scope describes itself.
    """

    first: int
    stop: int = 0
    gaps: list[Gap] = []
    scopes: list[Frame] = []
    name: str = ""
    fallback: str = ""
    about: tuple[int, int] | None = None

    def bytes(self) -> int:
        """The size of the gaps."""
        return sum(end - start for _, start, end in self.gaps)


class OtlpBatch(Batch):
    """A `Batch` whose ``starts`` and ``ends`` are those of the ``LogRecord`` messages (or JSON objects)."""

    __slots__ = ("gaps", "resources")

    def __init__(self, body: bytes, tag: str = "", care_bytes: float = math.inf) -> None:
        super().__init__(body, tag, care_bytes)
        self.resources: list[Frame] = []
        self.gaps: list[Gap] = []

    def records(self) -> list[bytes]:
        """Each record as it came."""
        return [self.body[start:end] for start, end in zip(self.starts, self.ends, strict=True)]

    def sizes(self, records: Sequence[bytes]) -> list[int]:
        """What each labelled record adds to a request: its own bytes, and its frames' where it is the first."""
        sizes = [len(record) + 8 for record in records]
        for resource in self.resources:
            for scope in resource.scopes:
                if scope.first < scope.stop:
                    sizes[scope.first] += scope.bytes() + 8
            if resource.first < resource.stop:
                sizes[resource.first] += resource.bytes() + 8
        return sizes

    def join(
        self, records: Sequence[bytes], start: int, stop: int, child: Wrap, separator: bytes
    ) -> bytes:
        """The request with ``records[start:stop]`` in their frames; ``child`` makes of a payload a child.

        Frames that hold no record at all are part of the whole only.
        """
        is_whole = stop - start == len(self)
        first = 0 if is_whole else bisect_right(self.resources, start, key=lambda frame: frame.stop)
        last = (
            len(self.resources)
            if is_whole
            else bisect_left(self.resources, stop, key=lambda frame: frame.first)
        )
        pieces: list[bytes | None] = [None] * len(self.resources)
        for i in range(first, last):
            resource = self.resources[i]
            if not is_whole and resource.first == resource.stop:
                continue
            scopes: list[bytes | None] = []
            for scope in resource.scopes:
                low, high = max(scope.first, start), min(scope.stop, stop)
                if low < high or is_whole:
                    gaps = [(min(max(at, low), high) - low, *span) for at, *span in scope.gaps]
                    kept = [child(record, _NESTED) for record in records[low:high]]
                    scopes.append(child(self._fill(gaps, kept, separator), _NESTED))
                else:
                    scopes.append(None)
            pieces[i] = child(self._fill(resource.gaps, scopes, separator), _TOP)
        return self._fill(self.gaps, pieces, separator)

    def _fill(
        self, gaps: Sequence[Sequence[int]], children: Sequence[bytes | None], separator: bytes
    ) -> bytes:
        """A frame of ``gaps`` and ``children``, without the children that are None."""
        pieces: list[bytes] = []
        at = 0
        for index, start, end in gaps:
            if index > at:
                pieces.append(
                    separator.join([child for child in children[at:index] if child is not None])
                )
                at = index
            pieces.append(self.body[start:end])
        pieces.append(separator.join([child for child in children[at:] if child is not None]))
        return b"".join(pieces)


class Reader:
    """Finds message and source of a record among plain values, and the names that it uses already."""

    def __init__(self, plan: FieldPlan) -> None:
        self._plan = plan
        names = [".".join(path) for path in plan.source] + [
            path[0] for path in (*plan.source, *CONVENTIONS)
        ]
        #: The attributes worth reading: all others can be skipped.
        self.wanted = frozenset((*names, *plan.added))

    def message(self, body: object) -> tuple[str | None, RecordReason | None]:
        """The message in a record's body, or (None, reason)."""
        if isinstance(body, str):
            return body, None
        if body is None:
            return None, "no_message"
        if not isinstance(body, Mapping):
            return None, "message_not_a_string"
        found = [value for path in self._plan.message if (value := at_path(body, path)) is not None]
        text = next((value for value in found if isinstance(value, str)), None)
        return text, None if text is not None else "message_not_a_string" if found else "no_message"

    def source(self, attributes: Mapping[str, Any], body: object, resource: Frame) -> str:
        """The record's source: attributes first, then a body that is a map, then the resource."""
        if not attributes and isinstance(body, str):
            return resource.name or resource.fallback
        for paths, fallback in (
            (self._plan.source, resource.name),
            (CONVENTIONS, resource.fallback),
        ):
            found = first_text(attributes, paths)
            if not found and isinstance(body, Mapping):
                found = first_text(body, paths)
            if found or fallback:
                return found or fallback
        return ""

    def resource(self, attributes: Mapping[str, Any], frame: Frame) -> None:
        """Note in ``frame`` what a resource's attributes say about the source of its records."""
        frame.name = first_text(attributes, self._plan.source)
        frame.fallback = first_text(attributes, CONVENTIONS)

    def taken(self, attributes: Mapping[str, Any]) -> frozenset[str]:
        """Our own names among ``attributes``."""
        return frozenset(attributes).intersection(self._plan.added)


def first_text(values: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """The first of ``paths`` that leads to a string, or ``""``."""
    for path in paths:
        value = at_path(values, path)
        if isinstance(value, str):
            return value
    return ""


def at_path(values: Mapping[str, Any], path: Path) -> Any:
    """What stands at ``path``: under its dotted name, as attributes are named, or map by map; else None."""
    flat = values.get(".".join(path))
    if flat is not None or len(path) == 1:
        return flat
    below = values.get(path[0])
    return at_path(below, path[1:]) if isinstance(below, Mapping) else None

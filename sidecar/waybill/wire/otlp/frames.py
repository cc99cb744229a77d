"""The frames around OTLP records, in both encodings.

A request holds resources, these hold scopes, these hold records. A batch lists its records flat, as
every batch does, and remembers the frames, so that a request can be put together again, whole or
in parts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from waybill.core.batch import UNBOUNDED, Batch, ScanBudget
from waybill.core.errors import MalformedError


class Gap(NamedTuple):
    """Bytes of a frame that belong to no child; they stand in front of one, or behind all.

    ``child`` is the index of the one in front of which they stand.
    """

    child: int
    start: int
    end: int


#: Makes of a payload a child: the field that resources have in a request (1), or that scopes and
#: records have in what encloses them (2).
Wrap = Callable[[bytes, int], bytes]
_TOP, _NESTED = 1, 2
#: What a frame or record costs in a request beside its own bytes: its tag and its length.
_HEAD_BYTES = 8
#: Frames without a record, which cost a hundred times their two bytes and are not counted.
_MOST_EMPTY = 1 << 14


class Frame(msgspec.Struct):
    """A resource or a scope: the records ``first`` to ``stop``; its other bytes: ``gaps``.

    A resource has ``scopes`` and counts its gaps by them; a scope counts by records. ``name`` and
    ``fallback`` are the resource's own source, by ``fields.source`` and by the conventions;
    ``about`` is where the resource or scope describes itself.
    """

    first: int
    stop: int = 0
    gaps: list[Gap] = []
    scopes: list[Frame] = []
    name: str = ""
    fallback: str = ""
    about: tuple[int, int] | None = None

    def note_gap(self, child: int, start: int, end: int) -> None:
        """Keep ``body[start:end]``, in front of ``child``."""
        note_gap(self.gaps, child, start, end)

    def is_empty(self) -> bool:
        """Whether it holds no record at all."""
        return self.first == self.stop

    def size_bytes(self) -> int:
        """What it adds to a request beside its records."""
        return _HEAD_BYTES + sum(gap.end - gap.start for gap in self.gaps)


def note_gap(gaps: list[Gap], child: int, start: int, end: int) -> None:
    """Add a gap; what follows one directly becomes part of it."""
    if gaps and gaps[-1].child == child and gaps[-1].end == start:
        start = gaps.pop().start
    gaps.append(Gap(child, start, end))


class OtlpBatch(Batch):
    """A `Batch` whose ``starts`` and ``ends`` are those of ``LogRecord`` messages (or objects)."""

    __slots__ = ("_empty", "_frames", "gaps", "resources")

    def __init__(self, body: bytes, tag: str = "", budget: ScanBudget = UNBOUNDED) -> None:
        super().__init__(body, tag, budget)
        self.resources: list[Frame] = []
        self.gaps: list[Gap] = []
        self._frames = 0
        self._empty = 0

    @property
    def weight(self) -> int:
        """A frame weighs about as much as a record does."""
        return len(self) + self._frames

    def add_frame(self, frames: list[Frame], frame: Frame) -> None:
        """Add ``frame``, which has been read, to ``frames``.

        Raises:
            MalformedError: ``too_many_records``: most of them have no record.
        """
        self._frames += 1
        self._empty += frame.is_empty()
        if self._empty > _MOST_EMPTY:
            raise MalformedError("too_many_records", f"more than {_MOST_EMPTY} without any record")
        frames.append(frame)

    def alone(self, i: int) -> OtlpBatch:
        """A batch of record ``i`` only, in its resource and scope."""
        one = OtlpBatch(self.body, self.tag)
        one.starts = [self.starts[i]]
        one.ends = [self.ends[i]]
        self._copy_reading(i, one)
        resource = self.resources[_frame_of(self.resources, i)]
        scope = resource.scopes[_frame_of(resource.scopes, i)]
        around = Frame(0, 1, about=scope.about)
        one.resources = [Frame(0, 1, scopes=[around], about=resource.about)]
        return one

    def sizes(self, records: Sequence[bytes]) -> list[int]:
        """What each labelled record adds to a request, in bytes.

        The first record of a frame carries the frame's own bytes as well.
        """
        sizes = [len(record) + _HEAD_BYTES for record in records]
        for resource in self.resources:
            for frame in (resource, *resource.scopes):
                if not frame.is_empty():
                    sizes[frame.first] += frame.size_bytes()
        return sizes

    def join(
        self, records: Sequence[bytes], start: int, stop: int, child: Wrap, separator: bytes
    ) -> bytes:
        """The request with ``records[start:stop]`` in their frames.

        ``child`` makes of a payload a child. Frames without any record are part of the whole only.
        """
        return _Joining(self, records, start, stop, child, separator).request()


def _frame_of(frames: Sequence[Frame], i: int) -> int:
    """The index of the frame that holds record ``i``."""
    return bisect_right(frames, i, key=lambda frame: frame.stop)


class _Joining:
    """One `OtlpBatch.join`."""

    def __init__(
        self,
        batch: OtlpBatch,
        records: Sequence[bytes],
        start: int,
        stop: int,
        child: Wrap,
        separator: bytes,
    ) -> None:
        self._batch = batch
        self._records = records
        self._start = start
        self._stop = stop
        self._child = child
        self._separator = separator
        self._is_whole = stop - start == len(batch)

    def request(self) -> bytes:
        resources = self._batch.resources
        first = 0
        last = len(resources)
        if not self._is_whole:
            first = bisect_right(resources, self._start, key=lambda frame: frame.stop)
            last = bisect_left(resources, self._stop, key=lambda frame: frame.first)
        pieces: list[bytes | None] = [None] * len(resources)
        for i in range(first, last):
            if self._is_whole or not resources[i].is_empty():
                pieces[i] = self._resource(resources[i])
        return self._fill(self._batch.gaps, pieces)

    def _resource(self, resource: Frame) -> bytes:
        scopes = [self._scope(scope) for scope in resource.scopes]
        return self._child(self._fill(resource.gaps, scopes), _TOP)

    def _scope(self, scope: Frame) -> bytes | None:
        low = max(scope.first, self._start)
        high = min(scope.stop, self._stop)
        if low >= high and not self._is_whole:
            return None
        gaps = [
            Gap(min(max(child, low), high) - low, start, end) for child, start, end in scope.gaps
        ]
        children = [self._child(record, _NESTED) for record in self._records[low:high]]
        return self._child(self._fill(gaps, children), _NESTED)

    def _fill(self, gaps: Sequence[Gap], children: Sequence[bytes | None]) -> bytes:
        """A frame of ``gaps`` and ``children``, without the children that are None."""
        pieces: list[bytes] = []
        at = 0
        for gap in gaps:
            if gap.child > at:
                pieces.append(self._siblings(children[at : gap.child]))
                at = gap.child
            pieces.append(self._batch.body[gap.start : gap.end])
        pieces.append(self._siblings(children[at:]))
        return b"".join(pieces)

    def _siblings(self, children: Sequence[bytes | None]) -> bytes:
        return self._separator.join([child for child in children if child is not None])

"""Msgpack event streams: ``[time, record]`` entries one after another, as Fluent Bit writes them.

``out_http`` with ``format msgpack`` sends such a stream as its body and every Forward message
carries one. Both entry shapes are known: ``[time, record]`` and, since Fluent Bit 2.1,
``[[time, metadata], record]``. A splice raises the record's member count and appends our members;
time, metadata and every other byte stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgpack

from waybill.core.batch import UNBOUNDED, Batch, Passed, ScanBudget
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.codec import Encoding
from waybill.wire.event import Event
from waybill.wire.fields import FieldPlan
from waybill.wire.msgpack import scan
from waybill.wire.msgpack.entries import read_entry
from waybill.wire.msgpack.reader import MsgpackReader
from waybill.wire.policy import Additions, Pairs
from waybill.wire.runs import joined_in_runs

#: How many members, and their bytes.
Members = tuple[int, bytes]


_NO_EVENT = (
    "no msgpack event can be found: expected [time, record] one after another, as Fluent Bit's "
    "format msgpack sends them, or JSON"
)


class MsgpackCodec:
    """Decodes and splices event streams for one `FieldPlan`. Holds no state between calls."""

    encoding = Encoding.MSGPACK

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = MsgpackReader(plan)
        self._additions = Additions(plan.policy, _members, _add, _names_in, _entry)

    def decode(self, body: bytes, *, tag: str = "", budget: ScanBudget = UNBOUNDED) -> Batch:
        """The records of ``body``. ``starts`` are the offsets of the records' maps.

        Raises:
            MalformedError: ``not_msgpack`` when no entry can be found in a body that is not empty.
            SlowToReadError: reading costs more than ``budget``.
        """
        batch = Batch(body, tag, budget)
        self._reader.read_stream(batch)
        if batch.is_all_malformed():
            raise MalformedError("not_msgpack", _NO_EVENT)
        return batch

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The stream with each verdict's fields added; every other byte as it was."""
        additions = self._additions.of(batch, verdicts)
        return joined_in_runs(
            len(batch), len(batch.body), lambda start, stop: _entries(batch, additions, start, stop)
        )

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled entry on its own, without a list around them; a record without a time stays
        a map.
        """
        entries = _entries(batch, self._additions.of(batch, verdicts), 0, len(batch))
        if entries:
            entries[0] = entries[0][batch.head_bytes :]
        return entries

    def join(self, _batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """The stream of ``records[start:stop]``."""
        return b"".join(records[start:stop])

    def sizes(self, _batch: Batch, records: Sequence[bytes]) -> list[int]:
        """The size of each of ``records``, in bytes."""
        return list(map(len, records))

    def unfit(self, batch: Batch) -> Iterator[int]:
        """The values that are not entries, and the entries whose record is not a map."""
        for i, special in batch.specials.items():
            if special.reason in ("malformed_record", "not_an_object"):
                yield i

    def events(self, batch: Batch, verdicts: Sequence[Verdict]) -> Iterator[Event]:
        """Each labelled record in plain values, with the time and the metadata of its entry."""
        entries = self.split(batch, verdicts)
        for i, (entry, verdict) in enumerate(zip(entries, verdicts, strict=True)):
            if batch.is_set_aside(i):
                yield Event(verdict, original=entry)
                continue
            event = read_entry(entry, verdict)
            special = batch.specials.get(i)
            if special is not None and special.reason == "group_marker":
                event.is_group_marker = True
                event.moment = None  # what stands there is no time
            yield event


def _entries(batch: Batch, additions: Sequence[Members], first: int, last: int) -> list[bytes]:
    """The labelled entries ``first`` to ``last``."""
    body = batch.body
    entries: list[bytes] = []
    at = batch.ends[first - 1] if first else 0
    spans = zip(batch.starts[first:last], batch.ends[first:last], strict=True)
    for i, (start, end) in enumerate(spans, first):
        count, suffix = additions[i]
        if i in batch.specials:
            record = _special_record(batch, i, count, suffix)
            entries.append(b"".join((body[at:start], record)))
        else:
            grown = _grow(body, start, end, count)
            entries.append(b"%b%b%b" % (body[at:start], grown, suffix))
        at = end
    return entries


def _entry(batch: Batch, i: int) -> bytes:
    """Entry ``i`` as it came, time and all."""
    return batch.body[batch.begin(i) : batch.ends[i]]


def _special_record(batch: Batch, i: int, count: int, suffix: bytes) -> bytes:
    """The map of special entry ``i`` as it goes out; the whole of a value that is not an entry."""
    if isinstance(batch.specials[i], Passed):
        return batch.data(i)
    data = batch.kept(i)
    return _grow(data, 0, len(data), count) + suffix


def _grow(data: bytes, at: int, end: int, count: int) -> bytes:
    """The map in ``data[at:end]`` with a head that announces ``count`` more members."""
    byte = data[at]
    if byte >= 0x80 and byte + count <= 0x8F:
        return b"%c%b" % (byte + count, data[at + 1 : end])
    found = scan.map_header(data, at)
    assert found is not None  # decode lets only maps through
    members, head = found
    return scan.pack_map_header(members + count) + data[at + head : end]


def _names_in(data: bytes) -> Iterator[str]:
    for name, *_ in scan.members(data, 0):
        if name:
            yield name


def _add(first: Members, second: Members) -> Members:
    return first[0] + second[0], first[1] + second[1]


def _members(pairs: Pairs) -> Members:
    packed = [msgpack.packb(name) + msgpack.packb(value) for name, value in pairs]
    return len(packed), b"".join(packed)

"""Msgpack event streams: ``[time, record]`` entries one after another, as Fluent Bit writes them.

``out_http`` with ``format msgpack`` sends such a stream as its body and every Forward message
carries one. Both entry shapes are known: ``[time, record]`` and, since Fluent Bit 2.1,
``[[time, metadata], record]``. A splice raises the record's member count and appends our members;
time, metadata and every other byte stay as they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgpack
import msgspec

from waybill.core.errors import MalformedError
from waybill.core.records import MAX_RECORDS, Batch, Odd, Verdict
from waybill.wire.fields import FieldPlan, SuffixCache
from waybill.wire.ids import RecordIds
from waybill.wire.json.codec import DECODE_ERRORS, MUTE_BYTES, ODD_BYTES
from waybill.wire.msgpack import scan as packed

#: EventTime seconds with which Fluent Bit marks the start and the end of an OpenTelemetry group;
#: such an entry is no log record.
_GROUP_SECONDS = (0xFFFFFFFF, 0xFFFFFFFE)
_GROUP_INTEGERS = (b"\xff", b"\xfe")


class MsgpackCodec:
    """Decodes and splices event streams for one `FieldPlan`. Holds no state between calls."""

    encoding = "msgpack"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._rendered = SuffixCache(lambda verdict: _members(plan.values(verdict)))
        self._entry = msgspec.msgpack.Decoder(tuple[msgspec.Raw, plan.type])  # type: ignore[name-defined]

    # -- decode ---------------------------------------------------------------------------------

    def decode(self, body: bytes, tag: str = "", care_bytes: float = math.inf) -> Batch:
        """Find the records of ``body``. ``starts`` are the offsets of the records' maps.

        Raises:
            MalformedError: ``not_msgpack`` when not one entry can be found in a body that is not empty.
            LaboriousError: more than ``care_bytes`` of it are unlike what shippers send.
        """
        batch = Batch(body, tag, care_bytes)
        starts, ends, messages, sources = batch.starts, batch.ends, batch.messages, batch.sources
        entry, message_of, source_of = self._entry.decode, self.plan.message_of, self.plan.source_of
        at = 0
        for end in _entry_ends(batch):
            start, at = at, end
            if body[start] != 0x92:
                self._add_odd(batch, start, end)
                continue
            try:
                time, record = entry(body[start:end])
            except DECODE_ERRORS:
                self._add_odd(batch, start, end)
                continue
            start += 1 + memoryview(time).nbytes
            message = record.m if record.m.__class__ is str else message_of(record)
            if message is None:
                batch.take_care(MUTE_BYTES)
                odd = (
                    Odd(end, "group_marker", is_spliced=False)
                    if is_group_marker(time)
                    else Odd(end, "no_message")
                )
                batch.add_odd(start, odd, None, source_of(record))
                continue
            batch.check(1)
            starts.append(start)
            ends.append(end)
            messages.append(message)
            source = record.s
            sources.append(source if source.__class__ is str else source_of(record) or "")
        if at < len(body):
            batch.add_odd(at, Odd(len(body), "malformed_record", is_spliced=False, is_strict=False))
        if batch.is_hopeless():
            raise MalformedError("not_msgpack", "no msgpack event can be found")
        return batch

    def _add_odd(self, batch: Batch, start: int, end: int) -> None:
        """Add an entry that the fast decoder refused."""
        body, plan = batch.body, self.plan
        batch.take_care(end - start + ODD_BYTES)
        at = _record_start(body, start)
        if at < 0:
            batch.add_odd(start, Odd(end, "malformed_record", is_spliced=False, is_strict=False))
            return
        if packed.map_header(body, at) is None:
            batch.add_odd(at, Odd(end, "not_an_object", is_spliced=False))
            return
        if is_group_marker(body[start + 1 : at]):
            batch.add_odd(at, Odd(end, "group_marker", is_spliced=False))
            return
        top = {
            name: value_at for name, _, value_at, _ in packed.members(body, at) if name is not None
        }
        names = frozenset(top)
        if plan.settings.label in names and not plan.settings.relabel:
            batch.add_odd(at, Odd(end, "already_labelled", is_spliced=False))
            return
        taken = names.intersection(plan.added)
        odd = Odd(end)
        if plan.settings.relabel and taken:
            odd.data = packed.without(body, at, frozenset(taken))
        else:
            odd.taken = frozenset(taken)
        message, is_other = packed.find_string(body, top, plan.message)
        source, _ = packed.find_string(body, top, plan.source)
        if message is None:
            odd.reason = "message_not_a_string" if is_other else "no_message"
        batch.add_odd(at, odd, message, source)

    # -- splice ---------------------------------------------------------------------------------

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The stream with each verdict's fields added; every other byte as it was."""
        return b"".join(self.split(batch, verdicts))

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled entry on its own; together they are the stream."""
        body, odd = batch.body, batch.odd
        entries: list[bytes] = []
        push = entries.append
        ids = RecordIds(batch.tag) if self.plan.settings.record_id else None
        at = 0
        for i, (start, end, verdict) in enumerate(
            zip(batch.starts, batch.ends, verdicts, strict=True)
        ):
            if i in odd and not odd[i].is_spliced:
                push(body[at:end])
            else:
                key = ids.next(body[at:end]) if ids is not None else None
                count, suffix = self._suffix(batch, i, verdict, key)
                data = odd[i].data if i in odd else None
                if data is None:
                    push(b"%b%b%b" % (body[at:start], _grow(body, start, end, count), suffix))
                else:
                    push(b"%b%b%b" % (body[at:start], _grow(data, 0, len(data), count), suffix))
            at = end
        return entries

    def _suffix(self, batch: Batch, i: int, verdict: Verdict, key: str | None) -> tuple[int, bytes]:
        """What is appended to record ``i``, whose id is ``key`` where it gets one: (members, bytes)."""
        odd = batch.odd.get(i)
        taken = odd.taken if odd else frozenset()
        if verdict.fields:
            start = batch.starts[i]
            if any(name.encode() in batch.body[start : batch.ends[i]] for name in verdict.fields):
                taken = taken.union(name for name, *_ in packed.members(batch.body, start) if name)
        if taken or verdict.fields:
            count, suffix = _members(self.plan.values(verdict, taken))
        else:
            count, suffix = self._rendered[verdict]
        name = self.plan.settings.record_id
        if key is not None and name not in taken:
            return count + 1, suffix + msgpack.packb(name) + msgpack.packb(key)
        return count, suffix


def is_group_marker(time: bytes | msgspec.Raw) -> bool:
    """Whether an entry's time part marks an OpenTelemetry group instead of a moment."""
    data = bytes(memoryview(time)[:12])
    if data[:1] == b"\x92":
        data = data[1:]
    if data[:2] in (b"\xd7\x00", b"\xc7\x08"):
        at = 2 if data[0] == 0xD7 else 3
        return int.from_bytes(data[at : at + 4], "big") in _GROUP_SECONDS
    return data[:1] in _GROUP_INTEGERS


def _grow(data: bytes, at: int, end: int, count: int) -> bytes:
    """The map in ``data[at:end]`` with a head that announces ``count`` more members."""
    byte = data[at]
    if byte >= 0x80 and byte + count <= 0x8F:
        return b"%c%b" % (byte + count, data[at + 1 : end])
    found = packed.map_header(data, at)
    assert found is not None  # decode lets only maps through
    members, head = found
    return packed.pack_map_header(members + count) + data[at + head : end]


def _entry_ends(batch: Batch) -> list[int]:
    """The offset behind each whole value of the stream; stops at the first that is broken or cut."""
    body = batch.body
    ends: list[int] = []
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1))
    unpacker.feed(body)
    skip, tell, push = unpacker.skip, unpacker.tell, ends.append
    try:
        while True:
            skip()
            push(tell())
            if len(ends) > MAX_RECORDS:
                raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")
    except (msgpack.UnpackException, ValueError, RecursionError):
        pass
    # What the library gives up on (nesting past its stack) our own reader still finds.
    at = ends[-1] if ends else 0
    batch.take_care(len(body) - at)
    while at < len(body) and (at := packed.value_end(body, at)) > 0:
        push(at)
    return ends


def _record_start(body: bytes, start: int) -> int:
    """The offset of the record in the entry at ``start``, or -1 when this is no entry of two."""
    head = {0x92: 1, 0xDC: 3, 0xDD: 5}.get(body[start])
    if head is None or (head > 1 and int.from_bytes(body[start + 1 : start + head], "big") != 2):
        return -1
    return packed.value_end(body, start + head)


def _members(pairs: Sequence[tuple[str, object]]) -> tuple[int, bytes]:
    return len(pairs), b"".join(msgpack.packb(name) + msgpack.packb(value) for name, value in pairs)

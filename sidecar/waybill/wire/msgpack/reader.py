"""Finds the entries of an event stream and what is read of each.

The fast decoder takes entries of two whose record is a map without names of ours; all others go to
the tolerant scanner (`waybill.wire.msgpack.scan`) and are paid for out of the batch's scan budget.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator

import msgpack
import msgspec

from waybill.core.batch import MAX_RECORDS, Batch, Passed, Spliced
from waybill.core.errors import MalformedError
from waybill.core.steps import STEP_BYTES
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.codec import (
    DECODE_ERRORS,
    FURTHER_BYTES,
    SPECIAL_BYTES,
    WITHOUT_MESSAGE_BYTES,
)
from waybill.wire.fields import Extract, FieldPlan, tells_all
from waybill.wire.finder import Finder
from waybill.wire.msgpack import scan
from waybill.wire.policy import Reading, make_reading

#: EventTime seconds with which Fluent Bit marks the start and the end of an OpenTelemetry group;
#: such an entry is no log record.
_GROUP_SECONDS = (0xFFFFFFFF, 0xFFFFFFFE)
_GROUP_INTEGERS = (b"\xff", b"\xfe")
#: Head byte of an array of two -> bytes of the whole head.
_PAIR_HEADS = {0x92: 1, 0xDC: 3, 0xDD: 5}
_PAIR = 0x92
_PAIR_PARTS = 2
_NIL = b"\xc0"
#: How null and an empty text are written.
_BLANK = (0xC0, 0xA0)
#: How an entry begins: an array of two; in it, alone or with metadata behind it, an EventTime,
#: a double, or an integer of 32 or 64 bits.
_ENTRY = re.compile(rb"\x92\x92?(?:\xd7\x00|\xc7\x08\x00|[\xcb\xce\xcf\xd2\xd3])")
#: So often the next entry is looked for behind a broken one; what is met there has so many values.
_TRIES = 64
_TRIED_VALUES = 1 << 16


class MsgpackReader:
    """Reads the entries of event streams into batches, for one `FieldPlan`."""

    def __init__(self, plan: FieldPlan) -> None:
        self._plan = plan
        entry = tuple[msgspec.Raw, plan.first.type]  # type: ignore[name-defined]
        self._entry: msgspec.msgpack.Decoder[tuple[msgspec.Raw, Extract]]
        self._entry = msgspec.msgpack.Decoder(entry)
        glance = tuple[msgspec.Raw, plan.glance]  # type: ignore[name-defined]
        self._glance: msgspec.msgpack.Decoder[tuple[msgspec.Raw, Extract]]
        self._glance = msgspec.msgpack.Decoder(glance)
        self._find = Finder(plan, _decoder_of).find

    def read_stream(self, batch: Batch) -> None:
        """Read entries one after another; what is left at the end is one malformed record."""
        body = batch.body
        source_of = self._plan.first.source_of
        batch.head_bytes = _list_head(body)
        ends, broken = _entry_ends(batch)
        known = self._read_entries(batch, ends)
        at = batch.begin(known)
        for end in ends[known:]:
            start = at
            at = end
            if end in broken or body[start] != _PAIR or end - start > MOST_RECORD_BYTES:
                read = _add_broken if end in broken else self._read_entry
                batch.add_with(read, start, end)
                continue
            try:
                time, record = self._entry.decode(body[start:end])
                map_at = start + 1 + memoryview(time).nbytes
                message = record.m
                source = record.s
                is_told = message.__class__ is str and "!" <= message < "\x7f"
                if is_told and (source.__class__ is not str or not "!" <= source < "\x7f"):
                    source = source_of(record)
                if source is None or not is_told:
                    found = self._find(body[map_at:end])
                    if found.source is not None or message != found.message:
                        batch.budget.take(FURTHER_BYTES)
                    message = found.message
                    source = found.source
            except DECODE_ERRORS:
                batch.add_with(self._read_entry, start, end)
                continue
            start = map_at
            if message is None:
                self._add_without_message(batch, start, end, time, found)
            else:  # what `Batch.add` does: a call for each record would show here
                batch.check_room(1)
                batch.starts.append(start)
                batch.ends.append(end)
                batch.messages.append(message)
                batch.sources.append(source or "")

    def _read_entries(self, batch: Batch, ends: list[int]) -> int:
        """Add entries as long as each is one of two with a record of which a glance tells all.

        Gives how many they are. Each key of a record costs a little for each path that is read.
        """
        body = batch.body
        glance = self._glance.decode
        at = batch.head_bytes
        for count, end in enumerate(ends):
            if body[at] != _PAIR or end - at > MOST_RECORD_BYTES:
                return count
            try:
                time, record = glance(body[at:end])
            except DECODE_ERRORS:
                return count
            if not tells_all(record):
                return count
            batch.add(at + 1 + memoryview(time).nbytes, end, record.m, record.s)
            at = end
        return len(ends)

    def _add_without_message(
        self, batch: Batch, start: int, end: int, time: msgspec.Raw, found: Reading
    ) -> None:
        batch.budget.take(WITHOUT_MESSAGE_BYTES)
        if is_group_marker(time):
            batch.add_special(start, Passed(end, "group_marker"), None, found.source)
        else:
            batch.add_special(start, Spliced(end, found.reason), None, found.source)

    def _read_entry(self, batch: Batch, start: int, end: int) -> None:
        """Add an entry that the fast decoder refused."""
        body = batch.body
        batch.budget.take(end - start + SPECIAL_BYTES)
        at = _record_start(body, start)
        if at < 0:
            batch.add_special(start, Passed(end, "malformed_record"))
        elif scan.map_header(body, at) is None:
            batch.add_special(at, Passed(end, "not_an_object"))
        elif end - start > MOST_RECORD_BYTES:
            batch.add_special(at, Passed(end, "record_too_large"))
        elif is_group_marker(body[start + 1 : at]):
            batch.add_special(at, Passed(end, "group_marker"))
        else:
            self._add_map(batch, at, end)

    def _add_map(self, batch: Batch, start: int, end: int) -> None:
        body = batch.body
        members = scan.members(body, start)
        names = self._plan.names
        top = {name: at for name, _, at, _ in members if name is not None and name in names}
        self._plan.policy.add(
            batch,
            start,
            end,
            self._plan.policy.taken(top),
            lambda: self._reading(body, top),
            lambda names: scan.without(body, start, names),
            lambda name: body[top[name]] in _BLANK,
        )

    def _reading(self, body: bytes, top: dict[str, int]) -> Reading:
        message, is_other = scan.find_string(body, top, self._plan.message)
        source, _ = scan.find_string(body, top, self._plan.source)
        return make_reading(message, source, is_other=is_other)


def _add_broken(batch: Batch, start: int, end: int) -> None:
    """Add what is broken or cut and cannot be an entry."""
    batch.budget.take(end - start + SPECIAL_BYTES)
    batch.add_special(start, Passed(end, "malformed_record"))


def is_group_marker(time: bytes | msgspec.Raw) -> bool:
    """Whether an entry's time part marks an OpenTelemetry group instead of a moment."""
    data = bytes(memoryview(time)[:12])
    if data[:1] == b"\x92":
        data = data[1:]
    if data[:2] == b"\xd7\x00":
        return int.from_bytes(data[2:6], "big") in _GROUP_SECONDS
    if data[:2] == b"\xc7\x08":
        return int.from_bytes(data[3:7], "big") in _GROUP_SECONDS
    return data[:1] in _GROUP_INTEGERS


def _entry_ends(batch: Batch) -> tuple[list[int], set[int]]:
    """The offset behind each value of the stream, and which of them are broken or cut."""
    body = batch.body
    ends: list[int] = []
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1))
    skip = unpacker.skip
    tell = unpacker.tell
    head = batch.head_bytes
    try:
        for start in range(head, len(body), STEP_BYTES):  # others run before it goes on in a value
            unpacker.feed(memoryview(body)[start : start + STEP_BYTES])
            with contextlib.suppress(msgpack.OutOfData):
                while len(ends) <= MAX_RECORDS:
                    skip()
                    ends.append(head + tell())
    except (msgpack.UnpackException, ValueError, RecursionError):
        pass
    if len(ends) > MAX_RECORDS:
        raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")
    # What the library gives up on (nesting past its stack) our own reader still finds.
    at = ends[-1] if ends else batch.head_bytes
    batch.budget.take(len(body) - at)
    broken: set[int] = set()
    tries = iter(range(_TRIES))
    most = math.inf
    while at < len(body):
        batch.check_room(len(ends))
        end = scan.value_end(body, at, most)
        if end < 0:
            end = _next_entry(body, at, tries)
            broken.add(end)
            most = _TRIED_VALUES
        ends.append(end)
        at = end
    return ends, broken


def _next_entry(body: bytes, broken: int, tries: Iterator[int]) -> int:
    """Where the next whole entry with a time and a map begins, behind the one at ``broken``.

    Without any it is the end of ``body``. ``tries`` gives one value for each look that is left.
    """
    at = broken + 1
    if body.startswith(b"\x92\x92", broken):
        at += 1  # the time and metadata of a broken entry look like an entry
    for found in _ENTRY.finditer(body, at):
        if next(tries, None) is None:
            break
        at = scan.value_end(body, found.start() + 1, _TRIED_VALUES)
        is_map = at > 0 and scan.map_header(body, at) is not None
        if is_map and scan.value_end(body, at, _TRIED_VALUES) > 0:
            return found.start()
    return len(body)


def _list_head(body: bytes) -> int:
    """How long the head of a list is that holds all entries or records; 0 where there is none.

    A list of two is an entry unless its first part is a map, or an entry before another list.
    """
    if not body or not scan.is_array(body[0]):
        return 0
    try:
        head, _, count = scan.header(body, 0)
        inner, _, parts = scan.header(body, head)
    except ValueError:
        return 0
    if count > len(body):
        return 0
    if _is_record(body, head):
        return head
    if not scan.is_array(body[head]) or parts != _PAIR_PARTS:
        return 0
    second = scan.value_end(body, head, _TRIED_VALUES)
    if count == _PAIR_PARTS and not scan.is_array((body[second : second + 1] or _NIL)[0]):
        return 0
    record = scan.value_end(body, head + inner, _TRIED_VALUES)
    return 0 if scan.map_header(body, record) is None else head


def _is_record(body: bytes, at: int) -> bool:
    """Whether a record stands at ``at`` by itself: a map whose first key is a text."""
    found = scan.map_header(body, at)
    if found is None or not found[0] or at + found[1] >= len(body):
        return False
    return scan.payload_span(body, at + found[1]) is not None


def _record_start(body: bytes, start: int) -> int:
    """The offset of the record in the entry at ``start``, which may be one without a time; -1 when
    it is not an entry of two.
    """
    if _is_record(body, start):
        return start
    head = _PAIR_HEADS.get(body[start])
    if head is None:
        return -1
    if head > 1 and int.from_bytes(body[start + 1 : start + head], "big") != _PAIR_PARTS:
        return -1
    return scan.value_end(body, start + head)


def _decoder_of(kind: object) -> Callable[[bytes | msgspec.Raw], object]:
    return msgspec.msgpack.Decoder(kind).decode

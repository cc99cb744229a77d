"""Finds the records of JSON text: an array, objects one after another, or one object per line.

A strict decoder takes what it can, whole bodies and whole lines at once. What it refuses goes to
the tolerant scanner (`waybill.wire.json.scan`), record by record, out of the batch's scan budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

import msgspec

from waybill.core.batch import MAX_RECORDS, Batch, Passed, Special, Spliced
from waybill.core.errors import MalformedError
from waybill.core.steps import trimmed_end
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.codec import DECODE_ERRORS, FURTHER_BYTES, SPECIAL_BYTES, WITHOUT_MESSAGE_BYTES
from waybill.wire.fields import Extract, FieldPlan
from waybill.wire.finder import Finder
from waybill.wire.json import scan
from waybill.wire.json.envelope import flattened, is_action, records_within
from waybill.wire.json.runs import RunReader
from waybill.wire.json.valid import is_valid
from waybill.wire.policy import Reading, make_reading

#: A `}{` inside strings may hide where an object ends; past this many tries the scanner decides.
_JOIN_TRIES = 4
#: How far the first ``}{`` of a line is looked for, and for later ones how many times the size of
#: the object before: a search to the line's end for each object would be quadratic.
_JOIN_BYTES = 4096
_JOIN_TIMES = 4
#: Values that run past their line and turn out to be broken may cost so many times the body.
_BROKEN_SPANS = 2
#: Of an array that is looked at: a list of more values would itself take too much. A full body of
#: ordinary records has half of it.
_MOST_COMMAS = 16 * MAX_RECORDS
#: Records of an array that are read at once.
_RUN = 4096
#: A record's bytes.
_view: Callable[[msgspec.Raw], memoryview] = memoryview
_OPEN_BRACKET, _CLOSE_BRACKET, _OPEN_BRACE = b"[]{"


class JsonReader:
    """Reads the records of JSON bodies into batches, for one `FieldPlan`."""

    def __init__(self, plan: FieldPlan) -> None:
        self._plan = plan
        self._extract: msgspec.json.Decoder[Extract] = msgspec.json.Decoder(plan.first.type)
        self._find = Finder(plan, _decoder_of).find
        self._runs = RunReader(plan, self._extract.decode, self._find)
        self._array = msgspec.json.Decoder(list[msgspec.Raw])

    def read_nested(self, text: str) -> tuple[str | None, str]:
        """Message and source of an object within a record: (None, "") where it has none."""
        try:
            data = text.encode()
            self._extract.decode(data)  # none of our names, as in a record
            found = self._find(data)
        except (*DECODE_ERRORS, UnicodeEncodeError):
            return None, ""
        return found.message, found.source or ""

    # -- one array ------------------------------------------------------------------------------

    def read_array(self, batch: Batch) -> bool:
        """Read one array that a strict parser takes whole: the common and fast case.

        Any other body is left alone: the answer is then False.
        """
        body = batch.body
        if scan.is_oftener(b",", body, _MOST_COMMAS):
            raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")
        try:
            raws = self._array.decode(body)
        except DECODE_ERRORS:
            return False
        batch.check_room(len(raws))
        sizes = list(map(len, map(_view, raws)))
        if max(sizes, default=0) > MOST_RECORD_BYTES or not self._read_compact(batch, raws, sizes):
            self._read_spaced(batch, raws, sizes)
        return True

    def _read_compact(
        self, batch: Batch, raws: Sequence[msgspec.Raw], sizes: Sequence[int]
    ) -> bool:
        """An array of ordinary records with one comma in between: whole lists at once."""
        if sum(sizes) + len(sizes) + 1 != len(batch.body):
            return False
        messages: list[str | None] = []
        sources: list[str] = []
        for at in range(0, len(raws), _RUN):  # of what is read of records, few are there at once
            run = raws[at : at + _RUN]
            try:
                found = self._runs.read(run, batch.budget)
            except DECODE_ERRORS:
                return False
            if found is None:
                return False
            messages += found[0]
            sources += found[1]
        # Nothing but one comma stands between two records, so their sizes tell where each ends.
        commas = list(accumulate(map((1).__add__, sizes), initial=-1))
        batch.starts = [comma + 2 for comma in commas[:-1]]
        batch.ends = commas[1:]
        batch.messages = messages
        batch.sources = sources
        return True

    def _read_spaced(self, batch: Batch, raws: Sequence[msgspec.Raw], sizes: Sequence[int]) -> None:
        """A valid array with white space in it, or with records that need a second look."""
        at = 1
        for raw, size in zip(raws, sizes, strict=True):
            # Only white space and one comma stand between two values of a valid array.
            start = batch.body.index(memoryview(raw)[:1], at)
            at = start + size
            if size > MOST_RECORD_BYTES:  # what is valid by now is not read a second time
                batch.add_special(start, Passed(at, scan.why_too_large(batch.body[start])))
            else:
                self._add(batch, start, at)

    # -- records within a frame -----------------------------------------------------------------

    def read_framed(self, batch: Batch, at: int, path: Sequence[str]) -> None:
        """Read the records at ``path`` of each object; a line that is not JSON is one by itself."""
        body = batch.body
        batch.budget.take(2 * (len(body) - at))
        while at < len(body):
            end = -1
            if body[at] in (_OPEN_BRACE, _OPEN_BRACKET):
                end = scan.value_end(body, at)
            if end < 0:
                end, _ = self._read_line(batch, at, scan.line_end(body, at), 0)
            else:
                for start, stop in records_within(body, at, end, path):
                    self._add(batch, start, stop)
            at = scan.skip_marks(body, end)

    # -- values one after another ---------------------------------------------------------------

    def read_stream(self, batch: Batch, at: int) -> None:
        """Read values one after another; lines that are one ordinary record go the fast way."""
        body = batch.body
        extract = self._extract.decode
        source_of = self._plan.first.source_of
        span_bytes = _BROKEN_SPANS * len(body)
        at = self._runs.read_lines(batch, at)
        while at < len(body):
            line_end = body.find(b"\n", at)
            if line_end < 0:
                line_end = len(body)
            if line_end - at > MOST_RECORD_BYTES:
                at, span_bytes = self._read_line(batch, at, line_end, span_bytes)
                continue
            line = body[at:line_end]
            try:
                record = extract(line)
                message = record.m
                source = record.s
                is_told = message.__class__ is str and "!" <= message < "\x7f"
                if is_told and (source.__class__ is not str or not "!" <= source < "\x7f"):
                    source = source_of(record)
                if source is None or not is_told:
                    found = self._find(line)
                    if found.source is not None or message != found.message:
                        batch.budget.take(FURTHER_BYTES)
                    message = found.message
                    source = found.source
            except DECODE_ERRORS:
                at, span_bytes = self._read_line(batch, at, line_end, span_bytes)
                continue
            brace = at + line.rindex(b"}")
            if message is None:
                self._add_without_message(batch, at, brace + 1, found)
            else:  # what `Batch.add` does: a call for each record would show here
                batch.check_room(1)
                batch.starts.append(at)
                batch.ends.append(brace)
                batch.messages.append(message)
                batch.sources.append(source or "")
            at = line_end + 1

    def _read_line(self, batch: Batch, at: int, line_end: int, span_bytes: int) -> tuple[int, int]:
        """The values that start on one line: arrays, concatenated or broken objects, none at all.

        Gives the offset behind them, and what is left of ``span_bytes`` (see `_value_end`).
        """
        body = batch.body
        batch.budget.take(line_end - at)
        at = scan.skip_marks(body, at)
        join_bytes = _JOIN_BYTES
        while at < line_end:
            start = at
            if body[at] == _OPEN_BRACKET:
                at = self._read_broken_array(batch, at)
            else:
                at = self._read_joined(batch, start, min(line_end, start + join_bytes))
                if at == 0:
                    at, span_bytes = self._value_end(batch, start, line_end, span_bytes)
                    self._add(batch, start, at)
            join_bytes = max(_JOIN_BYTES, _JOIN_TIMES * (at - start))
            at = scan.skip_marks(body, at)
        return at, span_bytes

    def _value_end(self, batch: Batch, at: int, line_end: int, span_bytes: int) -> tuple[int, int]:
        """Where the value at ``at`` ends, and what is left of ``span_bytes``.

        A value that runs past its line is believed only when it is valid. Those that are not may
        have ``span_bytes`` together, and after one that never ends none is believed: or each broken
        line of a large body would be read to the body's end.
        """
        body = batch.body
        if line_end - at > MOST_RECORD_BYTES and is_valid(memoryview(body)[at:line_end]):
            return line_end, span_bytes  # at once: a million members take the scanner seconds
        end = scan.value_end(body, at, line_end)
        if end < 0 and span_bytes > 0:
            batch.budget.take(len(body) - line_end)
            end = scan.value_end(body, at)
            if end < 0:
                span_bytes = 0
        is_object_on_line = 0 <= end <= line_end and body[at] == _OPEN_BRACE
        if is_object_on_line or (end > 0 and is_valid(body[at:end])):
            return end, span_bytes
        if end > line_end:
            span_bytes -= end - at
        return trimmed_end(body, at, line_end, scan.SPACE), span_bytes

    def _read_joined(self, batch: Batch, start: int, limit: int) -> int:
        """Add the object at ``start`` if ``}{`` shows its end; the offset behind it, or 0."""
        at = start
        for _ in range(_JOIN_TRIES):
            at = batch.body.find(b"}{", at, limit) + 1
            if at == 0:
                return 0
            if self._add_clean(batch, start, at):
                return at
        return 0

    def _read_broken_array(self, batch: Batch, at: int) -> int:
        """An array in which something is broken, value by value; gives the offset behind it.

        A value that never ends costs its line, and later ones are not looked for beyond theirs, as
        in `_read_line`.
        """
        body = batch.body
        batch.budget.take(len(body) - at)
        at = scan.skip_marks(body, at + 1)
        may_span_lines = True
        line_end = at
        while at < len(body) and body[at] != _CLOSE_BRACKET:
            if line_end <= at:
                line_end = scan.line_end(body, at)
            limit = len(body) if may_span_lines else line_end
            end = scan.value_end(body, at, limit)
            if end < 0:
                may_span_lines = False
                end = trimmed_end(body, at, line_end, scan.SPACE)
                batch.add_special(at, Passed(end, "malformed_record"))
                at = scan.skip_space(body, end)
                continue
            self._add(batch, at, end)
            at = scan.skip_marks(body, end)
        return at + 1

    # -- one record -----------------------------------------------------------------------------

    def _add(self, batch: Batch, start: int, end: int) -> None:
        """Add a record, or those of a list within the list."""
        spans: Iterable[scan.Span] = ((start, end),)
        if batch.body[start] == _OPEN_BRACKET:
            spans = flattened(batch, start, end)
        for at, stop in spans:
            batch.add_with(self._read_record, at, stop)

    def _read_record(self, batch: Batch, start: int, end: int) -> None:
        if not self._add_clean(batch, start, end):
            self._add_special(batch, start, end)

    def _add_clean(self, batch: Batch, start: int, end: int) -> bool:
        """Add ``body[start:end]`` if a strict parser takes it as one record without our names."""
        if end - start > MOST_RECORD_BYTES:
            return False
        line = batch.body[start:end]
        try:
            record = self._extract.decode(line)
            found = self._find(line)
        except DECODE_ERRORS:
            return False
        if found.message != record.m:
            batch.budget.take(FURTHER_BYTES)
        if found.message is None:
            self._add_without_message(batch, start, end, found)
        else:
            batch.add(start, start + line.rindex(b"}"), found.message, found.source)
        return True

    def _add_without_message(self, batch: Batch, start: int, end: int, found: Reading) -> None:
        batch.budget.take(WITHOUT_MESSAGE_BYTES)
        start = scan.skip_space(batch.body, start)
        special: Special = Spliced(end, found.reason)
        if is_action(batch.body, start, end):
            special = Passed(end, "action_line")
        batch.add_special(start, special, None, found.source)

    def _add_special(self, batch: Batch, start: int, end: int) -> None:
        """Add a record that the fast decoder refused."""
        body = batch.body
        batch.budget.take(end - start + SPECIAL_BYTES)
        is_object = body[start] == _OPEN_BRACE and body[end - 1 : end] == b"}"
        if not is_object or end - start > MOST_RECORD_BYTES:
            batch.add_special(start, Passed(end, scan.why_unread(memoryview(body)[start:end])))
            return
        top: dict[str, scan.Span] = {}
        is_empty = True
        for name, _, value_at, stop in scan.members(body, start):
            is_empty = False
            if name in self._plan.names:
                top[name] = (value_at, stop)
        if is_empty and not is_valid(body[start:end]):
            batch.add_special(start, Passed(end, "malformed_record"))
            return
        self._plan.policy.add(
            batch,
            start,
            end,
            self._plan.policy.taken(top),
            lambda: self._reading(body, top),
            lambda names: scan.without(body, start, end, names),
            lambda name: scan.is_blank_value(body, top[name]),
        )

    def _reading(self, body: bytes, top: dict[str, scan.Span]) -> Reading:
        message, is_other = scan.find_string(body, top, self._plan.message)
        source, _ = scan.find_string(body, top, self._plan.source)
        return make_reading(message, source, is_other=is_other)


def _decoder_of(kind: object) -> Callable[[bytes | msgspec.Raw], object]:
    return msgspec.json.Decoder(kind).decode

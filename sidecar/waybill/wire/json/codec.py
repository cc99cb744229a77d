"""JSON bodies: an array, objects one after another, or one object per line.

``decode`` finds each record's byte range and reads only message and source; ``splice`` puts the
verdicts in front of each closing brace. Nothing else is touched or written again: spacing, key
order, number spellings and escapes come out as they went in.

    >>> codec = JsonCodec(FieldPlan(FieldSettings()))
    >>> batch = codec.decode(b'[{"log":"hi", "n":1e2}]')
    >>> codec.splice(batch, [Verdict("Error", "rule", 1.0, "r1")])
    b'[{"log":"hi", "n":1e2,"target_label":"Error","label_tier":"rule","label_confidence":1.0,"label_rule":"r1"}]'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import orjson

from waybill.core.errors import MalformedError
from waybill.core.reasons import RecordReason
from waybill.core.records import MAX_RECORDS, Batch, Odd, Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.fields import FieldPlan, SuffixCache
from waybill.wire.ids import RecordIds
from waybill.wire.json import scan

__all__ = ["FieldPlan", "FieldSettings", "JsonCodec"]

#: What msgspec raises on input it does not take; the last two are not its own errors.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: A `}{` inside strings may hide where one object ends; past this many tries the scanner decides.
_JOIN_TRIES = 4
#: What adding one record costs beside its bytes, as bytes of care: ten microseconds where the fast decoder
#: refused it, three where it only found no message.
ODD_BYTES, MUTE_BYTES = 32, 8
_BOM = b"\xef\xbb\xbf"
_ONLY_STR = frozenset((str,))
#: Of an array that is looked at: a list of more values would itself take too much. A full body of ordinary
#: records has half of it.
_MOST_COMMAS = 16 * MAX_RECORDS


class JsonCodec:
    """Decodes and splices JSON bodies for one `FieldPlan`. Holds no state between calls."""

    encoding = "json"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._extract: msgspec.json.Decoder[Any] = msgspec.json.Decoder(plan.type)
        # A rule's extra fields must be held against each record's own: no suffix fits them all.
        self._suffix: SuffixCache[Any] = SuffixCache(
            lambda verdict: None if verdict.fields else _members(plan.values(verdict))
        )
        self._array = msgspec.json.Decoder(list[msgspec.Raw])

    # -- decode ---------------------------------------------------------------------------------

    def decode(self, body: bytes, tag: str = "", care_bytes: float = math.inf) -> Batch:
        """Find the records of ``body``.

        Raises:
            MalformedError: ``not_json`` when not one record can be found in a body that is not empty.
            LaboriousError: more than ``care_bytes`` of it are unlike what shippers send.
        """
        batch = Batch(body, tag, care_bytes)
        if body[:1] == b"[" and self._decode_clean_array(batch):
            return batch
        at = scan.skip_space(body, len(_BOM) if body.startswith(_BOM) else 0)
        if at == len(body):
            return batch
        self._decode_stream(batch, at)
        if batch.is_hopeless():
            raise MalformedError("not_json", "no JSON record can be found")
        return batch

    def _decode_clean_array(self, batch: Batch) -> bool:
        """One array that a strict parser takes whole: the common and fast case, hence whole lists at once.

        False, and nothing done, when the body is no such array.
        """
        body = batch.body
        if len(body) > _MOST_COMMAS and body.count(b",") > _MOST_COMMAS:
            raise MalformedError("too_many_records", f"more than {MAX_RECORDS}")
        try:
            raws = self._array.decode(body)
        except DECODE_ERRORS:
            return False
        batch.check(len(raws))
        sizes = [len(memoryview(raw)) for raw in raws]
        try:
            records = [self._extract.decode(raw) for raw in raws]
        except DECODE_ERRORS:
            return self._decode_mixed_array(batch, raws, sizes)
        messages = [record.m for record in records]
        sources = [record.s for record in records]
        is_compact = sum(sizes) + len(sizes) + 1 == len(body)
        if not is_compact or not _ONLY_STR.issuperset(map(type, messages)):
            return self._decode_mixed_array(batch, raws, sizes)
        if not _ONLY_STR.issuperset(map(type, sources)):
            sources = [self.plan.source_of(record) or "" for record in records]
        # Nothing but one comma stands between two records, so their sizes tell where each ends.
        commas = list(accumulate(map((1).__add__, sizes), initial=-1))
        batch.starts = [comma + 2 for comma in commas[:-1]]
        batch.ends = commas[1:]
        batch.messages, batch.sources = messages, sources
        return True

    def _decode_mixed_array(
        self, batch: Batch, raws: Sequence[msgspec.Raw], sizes: Sequence[int]
    ) -> bool:
        """A valid array with white space in it, or with records that need a second look; True."""
        body = batch.body
        at = 1
        for raw, size in zip(raws, sizes, strict=True):
            # Only white space and one comma stand between two values of a valid array.
            start = body.index(memoryview(raw)[:1], at)
            at = start + size
            if not self._add_clean(batch, start, at):
                self._add_odd(batch, start, at)
        return True

    def _decode_stream(self, batch: Batch, at: int) -> None:
        """Values one after another; whole lines that are one ordinary record go the fast way."""
        body, size = batch.body, len(batch.body)
        extract, message_of, source_of = (
            self._extract.decode,
            self.plan.message_of,
            self.plan.source_of,
        )
        may_span_lines = True
        while at < size:
            line_end = body.find(b"\n", at)
            line_end = size if line_end < 0 else line_end
            line = body[at:line_end]
            try:
                record = extract(line)
            except DECODE_ERRORS:
                at, may_span_lines = self._decode_line(batch, at, line_end, may_span_lines)
                continue
            message = record.m if record.m.__class__ is str else message_of(record)
            if message is None:
                self._add_mute(batch, at, at + line.rindex(b"}") + 1, source_of(record))
                at = line_end + 1
                continue
            batch.check(1)
            batch.starts.append(at)
            batch.ends.append(at + line.rindex(b"}"))
            batch.messages.append(message)
            source = record.s
            batch.sources.append(source if source.__class__ is str else source_of(record) or "")
            at = line_end + 1

    def _decode_line(
        self, batch: Batch, at: int, line_end: int, may_span_lines: bool
    ) -> tuple[int, bool]:
        """The values that start on one line: arrays, concatenated objects, broken ones, none at all.

        A value that runs past its line is believed only when it is valid, and after one that never
        ends none is: or each broken line of a large body would be read to the body's end.
        Gives the offset behind them, and whether later values may still span lines.
        """
        body = batch.body
        batch.take_care(line_end - at)
        at = scan.skip_space(body, at)
        while at < line_end:
            if body[at] == 0x5B:
                at = self._decode_array(batch, at)
            elif (end := self._join(batch, at, line_end)) > 0:
                at = end
            else:
                end = scan.value_end(body, at, line_end)
                if end < 0 and may_span_lines:
                    batch.take_care(len(body) - line_end)
                    end = scan.value_end(body, at)
                    may_span_lines = end > 0
                is_odd = end < 0 or end > line_end or body[at] != 0x7B
                if is_odd and not (end > 0 and self._is_valid(body[at:end])):
                    end = at + len(body[at:line_end].rstrip(scan.SPACE))
                if not self._add_clean(batch, at, end):
                    self._add_odd(batch, at, end)
                at = end
            at = scan.skip_space(body, at)
        return at, may_span_lines

    def _add_clean(self, batch: Batch, start: int, end: int) -> bool:
        """Add ``body[start:end]`` if it is exactly one record that a strict parser takes, without a name of ours."""
        line = batch.body[start:end]
        try:
            record = self._extract.decode(line)
        except DECODE_ERRORS:
            return False
        message = record.m if record.m.__class__ is str else self.plan.message_of(record)
        if message is None:
            self._add_mute(batch, start, end, self.plan.source_of(record))
        else:
            batch.add(start, start + line.rindex(b"}"), message, self.plan.source_of(record))
        return True

    def _add_mute(self, batch: Batch, start: int, end: int, source: str | None) -> None:
        """Add a record that has no message."""
        batch.take_care(MUTE_BYTES)
        start = scan.skip_space(batch.body, start)
        text = batch.body[start:end]
        is_bare = not text[1:-1].strip(scan.SPACE)
        batch.add_odd(
            start,
            Odd(end, "no_message", is_bare=is_bare, is_strict=self._is_valid(text)),
            None,
            source,
        )

    def _join(self, batch: Batch, start: int, limit: int) -> int:
        """Add the object at ``start`` when ``}{`` shows where it ends; gives the offset behind it, or 0."""
        at = start
        for _ in range(_JOIN_TRIES):
            at = batch.body.find(b"}{", at, limit) + 1
            if at == 0:
                return 0
            if self._add_clean(batch, start, at):
                return at
        return 0

    def _decode_array(self, batch: Batch, at: int) -> int:
        """An array in which something is broken: element by element; gives the offset behind it.

        A value that never ends costs its line, and later ones are not looked for beyond theirs, as in
        `_decode_line`.
        """
        body = batch.body
        batch.take_care(len(body) - at)
        at = scan.skip_space(body, at + 1)
        may_span_lines = True
        while at < len(body) and body[at] != 0x5D:
            line_end = body.find(b"\n", at)
            line_end = len(body) if line_end < 0 else line_end
            end = scan.value_end(body, at, len(body) if may_span_lines else line_end)
            if end < 0:
                may_span_lines = False
                end = at + len(body[at:line_end].rstrip(scan.SPACE))
                batch.add_odd(at, Odd(end, "malformed_record", is_spliced=False, is_strict=False))
                at = scan.skip_space(body, end)
                continue
            if body[at] != 0x7B or not self._add_clean(batch, at, end):
                self._add_odd(batch, at, end)
            at = scan.skip_space(body, end)
            if body[at : at + 1] == b",":
                at = scan.skip_space(body, at + 1)
        return at + 1

    def _add_odd(self, batch: Batch, start: int, end: int) -> None:
        """Add a record that the fast decoder refused."""
        body, plan = batch.body, self.plan
        batch.take_care(end - start + ODD_BYTES)
        is_strict = self._is_valid(body[start:end])
        if body[start] != 0x7B or body[end - 1] != 0x7D:
            reason: RecordReason = "not_an_object" if is_strict else "malformed_record"
            batch.add_odd(start, Odd(end, reason, is_spliced=False, is_strict=is_strict))
            return
        top = {name: (value_at, stop) for name, _, value_at, stop in scan.members(body, start)}
        names = frozenset(top)
        if plan.settings.label in names and not plan.settings.relabel:
            batch.add_odd(
                start, Odd(end, "already_labelled", is_spliced=False, is_strict=is_strict)
            )
            return
        odd = Odd(end, is_strict=is_strict, is_bare=not names)
        taken = names.intersection(plan.added)
        if plan.settings.relabel and taken:
            odd.data = scan.without(body, start, end, frozenset(taken))
            odd.is_bare = taken == names
        else:
            odd.taken = frozenset(taken)
        message, is_other = scan.find_string(body, top, plan.message)
        source, _ = scan.find_string(body, top, plan.source)
        if message is None:
            is_broken = not is_strict and not names
            odd.reason = "message_not_a_string" if is_other else "no_message"
            odd.reason = "malformed_record" if is_broken else odd.reason
            odd.is_spliced = not is_broken
        batch.add_odd(start, odd, message, source)

    @staticmethod
    def _is_valid(text: bytes) -> bool:
        try:
            orjson.loads(text)
        except ValueError:
            return False
        return True

    def read(self, text: str) -> tuple[str | None, str]:
        """Message and source of one object that is no record of its own: (None, "") where it has none."""
        try:
            record = self._extract.decode(text)
        except (*DECODE_ERRORS, UnicodeEncodeError):
            return None, ""
        return self.plan.message_of(record), self.plan.source_of(record) or ""

    # -- splice ---------------------------------------------------------------------------------

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The body with each verdict's fields added; every other byte as it was."""
        body, odd = batch.body, batch.odd
        suffixes = self._suffixes(batch, verdicts)
        if not odd:
            cuts = [0, *batch.ends]
            pieces = [b""] * (2 * len(suffixes) + 1)
            pieces[:-1:2] = [body[start:end] for start, end in pairwise(cuts)]
            pieces[1::2] = suffixes
            pieces[-1] = body[cuts[-1] :]
            return b"".join(pieces)
        pieces = []
        at = 0
        for i, (end, suffix) in enumerate(zip(batch.ends, suffixes, strict=True)):
            if i in odd:
                pieces += (body[at : batch.starts[i]], self._odd_record(batch, i, suffix))
                at = odd[i].stop
            else:
                pieces += (body[at:end], suffix)
                at = end
        pieces.append(body[at:])
        return b"".join(pieces)

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own, as JSON text."""
        body, odd = batch.body, batch.odd
        return [
            self._odd_record(batch, i, suffix) if i in odd else b"%b%b}" % (body[start:end], suffix)
            for i, (start, end, suffix) in enumerate(
                zip(batch.starts, batch.ends, self._suffixes(batch, verdicts), strict=True)
            )
        ]

    def _odd_record(self, batch: Batch, i: int, suffix: bytes) -> bytes:
        odd = batch.odd[i]
        data = odd.data if odd.data is not None else batch.body[batch.starts[i] : odd.stop]
        return (
            data[:-1] + (suffix[1:] if odd.is_bare else suffix) + b"}" if odd.is_spliced else data
        )

    def _suffixes(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        suffixes = list(map(self._suffix.__getitem__, verdicts))
        if batch.odd or None in suffixes:
            for i, verdict in enumerate(verdicts):
                if suffixes[i] is None or (i in batch.odd and batch.odd[i].taken):
                    suffixes[i] = self._suffix_beside(batch, i, verdict)
        name = self.plan.settings.record_id
        if name:
            member = b"," + orjson.dumps(name) + b':"%b"'
            ids = RecordIds(batch.tag)
            for i, (start, end) in enumerate(zip(batch.starts, batch.ends, strict=True)):
                key = ids.next(batch.body[start:end])
                if i not in batch.odd or name not in batch.odd[i].taken:
                    suffixes[i] += member % key.encode()
        return suffixes

    def _suffix_beside(self, batch: Batch, i: int, verdict: Verdict) -> bytes:
        """The suffix without the names that the record uses for itself."""
        odd = batch.odd.get(i)
        taken = odd.taken if odd else frozenset()
        if verdict.fields:
            start, stop = batch.starts[i], odd.stop if odd else batch.ends[i]
            text = batch.body[start:stop]
            if b"\\" in text or any(name.encode() in text for name in verdict.fields):
                taken = taken.union(name for name, *_ in scan.members(batch.body, start))
        return _members(self.plan.values(verdict, taken))


def _members(pairs: Sequence[tuple[str, object]]) -> bytes:
    return b"".join(b",%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in pairs)

"""JSON bodies: an array, objects one after another, or one object per line.

``decode`` finds each record's byte range and reads only message and source; ``splice`` puts the
verdicts in front of each closing brace. Nothing else is touched or written again: spacing, key
order, number spellings and escapes come out as they went in.

    >>> codec = JsonCodec(FieldPlan(FieldSettings()))
    >>> batch = codec.decode(b'[{"log":"hi", "n":1e2}]')
    >>> codec.splice(batch, [Verdict("Error", "rule")])
    b'[{"log":"hi", "n":1e2,"target_label":"Error","label_tier":"rule"}]'
"""

from __future__ import annotations

import io
import operator
from collections.abc import Callable, Iterator, Sequence

import orjson

from waybill.core.batch import UNBOUNDED, Batch, Passed, ScanBudget
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.core.steps import STEP_BYTES
from waybill.wire.codec import Encoding
from waybill.wire.event import Event, Record, value_at
from waybill.wire.fields import FieldPlan
from waybill.wire.json import scan
from waybill.wire.json.reader import JsonReader
from waybill.wire.json.tolerant import read_object
from waybill.wire.json.valid import is_valid
from waybill.wire.moments import Moment
from waybill.wire.policy import Additions, Pairs
from waybill.wire.timestamps import midnight_of, moment_of


class JsonCodec:
    """Decodes and splices JSON bodies for one `FieldPlan`. Holds no state between calls."""

    encoding = Encoding.JSON

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = JsonReader(plan)
        self._additions = Additions(plan.policy, _members, operator.add, _names_in)
        self.read_nested = self._reader.read_nested

    def decode(self, body: bytes, *, tag: str = "", budget: ScanBudget = UNBOUNDED) -> Batch:
        """The records of ``body``.

        Raises:
            MalformedError: ``not_json`` when no record can be found in a body that is not empty.
            SlowToReadError: reading costs more than ``budget``.
        """
        batch = Batch(body, tag, budget)
        batch.tail_bytes = 1
        path = self.plan.records
        if path is None and body[:1] == b"[" and self._reader.read_array(batch):
            return batch
        at = scan.skip_between(body, 0)
        if at == len(body):
            return batch
        if path is None:
            self._reader.read_stream(batch, at)
        else:
            self._reader.read_framed(batch, at, path)
        if batch.is_all_malformed():
            raise MalformedError("not_json", "no JSON record can be found")
        return batch

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The body with each verdict's fields added; every other byte as it was."""
        suffixes = self._additions.of(batch, verdicts)
        written = io.BytesIO()  # grows in place, and gives what it holds without a copy
        if batch.specials:
            _write_with_specials(batch, suffixes, written.write)
        else:
            _write_ordinary(batch, suffixes, written.write)
        return written.getvalue()

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own, as JSON text."""
        body = batch.body
        suffixes = self._additions.of(batch, verdicts)
        records = []
        ends = list(batch.ends)
        for i in batch.specials:
            ends[i] = batch.starts[i]  # it is written below, and may be large
        for start, end, suffix in zip(batch.starts, ends, suffixes, strict=True):
            records.append(b"%b%b}" % (body[start:end], suffix))
        for i in batch.specials:
            records[i] = _special_record(batch, i, suffixes[i])
        return records

    def join(self, _batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """One array of ``records[start:stop]``."""
        return b"".join((b"[", b",".join(records[start:stop]), b"]"))

    def sizes(self, _batch: Batch, records: Sequence[bytes]) -> list[int]:
        """What each of ``records`` adds to an array, in bytes."""
        return [len(record) + 1 for record in records]

    def unfit(self, batch: Batch) -> Iterator[int]:
        """The records that are not objects, or that a strict parser refuses."""
        for i, special in batch.specials.items():
            if special.reason == "not_an_object" or not is_valid(batch.data(i)):
                yield i

    def events(self, batch: Batch, verdicts: Sequence[Verdict]) -> Iterator[Event]:
        """Each labelled record in plain values, its time from the configured time fields."""
        records = self.split(batch, verdicts)
        for i, (text, verdict) in enumerate(zip(records, verdicts, strict=True)):
            event = Event(verdict, original=_original(batch, i))
            record = None if batch.is_set_aside(i) else read_object(text)
            if record is not None:
                event.record = record
                event.moment = self._moment(record)
            yield event

    def _moment(self, record: Record) -> Moment | None:
        """The first plausible time of the time fields; one that is only a day comes last."""
        values = [value_at(record, path) for path in self.plan.time]
        for read in (moment_of, midnight_of):
            for value in values:
                moment = read(value)
                if moment is not None:
                    return moment
        return None


def _write_ordinary(
    batch: Batch, suffixes: Sequence[bytes], write: Callable[[bytes], object]
) -> None:
    """Write the body with what is added, piece by piece."""
    read = io.BytesIO(batch.body).read  # shares the body, and cuts it more quickly than slices do
    at = 0
    for end, suffix in zip(batch.ends, suffixes, strict=True):
        write(read(end - at))
        write(suffix)
        at = end
    write(read())


def _write_with_specials(
    batch: Batch, suffixes: Sequence[bytes], write: Callable[[bytes | memoryview], object]
) -> None:
    """The same where some records are special."""
    body = memoryview(batch.body)  # what passes as it came may be large: it is copied once
    at = 0
    for i, (end, suffix) in enumerate(zip(batch.ends, suffixes, strict=True)):
        special = batch.specials.get(i)
        if special is None:
            write(body[at:end])
            write(suffix)
        elif isinstance(special, Passed):
            for start in range(at, end, STEP_BYTES):  # nothing else runs during one
                write(body[start : min(end, start + STEP_BYTES)])
        else:
            write(body[at : batch.starts[i]])
            write(_special_record(batch, i, suffix))
        at = end
    write(body[at:])


def _original(batch: Batch, i: int) -> bytes:
    """Record ``i`` as it came, whole."""
    data = batch.data(i)
    return data if i in batch.specials else data + b"}"


def _special_record(batch: Batch, i: int, suffix: bytes) -> bytes:
    """Special record ``i`` as it goes out."""
    if isinstance(batch.specials[i], Passed):
        return batch.data(i)
    data = batch.kept(i)
    if scan.is_without_members(data) or data[:-1].rstrip(scan.SPACE).endswith(b","):
        suffix = suffix[1:]  # nothing to put a comma behind, or one is there
    return data[:-1] + suffix + b"}"


def _names_in(data: bytes) -> Iterator[str]:
    for name, *_ in scan.members(data, 0):
        yield name


def _members(pairs: Pairs) -> bytes:
    return b"".join(
        [b",%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in pairs]
    )

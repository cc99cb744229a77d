"""The summary of a labelled file, for people."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from waybill.cli.terminal import tell
from waybill.core.batch import Batch, Passed
from waybill.core.reason_words import reason_words
from waybill.core.records import Verdict
from waybill.wire.json import scan
from waybill.wire.table.dialect import normal

__all__ = ["Summary", "rows_of"]

#: Rows with a fault that are named one by one.
_NAMED = 20
_LABELS = 30
#: Bodies of protocols that are no records, by the member that holds all.
_FORMS = {
    "streams": "this is what Loki is sent, which is not read: write its lines as text or NDJSON",
    "resourceLogs": "this is OTLP: send it to POST /v1/logs of `waybill serve`",
    "data.result": "this is an answer of Loki's API: write its lines as text (logcli -o raw)",
}
_ARRAY_OF_OBJECTS = re.compile(rb"\[\s*\{")
_ARRAY_OF_ARRAYS = re.compile(rb"\[\s*\[")
_TABLE = "this is a table: write each row as an object (in pandas orient='records')"
_NO_OBJECTS = (
    "not one value is an object: write texts one a line (as jq -r '.[]' does of a list, jq -r . of "
    "texts), and label these"
)
#: Answers of APIs hold their records so deep: ``hits.hits``, ``data.items``.
_DEEPEST = 3
#: In less time a rate says nothing.
_LEAST_SECS = 0.1
#: Why a record that could be read has no text to label.
_WITHOUT_TEXT = ("no_message", "message_not_a_string")
#: So many names of a record without a message are told.
_MEMBERS = 12


class Summary:
    """Counts rows, labels and faults, and names the first faults on stderr as they come."""

    def __init__(self, name: str, *, is_quiet: bool) -> None:
        self.name = name
        self._is_quiet = is_quiet
        self._begin = time.monotonic()
        self.rows = 0
        self.faults = 0
        self._labels: Counter[str] = Counter()
        #: Those of further labellings, by name, in their order.
        self.further: dict[str, Counter[str]] = {}
        self._reasons: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._known: Counter[tuple[str, str]] = Counter()
        self._members: str | None = None
        #: The member of such a record that holds objects, which may be records.
        self._envelope: str | None = None
        self._is_table = False

    def say(self, text: str) -> None:
        """A line on stderr, unless it is to be quiet."""
        if not self._is_quiet:
            tell(f"waybill: {self.name}: {text}")

    def expect(self, rows: int) -> None:
        """How many rows there may be, for a bar of progress, where bytes do not say it."""

    def fault(self, where: str, what: str, kinds: Sequence[str] = ()) -> None:
        """Name and count what is wrong with one row, and its kinds; also when quiet."""
        self.faults += 1
        self._kinds.update(kinds)
        if self.faults <= _NAMED:
            tell(f"waybill: {self.name}: {where}: {what}")
        elif self.faults == _NAMED + 1:
            tell(f"waybill: {self.name}: more rows with faults are only counted")

    def following(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks`` as they are; a bar of progress looks at them on their way."""
        return chunks

    def note_patterns(self, messages: Sequence[str | None], verdicts: Sequence[Verdict]) -> None:
        """Look at what was left without a label, if that is to be told."""

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Count records and their verdicts."""
        self.rows += len(verdicts)
        # Most records share their verdicts, which are told apart by identity.
        for verdict, count in Counter(verdicts).items():
            self._labels[verdict.label] += count
            for labels, one in zip(self.further.values(), verdict.beside, strict=False):
                labels[one.label] += count
            if verdict.reason:
                self._reasons[verdict.reason] += count

    def count_batch(self, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Count the records of a body; those that pass as they are stand apart."""
        passed = {i: one.reason for i, one in batch.specials.items() if isinstance(one, Passed)}
        if batch.specials:
            self._note_members(batch)
        self.note_patterns(batch.messages, verdicts)
        if not passed:
            self.count(verdicts)
            return
        self.rows += len(passed)
        self._passed.update(map(str, passed.values()))
        self.count([verdict for i, verdict in enumerate(verdicts) if i not in passed])

    @property
    def is_nothing_labelled(self) -> bool:
        """Whether there are rows and not one of them had a text that could be labelled."""
        without = sum(self._reasons[reason] for reason in _WITHOUT_TEXT)
        return 0 < self.rows == self._passed.total() + without

    def _note_members(self, batch: Batch) -> None:
        """Keep what the first record without a message has instead."""
        if self._members is not None:
            return
        for i, special in batch.specials.items():
            if special.reason in _WITHOUT_TEXT:
                members = list(scan.members(batch.body, batch.starts[i]))
                self._members = ", ".join(name for name, *_ in members[:_MEMBERS]) or "nothing"
                self._envelope = path_of_objects(batch.body, batch.starts[i])
                self._is_table = _has_only_lists(batch.body, members)
                return

    def passed(self, count: int, reason: str) -> None:
        """Count records that pass as they are."""
        self.rows += count
        self._passed[reason] += count

    def compare(self, known: str, label: str) -> None:
        """Count a row that had a label of its own, however that is spelled."""
        if normal(known) == normal(label):
            known = label
        self._known[known, label] += 1

    def show(self) -> None:
        """Print all of it."""
        if self._is_quiet:
            return
        for line in self._lines():
            tell(line)

    def begin(self) -> None:
        """The time is taken from now on: rules and model are there."""
        self._begin = time.monotonic()

    @property
    def secs(self) -> float:
        """Seconds since it began."""
        return max(time.monotonic() - self._begin, 1e-6)

    def counts(self) -> dict[str, object]:
        """Everything that was counted, as plain data."""
        agreed = sum(count for (known, ours), count in self._known.items() if known == ours)
        return {
            "rows": self.rows,
            "secs": round(self.secs, 3),
            "faults": self.faults,
            "kinds": dict(self._kinds.most_common()),
            "labels": dict(self._labels.most_common()),
            "further": {name: dict(one.most_common()) for name, one in self.further.items()},
            "reasons": dict(self._reasons.most_common()),
            "passed": dict(self._passed.most_common()),
            "known": self._known.total(),
            "agreed": agreed,
        }

    def _lines(self) -> Iterator[str]:
        secs = self.secs
        rate = f" ({self.rows / secs:,.0f} a second)" if secs >= _LEAST_SECS else ""
        yield f"{rows_of(self.rows)} in {secs:.1f} s{rate}"
        yield from self._shares(self._labels)
        for name, labels in self.further.items():
            yield f"{name}:"
            yield from self._shares(labels)
        yield from self._table("without a decision, by reason:", self._reasons)
        yield from self._table("passed as they are, by reason:", self._passed)
        if self._members is not None:
            yield f"no message: the first such record has: {self._members}; {self._advice()}"
        if self.rows and self.rows == self._passed["not_an_object"]:
            yield _NO_OBJECTS
        if self.is_nothing_labelled:
            yield "no row was labelled; exit code 1"
        if len(self._kinds) > 1:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in self._kinds.most_common())
            yield f"faults by kind: {kinds}"
        if self.faults:
            yield f"{rows_of(self.faults)} with faults (see above); exit code 1"
        yield from self._agreement()

    def _shares(self, labels: Counter[str]) -> Iterator[str]:
        for label, count in labels.most_common(_LABELS):
            yield f"  {count:>12,}  {_share(count, self.rows):>7}  {label}"

    def _advice(self) -> str:
        if self._envelope in _FORMS:
            return _FORMS[self._envelope]
        if self._envelope is not None:
            return f"records within it are read with --set fields.records={self._envelope}"
        if self._is_table:
            return _TABLE
        return "say which of them holds it: --set 'fields.message=[\"NAME\"]'"

    def _table(self, title: str, counted: Counter[str]) -> Iterator[str]:
        if counted:
            yield title
        for reason, count in counted.most_common():
            share = _share(count, self.rows)
            yield f"  {count:>12,}  {share:>7}  {reason_words(reason)} [{reason}]"

    def _agreement(self) -> Iterator[str]:
        if not self._known:
            return
        total = self._known.total()
        agreed = sum(count for (known, ours), count in self._known.items() if known == ours)
        yield f"{rows_of(total)} had a label: {agreed:,} agree ({_share(agreed, total)})"
        yield f"  {'rows':>12}  {'agree':>7}  label in the file"
        by_label: Counter[str] = Counter()
        for (known, _), count in self._known.items():
            by_label[known] += count
        for known, count in by_label.most_common(_LABELS):
            share = _share(self._known[known, known], count)
            yield f"  {count:>12,}  {share:>7}  {known}"
        for (known, ours), count in self._known.most_common():
            if known != ours:
                yield f"  {count:>12,}  differ   {known} -> {ours}"


def rows_of(count: int) -> str:
    """So many rows, in words."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _has_only_lists(body: bytes, members: Sequence[tuple[str, int, int, int]]) -> bool:
    """Whether ``members`` are rows in a list, or columns that are lists or objects by number: how
    tables become JSON.
    """
    is_rows = any(_ARRAY_OF_ARRAYS.match(body, begin, end) for *_, begin, end in members)
    begins = {body[begin : begin + 1] for *_, begin, _ in members}
    return is_rows or (len(members) > 1 and begins in ({b"["}, {b"{"}))


def path_of_objects(body: bytes, at: int, above: tuple[str, ...] = ()) -> str | None:
    """Where the object at ``at`` holds an array of objects, as `fields.records` is written."""
    inner: list[tuple[int, tuple[str, ...]]] = []
    for name, _, start, end in scan.members(body, at):
        path = (*above, name.replace(".", "\\."))
        if _ARRAY_OF_OBJECTS.match(body, start, end):
            return ".".join(path)
        if body.startswith(b"{", start) and len(path) < _DEEPEST:
            inner.append((start, path))
    found = (path_of_objects(body, start, path) for start, path in inner)
    return next(filter(None, found), None)

"""What came of a labelled file, for people."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.wire.json import scan

__all__ = ["Summary"]

#: Rows with a fault that are named one by one.
_NAMED = 20
_LABELS = 30
#: So many names of a record without a message are told.
_MEMBERS = 12


class Summary:
    """Counts rows, labels and faults, and names the first faults on stderr as they come."""

    def __init__(self, name: str, *, is_quiet: bool) -> None:
        self._name = name
        self._is_quiet = is_quiet
        self._begin = time.monotonic()
        self.rows = 0
        self.faults = 0
        self._labels: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._known: Counter[tuple[str, str]] = Counter()
        self._members: str | None = None

    def say(self, text: str) -> None:
        """A line on stderr, unless it is to be quiet."""
        if not self._is_quiet:
            print(f"waybill: {self._name}: {text}", file=sys.stderr)

    def expect(self, rows: int) -> None:
        """Who shows progress is told how many rows there may be, where bytes do not say it."""

    def fault(self, where: str, what: str, kinds: Sequence[str] = ()) -> None:
        """Name and count what is wrong with one row, and its kinds; also when quiet."""
        self.faults += 1
        self._kinds.update(kinds)
        if self.faults <= _NAMED:
            print(f"waybill: {self._name}: {where}: {what}", file=sys.stderr)
        elif self.faults == _NAMED + 1:
            print(f"waybill: {self._name}: more rows with faults are only counted", file=sys.stderr)

    def following(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks`` as they are; who shows progress looks at them on their way."""
        return chunks

    def note_undecided(self, messages: Sequence[str | None], verdicts: Sequence[Verdict]) -> None:
        """Who wants to know what nobody decided looks at it."""

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Count records and their verdicts."""
        self.rows += len(verdicts)
        # Most records share their verdicts, which are told apart by identity.
        for verdict, count in Counter(verdicts).items():
            self._labels[verdict.label] += count
            if verdict.reason:
                self._reasons[verdict.reason] += count

    def count_batch(self, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Count the records of a body; those that pass as they are stand apart."""
        passed = [batch.specials[i].reason for i in batch.specials if batch.messages[i] is None]
        if not passed:
            self.count(verdicts)
            return
        self.rows += len(passed)
        self._passed.update(str(reason) for reason in passed)
        self._note_members(batch)
        special = batch.specials
        told = zip(verdicts, batch.messages, strict=True)
        self.count([one for i, (one, message) in enumerate(told) if message or i not in special])

    @property
    def is_all_passed(self) -> bool:
        """Whether there are rows and not one of them was labelled."""
        return 0 < self.rows == self._passed.total()

    def _note_members(self, batch: Batch) -> None:
        """Keep what the first record without a message has instead."""
        if self._members is not None:
            return
        for i, special in batch.specials.items():
            if special.reason == "no_message":
                names = [name for name, *_ in scan.members(batch.body, batch.starts[i])]
                self._members = ", ".join(names[:_MEMBERS]) or "nothing"
                return

    def passed(self, count: int, reason: str) -> None:
        """Count records that pass as they are."""
        self.rows += count
        self._passed[reason] += count

    def compare(self, known: str, label: str) -> None:
        """Count a row that had a label of its own."""
        self._known[known, label] += 1

    def show(self) -> None:
        """Print all of it."""
        if self._is_quiet:
            return
        for line in self._lines():
            print(line, file=sys.stderr)

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
            "reasons": dict(self._reasons.most_common()),
            "passed": dict(self._passed.most_common()),
            "known": self._known.total(),
            "agreed": agreed,
        }

    def _lines(self) -> Iterator[str]:
        secs = self.secs
        yield f"{self.rows:,} rows in {secs:.1f} s ({self.rows / secs:,.0f} a second)"
        for label, count in self._labels.most_common(_LABELS):
            yield f"  {count:>12,}  {_share(count, self.rows):>7}  {label}"
        yield from self._told("without a decision, by reason:", self._reasons)
        yield from self._told("passed as they are, by reason:", self._passed)
        if self._members is not None:
            yield f"no_message: see fields.message; the first such record has: {self._members}"
        if self.is_all_passed:
            yield "no row was labelled; exit code 1"
        if len(self._kinds) > 1:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in self._kinds.most_common())
            yield f"faults by kind: {kinds}"
        if self.faults:
            yield f"{self.faults:,} rows have faults (see above); exit code 1"
        yield from self._agreement()

    def _told(self, title: str, counted: Counter[str]) -> Iterator[str]:
        if counted:
            yield title
        for reason, count in counted.most_common():
            yield f"  {count:>12,}  {_share(count, self.rows):>7}  {reason}"

    def _agreement(self) -> Iterator[str]:
        if not self._known:
            return
        total = self._known.total()
        agreed = sum(count for (known, ours), count in self._known.items() if known == ours)
        yield f"{total:,} rows had a label: {agreed:,} agree ({_share(agreed, total)})"
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


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"

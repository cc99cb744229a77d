"""What was sent and what came back: the canary's ledger, and the report that is made of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["Ledger", "Report"]


class Report(msgspec.Struct):
    """What became of a run's records; counts, and latencies in seconds from sending to
    being seen. ``labels`` are those of the first field that was looked for, ``further_labels``
    those of others by their names.
    """

    run: str
    sent: int = 0
    acknowledged: int = 0
    back: int = 0
    missing: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    altered: int = 0
    unlabelled: int = 0
    late: int = 0
    attempts_refused: int = 0
    last_error: str | None = None
    labels: dict[str, int] = {}
    further_labels: dict[str, dict[str, int]] = {}
    latency_secs: dict[str, float] = {}

    @property
    def is_fine(self) -> bool:
        """Whether every record came back, labelled and unchanged. Duplicates and order are no
        fault.
        """
        return not (self.missing or self.altered or self.unlabelled or self.late) and self.sent > 0


class Ledger:
    """Notes what was sent and what was seen."""

    def __init__(self, message: str, label_fields: Sequence[str], late_secs: float) -> None:
        self.report = Report(secrets.token_hex(6))
        self._message = message
        self._label_fields = label_fields
        self._labels = [self.report.labels]
        for field in label_fields[1:]:
            self._labels.append(self.report.further_labels.setdefault(field, {}))
        self._late_secs = late_secs
        self._sent: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._highest = -1
        #: Whether all that was sent so far was seen.
        self.is_complete = asyncio.Event()

    def next_batch(self, count: int) -> list[dict[str, object]]:
        """The next ``count`` records; their clocks start now."""
        first = len(self._sent)
        numbers = range(first, first + count)
        self._sent.update(dict.fromkeys(numbers, time.monotonic()))
        self.report.sent += count
        self.is_complete.clear()
        return [self._record(number) for number in numbers]

    def _record(self, number: int) -> dict[str, object]:
        return {
            "date": round(time.time(), 6),
            "log": self._message.format(number=number),
            "source": "waybill-canary",
            "canary_run": self.report.run,
            "canary_number": number,
        }

    def see(self, record: Mapping[str, object], *, is_first_look: bool = True) -> None:
        """A record that came back. A store shows the same one at each look: then only new ones
        count.
        """
        number = self._number(record)
        if number is None:
            return
        if number in self._seen:
            if is_first_look:
                self.report.duplicate += 1
            return
        secs = time.monotonic() - self._sent[number]
        self._seen[number] = secs
        self.report.back += 1
        if len(self._seen) == len(self._sent):
            self.is_complete.set()
        if number < self._highest:
            self.report.out_of_order += 1
        self._highest = max(number, self._highest)
        if record.get("log") != self._message.format(number=number):
            self.report.altered += 1
        if secs > self._late_secs:
            self.report.late += 1
        self._note_labels([record.get(field) for field in self._label_fields])

    def _note_labels(self, labels: Sequence[object]) -> None:
        """Count them; a record that lacks one is not labelled."""
        if not all(isinstance(label, str) for label in labels):
            self.report.unlabelled += 1
        for label, counts in zip(labels, self._labels, strict=True):
            if isinstance(label, str):
                counts[label] = counts.get(label, 0) + 1

    def _number(self, record: Mapping[str, object]) -> int | None:
        """The number of a record of this run; None for any other."""
        number = record.get("canary_number")
        if isinstance(number, str) and number.isdigit():  # a store may keep it as text
            number = int(number)
        if record.get("canary_run") != self.report.run or not isinstance(number, int):
            return None
        if number not in self._sent:
            return None
        return number

    def close(self) -> Report:
        """The report, now that nothing more is waited for."""
        self.report.missing = len(self._sent) - len(self._seen)
        latencies = sorted(self._seen.values())
        if latencies:
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                at = min(len(latencies) - 1, int(share * len(latencies)))
                self.report.latency_secs[name] = round(latencies[at], 4)
        return self.report

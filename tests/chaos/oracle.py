"""Who issued what, who said it was taken, what came out: the judge of a run.

Every record follows from its number alone, so the oracle can tell one that came out changed, one
that was never issued and one that is missing without keeping any of them. The oracle itself is
never part of a fault.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec

#: Names that Waybill adds.
ADDED = frozenset(("target_label", "label_tier", "label_confidence", "label_rule", "label_reason"))


class Report(msgspec.Struct):
    """Counts of a run. ``late`` came out more than the oracle's patience after they were first
    sent.
    """

    sent: int = 0
    acknowledged: int = 0
    delivered: int = 0
    missing: int = 0
    duplicate: int = 0
    corrupted: int = 0
    invented: int = 0
    unlabelled: int = 0
    out_of_order: int = 0
    late: int = 0
    dropped: int = 0
    statuses: dict[str, int] = {}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(self).items())

    @property
    def is_conserved(self) -> bool:
        """Nothing lost, changed, made up or left without a label. Duplicates and order are no
        fault.
        """
        faults = (self.missing, self.corrupted, self.invented, self.unlabelled, self.dropped)
        return not any(faults) and self.delivered > 0


class Oracle:
    """Issues records and judges what comes out. ``late_secs`` is its patience with one record."""

    def __init__(self, seed: int = 1, late_secs: float = 60.0) -> None:
        self.seed, self.late_secs = seed, late_secs
        self.report = Report()
        self._first_sent: list[float] = []
        self._acknowledged = bytearray()
        self._seen = bytearray()
        self._highest = -1

    # -- producers ------------------------------------------------------------------------------

    def issue(self, count: int) -> range:
        """The next ``count`` numbers."""
        first = len(self._seen)
        self._seen.extend(bytes(count))
        self._acknowledged.extend(bytes(count))
        self._first_sent.extend([time.monotonic()] * count)
        self.report.sent += count
        return range(first, first + count)

    def record(self, number: int) -> dict[str, Any]:
        """Record ``number``: what survives JSON and msgpack alike, with text that tempts to change
        it.
        """
        mixed = (number * 2654435761 + self.seed) & 0xFFFFFFFF
        return {
            "n": number,
            "log": f"disk {mixed % 97} is full"
            if number % 3
            else f'job {mixed:x} ended é/\\"\t€ {number}',
            "source": f"system-{mixed % 7}",
            "nested": {"id": f"{mixed:08x}", "list": [number % 2 == 0, None, mixed, -mixed]},
            "big": (1 << 63) - 1 - mixed,
        }

    def text(self, number: int) -> bytes:
        """Record ``number`` as JSON with spellings that a parser and writer in between would
        change.
        """
        record = json.dumps(self.record(number), ensure_ascii=number % 2 == 0).encode()
        return (
            record[:-1]
            + b', "float": 1.50e+0, "huge": 123456789012345678901234567890, "dup":1,"dup":2 }'
        )

    def acknowledge(self, numbers: range) -> None:
        """The producer was told that these are safe."""
        for number in numbers:
            self.report.acknowledged += not self._acknowledged[number]
            self._acknowledged[number] = 1

    # -- receivers ------------------------------------------------------------------------------

    def deliver(self, record: Mapping[str, Any], text: bytes | None = None) -> None:
        """A record came out; with ``text`` the bytes of the JSON it came out in, for what came in
        as `text`.
        """
        number = record.get("n")
        if not isinstance(number, int) or not 0 <= number < len(self._seen):
            self.report.invented += 1
            return
        self.report.duplicate += self._seen[number] > 0
        self.report.delivered += self._seen[number] == 0
        self.report.out_of_order += number < self._highest
        self.report.late += time.monotonic() - self._first_sent[number] > self.late_secs
        self._highest = max(self._highest, number)
        self._seen[number] = min(255, self._seen[number] + 1)
        self.report.unlabelled += not isinstance(record.get("target_label"), str)
        if text is not None:
            original = self.text(number)
            is_same = text.startswith(original[: original.rindex(b"}")].rstrip())
        else:
            is_same = {
                name: value for name, value in record.items() if name not in ADDED
            } == self.record(number)
        self.report.corrupted += not is_same

    def has_seen(self, numbers: range) -> bool:
        """Whether all of ``numbers`` came out."""
        return all(self._seen[number] for number in numbers)

    def close(self) -> Report:
        """The report at the end: acknowledged records that never came out are missing."""
        pairs = zip(self._acknowledged, self._seen, strict=True)
        self.report.missing = sum(1 for acknowledged, seen in pairs if acknowledged and not seen)
        return self.report

"""Progress and summary of a labelled file as lines of JSON on stderr, for programs.

Each second ``{"bytes": .., "rows": .., "secs": ..}``; for each fault ``{"row": .., "fault": ..}``;
at the end the counts of everything, with the masks that nobody decided most often.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from waybill.cli.label_summary import Summary
from waybill.core.pattern import kind_of
from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.labelling.masking import mask

_EVERY_SECS = 1.0
#: Faults that are told one by one.
_TOLD_FAULTS = 1000
#: Masks that are counted; beyond it those seen once are dropped.
_MASKS = 20_000
_TOP = 10
#: How much of a message is masked, in bytes.
_MESSAGE_BYTES = 16_384


class JsonSummary(Summary):
    """The same counts, told as JSON."""

    def __init__(self, name: str, *, is_quiet: bool) -> None:
        super().__init__(name, is_quiet=is_quiet)
        self._bytes = 0
        self._told_at = time.monotonic()
        self._masks: Counter[str] = Counter()

    def say(self, text: str) -> None:
        """A sentence about how the file is read."""
        _tell(said=text)

    def fault(self, where: str, what: str) -> None:
        """What is wrong with one row."""
        self.faults += 1
        if self.faults <= _TOLD_FAULTS:
            _tell(row=where, fault=what)

    def following(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks`` as they are, with a line about them each second."""
        for chunk in chunks:
            yield chunk
            self._bytes += len(chunk)
            now = time.monotonic()
            if now - self._told_at >= _EVERY_SECS:
                self._told_at = now
                _tell(bytes=self._bytes, rows=self.rows, secs=round(self.secs, 3))

    def note_undecided(self, messages: Sequence[str | None], verdicts: Sequence[Verdict]) -> None:
        """Count the masks of what nobody decided."""
        open_ones = []
        for message, verdict in zip(messages, verdicts, strict=True):
            if message and kind_of(verdict.reason) in ("undecided", "not_asked"):
                open_ones.append(message)
        self._masks.update([mask(text) for text in prepare_all(open_ones, _MESSAGE_BYTES)])
        if len(self._masks) > _MASKS:
            self._masks = Counter({key: count for key, count in self._masks.items() if count > 1})

    def show(self) -> None:
        """The last line."""
        _tell(
            done=True, bytes=self._bytes, **self.counts(), undecided=self._masks.most_common(_TOP)
        )


def _tell(**values: object) -> None:
    print(json.dumps(values), file=sys.stderr, flush=True)

"""Progress and summary of a labelled file as lines of JSON on stderr, for programs.

Each second ``{"bytes": .., "rows": .., "secs": .., "open": .., "kinds": {..}}``; for the first
faults of each kind ``{"row": .., "fault": .., "kind": ..}``; at the end the counts of everything,
with the masks that most often nobody decided, or that are said to be no event.
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
#: Faults of a kind that are told one by one.
_TOLD_FAULTS = 5
#: Masks that are counted; beyond it those seen once are dropped.
_MASKS = 20_000
_TOP = 10
#: How much of a message is masked, in bytes.
_MESSAGE_BYTES = 16_384


class _TopMasks:
    """The masks of messages that come most often, in bounded memory."""

    def __init__(self) -> None:
        #: Messages that were added.
        self.messages = 0
        self._masks: Counter[str] = Counter()

    def add(self, messages: Sequence[str]) -> None:
        """Count the mask of each."""
        self.messages += len(messages)
        self._masks.update([mask(text) for text in prepare_all(messages, _MESSAGE_BYTES)])
        if len(self._masks) > _MASKS:
            self._masks = Counter({key: count for key, count in self._masks.items() if count > 1})

    def most(self) -> list[tuple[str, int]]:
        """The most frequent ones."""
        return self._masks.most_common(_TOP)


class JsonSummary(Summary):
    """The same counts, told as JSON."""

    def __init__(self, name: str, *, is_quiet: bool) -> None:
        super().__init__(name, is_quiet=is_quiet)
        self._bytes = 0
        self._told_at = time.monotonic()
        self._undecided = _TopMasks()
        self._no_event = _TopMasks()

    def say(self, text: str) -> None:
        """A sentence about how the file is read."""
        _write_event(said=text)

    def expect(self, rows: int) -> None:
        """How many rows there may be."""
        _write_event(expected=rows)

    def fault(self, where: str, what: str, kinds: Sequence[str] = ()) -> None:
        """What is wrong with one row."""
        self.faults += 1
        for kind in kinds or ("other",):
            self._kinds[kind] += 1
            if self._kinds[kind] <= _TOLD_FAULTS:
                _write_event(row=where, fault=what, kind=kind)

    def following(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks`` as they are, with a line about them each second."""
        for chunk in chunks:
            yield chunk
            self._bytes += len(chunk)
            now = time.monotonic()
            if now - self._told_at >= _EVERY_SECS:
                self._told_at = now
                self._write_progress()

    def note_patterns(self, messages: Sequence[str | None], verdicts: Sequence[Verdict]) -> None:
        """Count the masks of what nobody decided, and of what is said to be no event."""
        undecided: list[str] = []
        no_event: list[str] = []
        for message, verdict in zip(messages, verdicts, strict=True):
            kind = kind_of(verdict.reason)
            if message and kind in ("undecided", "not_asked"):
                undecided.append(message)
            elif message and kind == "no_event":
                no_event.append(message)
        self._undecided.add(undecided)
        self._no_event.add(no_event)

    def show(self) -> None:
        """The last line."""
        _write_event(
            done=True,
            bytes=self._bytes,
            **self.counts(),
            open=self._undecided.messages,
            undecided=self._undecided.most(),
            no_event=self._no_event.most(),
        )

    def _write_progress(self) -> None:
        _write_event(
            bytes=self._bytes,
            rows=self.rows,
            secs=round(self.secs, 3),
            open=self._undecided.messages,
            kinds=dict(self._kinds),
        )


def _write_event(**values: object) -> None:
    print(json.dumps(values), file=sys.stderr, flush=True)

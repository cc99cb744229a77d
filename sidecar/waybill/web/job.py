"""One file of the CSV page: how it is read, and what the command tells of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from waybill.web.option_words import on_page

State = Literal["ready", "waiting", "running", "finished", "failed", "cancelled"]
Check = Literal["none", "running", "done", "failed"]
#: Longest sentence of the command that is kept.
_WORDS = 2000


class Options(msgspec.Struct, frozen=True):
    """How the file is read; empty: found out. The same words as ``waybill label`` has."""

    form: str = ""
    delimiter: str = ""
    quote: str = ""
    encoding: str = ""
    head: str = ""
    sheet: str = ""
    message: str = ""
    source: str = ""
    source_text: str = ""
    label: str = ""
    known: str = ""
    details: str = ""
    on_error: str = ""

    def arguments(self) -> list[str]:
        """As flags of the command."""
        given = {
            "--format": self.form,
            "--delimiter": self.delimiter,
            "--quote": self.quote,
            "--encoding": self.encoding,
            "--head": self.head,
            "--sheet": self.sheet,
            "--message-column": self.message,
            "--source-column": self.source,
            "--source": self.source_text,
            "--label-column": self.label,
            "--known-labels": self.known,
            "--details": self.details,
            "--on-error": self.on_error,
        }
        # In one word: a value that begins with a dash is no flag.
        return [f"{name}={value}" for name, value in given.items() if value]


class Faults(msgspec.Struct):
    """Rows with faults: how many of each kind, and the first of them by row and line."""

    counts: dict[str, int] = {}
    first: dict[str, list[str]] = {}
    words: dict[str, str] = {}


class Job(msgspec.Struct):
    """One file and what became of it.

    ``size`` and ``bytes`` (read so far) are those of the file as it came; ``expected`` are the rows
    that the file says it has; ``open`` are rows that nobody decided. ``run`` counts the runs:
    each has an output of its own. ``check`` is how far the reading for faults is.
    """

    id: str
    name: str
    author: str
    at: float
    size: int = 0
    state: State = "ready"
    options: Options = Options()
    rows: int = 0
    bytes: int = 0
    secs: float = 0.0
    expected: int = 0
    open: int = 0
    said: list[str] = []
    failure: str = ""
    faults: Faults = msgspec.field(default_factory=Faults)
    result: dict[str, object] = {}
    run: int = 0
    corrections: int = 0
    check: Check = "none"
    checked: Faults = msgspec.field(default_factory=Faults)
    checked_rows: int = 0
    check_words: str = ""

    def begin(self) -> None:
        """Forget what an earlier run told."""
        self.run += 1
        self.rows = self.bytes = self.expected = self.open = 0
        self.secs = 0.0
        self.said = []
        self.failure = ""
        self.faults = Faults()
        self.result = {}

    @property
    def done(self) -> float:
        """The part that was read, 0 to 1."""
        if self.expected:
            return min(1.0, self.rows / self.expected)
        return min(1.0, self.bytes / self.size) if self.size else 0.0


def note(job: Job, line: bytes) -> None:
    """What the command told: progress, a fault of a row, the end, or why it cannot go on."""
    told = _parsed(line)
    if isinstance(told, str):
        job.failure = told or job.failure
        return
    if "done" in told:
        job.result = dict(told)
    elif "fault" in told:
        _note_fault(job.faults, told)
    elif "said" in told:
        job.said.append(on_page(str(told["said"])[:_WORDS]))
    for name in ("rows", "bytes", "secs", "open", "expected"):
        if name in told:
            setattr(job, name, told[name])
    if "kinds" in told:
        job.faults.counts = _counts(told["kinds"])


def note_check(job: Job, line: bytes) -> None:
    """What the command told that only reads."""
    told = _parsed(line)
    if isinstance(told, str):
        job.check_words = told or job.check_words
        return
    if "fault" in told:
        _note_fault(job.checked, told)
    rows = told.get("rows")
    if isinstance(rows, int):
        job.checked_rows = rows
    if "kinds" in told:
        job.checked.counts = _counts(told["kinds"])
    if "done" in told:
        job.check = "done"


def _parsed(line: bytes) -> Mapping[str, object] | str:
    """A line as JSON, or a sentence for people."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if isinstance(told, dict):
        return told
    words = line.decode("utf-8", "replace").strip()[:_WORDS]
    return on_page(words.removeprefix("waybill: ").removeprefix("error: "))


def _note_fault(faults: Faults, told: Mapping[str, object]) -> None:
    kind = str(told.get("kind", "other"))
    faults.first.setdefault(kind, []).append(str(told.get("row", "")))
    faults.words.setdefault(kind, str(told["fault"]))
    faults.counts[kind] = max(faults.counts.get(kind, 0), len(faults.first[kind]))


def _counts(told: object) -> dict[str, int]:
    try:
        return msgspec.convert(told, dict[str, int])
    except msgspec.ValidationError:
        return {}

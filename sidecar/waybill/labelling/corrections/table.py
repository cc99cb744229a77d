"""The corrections in force, by mask and source.

>>> table = make_table([new_correction("User 0 left", "User Action")])
>>> lookup = table.for_source("ModernCRM")
>>> [found and found.label for found in lookup.verdicts(["User 17 left", "boom"])]
['User Action', None]
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized

import msgspec

from waybill.core.correction import ANY_SOURCE, Correction, Settled, new_correction, settle
from waybill.core.errors import CorrectionError, CorrectionsError
from waybill.core.labels import Taxonomy
from waybill.core.letting_go import take_apart
from waybill.core.records import Verdict
from waybill.labelling.corrections.appended import Snapshot
from waybill.labelling.corrections.files import History
from waybill.labelling.memo import MaskMemo

__all__ = ["CorrectionTable", "Lookup", "Standing", "make_table", "new_correction", "read_table"]

#: Faults of one load that are told.
_MAX_FAULTS = 20


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A correction that stands, as much of it as deciding needs."""

    mask: str
    source: str
    verdict: Verdict


class CorrectionTable:
    """What stands, to be looked up; ``version`` changes with it, ``history_version`` with every
    line, those that count no more included.

    Who said it when and why is left in the files: of 100,000 corrections it would be most bytes.
    """

    def __init__(self, settled: Sequence[Settled], history_version: str, lines: int) -> None:
        self.history_version = history_version
        #: How many lines the history has, of all that were read for this labelling.
        self.lines = lines
        #: The fingerprint of the files that it was read from.
        self.files_mark = ""
        #: The bytes that it was read from, and a mark of what was fetched; None where that is not
        #: known. What is appended to them can be read alone.
        self.snapshot: tuple[Snapshot, str] | None = None
        #: Reads all that was said in the correction of that id; it blocks.
        self.tell: Callable[[str], Correction | None] = _nothing_known
        self.version = _version_of(settled)
        self.disputed = frozenset(one.correction.id for one in settled if one.is_disputed)
        self.everywhere: dict[str, Verdict] = {}
        self.by_source: dict[str, dict[str, Verdict]] = {}
        self.labels: dict[str, str] = {}
        for one in settled:
            self._put(one.correction)

    def _put(self, said: Correction) -> None:
        label = self.labels.setdefault(said.label, said.label)
        # One object a correction, as one a rule, shared by all records that it decides.
        verdict = Verdict(label, "correction", 1.0, said.id)
        if said.source == ANY_SOURCE:
            self.everywhere[said.mask] = verdict
        else:
            self.by_source.setdefault(said.source, {})[said.mask] = verdict

    def changed(
        self, again: Mapping[tuple[str, str], Settled | None], new: Iterable[Correction]
    ) -> CorrectionTable:
        """The table with ``new`` lines in its history, where ``again`` stands for mask and source.

        It is what `make_table` makes of the whole history, and leaves this one as it is.
        """
        ids = [one.id for one in new]
        table = CorrectionTable((), _plus(self.history_version, ids), self.lines + len(ids))
        table.tell = self.tell
        table.labels = dict(self.labels)
        table.everywhere = dict(self.everywhere)
        table.by_source = dict(self.by_source)
        disputed = set(self.disputed)
        version = self.version
        for (mask, source), settled in again.items():
            before = table._drop(mask, source)
            if before is not None:
                said = _digest_text_of(before, mask, source, before.rule in self.disputed)
                version = _plus(version, [said], -1)
                disputed.discard(before.rule or "")
            if settled is not None:
                table._put(settled.correction)
                version = _plus(version, [_digest_text(settled)])
                if settled.is_disputed:
                    disputed.add(settled.correction.id)
        table.version = version
        table.disputed = frozenset(disputed)
        return table

    def stands(self, mask: str, source: str) -> bool:
        """Whether something stands for just this mask and source."""
        if source == ANY_SOURCE:
            return mask in self.everywhere
        return mask in self.by_source.get(source, {})

    def _drop(self, mask: str, source: str) -> Verdict | None:
        if source == ANY_SOURCE:
            return self.everywhere.pop(mask, None)
        own = dict(self.by_source.get(source, {}))
        before = own.pop(mask, None)
        self.by_source[source] = own
        if not own:
            del self.by_source[source]
        return before

    def kept(self) -> list[Sized]:
        """What has most of its memory; others may share parts of it."""
        return [self.everywhere, *self.by_source.values()]

    def __len__(self) -> int:
        return len(self.everywhere) + sum(map(len, self.by_source.values()))

    def standing(self) -> Iterator[Standing]:
        """Every correction that stands."""
        for mask, verdict in self.everywhere.items():
            yield Standing(mask, ANY_SOURCE, verdict)
        for source, of_source in self.by_source.items():
            for mask, verdict in of_source.items():
                yield Standing(mask, source, verdict)

    def find(self, mask: str, source: str) -> Verdict | None:
        """What stands for a mask: of its source, else of every source."""
        own = self.by_source.get(source, {}).get(mask)
        return own or self.everywhere.get(mask)

    def for_source(self, source: str, masks: MaskMemo | None = None) -> Lookup:
        """The table as records of ``source`` see it; ``masks`` is shared by several look-ups."""
        own = self.by_source.get(source, {})
        if masks is None:  # an empty one is false
            masks = MaskMemo(0)
        return Lookup(own, self.everywhere, masks)


class Lookup:
    """The corrections of one source: one mask and one look-up a message."""

    __slots__ = ("_everywhere", "_masks", "_own")

    def __init__(
        self, own: Mapping[str, Verdict], everywhere: Mapping[str, Verdict], masks: MaskMemo
    ) -> None:
        self._own = own
        self._everywhere = everywhere
        self._masks = masks

    def verdicts(self, texts: Sequence[str]) -> list[Verdict | None]:
        """For each of ``texts``, prepared messages, what a correction says of it, or None."""
        masks = self._masks.masks(texts)
        everywhere = self._everywhere.get
        if not self._own:
            return list(map(everywhere, masks))
        own = self._own.get
        return [own(mask) or everywhere(mask) for mask in masks]


def make_table(history: Sequence[Correction], labelling: str = "") -> CorrectionTable:
    """What stands of ``history`` for one labelling."""
    lines = [one for one in history if one.labelling == labelling]
    settled = settle(lines)
    table = CorrectionTable(settled, _history_version(lines), len(lines))
    take_apart(lines, settled)
    return table


def read_table(history: History, taxonomy: Taxonomy, labelling: str = "") -> CorrectionTable:
    """`make_table` of what files hold; only what stands must keep to the labels.

    Raises:
        CorrectionsError: a correction that stands has an unknown label.
    """
    table = make_table(history.corrections, labelling)
    if any(label not in taxonomy for label in table.labels):
        wrong = [one for one in table.standing() if one.verdict.label not in taxonomy]
        raise CorrectionsError(_label_faults(wrong[:_MAX_FAULTS], history, taxonomy))
    return table


def _label_faults(
    wrong: Sequence[Standing], history: History, taxonomy: Taxonomy
) -> list[CorrectionError]:
    faults: list[CorrectionError] = []
    for one in wrong:
        label, name = one.verdict.label, one.verdict.rule
        file, line = history.place(name or "")
        text = f"{label!r} is not a label{taxonomy.hint(label)}"
        faults.append(CorrectionError("label", text, file=file, line=line))
    return faults


def _nothing_known(_: str) -> Correction | None:
    return None


def _version_of(settled: Sequence[Settled]) -> str:
    """12 hexadecimal digits of what stands, whatever the files and the order of their lines."""
    return sum_of(map(_digest_text, settled))


def _digest_text(settled: Settled) -> str:
    said, is_disputed = settled.correction, settled.is_disputed
    return f"{said.id}\0{said.mask}\0{said.source}\0{said.label}\0{is_disputed}"


def _digest_text_of(verdict: Verdict, mask: str, source: str, is_disputed: bool) -> str:
    """`_digest_text` of what a verdict was made of."""
    return f"{verdict.rule}\0{mask}\0{source}\0{verdict.label}\0{is_disputed}"


def _history_version(history: Sequence[Correction]) -> str:
    return sum_of(one.id for one in history)


def sum_of(lines: Iterable[str]) -> str:
    """12 hexadecimal digits of lines in any order: sorting so many would hold up all threads."""
    return _plus("0", lines)


def _plus(version: str, lines: Iterable[str], times: int = 1) -> str:
    """`sum_of` with more ``lines``, or with -1 ``times`` without them."""
    total = int(version, 16)
    for line in lines:
        digest = hashlib.blake2b(line.encode(), digest_size=6).digest()
        total += times * int.from_bytes(digest)
    return f"{total % (1 << 48):012x}"

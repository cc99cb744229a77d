"""Takes what a person says of a message: checks it, and keeps it.

>>> asked = CorrectionRequest(message="disk 17 is wobbly", label="Error")
>>> taken = await desk.take(asked)                                                # doctest: +SKIP
>>> taken.correction.mask                                                         # doctest: +SKIP
'disk 0 is wobbly'
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.correction import (
    ANY_SOURCE,
    Correction,
    Overruled,
    new_correction,
    settle,
    withdrawal,
)
from waybill.core.errors import CorrectError, CorrectionsError
from waybill.core.labels import Taxonomy
from waybill.core.near import meant
from waybill.core.prepare import prepare
from waybill.labelling.corrections.checks import mask_fault, source_fault
from waybill.labelling.corrections.files import MAX_LINES
from waybill.labelling.corrections.redraw import Deciding, find_deciding, first_rule
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.store import append
from waybill.labelling.corrections.table import CorrectionTable
from waybill.labelling.masking import mask
from waybill.labelling.rules.draft import draft
from waybill.labelling.rules.ruleset import RuleSet

__all__ = ["Checked", "CorrectionRequest", "Desk", "Known", "Taken"]

#: What a person writes of themselves, and as a reason.
_MAX_BY_CHARS, _MAX_NOTE_CHARS = 200, 2000
_NO_PATH = (
    "corrections.path is not set, so there is no file to keep it in; set it to a file such as "
    "/var/lib/waybill/corrections.ndjson"
)
_NO_PATH_BUT_FOLLOWS = "{}; or send it to {}, which this process follows"

#: Messages of a mask that came by: rules may tell them apart by values that nobody would guess.
Known = Callable[[str], Sequence[str]]


class CorrectionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says: of a ``message`` (or its ``mask``) that its label is ``label``; or with
    ``withdraws``, the id of a correction, that it is taken back. ``labelling`` is the name of a
    further labelling that the label belongs to, empty for the first.
    """

    message: str | None = None
    mask: str | None = None
    label: str | None = None
    source: str = ANY_SOURCE
    by: str = ""
    note: str = ""
    withdraws: str | None = None
    labelling: str = ""


class Taken(NamedTuple):
    """A correction that is kept; ``is_new`` is False where it was said before."""

    correction: Correction
    is_new: bool
    overrules: Overruled | None


class Checked(NamedTuple):
    """A correction that would be taken, and the rule that it would overrule."""

    correction: Correction
    overrules: Overruled | None


class Desk:
    """Where corrections are taken; ``rules`` gives those in force, ``path`` is the setting's."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        source: CorrectionSource,
        path: Path | None,
        rules: Callable[[], RuleSet],
        *,
        labelling: str = "",
        follows: str | None = None,
        known: Known | None = None,
        in_force: Callable[[], CorrectionTable] | None = None,
    ) -> None:
        self._in_force = in_force
        self._taxonomy = taxonomy
        self._source = source
        self._path = path
        self._rules = rules
        self._labelling = labelling
        self._follows = follows
        self._known = known

    async def take(self, asked: CorrectionRequest) -> Taken:
        """Check and keep it; when this returns, it is on the disk.

        Raises:
            CorrectError: it is not taken; nothing was written.
        """
        path = self._place()
        self._check_room()
        if asked.withdraws is not None:
            return await self._withdraw(asked, path)
        checked = await self.check(asked)
        before = await self._existing(checked.correction)
        if before is not None:
            return Taken(before, is_new=False, overrules=checked.overrules)
        await asyncio.to_thread(append, path, checked.correction)
        return Taken(checked.correction, is_new=True, overrules=checked.overrules)

    def knows(self, label: str | None) -> bool:
        """Whether it is one of the labels here."""
        return label is not None and label in self._taxonomy

    async def check(self, asked: CorrectionRequest) -> Checked:
        """What would come of it; nothing is written.

        Raises:
            CorrectError: it would not be taken.
        """
        label = self._label_of(asked)
        masked = _mask_of(asked)
        _check_words(asked)
        text = prepare(asked.message or masked)
        rules = self._rules().for_thread()
        allowed = None
        if asked.source != ANY_SOURCE:
            allowed = rules.allowed_for(asked.source, None)
        deciding = await asyncio.to_thread(
            find_deciding, rules, text, label, allowed, self._seen(masked)
        )
        if deciding:
            raise await self._mixed(text, label, deciding)
        rule = first_rule(rules, text, allowed)
        overrules = None
        if rule is not None and rule.label != label:
            overrules = Overruled(rule.id, rule.label)
        correction = new_correction(
            masked,
            label,
            source=asked.source,
            by=asked.by,
            note=asked.note,
            taxonomy=self._taxonomy.version,
            labelling=self._labelling,
        )
        return Checked(correction, overrules)

    def _place(self) -> Path:
        if self._path is not None:
            return self._path
        detail = _NO_PATH
        if self._follows is not None:
            detail = _NO_PATH_BUT_FOLLOWS.format(_NO_PATH, self._follows)
        raise CorrectError("no_path", detail)

    def _check_room(self) -> None:
        """Raises CorrectError (``too_many``): one more, and the files would not be read again."""
        if self._in_force is not None and self._in_force().lines >= MAX_LINES:
            text = f"there are {MAX_LINES:,} corrections, the most that are read; keep what counts"
            raise CorrectError("too_many", text)

    async def _search(
        self, find: Callable[[CorrectionSource], Correction | None]
    ) -> Correction | None:
        """What ``find`` finds. Raises CorrectError (``damaged``): a file has a fault."""
        try:
            return await asyncio.to_thread(find, self._source)
        except CorrectionsError as error:
            detail = f"the corrections there are cannot be read: {error.errors[0]}"
            raise CorrectError("damaged", detail) from None

    async def _existing(self, new: Correction) -> Correction | None:
        """The one that stands and says the same by the same person: a retry adds nothing."""
        if self._in_force is not None:
            found = self._in_force().find(new.mask, new.source)
            if found is None or found.label != new.label:
                return None  # and the files, which may be large, need not be read
        return await self._search(functools.partial(_find_existing, new))

    async def _withdraw(self, asked: CorrectionRequest, path: Path) -> Taken:
        _check_words(asked)
        assert asked.withdraws is not None
        one = await asyncio.to_thread(self._source.tell, asked.withdraws)
        if one is not None:
            line = withdrawal(one, by=asked.by, note=asked.note)
            await asyncio.to_thread(append, path, line)
            return Taken(line, is_new=True, overrules=None)
        await self._search(_check_readable)
        text = f"there is no correction {asked.withdraws!r}; GET /v1/corrections lists all"
        raise CorrectError("unknown_id", text)

    def _seen(self, masked: str) -> Sequence[str]:
        return () if self._known is None else self._known(masked)

    def _label_of(self, asked: CorrectionRequest) -> str:
        label = asked.label
        names = self._taxonomy.names
        if label is None:
            raise CorrectError("fields", f"label is missing; the labels are {', '.join(names)}")
        if label not in self._taxonomy:
            listed = ", ".join(names)
            text = f"{label[:100]!r} is not a label{meant(label, names)}; the labels are {listed}"
            raise CorrectError("label", text)
        return label

    async def _mixed(self, text: str, label: str, deciding: Sequence[Deciding]) -> CorrectError:
        """Why one correction cannot do, with a rule that does: it keeps the values that decide."""
        told = [_difference(one) for one in deciding]
        rule = await draft(
            text, self._taxonomy.names, label=label, keep=[(one.at, one.value) for one in deciding]
        )
        detail = (
            f"a correction holds for all messages that differ in numbers, addresses and ids only, "
            f"and rules tell those apart: {'; '.join(told)}. Write a rule instead"
        )
        values = [dict(one._asdict()) for one in deciding]
        return CorrectError("mixed", detail, {"values": values, "rule": rule})


def _difference(one: Deciding) -> str:
    says = "no rule decides"
    if one.rule is not None:
        says = f"the rule {one.rule} says {one.label}"
    return f"with {one.other} in the place of {one.value} {says}"


def _mask_of(asked: CorrectionRequest) -> str:
    """Raises CorrectError."""
    if asked.message is None and asked.mask is None:
        raise CorrectError("fields", "message is missing (the text of the record), or mask")
    masked = asked.mask
    if asked.message is not None:
        masked = mask(prepare(asked.message))
        if not masked:
            raise CorrectError("no_message", "nothing of the message is left to be read")
        if asked.mask not in (None, masked):
            raise CorrectError("fields", f"mask is not that of the message, which is {masked!r}")
    assert masked is not None
    fault = mask_fault(masked)
    if fault:
        raise CorrectError("fields", fault)
    return masked


def _check_words(asked: CorrectionRequest) -> None:
    """Raises CorrectError."""
    fault = source_fault(asked.source)
    if fault:
        raise CorrectError("source", fault)
    if len(asked.by) > _MAX_BY_CHARS:
        raise CorrectError("fields", f"by has more than {_MAX_BY_CHARS} characters")
    if len(asked.note) > _MAX_NOTE_CHARS:
        raise CorrectError("fields", f"note has more than {_MAX_NOTE_CHARS} characters")
    for text in (asked.message, asked.mask, asked.source, asked.by, asked.note):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise CorrectError("fields", "half a surrogate pair, which no file can hold") from None
    # Terminals and pages show them.
    if not asked.by.isprintable():
        raise CorrectError("fields", "by holds characters that cannot be seen")
    if not asked.note.replace("\n", "").replace("\t", "").isprintable():
        raise CorrectError("fields", "note holds characters that cannot be seen")


def _check_readable(source: CorrectionSource) -> None:
    """Raises CorrectionsError."""
    source.history().clear()


def _find_existing(new: Correction, source: CorrectionSource) -> Correction | None:
    """The one that stands already and says the same by the same person; it blocks.

    Raises CorrectionsError.
    """
    spot = (new.labelling, new.mask, new.source)
    alike = (
        one
        for one in source.said()
        if one.withdraws is not None or (one.labelling, one.mask, one.source) == spot
    )
    for settled in settle(alike):
        one = settled.correction
        if (one.mask, one.source, one.label, one.by) == (new.mask, new.source, new.label, new.by):
            return one
    return None

"""The one policy for names: which of ours a record already carries, and what is added to it.

Every codec asks the same two questions. While it reads: `LabelPolicy.add` decides what becomes of
a record that carries names of ours (an earlier label stays or is replaced; a name that the record
uses for itself is left alone). While it writes: `Additions` gives, for each record of a batch, what
is spliced into it, in the codec's own rendering.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from waybill.core.batch import Batch, Passed, Rewritten, Special, Spliced
from waybill.core.reasons import RecordReason
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.ids import RecordIds

S = TypeVar("S")
#: Names and values in the order in which they are added to a record.
Pairs = Sequence[tuple[str, object]]
Names = frozenset[str]
_NONE: Names = frozenset()
#: What JSON parsers, msgpack and OTLP can all hold.
_INTEGERS = range(-(2**63), 2**63)


class Reading(msgspec.Struct, gc=False):
    """What was read of one record; ``reason`` says why ``message`` is None."""

    message: str | None
    source: str | None = None
    reason: RecordReason | None = None


def make_reading(message: str | None, source: str | None, *, is_other: bool) -> Reading:
    """A `Reading`; ``is_other``: a message field holds something that is not a string."""
    if message is not None:
        return Reading(message, source)
    return Reading(None, source, "message_not_a_string" if is_other else "no_message")


class _AddedFields:
    """The fields of one labelling: what it adds, and whether it replaces what is there."""

    def __init__(self, settings: FieldSettings) -> None:
        self.label = settings.label
        self.replaces = settings.relabel
        self._settings = settings
        optional = (
            settings.tier,
            settings.confidence,
            settings.rule,
            settings.reason,
            settings.record_id,
            settings.pattern,
        )
        #: The names that are added, the label's first.
        self.added = (settings.label, *filter(None, optional))

    def keeps(self, taken: Names) -> bool:
        """Whether a record with ``taken`` of our names keeps the label that it came with."""
        return self.label in taken and not self.replaces

    def values(self, verdict: Verdict) -> list[tuple[str | None, object]]:
        """Names, None for those that are off, and values."""
        names = self._settings
        return [
            (names.label, verdict.label),
            (names.tier, verdict.tier),
            (names.confidence, verdict.confidence),
            (names.rule, verdict.rule),
            (names.reason, verdict.reason),
            (names.pattern, verdict.pattern),
        ]


class LabelPolicy:
    """What the fields of each labelling say about names of ours in records.

    The first of ``settings`` belongs to the verdict itself, the others to those beside it.
    """

    def __init__(self, *settings: FieldSettings) -> None:
        self._labellings = [_AddedFields(one) for one in settings]
        self.record_id = settings[0].record_id
        #: The names that are added, each label's in front of what stands beside it.
        self.added = tuple(name for labelling in self._labellings for name in labelling.added)
        self._own = frozenset(self.added)
        replacing = [labelling for labelling in self._labellings if labelling.replaces]
        self._replaced = frozenset(name for labelling in replacing for name in labelling.added)

    def taken(self, names: Iterable[str]) -> Names:
        """Our own names among ``names``."""
        return self._own.intersection(names)

    def add(
        self,
        batch: Batch,
        start: int,
        stop: int,
        taken: Names,
        read: Callable[[], Reading],
        cut: Callable[[Names], bytes],
        is_blank: Callable[[str], bool],
    ) -> None:
        """Append the record at ``start``, which carries ``taken`` of our names, as a special one.

        ``read()`` gives its message and source, ``cut(names)`` its bytes without members ``names``.
        Where ``is_blank(name)``, the name has a null or an empty text and counts as absent.
        """
        blank = frozenset(filter(is_blank, taken))
        taken -= blank
        if taken and all(labelling.keeps(taken) for labelling in self._labellings):
            batch.add_special(start, Passed(stop, "already_labelled"))
            return
        found = read()
        special: Special
        replaced = (taken & self._replaced) | blank
        if replaced:
            special = Rewritten(stop, cut(replaced), found.reason, taken - replaced)
        else:
            special = Spliced(stop, found.reason, taken)
        batch.add_special(start, special, found.message, found.source)

    def kept(self, special: Special) -> list[bool]:
        """For each labelling whether the record keeps the label it came with; [] if for none."""
        taken = _NONE if isinstance(special, Passed) else special.taken
        if not taken:
            return []
        kept = [labelling.keeps(taken) for labelling in self._labellings]
        return kept if any(kept) else []

    def pairs(self, verdict: Verdict, taken: Names = _NONE) -> Pairs:
        """What ``verdict`` adds to a record, in order, without the names in ``taken``."""
        pairs: list[tuple[str, object]] = []
        for labelling, one in zip(self._labellings, (verdict, *verdict.beside), strict=False):
            if labelling.keeps(taken):
                continue
            for name, value in labelling.values(one):
                if name and value is not None and name not in taken:
                    pairs.append((name, value))
        for name, value in verdict.extra_fields().items():
            if value is not None and name not in taken and name not in self._own:
                pairs.append((_text(name), _sayable(value)))
        return pairs


def _sayable(value: object) -> object:
    """A rule's extra value as every encoding can say it: as text where one of them could not."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in _INTEGERS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in value]
    if isinstance(value, Mapping):
        return {str(_sayable(name)): _sayable(item) for name, item in value.items()}
    return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


class Additions(Generic[S]):
    """What is added to each record of a batch, rendered by one codec.

    ``render`` makes an addition of pairs, ``join`` one of two; ``names_in`` lists the names that a
    record's bytes use; ``identity(batch, i)`` are the bytes by which record ``i`` is known.
    """

    def __init__(
        self,
        policy: LabelPolicy,
        render: Callable[[Pairs], S],
        join: Callable[[S, S], S],
        names_in: Callable[[bytes], Iterable[str]],
        identity: Callable[[Batch, int], bytes] = Batch.data,
    ) -> None:
        self._policy = policy
        self._render = render
        self._join = join
        self._names_in = names_in
        self._identity = identity
        self._rendered = _Rendered(lambda verdict: render(policy.pairs(verdict)))

    def of(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[S]:
        """What each record gets. Meaningless for one that is `Passed`."""
        found = list(map(self._rendered.__getitem__, verdicts))
        additions: list[S]
        if None in found:
            # A rule's extra fields must be held against each record's own names.
            additions = []
            for i, one in enumerate(found):
                additions.append(self._beside(batch, i, verdicts[i]) if one is None else one)
        else:
            additions = found  # type: ignore[assignment]  # no None is in it
        for i, special in batch.specials.items():
            if not isinstance(special, Passed) and special.taken:
                additions[i] = self._beside(batch, i, verdicts[i])
        if self._policy.record_id:
            self._add_ids(batch, additions, self._policy.record_id)
        return additions

    def _beside(self, batch: Batch, i: int, verdict: Verdict) -> S:
        """The addition without the names that the record uses for itself."""
        special = batch.specials.get(i)
        if isinstance(special, Passed):
            return self._render(())
        data = batch.kept(i)
        taken = special.taken if special is not None else _NONE
        extra = verdict.extra_fields()
        if extra and _may_name(data, extra):
            taken = taken.union(self._names_in(data))
        return self._render(self._policy.pairs(verdict, taken))

    def _add_ids(self, batch: Batch, additions: list[S], name: str) -> None:
        ids = RecordIds(batch.tag)
        for i in range(len(batch)):
            special = batch.specials.get(i)
            if isinstance(special, Passed):
                continue
            if special is not None and name in special.taken:
                continue
            member = self._render([(name, ids.next(self._identity(batch, i)))])
            additions[i] = self._join(additions[i], member)


def _may_name(data: bytes, names: Iterable[str]) -> bool:
    """Whether ``data`` may use one of ``names``; in JSON an escape may hide one."""
    return b"\\" in data or any(name.encode("utf-8", "replace") in data for name in names)


class _Rendered(dict[Verdict, S | None]):
    """What each verdict adds to an ordinary record, rendered once: many records share a verdict.

    None where the verdict has extra fields: no one rendering fits every record then.
    """

    #: Verdicts of rule sets and models that are gone fall out when the cache starts anew.
    _LIMIT = 16_384

    def __init__(self, render: Callable[[Verdict], S]) -> None:
        super().__init__()
        self._render = render

    def __missing__(self, verdict: Verdict) -> S | None:
        if len(self) >= self._LIMIT:
            self.clear()
        addition = None if verdict.extra_fields() else self._render(verdict)
        self[verdict] = addition
        return addition

"""Corrections: what people said about a message whose label was wrong.

They are kept as NDJSON, one correction a line, and only ever appended to: taking one back appends
a line that says so. `settle` reads such a history and gives what stands.

>>> first = new_correction("User 0 left", "User Action", at="2026-11-26T10:00:00Z", by="ann")
>>> second = new_correction("User 0 left", "Error", at="2026-11-26T11:00:00Z", by="bob")
>>> [(one.correction.label, one.is_disputed) for one in settle([first, second])]
[('Error', True)]
>>> [one.correction.label for one in settle([first, second, withdrawal(second, at=second.at)])]
['User Action']
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from waybill.core.foreign import decode_with
from waybill.core.letting_go import take_apart

__all__ = [
    "ANY_SOURCE",
    "Correction",
    "Overruled",
    "Settled",
    "correction_id",
    "decode_correction",
    "encode_correction",
    "moment",
    "new_correction",
    "now",
    "settle",
    "withdrawal",
]

#: The ``source`` of a correction that holds for every source.
ANY_SOURCE = "*"


class Correction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One person's word on one kind of message. Unknown fields of a line are passed over.

    ``id``: 16 hexadecimal digits, see `correction_id`. ``mask``: as of `waybill.labelling.masking`.
    ``source``: one source, spelt in full, or ``*``. ``at``: RFC 3339 in UTC. ``taxonomy``: the
    version of the labels under which it was made. ``withdraws``: the id of the correction that this
    line takes back, and whose mask, source and label it repeats. ``labelling``: the name of the
    labelling that it belongs to, empty for the first.
    """

    id: str
    mask: str
    label: str
    source: str = ANY_SOURCE
    by: str = ""
    at: str
    note: str = ""
    taxonomy: str = ""
    withdraws: str | None = None
    labelling: str = ""


class Overruled(msgspec.Struct, frozen=True):
    """The rule that would decide, were there no correction, and its label."""

    rule: str
    label: str


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What stands for a mask and a source; disputed while two people say different labels."""

    correction: Correction
    is_disputed: bool


_DECODER = msgspec.json.Decoder(Correction)
_ENCODER = msgspec.json.Encoder()


def encode_correction(correction: Correction) -> bytes:
    """The correction as a line of NDJSON, with its LF.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate, which no UTF-8 file can.
    """
    return _ENCODER.encode(correction) + b"\n"


def decode_correction(line: bytes) -> Correction:
    """The correction in a line. Raises msgspec.DecodeError."""
    return decode_with(_DECODER, line)


def correction_id(
    mask: str, source: str, label: str, by: str, at: str, withdraws: str | None = None
) -> str:
    """16 hexadecimal digits, of what makes a correction: two different ones never share them."""
    parts = "\0".join((mask, source, label, by, at, withdraws or ""))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def now() -> str:
    """The time of a correction that is made now: RFC 3339 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(at: str) -> datetime:
    """The moment of ``at``. Raises ValueError: it is not a time, or has no zone.

    >>> moment("2026-11-26T10:00:00Z").hour
    10
    """
    found = datetime.fromisoformat(at)
    if found.tzinfo is None:
        raise ValueError("the zone is missing")
    return found


def new_correction(
    mask: str,
    label: str,
    *,
    source: str = ANY_SOURCE,
    by: str = "",
    note: str = "",
    taxonomy: str = "",
    labelling: str = "",
    at: str | None = None,
) -> Correction:
    """A correction with its id, made ``at`` that time or now."""
    when = at or now()
    return Correction(
        id=correction_id(mask, source, label, by, when),
        mask=mask,
        label=label,
        source=source,
        by=by,
        at=when,
        note=note,
        taxonomy=taxonomy,
        labelling=labelling,
    )


def withdrawal(
    taken_back: Correction, *, by: str = "", note: str = "", at: str | None = None
) -> Correction:
    """The line that takes ``taken_back`` back; what stood before it then stands again."""
    when = at or now()
    name = correction_id(
        taken_back.mask, taken_back.source, taken_back.label, by, when, taken_back.id
    )
    return msgspec.structs.replace(
        taken_back, id=name, by=by, at=when, note=note, withdraws=taken_back.id
    )


def settle(history: Iterable[Correction]) -> list[Settled]:
    """What stands of ``history``: one correction for each labelling, mask and source.

    The latest by ``at`` decides, of two at the same time the later one in ``history``. What is
    taken back counts for nothing, unless the taking back was itself taken back. Two people (two
    values of ``by``) who last said different labels leave a mark on what stands.

    Raises:
        ValueError: an ``at`` is not a time with a zone.
    """
    lines = list(history)
    # Of 100,000 lines the garbage collector looks at none, nor at a key that was made of one, and
    # tables are freed in steps: this runs beside the event loop.
    gone = _taken_back(lines)
    by_mask: defaultdict[str, defaultdict[str, dict[str, int]]]
    by_mask = defaultdict(lambda: defaultdict(dict))
    firsts: list[Correction] = []
    several: defaultdict[int, list[Correction]] = defaultdict(list)
    for line in lines:
        if line.withdraws is not None or line.id in gone:
            continue
        index = by_mask[line.labelling][line.source].setdefault(line.mask, len(firsts))
        if index == len(firsts):
            firsts.append(line)
        else:
            several[index].append(line)
    settled: list[Settled] = []
    for index, line in enumerate(firsts):
        if index in several:
            settled.append(_settled([line, *several[index]]))
        else:
            settled.append(Settled(line, is_disputed=False))
    for of_labelling in by_mask.values():
        take_apart(*of_labelling.values())
    take_apart(firsts, lines)
    return settled


def _settled(said: Sequence[Correction]) -> Settled:
    in_order = sorted(said, key=lambda one: moment(one.at))
    last_words = {one.by: one.label for one in in_order}
    return Settled(in_order[-1], is_disputed=len(set(last_words.values())) > 1)


def _taken_back(lines: Sequence[Correction]) -> set[str]:
    """The ids that count for nothing; lines that take each other back in a circle take nothing."""
    named = {line.id: line.withdraws for line in lines if line.withdraws is not None}
    open_takers = Counter(named.values())
    waiting = [taker for taker in named if taker not in open_takers]
    gone: set[str] = set()
    while waiting:
        taker = waiting.pop()
        target = named[taker]
        if taker not in gone:
            gone.add(target)
        open_takers[target] -= 1
        if open_takers[target] == 0 and target in named:
            waiting.append(target)
    return gone

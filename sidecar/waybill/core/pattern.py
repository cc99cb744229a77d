"""A pattern: what many messages have in common, how often it is said, and what is decided about it.

Patterns are what the loop starts with: each sidecar keeps them (`waybill.patterns`), and the
commands that correct, propose rules or measure an edition read them, as NDJSON.

>>> pattern_id("User <id> logged in.")
'045752dded9a51f6'
"""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

import msgspec

from waybill.core.foreign import decode_with, read_json
from waybill.core.names import DecidedBy, words
from waybill.core.reasons import Reason

__all__ = [
    "MEMBERS",
    "MOST_EXAMPLES",
    "MOST_SOURCES",
    "MOST_VERDICTS",
    "Guess",
    "Kind",
    "Pattern",
    "VerdictShare",
    "decode",
    "encode",
    "kind_of",
    "pattern_id",
    "pattern_number",
]

#: How a verdict came out. ``undecided``: nobody could decide; ``not_asked``: somebody who decides
#: was off, late or failed; ``no_event``: decided that no label fits; ``unreadable``: no message.
Kind: TypeAlias = Literal["decided", "undecided", "not_asked", "no_event", "unreadable"]

MOST_SOURCES = 8
MOST_VERDICTS = 8
MOST_EXAMPLES = 3
_ID_BYTES = 8


def pattern_number(mask: str) -> int:
    """The id of a mask (`waybill.labelling.masking.mask`) as a number, the same on every node.

    It is the BLAKE2b of its UTF-8; a lone surrogate is written as if it were a character.
    """
    data = mask.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=_ID_BYTES).digest(), "big")


def pattern_id(mask: str) -> str:
    """`pattern_number` as it is shown: 16 hexadecimal digits."""
    return f"{pattern_number(mask):016x}"


def kind_of(reason: Reason | None) -> Kind:
    """What kind of verdict has ``reason``; None is a label that was given.

    >>> kind_of("low_confidence"), kind_of("model_overloaded")
    ('undecided', 'not_asked')
    """
    match reason:
        case None:
            return "decided"
        case "undecided" | "unknown" | "low_confidence" | "label_not_permitted" | "llm_out_of_set":
            return "undecided"
        case "none_of_these":
            return "no_event"
        case (
            "no_message" | "message_not_a_string" | "not_an_object" | "malformed_record"
            | "record_too_large" | "already_labelled" | "group_marker" | "action_line"
            | "llm_nothing_to_read"
        ):  # fmt: skip
            return "unreadable"
        case _:
            return "not_asked"


class VerdictShare(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict that records of a pattern got, and how many did.

    ``rule`` is the rule's or correction's id, or ``<bundle>@<version>`` of a model; ``confidence``
    is the latest, in [0, 1]; ``count`` is estimated where records were sampled.
    """

    label: str
    tier: DecidedBy
    rule: str | None = None
    confidence: float | None = None
    reason: Reason | None = None
    count: int

    @property
    def kind(self) -> Kind:
        """How this verdict came out."""
        return kind_of(self.reason)


class Guess(msgspec.Struct, frozen=True):
    """The label that was nearest where nobody decided, and its confidence in [0, 1]."""

    label: str
    score: float


#: What each pattern has as JSON, and hardly any record.
MEMBERS = frozenset(("id", "mask", "count"))


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """One mask with its story.

    ``mask`` is as it may be shown: what looks like a secret is taken out, and ``is_cleaned`` says
    so; the id is always that of the mask itself. ``count`` are records since ``since``, at most
    ``error`` too many (Space-Saving), and an estimate where ``sampled``. Times are Unix seconds.
    ``sources`` are the most frequent ones; records of all others are ``other_sources``.
    ``verdicts`` are those of the edition in force, most frequent first. ``labelling`` names the
    labelling that they belong to; empty: the first one.
    """

    id: str
    mask: str
    count: int
    error: int = 0
    sampled: bool = False
    since: float = 0.0
    first_seen: float = 0.0
    last_seen: float = 0.0
    sources: dict[str, int] = {}
    other_sources: int = 0
    verdicts: tuple[VerdictShare, ...] = ()
    guess: Guess | None = None
    examples: tuple[str, ...] = ()
    is_cleaned: bool = False
    labelling: str = ""

    @property
    def least(self) -> int:
        """So many records it has at the least, sampling aside."""
        return self.count - self.error

    @property
    def label(self) -> str:
        """The label that most of its records get; empty where none is known."""
        return self.verdicts[0].label if self.verdicts else ""

    @property
    def kind(self) -> Kind:
        """How the verdict came out that most of its records get."""
        return self.verdicts[0].kind if self.verdicts else "not_asked"

    @property
    def is_mixed(self) -> bool:
        """Whether values that the mask hides decide: its records get different labels.

        A verdict that nobody could give is not a label.
        """
        labels = {share.label for share in self.verdicts if share.kind != "not_asked"}
        return len(labels) > 1

    @property
    def is_undecided(self) -> bool:
        """Whether there are records of it that nobody could decide."""
        return any(share.kind == "undecided" for share in self.verdicts)


#: Members of a verdict, their words, and what stands for one that is not known here.
_WORDS = (
    ("tier", frozenset(words(DecidedBy)), "none"),
    ("reason", frozenset(words(Reason)), "unknown"),
)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Pattern)


def encode(pattern: Pattern) -> bytes:
    """``pattern`` as one line of NDJSON, with its line end."""
    return _encoder.encode(pattern) + b"\n"


def decode(line: bytes) -> Pattern:
    """The pattern of one line; members that are not known are left out.

    A newer Waybill may know more tiers and reasons: those are told as ``none`` and ``unknown``.

    Raises:
        msgspec.DecodeError: it is not JSON, or no pattern.
    """
    try:
        return decode_with(_decoder, line)
    except msgspec.ValidationError:
        told = read_json(line, dict[str, object])
        told["verdicts"] = _as_known(told.get("verdicts", []))
        return msgspec.convert(told, Pattern)


def _as_known(verdicts: object) -> object:
    """``verdicts`` with the words of a newer Waybill replaced; other values stay as they are."""
    if not isinstance(verdicts, list):
        return verdicts
    for share in verdicts:
        if not isinstance(share, dict):
            continue
        for name, known, instead in _WORDS:
            if isinstance(share.get(name), str) and share[name] not in known:
                share[name] = instead
    return verdicts

"""What a codec is: one encoding's way from bytes to a batch, and back with the verdicts in it.

A further encoding is one folder with a class of this protocol and one line in `waybill.wire.Wire`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from waybill.core.batch import UNBOUNDED, Batch, ScanBudget
from waybill.core.records import Verdict
from waybill.wire.event import Event
from waybill.wire.fields import FieldPlan

__all__ = ["DECODE_ERRORS", "SPECIAL_BYTES", "WITHOUT_MESSAGE_BYTES", "Codec", "Encoding"]

#: What decoders raise on input that they do not take. Only the first is msgspec's own error; others
#: were met (text that is not UTF-8, nesting) or may come with another version (numbers, times).
DECODE_ERRORS = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)
#: What adding one record costs beside its bytes, in bytes of the scan budget: ten microseconds
#: where the fast decoder refused it, three where it only found no message.
SPECIAL_BYTES = 32
WITHOUT_MESSAGE_BYTES = 8
#: What looking further than at the first paths costs: twenty microseconds at most, where message or
#: source is the last of all.
FURTHER_BYTES = 24


class Encoding(enum.StrEnum):
    """The encodings of bodies."""

    JSON = "json"
    MSGPACK = "msgpack"
    OTLP = "otlp"
    OTLP_JSON = "otlp_json"


class Codec(Protocol):
    """Reads and writes bodies of one encoding for one `FieldPlan`; no state between calls."""

    @property
    def encoding(self) -> Encoding:
        """Which encoding it is."""
        ...

    @property
    def plan(self) -> FieldPlan:
        """The fields that are read and added."""
        ...

    def decode(self, body: bytes, *, tag: str = "", budget: ScanBudget = UNBOUNDED) -> Batch:
        """The records of ``body``.

        Raises:
            MalformedError: not one record can be found in a body that is not empty.
            SlowToReadError: reading costs more than ``budget``.
        """
        ...

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The body with each verdict's fields added; every other byte as it was."""
        ...

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own, in order."""
        ...

    def join(self, batch: Batch, records: Sequence[bytes], start: int, stop: int, /) -> bytes:
        """One body of ``records[start:stop]`` (of `split`), framed as they came."""
        ...

    def sizes(self, batch: Batch, records: Sequence[bytes], /) -> list[int]:
        """What each of ``records`` (of `split`) adds to a body, in bytes."""
        ...

    def unfit(self, batch: Batch, /) -> Iterator[int]:
        """The records that a strict receiver of this encoding would refuse."""
        ...

    def events(self, batch: Batch, verdicts: Sequence[Verdict]) -> Iterator[Event]:
        """Each labelled record in plain values, in order, for receivers of another encoding."""
        ...

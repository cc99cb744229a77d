"""Labelled records in the form that a receiver takes, ready to be sent in runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from waybill.core.batch import Batch
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.codec import Codec, Encoding
from waybill.wire.event import Event
from waybill.wire.fields import FieldPlan
from waybill.wire.rescue import rescue

#: What another encoding may make of any body, and in times of its size: control characters and
#: zeros take six to eight times as much in some.
_MOST_MADE = 128 << 20
_MOST_TIMES = 2


class Rendered(msgspec.Struct):
    """The records of one batch.

    ``sizes`` are what each adds to a body, in bytes. ``encode(start, stop)`` is the body of a run.
    ``as_text(i)`` is a body with record ``i`` as text inside a plain record, for a receiver that
    does not take it as it is.
    """

    content_type: str
    sizes: Sequence[int]
    encode: Callable[[int, int], bytes]
    as_text: Callable[[int], bytes]


class Context(msgspec.Struct):
    """What a form needs beside the records; ``now()`` is in seconds since the epoch. Of records in
    another encoding than they came in there are ``left_bytes`` at most.
    """

    plan: FieldPlan
    tag: str
    now: Callable[[], float]
    left_bytes: float = math.inf

    def counted(self, record: bytes) -> bytes:
        """``record``, which was made just now. Raises MalformedError (``too_large``)."""
        self.left_bytes -= len(record)
        if self.left_bytes < 0:
            raise MalformedError("too_large", "its records are far larger in the other encoding")
        return record


class Form(Protocol):
    """What a receiver takes. A further form is one module in `waybill.wire.convert`."""

    @property
    def native(self) -> frozenset[Encoding]:
        """The encodings whose records keep their bytes in this form."""
        ...

    @property
    def family(self) -> frozenset[Encoding]:
        """The encodings that `keep` takes: the native ones, and those whose frames it converts."""
        ...

    def keep(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict], at: Context
    ) -> Rendered:
        """Records of an encoding of the family; those of a native one are spliced."""
        ...

    def convert(self, events: Iterable[Event], at: Context) -> Rendered:
        """Records of any other encoding."""
        ...


def render(
    codec: Codec,
    batch: Batch,
    verdicts: Sequence[Verdict],
    form: Form,
    now: Callable[[], float],
) -> Rendered:
    """The labelled records of ``batch`` in ``form``.

    Within one encoding records are spliced and stay as they were, byte for byte. Between encodings
    there is no such thing: values are kept, spellings are not. ``now`` is asked for the time of
    records that have none, in seconds since the epoch.
    """
    most = max(_MOST_MADE, _MOST_TIMES * len(batch.body))

    def rendered(batch: Batch, verdicts: Sequence[Verdict]) -> Rendered:
        context = Context(codec.plan, batch.tag, now, most)
        if codec.encoding in form.family:
            return form.keep(codec, batch, verdicts, context)
        return form.convert(codec.events(batch, verdicts), context)

    return rescue(batch, verdicts, rendered)

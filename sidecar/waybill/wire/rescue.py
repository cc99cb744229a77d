"""The last net when a batch is written: a record that raises costs no other record its label.

Codecs and forms are made so that no record makes them raise. Should one do it all the same, the
records are tried one by one; those that raise pass as they came (``record_failed``), and the work
is done again without them. `Batch.fault` keeps the first exception for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from waybill.core.batch import Batch
from waybill.core.errors import NOT_OF_A_RECORD
from waybill.core.records import Verdict
from waybill.wire.codec import Codec

T = TypeVar("T")
#: What is done with a batch and the verdicts on its records.
Work = Callable[[Batch, Sequence[Verdict]], T]


def rescue(batch: Batch, verdicts: Sequence[Verdict], work: Work[T]) -> T:
    """The result of ``work``, with the records that make it raise set aside.

    Raises:
        Exception: what ``work`` raises where none of the records alone makes it raise.
    """
    try:
        return work(batch, verdicts)
    except NOT_OF_A_RECORD:
        raise
    except Exception:
        if not _set_aside(batch, verdicts, work):
            raise
    return work(batch, verdicts)


def spliced_body(codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
    """The body of ``batch`` with the verdicts in it."""
    return rescue(batch, verdicts, codec.splice)


def _set_aside(batch: Batch, verdicts: Sequence[Verdict], work: Work[T]) -> bool:
    """Try each record alone; whether there was one to set aside."""
    has_failed = False
    for i, verdict in enumerate(verdicts):
        try:
            work(batch.alone(i), [verdict])
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - kept in the batch: counted and logged
            batch.set_aside(i, error)
            has_failed = True
    return has_failed

"""What a handback is: where labelled batches go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from waybill.core.batch import Batch
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.wire.codec import Codec


class Handback(Protocol):
    """Where labelled batches go. ``hand_back`` returns once the receiver has them."""

    @property
    def name(self) -> HandbackName:
        """The word for it in settings and metrics."""
        ...

    async def hand_back(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]
    ) -> bytes | None:
        """Give the records back; a body for the answer, or None when they were pushed.

        Raises:
            HandbackError: the receiver does not have all of them.
        """
        ...

    async def close(self) -> None:
        """Close connections. May be called twice, and without any hand-back before."""
        ...

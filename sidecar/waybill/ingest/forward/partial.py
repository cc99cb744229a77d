"""Messages that are not whole yet: counted like bodies, and not waited for without an end."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from waybill.core.errors import OverloadedError
from waybill.flow.inflight import Grow
from waybill.ingest.forward.delivering import Deliverer, NotTakenError
from waybill.ingest.forward.reads import BUFFER_BYTES, Reads

#: How long one message may take from its first byte to its last: its sender has the rest.
MESSAGE_SECS = 60.0
#: Between attempts to find room for what was read.
_RETRY_SECS = 0.1


class Partial:
    """What one connection has sent of a message. A context: at its end nothing is held."""

    def __init__(self, deliverer: Deliverer, reads: Reads) -> None:
        self._deliverer = deliverer
        self._reads = reads
        self._stack = contextlib.ExitStack()
        self._grow: Grow | None = None
        self._counted = 0
        self._ends_at: float | None = None

    def __enter__(self) -> Self:
        self._grow = self._stack.enter_context(self._deliverer.hold())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """What comes next; nothing at the end.

        Raises:
            NotTakenError: a message is half sent and its time is up.
        """
        if self._ends_at is None:
            return await self._reads.read(reader)
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._reads.read(reader)
        except TimeoutError:
            self._deliverer.refuse("slow_body")
            raise NotTakenError("slow_body") from None

    async def count(self, size: int) -> None:
        """Count ``size`` bytes of the message under way; wait for room while its time lasts.

        Meanwhile nothing more is read, so that the pressure reaches the client.

        Raises:
            NotTakenError: there was no room.
        """
        if size == 0:
            self.release()
            return
        loop = asyncio.get_running_loop()
        if self._ends_at is None:
            self._ends_at = loop.time() + MESSAGE_SECS
        # Small messages come through whatever large ones hold: so much is not counted.
        more = max(0, size - BUFFER_BYTES) - self._counted
        while not self._try_grow(more):
            if loop.time() > self._ends_at or self._reads.is_paused:
                self._deliverer.refuse("inflight_bytes")
                raise NotTakenError("inflight_bytes")
            await asyncio.sleep(_RETRY_SECS)

    def release(self) -> None:
        """A message is whole: from here on its delivery counts it."""
        self._try_grow(-self._counted)
        self._ends_at = None

    def _try_grow(self, more: int) -> bool:
        assert self._grow is not None
        try:
            self._grow(more)
        except OverloadedError:
            return False
        self._counted += more
        return True

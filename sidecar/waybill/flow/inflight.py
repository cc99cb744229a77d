"""How many bytes of bodies, and of what is made of them, may be in memory at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager

from waybill.core.errors import OverloadedError
from waybill.settings.schema import LimitSettings

#: Accounts for that many bytes more. Raises OverloadedError past the bound.
Grow = Callable[[int], None]
#: Accounts for that many bytes more if there is room for them; whether there is.
TryGrow = Callable[[int], bool]
#: What decoding and writing make of a body, in times of its size: its messages, its records with
#: their labels, and the answer or the parts that are pushed (tracemalloc, every codec, records of
#: 5 to 60,000 bytes).
WORK_TIMES = 3
#: And for each record beside its bytes: offsets, messages, verdicts (150 to 240 bytes to decode,
#: 50 to 100 to write).
RECORD_BYTES = 300


class Inflight:
    """Bytes of bodies being worked on, bounded: past the bound new bodies are refused, not queued.

    What is read already waits for room to be worked on, for ``wait_secs`` at most, in the order in
    which it came. Bodies may take only so much that work on the largest has room beside them.
    """

    def __init__(
        self,
        limits: LimitSettings,
        on_change: Callable[[int], object],
        wait_secs: float = 10.0,
    ) -> None:
        self._limit = limits.inflight_bytes
        spare = (limits.inflight_bytes - limits.body_bytes) * 3 // 4
        self._body_limit = self._limit - max(0, min(WORK_TIMES * limits.body_bytes, spare))
        self._on_change = on_change
        self._wait_secs = wait_secs
        self._body_bytes = 0
        self._work_bytes = 0
        self._workers = 0
        self._queue = asyncio.Lock()
        self._has_changed = asyncio.Event()

    @property
    def bytes(self) -> int:
        """All that is counted."""
        return self._body_bytes + self._work_bytes

    @contextlib.contextmanager
    def hold(self) -> Iterator[Grow]:
        """A context whose value is ``grow(bytes)``; what was grown is released at its end.

        A negative count releases so many bytes before that.

        ``grow`` raises OverloadedError ``inflight_bytes`` past the bound.
        """
        held = 0

        def grow(count: int) -> None:
            nonlocal held
            if count > 0 and not self._has_room_for_body(count):
                raise OverloadedError("inflight_bytes")
            held += count
            self._change(count, 0)

        try:
            yield grow
        finally:
            self._change(-held, 0)

    def work(self, body_bytes: int, records: int = 0) -> AbstractAsyncContextManager[TryGrow]:
        """A context in which a body of so many bytes, held already, may be decoded and written;
        ``records`` is how many it is known to have.
        """
        return self.room(WORK_TIMES * body_bytes + RECORD_BYTES * records)

    @contextlib.asynccontextmanager
    async def room(self, count: int) -> AsyncIterator[TryGrow]:
        """A context in which work may take ``count`` bytes.

        Its value is ``grow(bytes)`` for what turns out to be needed beside. Where nothing else is
        worked on a body always has its turn, and room.

        Raises:
            OverloadedError: ``inflight_bytes``, when its turn did not come in time.
        """
        held = count
        await self._wait_for_turn(held)
        self._workers += 1
        self._change(0, held)

        def grow(more: int) -> bool:
            nonlocal held
            if self._workers > 1 and self.bytes + more > self._limit:
                return False
            held += more
            self._change(0, more)
            return True

        try:
            yield grow
        finally:
            self._workers -= 1
            self._change(0, -held)

    async def _wait_for_turn(self, count: int) -> None:
        if not self._queue.locked() and self._has_room_for_work(count):
            return
        try:
            async with asyncio.timeout(self._wait_secs), self._queue:
                while not self._has_room_for_work(count):
                    self._has_changed.clear()
                    await self._has_changed.wait()
        except TimeoutError:
            raise OverloadedError("inflight_bytes") from None

    def _has_room_for_body(self, count: int) -> bool:
        if self._body_bytes + count > self._body_limit:
            return False
        # Work on one body that has the service to itself may go beyond the limit by itself.
        return self._workers == 1 or self.bytes + count <= self._limit

    def _has_room_for_work(self, count: int) -> bool:
        return not self._workers or self.bytes + count <= self._limit

    def _change(self, body_bytes: int, work_bytes: int) -> None:
        self._body_bytes += body_bytes
        self._work_bytes += work_bytes
        self._on_change(self.bytes)
        if body_bytes < 0 or work_bytes < 0:
            self._has_changed.set()

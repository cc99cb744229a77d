"""How many bytes of bodies may be worked on at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from waybill.core.errors import OverloadedError

#: Accounts for that many bytes more. Raises OverloadedError past the bound.
Grow = Callable[[int], None]


class Inflight:
    """Bytes of bodies being worked on, bounded: past the bound new work is refused, not queued."""

    def __init__(self, limit_bytes: int, on_change: Callable[[int], object]) -> None:
        self._limit = limit_bytes
        self._on_change = on_change
        self.bytes = 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[Grow]:
        """A context whose value is ``grow(bytes)``; what was grown is released at its end.

        A negative count releases so many bytes before that.

        ``grow`` raises OverloadedError ``inflight_bytes`` past the bound.
        """
        held = 0

        def grow(count: int) -> None:
            nonlocal held
            if count > 0 and self.bytes + count > self._limit:
                raise OverloadedError("inflight_bytes")
            held += count
            self.bytes += count
            self._on_change(self.bytes)

        try:
            yield grow
        finally:
            self.bytes -= held
            self._on_change(self.bytes)

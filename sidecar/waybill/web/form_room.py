"""Counts what strangers send as forms: together they have so many bytes in memory, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["FormRoom"]

_MOST_BYTES = 16 << 20
#: So much of a form is not counted: a login gets in while other forms fill all the room.
_FREE_BYTES = 4096


class FormRoom:
    """The bytes of forms that are being read."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[int], bool]]:
        """Gives a function to be called with the size of a form each time that it grows; it says
        whether there is room. The form counts until the context is left.
        """
        own = 0

        def grow(size: int) -> bool:
            nonlocal own
            more = max(0, size - _FREE_BYTES) - own
            if more and self.held_bytes + more > self._most_bytes:
                return False
            own += more
            self.held_bytes += more
            return True

        try:
            yield grow
        finally:
            self.held_bytes -= own

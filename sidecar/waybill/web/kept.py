"""Caches what is costly to count and moves slowly: counted at most once a minute."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_SECS = 60.0


class Kept(Generic[T]):
    """The last value, while it is not older than a minute."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._at = 0.0

    async def get(self, make: Callable[[], Awaitable[T]]) -> T:
        """The kept value, or a new one of ``make``."""
        if self._value is None or time.monotonic() - self._at > _SECS:
            self._value = await make()
            self._at = time.monotonic()
        return self._value

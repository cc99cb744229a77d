"""How large a record may be to be read, and how many plain values may be made of one."""

from __future__ import annotations

#: In plain values a record of a million takes 150 MB, which nothing counts; no log has as many.
MOST_VALUES = 1 << 18
#: A larger record passes as it came: no log has one, and to read a text of 60 MB is one call of 60
#: to 170 ms in which nothing else runs, on whatever thread.
MOST_RECORD_BYTES = 8 << 20


class Allowance:
    """Counts the values that are made of one record while they are made."""

    __slots__ = ("_left",)

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._left = most

    def take(self) -> None:
        """Count one value. Raises ValueError when there are too many."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many values")

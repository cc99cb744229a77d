"""Spools a sidecar's answer until it is complete, so that nothing of a broken one is merged.

It lies on disk where it is long, so that many sidecars at once cost no memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from waybill.core.pattern import Pattern, decode, encode

__all__ = ["Spool"]

#: What is held in memory; one with a few thousand patterns stays there.
_MEMORY_BYTES = 1 << 20
#: A batch: so many patterns, or so many bytes.
_BATCH = 500
_BATCH_BYTES = 2 << 20
#: More than any node keeps (`patterns.max` with all of its workers).
_MOST = 500_000


class Spool:
    """The patterns of one answer, each once; a context manager."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115
        self._ids: set[int] = set()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, pattern: Pattern) -> None:
        """Put one aside; its id is of 16 hex digits. Raises ValueError: it is there already, or
        there are more than any node keeps.
        """
        number = int(pattern.id, 16)
        if number in self._ids:
            raise ValueError(f"{pattern.id} twice")
        if len(self._ids) >= _MOST:
            raise ValueError(f"more than {_MOST:,} patterns")
        self._ids.add(number)
        self._file.write(encode(pattern))

    def batches(self) -> Iterator[list[Pattern]]:
        """All of them in their order, some at a time."""
        self._file.seek(0)
        batch: list[Pattern] = []
        size = 0
        for line in self._file:
            batch.append(decode(line))
            size += len(line)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

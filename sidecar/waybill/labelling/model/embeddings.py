"""Embeddings made before or being made now, shared by all models with the same encoder.

A text is embedded once for all bundles with the same encoder: the first asks for it, the others
take the vector from the cache, or wait for the one that is under way. All state lives on the event
loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cachetools import LRUCache

from waybill.labelling.model.encoders.base import Floats

#: Identity of an encoder, and a text.
Key = tuple[str, str]
#: Bytes of a cached embedding beside its vector and text: key, array header, node (sys.getsizeof).
_ENTRY_BYTES = 400


class Embeddings:
    """A cache of about ``limit_bytes``, and the vectors under way."""

    def __init__(self, limit_bytes: int) -> None:
        self._cache: LRUCache[Key, Floats] = LRUCache(limit_bytes, _cached_bytes)
        self._under_way: dict[Key, asyncio.Future[Floats | None]] = {}

    def known(self, keys: Sequence[Key]) -> dict[Key, Floats]:
        """The cached vectors of ``keys``."""
        found: dict[Key, Floats] = {}
        for key in keys:
            vector = self._cache.get(key)
            if vector is not None:
                found[key] = vector
        return found

    def begin(self, keys: Sequence[Key]) -> None:
        """Note that the caller makes the vectors of ``keys``, and owes `finish`."""
        loop = asyncio.get_running_loop()
        for key in keys:
            self._under_way.setdefault(key, loop.create_future())

    def is_under_way(self, key: Key) -> bool:
        """Whether somebody makes the vector of ``key``."""
        return key in self._under_way

    def finish(self, keys: Sequence[Key], vectors: Floats | None) -> None:
        """Keep the vectors of ``keys`` and give them to all who wait; None: they were not made."""
        for row, key in enumerate(keys):
            own = None
            if vectors is not None:
                # A row of the batch's array would keep the whole array alive.
                own = vectors[row].copy()
                if _cached_bytes(own) <= self._cache.maxsize:
                    self._cache[key] = own
            waiting = self._under_way.pop(key, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(own)

    async def wait_for(self, keys: Sequence[Key]) -> dict[Key, Floats]:
        """The vectors of ``keys`` that others make; without those that they could not make."""
        futures = {key: self._under_way[key] for key in keys if key in self._under_way}
        if futures:
            await asyncio.wait(futures.values())
        found: dict[Key, Floats] = {}
        for key, future in futures.items():
            vector = future.result()
            if vector is not None:
                found[key] = vector
        return found


def _cached_bytes(vector: Floats) -> int:
    """Bytes that a cache entry holds; texts are at most 512 characters, counted as 100."""
    return vector.nbytes + _ENTRY_BYTES + 100

"""Ids of records, by which a store keeps one copy of what came twice."""

from __future__ import annotations

import hashlib
from collections import Counter


class RecordIds:
    """The ids of one batch's records, asked for in order; the same at every retry, on every node.

    An id is 128 bits of BLAKE2b over the tag, all that came with the record (of an event its time
    and metadata too) and how many equal ones stand before it in the batch. Two equal records in
    *different* batches have one id: nothing tells them from a batch that was sent again.
    """

    def __init__(self, tag: str) -> None:
        self._key = hashlib.blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=32).digest()
        self._seen: Counter[bytes] = Counter()

    def next(self, data: bytes) -> str:
        """The id of the next record, which came as ``data``; 32 hexadecimal digits."""
        digest = self._hash(data, 0)
        before = self._seen[digest]
        self._seen[digest] += 1
        return (self._hash(data, before) if before else digest).hex()

    def _hash(self, data: bytes, before: int) -> bytes:
        return hashlib.blake2b(
            data, digest_size=16, key=self._key, salt=before.to_bytes(16, "big")
        ).digest()

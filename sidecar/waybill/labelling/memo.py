"""The memo: verdicts that were given before.

Three levels stand before the slow tiers. The exact message is looked up first; a message not seen
before goes through the rules, and if none decides it, its *shape* (each digit as 0) is looked up,
then its *mask* (what varies collapsed). Shapes and masks lead to verdicts of the model or the LLM,
which depend on nothing but the masked message, so a retried batch gets the verdicts that it got the
first time.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Generic, TypeVar

from waybill.core.records import Verdict
from waybill.labelling.masking import mask, shapes

V = TypeVar("V")
#: What an entry costs beside its key's characters: a str header, a dict slot (CPython 3.11,
#: measured with sys.getsizeof and tracemalloc over 100,000 entries of 100 characters: 58 + 104
#: bytes).
ENTRY_BYTES = 160


class BoundedMap(Generic[V]):
    """A mapping from str that holds about ``limit_bytes`` and forgets what was not used lately.

    Two generations instead of a linked list: when the young one is full the old one is dropped, and
    what is found in the old one moves up. A hit costs one dict look-up.
    """

    __slots__ = ("_bytes", "_half", "_old", "recent")

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(1, limit_bytes // 2)
        #: The young generation, for a hot loop that would look here before it calls `get`.
        self.recent: dict[str, V] = {}
        self._old: dict[str, V] = {}
        self._bytes = 0

    def get(self, key: str) -> V | None:
        """The value kept for ``key``, or None."""
        value = self.recent.get(key)
        if value is not None:
            return value
        value = self._old.get(key)
        if value is not None:
            self.put(key, value)
        return value

    def put(self, key: str, value: V) -> None:
        """Keep ``value`` for ``key``."""
        if key in self.recent:
            self.recent[key] = value
            return
        self._bytes += ENTRY_BYTES + len(key)
        if self._bytes > self._half:
            # Cleared in place: a holder of `recent` keeps holding the young generation.
            self._old = dict(self.recent)
            self.recent.clear()
            self._bytes = ENTRY_BYTES + len(key)
        self.recent[key] = value

    def resize(self, limit_bytes: int) -> None:
        """Hold about ``limit_bytes`` from now on; what is beyond them is forgotten at once."""
        half = max(1, limit_bytes // 2)
        if half < self._half:
            self._old = {}
            if self._bytes > half:
                self.clear()
        self._half = half

    def clear(self) -> None:
        """Forget everything."""
        self.recent.clear()
        self._old = {}
        self._bytes = 0

    def kept(self) -> list[Sized]:
        """What has its memory."""
        return [self.recent, self._old]

    def __contains__(self, key: str) -> bool:
        return key in self.recent or key in self._old

    def __len__(self) -> int:
        return len(self.recent.keys() | self._old.keys())


class RouteMemo:
    """What the slow tiers of one route said, by shape and by mask, in ``limit_bytes`` together."""

    __slots__ = ("masks", "shapes")

    def __init__(self, limit_bytes: int) -> None:
        self.shapes: BoundedMap[Verdict] = BoundedMap(limit_bytes // 2)
        self.masks: BoundedMap[Verdict] = BoundedMap(limit_bytes // 2)

    def kept(self) -> list[Sized]:
        """What has its memory."""
        return [*self.shapes.kept(), *self.masks.kept()]

    def __len__(self) -> int:
        return len(self.shapes) + len(self.masks)


class MaskMemo:
    """The masks of messages by their shape, in about ``limit_bytes``.

    A mask costs some microseconds, a shape and a look-up a tenth of that, and messages that differ
    in numbers only share both.
    """

    __slots__ = ("_known",)

    def __init__(self, limit_bytes: int) -> None:
        # A mask is at most as long as its shape, which is what the map counts.
        self._known: BoundedMap[str] = BoundedMap(limit_bytes // 2)

    def masks(self, texts: Sequence[str]) -> list[str]:
        """The mask of each of ``texts``, prepared messages."""
        recent = self._known.recent.get
        found: list[str] = []
        for text, key in zip(texts, shapes(texts), strict=True):
            masked = recent(key)
            if masked is None:
                masked = self._known.get(key)
                if masked is None:
                    masked = mask(text)
                    self._known.put(key, masked)
            found.append(masked)
        return found

    def kept(self) -> list[Sized]:
        """What has its memory."""
        return self._known.kept()

    def __len__(self) -> int:
        return len(self._known)

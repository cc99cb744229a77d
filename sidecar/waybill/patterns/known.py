"""The ids of patterns that were met before: what is not among them is new.

Two generations of a hash table in memory that all workers share: when the young one is full, the
old one is forgotten and they change places; what is met in the old one moves up. So the ids of at
least the last ``2 * size`` new patterns are known, beside those of the table, which its owner puts
back (`KnownPatterns.keep`). Each id comes with the moment at which it was first met.

A flood of new patterns is what it is: it makes others forgotten only when they are in no table.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from waybill.core.errors import WaybillError

__all__ = ["KnownPatterns", "KnownScope", "NotKnown"]

_MAGIC = b"waybill known patterns 1\n"
_DIGEST_BYTES = 16
#: Places in the header; both generations have their entries counted, one behind the other.
_GENERATION = 0
_CHANGES = 1
_BEGAN = 2
_ENTRIES = 3
_HEADER = 8
_BYTES_PER_ID = 12
#: Places looked at for one id; at two thirds of the places taken, 99.99 % need fewer.
_MOST_PROBES = 64


class NotKnown(WaybillError):
    """What was to be loaded is not what `KnownPatterns.dump` gives."""

    code: Literal["read"] = "read"


class KnownPatterns:
    """Ids as numbers, and when each was first met, in Unix seconds.

    ``lock`` is the path of a file where several processes share this object; all methods may be
    called in any of them.
    """

    def __init__(self, size: int, began: float, lock: Path | None = None) -> None:
        self._most = 2 * size
        self._places = 1 << (3 * size).bit_length()
        self._lock = lock
        memory = mmap.mmap(-1, 8 * _HEADER + 2 * self._places * _BYTES_PER_ID)
        view = memoryview(memory)
        at = 8 * _HEADER
        self._header = view[:at].cast("Q")
        self._ids: list[memoryview[int]] = []
        self._firsts: list[memoryview[int]] = []
        for _ in range(2):
            self._ids.append(view[at : at + 8 * self._places].cast("Q"))
            at += 8 * self._places
            self._firsts.append(view[at : at + 4 * self._places].cast("I"))
            at += 4 * self._places
        self._header[_BEGAN] = int(began)

    @property
    def generation(self) -> int:
        """Moves on when a generation is forgotten: what is to stay must be kept again."""
        return int(self._header[_GENERATION])

    @property
    def changes(self) -> int:
        """Moves on with every id that is added."""
        return int(self._header[_CHANGES])

    @property
    def began(self) -> int:
        """When it began to learn, in Unix seconds."""
        return int(self._header[_BEGAN])

    def __len__(self) -> int:
        return int(self._header[_ENTRIES] + self._header[_ENTRIES + 1])

    def meet(self, number: int, now: int) -> tuple[int, bool]:
        """When the pattern was first met, and whether that is now."""
        first = self._find(number, self.generation & 1)
        if first is not None:
            return first, False
        first = self._find(number, ~self.generation & 1)
        self._add(number, now if first is None else first)
        if first is None:
            return now, True
        return first, False

    def keep(self, number: int, first: int) -> None:
        """See that an id is in the young generation."""
        if self._find(number, self.generation & 1) is None:
            self._add(number, first)

    def _spots(self, number: int) -> Iterator[int]:
        for probe in range(_MOST_PROBES):
            yield (number + probe) & (self._places - 1)

    def _find(self, number: int, which: int) -> int | None:
        ids = self._ids[which]
        number = number or 1  # 0 is an empty place
        for spot in self._spots(number):
            if ids[spot] == number:
                return int(self._firsts[which][spot])
            if not ids[spot]:
                return None
        return None

    def _add(self, number: int, first: int) -> None:
        which = self.generation & 1
        if self._header[_ENTRIES + which] >= self._most:
            which = self._forget(self.generation)
        number = number or 1
        ids = self._ids[which]
        for spot in self._spots(number):
            if not ids[spot]:
                self._firsts[which][spot] = first
                ids[spot] = number
                self._header[_ENTRIES + which] += 1
                self._header[_CHANGES] += 1
                return
        self._forget(self.generation)

    def _forget(self, generation: int) -> int:
        """Begin a generation after ``generation``, unless another process did; gives its index."""
        with self._locked():
            if self.generation == generation:
                young = (generation + 1) & 1
                self._ids[young][:] = memoryview(bytes(8 * self._places)).cast("Q")
                self._header[_ENTRIES + young] = 0
                self._header[_GENERATION] = generation + 1
        return self.generation & 1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        with self._lock.open("wb") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # until the file is closed
            yield

    @property
    def most_bytes(self) -> int:
        """The most that `dump` gives."""
        return len(_MAGIC) + 16 + 2 * self._most * _BYTES_PER_ID + _DIGEST_BYTES

    def dump(self) -> bytes:
        """All ids, oldest generation first, for `load`."""
        numbers, firsts = array("Q"), array("I")
        for which in (~self.generation & 1, self.generation & 1):
            column = self._firsts[which]
            for spot, number in enumerate(self._ids[which]):
                if number:
                    numbers.append(number)
                    firsts.append(column[spot])
        head = array("Q", (self.began, len(numbers)))
        data = _MAGIC + head.tobytes() + numbers.tobytes() + firsts.tobytes()
        return data + _digest(data)

    def load(self, data: bytes) -> None:
        """Know what another of its kind knew.

        Raises:
            NotKnown: ``data`` is damaged, or something else.
        """
        body = data[:-_DIGEST_BYTES]
        if not data.startswith(_MAGIC) or _digest(body) != data[-_DIGEST_BYTES:]:
            raise NotKnown
        at = len(_MAGIC)
        began, count = array("Q", body[at : at + 16])
        at += 16
        if len(body) != at + count * _BYTES_PER_ID:
            raise NotKnown
        self._header[_BEGAN] = began
        numbers = array("Q", body[at : at + 8 * count])
        firsts = array("I", body[at + 8 * count :])
        for number, first in zip(numbers, firsts, strict=True):
            self.keep(number, first)


class KnownScope:
    """What is known of one labelling: the same pattern is new to each of them by itself.

    The ids of a further one are mixed with its name, and the mixed id of no pattern tells when it
    began to learn: a labelling that is added later does not find everything new.
    """

    def __init__(self, known: KnownPatterns, labelling: str, now: int) -> None:
        self._known = known
        self._mix = 0
        self.began = known.began
        if labelling:
            digest = hashlib.blake2b(labelling.encode(), digest_size=8).digest()
            self._mix = int.from_bytes(digest, "big")
            self.began, _ = known.meet(self._mix, now)

    def meet(self, number: int, now: int) -> tuple[int, bool]:
        """See `KnownPatterns`."""
        return self._known.meet(number ^ self._mix, now)

    def keep(self, number: int, first: int) -> None:
        """See `KnownPatterns`."""
        self._known.keep(number ^ self._mix, first)

    def keep_began(self) -> None:
        """See that the moment at which it began stays known."""
        if self._mix:
            self._known.keep(self._mix, self.began)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()

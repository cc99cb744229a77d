"""The texts that tiers read of messages, with what more than one tier derives from them.

`waybill.core.prepare` says what a prepared text is. Ordinary messages are their own texts; one pass
over all of them shows that they are, and gives their shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from waybill.core.prepare import SUSPECTS, prepare_all
from waybill.labelling.masking import shapes

__all__ = ["ReadTexts", "SharedTexts", "Texts", "read_texts"]

#: Digits as in a shape, and what may have to be prepared as a byte that no message shows.
_SUSPECT = b"\1"
_LOOK = bytes.maketrans(b"123456789" + SUSPECTS[1:], b"000000000" + _SUSPECT * len(SUSPECTS[1:]))


class Texts:
    """Prepared ``texts`` of some messages, none of more than ``limit`` characters."""

    __slots__ = ("_data", "_limit", "_shapes", "prepared")

    def __init__(self, texts: Sequence[str], limit: int, keys: Sequence[str] | None = None) -> None:
        self.prepared = texts
        self._limit = limit
        self._shapes = keys
        self._data: Sequence[bytes] | None = None

    @property
    def shapes(self) -> Sequence[str]:
        """The shape of each."""
        if self._shapes is None:
            self._shapes = shapes(self.prepared)
        return self._shapes

    @property
    def data(self) -> Sequence[bytes] | None:
        """Each in UTF-8; None where one has a lone surrogate or more bytes than the limit."""
        if self._data is None:
            try:
                data = list(map(str.encode, self.prepared))
            except UnicodeEncodeError:
                return None
            if max(map(len, data), default=0) > self._limit:
                return None
            self._data = data
        return self._data

    def at(self, indexes: Sequence[int]) -> Texts:
        """Some of them."""
        texts = [self.prepared[i] for i in indexes]
        keys = None
        if self._shapes is not None:
            keys = [self._shapes[i] for i in indexes]
        return Texts(texts, self._limit, keys)


#: The texts of messages of which the tiers see at most so many bytes.
ReadTexts: TypeAlias = Callable[[Sequence[str], int], Texts]


def read_texts(messages: Sequence[str], limit: int) -> Texts:
    """The texts of ``messages``."""
    keys = _shapes_of_ordinary(messages, limit)
    if keys is not None:
        return Texts(messages, limit, keys)
    return Texts(prepare_all(messages, limit), limit)


def _shapes_of_ordinary(messages: Sequence[str], limit: int) -> Sequence[str] | None:
    """The shapes of messages that are their own texts; None where one of them may not be."""
    together = "\0".join(messages)
    if len(together) > limit and max(map(len, messages)) > limit:
        return None
    try:
        looked_at = together.encode().translate(_LOOK)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    if _SUSPECT in looked_at:
        return None
    keys = looked_at.decode().split("\0")
    # Of a message with a NUL in it more keys than one are made.
    is_ordinary = len(keys) == len(messages) and list(map(str.strip, messages)) == messages
    return keys if is_ordinary else None


class SharedTexts:
    """`read_texts` for several that see the same messages, one soon after the other."""

    def __init__(self) -> None:
        self._messages: Sequence[str] = ()
        self._limit = 0
        self._texts = Texts((), 0)

    def read(self, messages: Sequence[str], limit: int) -> Texts:
        """The texts of ``messages``."""
        # The same objects, mostly: comparing them takes a hundredth of reading them.
        if limit != self._limit or messages != self._messages:
            self._texts = read_texts(messages, limit)
            self._messages = messages
            self._limit = limit
        return self._texts

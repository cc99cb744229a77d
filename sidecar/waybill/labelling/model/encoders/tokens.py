"""The tokenizer of a bundle, which somebody else may have made.

The library panics at much that is odd, and a panic is no `Exception`: it would pass every net and
end the task that asked. What a normalizer makes of a text is bounded before there is a text: a few
replacements one behind another made 65 MB of 2,000 letters.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import Any

from waybill.core.errors import BundleError
from waybill.core.foreign import read_json

# One text at a time: its threads would be idle, and must not be there when a process forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer

__all__ = ["Tokens"]

#: How many times as long a text may become. ALBERT's could make 1,800 of a sign that nobody writes.
_MOST_GROWTH = 4096
#: What one letter becomes at most, by the kind of normalizer.
_GROWTH = {
    "BertNormalizer": 3,
    "ByteLevel": 4,
    "Lowercase": 3,
    "NFC": 3,
    "NFD": 4,
    "NFKC": 18,
    "NFKD": 18,
    "Nmt": 1,
    "Strip": 1,
    "StripAccents": 1,
}
_UNKNOWN_GROWTH = 18


class Tokens:
    """Texts in, ids of tokens out. Thread-safe."""

    def __init__(self, content: bytes, max_tokens: int) -> None:
        """Build it from bytes; raises `BundleError` (``encoder``)."""
        self._most = max_tokens
        try:
            with _no_panic():
                self._tokenizer = Tokenizer.from_buffer(content)
                _check_growth(self._tokenizer.normalizer)
                self._tokenizer.enable_truncation(max_tokens)
                self._tokenizer.no_padding()
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError("encoder", f"tokenizer: {error}") from error

    def of(self, text: str) -> list[int]:
        """The ids of ``text``, while other threads run.

        Raises:
            Exception: whatever the library raises, a panic included.
            ValueError: there are more than may be.
        """
        with _no_panic():
            # `encode` lets no other thread run.
            ids: list[int] = self._tokenizer.encode_batch_fast([text])[0].ids
        if len(ids) > self._most:
            raise ValueError(f"{len(ids)} tokens, {self._most} at most")
        return ids


@contextlib.contextmanager
def _no_panic() -> Iterator[None]:
    """Have a panic of the library be an error like others."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(f"tokenizers gave up: {error}") from None


def _check_growth(normalizer: Any) -> None:
    """Raises ValueError: it may make a text too long.

    It is asked what it has read: a file can say one thing in several ways.
    """
    if normalizer is None:
        return
    growth = 1
    for part in _parts(read_json(normalizer.__getstate__(), dict[str, Any])):
        growth *= _growth(part)
        if growth > _MOST_GROWTH:
            raise ValueError(f"a text may become more than {_MOST_GROWTH} times as long")


def _parts(normalizer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if normalizer["type"] != "Sequence":
        yield normalizer
    for part in normalizer.get("normalizers", ()):
        yield from _parts(part)


def _growth(part: dict[str, Any]) -> int:
    """How many letters one letter may become, at most."""
    match part:
        case {"type": "Replace", "content": str(new), "pattern": {"String": str(old)}} if old:
            return max(1, -(-len(new) // len(old)))
        case {"type": "Replace", "content": str(new)}:  # it may match nothing, before each letter
            return 1 + len(new)
        case {"type": "Prepend", "prepend": str(new)}:
            return max(1, len(new))
        case {"type": "Precompiled", "precompiled_charsmap": str(coded)}:
            return _longest_sign(base64.b64decode(coded))
    return _GROWTH.get(part["type"], _UNKNOWN_GROWTH)


def _longest_sign(charsmap: bytes) -> int:
    """Bytes of the longest text in it that a sign becomes; they stand behind its index."""
    index = int.from_bytes(charsmap[:4], "little")
    return max(1, *map(len, charsmap[4 + index :].split(b"\0")))

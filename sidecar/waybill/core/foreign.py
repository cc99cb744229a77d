"""JSON that somebody else wrote: read, or refused with one kind of error, however it is made."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["MAX_LEVELS", "check_levels", "decode_with", "read_json"]

T = TypeVar("T")

#: Values of values of values: what is kept of others' answers is read again by readers that go
#: less deep, on a stack that is used already.
MAX_LEVELS = 64


def read_json(data: bytes | str, kind: type[T]) -> T:
    """The value of type ``kind`` in ``data``.

    Raises:
        msgspec.DecodeError: it is not JSON, nothing of that kind, no UTF-8, or nested too deeply.
    """
    return decode_with(msgspec.json.Decoder(kind), data)


def decode_with(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    """`read_json` with a decoder that is at hand."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8: {error}") from None


def check_levels(value: object) -> None:
    """Raises msgspec.DecodeError: ``value`` is nested more than `MAX_LEVELS` deep."""
    level = [value]
    for _ in range(MAX_LEVELS + 1):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return
        level = inner
    raise msgspec.DecodeError(f"it is nested more than {MAX_LEVELS} levels deep")

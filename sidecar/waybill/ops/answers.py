"""Reads the bodies of other servers' answers up to a bound."""

from __future__ import annotations

import io

import aiohttp

from waybill.core.errors import WaybillError

__all__ = ["Lines", "OversizeError", "beginning_of"]

#: What is kept of an answer, to show how it begins.
_HEAD_BYTES = 2048


class OversizeError(WaybillError):
    """An answer, or a line of it, is longer than any that is wanted."""

    code = "oversize"


class Lines:
    """Cuts an answer into lines as it comes; an answer has ``most_bytes`` at most, a line
    ``most_line_bytes``. ``head`` is how it begins, ``count`` how many lines there were.
    """

    def __init__(self, most_bytes: int, most_line_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._most_line_bytes = most_line_bytes
        self._rest = bytearray()
        self._size = 0
        self.head = b""
        self.count = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that ``piece`` brings to their end, without it; empty ones are left out.

        Raises OversizeError.
        """
        if len(self.head) < _HEAD_BYTES:
            self.head = (self.head + piece)[:_HEAD_BYTES]
        self._size += len(piece)
        if self._size > self._most_bytes:
            raise OversizeError(f"more than {self._most_bytes >> 20} MB")
        lines = []
        if b"\n" in piece:
            first, *others, rest = piece.split(b"\n")
            lines = [bytes(self._rest) + first, *others]
            self._rest = bytearray(rest)
        else:
            self._rest += piece
        if len(self._rest) > self._most_line_bytes:
            raise OversizeError(f"a line of more than {self._most_line_bytes >> 20} MB")
        return self._counted(lines)

    def end(self) -> list[bytes]:
        """The last line, where it has no end."""
        return self._counted([bytes(self._rest)])

    def _counted(self, lines: list[bytes]) -> list[bytes]:
        found = [line for line in lines if line.strip()]
        self.count += len(found)
        return found


async def beginning_of(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """The first ``most_bytes`` of a body, in however many pieces it comes.

    ``content.read(n)`` gives what has come so far, which may be less than is to come.

    Raises:
        aiohttp.ClientError: the connection broke.
    """
    whole = io.BytesIO()  # gives its bytes away without a copy
    while whole.tell() < most_bytes:
        piece = await content.read(most_bytes - whole.tell())
        if not piece:
            break
        whole.write(piece)
    return whole.getvalue()

"""Merged cells of a sheet: the file holds their text in the first of them only.

A reader sees it beside every row that they span, so each of these rows gets it.

>>> filled = Filled([Merge(1, 2, 0)])
>>> [filled.row(number, row) for number, row in enumerate([["crm", "a"], [None, "b"]], 1)]
[['crm', 'a'], ['crm', 'b']]
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

__all__ = ["Filled", "Merge", "merges_of"]

#: ``<mergeCell ref="A2:B9"/>``, in any namespace.
_MERGE = re.compile(
    rb"<(?:\w{1,16}:)?mergeCell\s[^>]{0,99}?\bref=[\"']\$?([A-Z]{1,3})\$?(\d{1,7})"
    rb":\$?[A-Z]{1,3}\$?(\d{1,7})[\"']"
)
#: Longer than any such element: what is cut between two chunks is looked at again.
_TAIL_BYTES = 256
_CHUNK_BYTES = 1 << 20
#: More are not filled: a sheet that people look at has some hundred.
_MOST = 100_000


class Merge(NamedTuple):
    """Rows ``first`` to ``last``, counted from 1, that share the text of one column, from 0."""

    first: int
    last: int
    column: int


def merges_of(file: BinaryIO, part: str) -> list[Merge]:
    """What is merged over several rows in the sheet that is ``part`` of a workbook.

    ``file`` is left at its beginning. Raises zipfile.BadZipFile, KeyError.
    """
    found: dict[Merge, None] = {}
    with zipfile.ZipFile(file) as book, book.open(part) as reader:
        for window in _windows(iter(lambda: reader.read(_CHUNK_BYTES), b"")):
            for letters, first, last in _MERGE.findall(window):
                if int(first) < int(last) and len(found) < _MOST:
                    found[Merge(int(first), int(last), _column(letters))] = None
    file.seek(0)
    return sorted(found)


def _windows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, each with the end of the one before: an element may lie across."""
    tail = b""
    for chunk in chunks:
        yield tail + chunk
        tail = chunk[-_TAIL_BYTES:]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number - 1


class Filled:
    """Fills rows, which come in their order, with what is merged over them."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        """``merges`` are sorted."""
        self._coming = list(reversed(merges))
        #: By column: the text, and the last row that has it.
        self._active: dict[int, tuple[object, int]] = {}

    def row(self, number: int, row: Sequence[object]) -> Sequence[object]:
        """Row ``number`` with the texts that reach down to it."""
        if self._active:
            row = self._with_texts(number, row)
        while self._coming and self._coming[-1].first <= number:
            merge = self._coming.pop()
            if merge.first == number and merge.column < len(row):
                self._active[merge.column] = (row[merge.column], merge.last)
        return row

    def _with_texts(self, number: int, row: Sequence[object]) -> Sequence[object]:
        filled = list(row)
        for column, (text, last) in list(self._active.items()):
            if number > last:
                del self._active[column]
            elif column < len(filled) and filled[column] is None:
                filled[column] = text
        return filled

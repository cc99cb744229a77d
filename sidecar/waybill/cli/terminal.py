r"""Words from the command line, and what a terminal can show.

>>> cleaned("M\udcfcller")
'Müller'
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from waybill.core.text import decoded

__all__ = ["cleaned", "fitted", "note_file", "printable", "read_stdin", "soften_streams", "tell"]

#: Characters in which a message can be told from another, and columns that are always shown.
_LEAST_TEXT, _FIRST = 38, 4


def soften_streams() -> None:
    r"""Make stdout and stderr write ``\xfc`` for what their encoding lacks, instead of failing.

    Those that are closed lead nowhere, or the next file that is opened would be taken for them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def cleaned(word: str) -> str:
    """A word of the command line as text; its bytes need not be those of the terminal's encoding.

    Paths stay as they are: they must name the same file.
    """
    return decoded(word.encode("utf-8", "surrogateescape"))


def read_stdin() -> str:
    """All of stdin as text, whatever its encoding."""
    return decoded(sys.stdin.buffer.read())


def printable(text: str) -> str:
    """The text without characters that would do something to a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def fitted(widths: Sequence[int], columns: int) -> list[int]:
    """The widths of a table's columns in a terminal of so many, a blank between two. The one of
    width 0, among the first four, takes what is left; where that is too little, the others end
    after the fourth.

    >>> fitted((5, 0, 5, 5, 40), 100), fitted((5, 0, 5, 5, 40), 80)
    ([5, 41, 5, 5, 40], [5, 62, 5, 5])
    """
    for shown in (list(widths), list(widths[:_FIRST])):
        room = columns - sum(shown) - len(shown) + 1
        if room >= _LEAST_TEXT:
            break
    shown[shown.index(0)] = max(room, _LEAST_TEXT // 2)
    return shown


def tell(sentence: str) -> None:
    """A line on stderr. It may hold what a file, a log or a server says: nothing of it commands the
    terminal. Bytes of a file's name that are no text stay: the stream writes them as escapes.
    """
    parts = re.split(r"([\n\ud800-\udfff])", sentence)
    parts[::2] = map(printable, parts[::2])
    print("".join(parts), file=sys.stderr)


def note_file(message: str, advice: str) -> None:
    """Say that a message is the name of a file; ``{folder}`` in the advice is where it lies."""
    try:
        is_file = Path(message).is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return
    if is_file:
        told = advice.format(folder=Path(message).absolute().parent)
        tell(f"waybill: {message} is a file, but was taken for a message; {told}")

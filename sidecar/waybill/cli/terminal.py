r"""Words from the command line, and what a terminal can show.

>>> cleaned("M\udcfcller")
'Müller'
"""

from __future__ import annotations

import io
import sys

from waybill.core.text import decoded

__all__ = ["cleaned", "read_stdin", "soften_streams"]


def soften_streams() -> None:
    r"""Make stdout and stderr write ``\xfc`` for what their encoding lacks, instead of failing."""
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

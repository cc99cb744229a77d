"""The fields of a form as browsers write them, read in hardly more memory than they are long.

>>> fields_of(b"note=50+%25+of+M%C3%BCller&label=Error", most=2)
[('note', '50 % of Müller'), ('label', 'Error')]
"""

from __future__ import annotations

import io
import re

__all__ = ["fields_of"]

#: Escapes beside each other. Possessive and bounded: an engine that may go back remembers each.
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2}){1,4096}+")


def fields_of(body: bytes, most: int) -> list[tuple[str, str]]:
    """Names and values, in order. Raises ValueError: there are more than ``most``."""
    if body.count(b"&") >= most:
        raise ValueError(f"expected at most {most} fields")
    pairs = [part.partition(b"=") for part in body.split(b"&") if part]
    return [(_text(name), _text(value)) for name, _, value in pairs]


def _text(written: bytes) -> str:
    """Step by step, so that other threads run in between; each holds what it takes, once."""
    whole = io.BytesIO()
    end = 0
    written = written.replace(b"+", b" ")
    for found in _ESCAPES.finditer(written):
        whole.write(written[end : found.start()])
        whole.write(bytes.fromhex(found[0].replace(b"%", b"").decode()))
        end = found.end()
    whole.write(written[end:])
    return whole.getvalue().decode("utf-8", "replace")

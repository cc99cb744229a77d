r"""Quotes that are spelled with escapes, as one format within another has them.

The mask of the pipeline makes one 0 of digits, so ``\u0022`` may come as ``\u0``.

>>> plain_quotes(r"{&quot;password&quot;:&quot;x&quot;}, {\u0022pin\u0022:\x27tulip\x27}")
'{"password":"x"}, {"pin":"tulip"}'
"""

from __future__ import annotations

import re

__all__ = ["plain_quotes"]

#: An equals sign, too, has one 0 and a letter then: it stays.
_QUOTES = re.compile(
    r"&(?:amp;){0,3}(?:quot|apos|#(?:0|3[49]|x(?:0|2[27])));"
    r"|\\{1,8}(?:u0{1,3}2[27]|x2[27]|[ux]0(?![\dad]))",
    re.IGNORECASE,
)


def plain_quotes(text: str) -> str:
    """``text`` with each escape of a quote as a quote."""
    return _QUOTES.sub('"', text) if "&" in text or "\\" in text else text

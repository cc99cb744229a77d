"""Our own secrets in the words of others: who is sent a key may send it back, in an error for one.

>>> sent("gsk_01234/5678")
>>> without_secrets("no such key: GSK_01234%2F5678.")
'no such key: ***.'
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

__all__ = ["sent", "without_secrets"]

#: What is shorter may stand in any text.
_LEAST_CHARS = 8
#: Of secrets that were exchanged the last ones are known.
_MOST = 100

_known: dict[str, None] = {}
_any: re.Pattern[str] | None = None


def sent(secret: str) -> None:
    """``secret`` is sent to others, so it is looked for in what they say."""
    global _any
    if len(secret) < _LEAST_CHARS or secret in _known:
        return
    _known[secret] = None
    while len(_known) > _MOST:
        del _known[next(iter(_known))]
    forms = {form for one in _known for form in (one, quote(one, ""), json.dumps(one)[1:-1])}
    longest_first = sorted(forms, key=len, reverse=True)
    _any = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def without_secrets(text: str) -> str:
    """``text`` with ``***`` in the place of each; call it before anything is cut off."""
    return text if _any is None else _any.sub("***", text)

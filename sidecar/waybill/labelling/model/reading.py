"""In what order an encoder reads a masked text, of which it reads the first tokens only.

Of a record's forty members a few say what happened, and these may stand anywhere: they are read
first. What only names, addresses or counts something is read last.

>>> telling_first("app: id=<id> user=jane agent=curl/0 type=login.failed path=/a")
'app: type=login.failed user=jane path=/a id=<id> agent=curl/0'
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["telling_first"]

#: Where a member ``key=value`` begins; its value goes on to the next one.
_MEMBER = re.compile(r"(?:\A|(?<=[ |]))(?=[\w.@/-]{1,64}=)")
#: Fewer are read as they stand.
_FEWEST = 4
#: How the name of a member ends that says what happened.
_TELLING = re.compile(
    r"(?:\A|[._@/-])(?:act|action|activity|alert|category|change|code|decision|desc|description"
    r"|details?|errors?|event|failure|kind|msg|message|name|op|operation|outcome|reason|response"
    r"|result|state|status|subject|success|summary|threat|title|type|verb|verdict)\Z"
)
#: The same of one that does not.
_DULL = re.compile(
    r"(?:ids?|uuid|guid|agent|version|hash|md0|sha0+|href|url|uri|token|key|created|at|date|time)\Z"
)
_HUMP = re.compile(r"(?<=[a-z0])(?=[A-Z])")


def telling_first(text: str) -> str:
    """A mask with the members first that say what happened; the rest in its order."""
    if text.count("=") < _FEWEST:
        return text
    head, *members = _MEMBER.split(text)
    if len(members) < _FEWEST:
        return text
    members.sort(key=_lateness)
    return head + " ".join(map(str.rstrip, members))


def _lateness(member: str) -> int:
    return _lateness_of(member.partition("=")[0])


@lru_cache(maxsize=4096)
def _lateness_of(name: str) -> int:
    name = _HUMP.sub("_", name).lower()
    if _TELLING.search(name):
        return 0
    return 2 if _DULL.search(name) else 1

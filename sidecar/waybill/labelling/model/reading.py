"""Puts the parts of a masked text in order for an encoder that reads its first tokens only.

Of a record's forty members a few say what happened, and these may stand anywhere: they are read
first. What only names, addresses or counts something is read last. There is more than one way, and
a bundle names its own:

>>> record = "app: id=<id> user=jane agent=curl/0 note=- type=login.failed path=/a"
>>> read(record, 0) == record
True
>>> read(record, 1)
'app: type=login.failed user=jane note=- path=/a id=<id> agent=curl/0'
>>> read("app: id=<id> user=jane error=null event_type=login.failed path=/a port=0", 2)
'app: event_type=login.failed user=jane path=/a port=0'
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

__all__ = ["NEWEST_READING", "read"]

#: How a new encoder, and a new classifier's n-grams, read.
NEWEST_READING = 2
#: Fewer members are read as they stand.
_FEWEST = 4
_HUMP = re.compile(r"(?<=[a-z0])(?=[A-Z])")
#: What stands for no value, or for one that is masked and no number.
_NOTHING = frozenset(
    ("", "-", "null", "none", "n/a", "nil", "(null)", "undefined", "unknown", "***", "<id>", "<ip>")
)
_AROUND = ',;]"'
_IDS = r"(?:ids?|uuid|guid|agent|version|hash|md0|sha0+|href|url|uri|token|key|created|at|date|time"


class _Way(NamedTuple):
    """Where a member ``key=value`` begins (its value goes on to the next one), how the names end
    of those that say what happened and of those that do not, and whether those are left out that
    have no value.
    """

    member: re.Pattern[str]
    telling: re.Pattern[str]
    dull: re.Pattern[str]
    leaves_out: bool


_FIRST = _Way(
    member=re.compile(r"(?:\A|(?<=[ |]))(?=[\w.@/-]{1,64}=)"),
    telling=re.compile(
        r"(?:\A|[._@/-])(?:act|action|activity|alert|category|change|code|decision|desc|description"
        r"|details?|errors?|event|failure|kind|msg|message|name|op|operation|outcome|reason"
        r"|response|result|state|status|subject|success|summary|threat|title|type|verb|verdict)\Z"
    ),
    dull=re.compile(rf"{_IDS})\Z"),
    leaves_out=False,
)
#: The name of a group, or the type of a device, says less than the type of an event.
_SECOND = _Way(
    member=re.compile(r"(?:\A|(?<=[ |\[(]))(?=[\w.@/:-]{1,64}=)"),
    telling=re.compile(
        r"(?:\A|[._@/:-])(?:act|action|activity|alert|change|decision|desc|description|details?"
        r"|errors?|event|failure|kind|level|msg|message|op|operation|outcome|pri|priority|reason"
        r"|response|result|sev|severity|status|success|summary|threat|title|verb|verdict"
        r"|(?:action|activity|alert|api|attack|category|command|detection|error|event|finding"
        r"|incident|method|operation|policy|risk|rule|signature|threat)"
        r"_?(?:category|code|id|name|title|type))\Z"
    ),
    dull=re.compile(
        rf"{_IDS}|arn|timestamp|(?:\A|[._@/:-]|src|dst|source|dest|client|server|remote)(?:addr"
        r"|address|bytes|city|country|domain|host|hostname|ip|latitude|longitude|mac|offset|port"
        r"|region|timezone|tz|zone))\Z"
    ),
    leaves_out=True,
)


def read(text: str, way: int) -> str:
    """A mask as an encoder reads it, by ``way``.

    0: as it stands. 1: the members that say what happened first, the rest in its order. 2: as 1,
    without the members that have no value.
    """
    return _READERS[way](text)


def _reader(way: _Way) -> Callable[[str], str]:
    @lru_cache(maxsize=4096)
    def lateness_of(name: str) -> int:
        name = _HUMP.sub("_", name).lower()
        if way.telling.search(name):
            return 0
        return 2 if way.dull.search(name) else 1

    def lateness(member: str) -> int:
        return lateness_of(member.partition("=")[0])

    def ordered(text: str) -> str:
        if text.count("=") < _FEWEST:
            return text
        head, *members = way.member.split(text)
        if len(members) < _FEWEST:
            return text
        if way.leaves_out and any(map(_has_value, members)):
            members = list(filter(_has_value, members))
        members.sort(key=lateness)
        return head + " ".join(map(str.rstrip, members))

    return ordered


def _has_value(member: str) -> bool:
    return member.partition("=")[2].strip().strip(_AROUND).lower() not in _NOTHING


_READERS: tuple[Callable[[str], str], ...] = (str, _reader(_FIRST), _reader(_SECOND))

"""Keeps a form that was sent after its login had expired on the page that logs in again.

Nothing is done with it before they are logged in, see it, and send it once more: so no other site
can have it sent in their name.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from aiohttp import web
from multidict import MultiDict

from waybill.core.foreign import read_json
from waybill.web.security import FORM_TOKEN, is_ours

#: Bytes of a form that is kept: it travels there and back once more.
_MOST_BYTES = 256 << 10


class KeptForm(NamedTuple):
    """Where a form goes, and its fields."""

    to: str
    fields: tuple[tuple[str, str], ...]

    def written(self) -> str:
        """As a field of the form that logs in."""
        return msgspec.json.encode(self).decode()


#: The texts of a form that was read, until it is answered.
SENT_FORM: web.RequestKey[MultiDict[str]] = web.RequestKey("sent_form")
#: A form of ours whose token is from before its sender logged in.
STALE_FORM: web.RequestKey[KeptForm | None] = web.RequestKey("stale_form")


def keep_form(to: str, fields: list[tuple[str, str]]) -> KeptForm | None:
    """The form as it is kept; None: too large, or not for an address of ours."""
    kept = KeptForm(to, tuple(one for one in fields if one[0] != FORM_TOKEN))
    if not is_ours(to) or len(kept.written().encode()) > _MOST_BYTES:
        return None
    return kept


def read_kept(written: str) -> KeptForm | None:
    """What `KeptForm.written` wrote; None: it was written by something else."""
    try:
        kept = read_json(written, KeptForm)
    except msgspec.DecodeError:
        return None
    return kept if is_ours(kept.to) else None

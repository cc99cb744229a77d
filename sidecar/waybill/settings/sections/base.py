"""What the fields of all sections are made of: the base class and the types with bounds and units.

A field is written with its type, its bounds and one sentence or two::

    workers: Annotated[Count, Meta(description="Processes that share the address.")] = 1

From that come the check of a value, the text of its refusal, ``config/waybill.yaml``,
``docs/settings.md`` and the schema of the chart. ``Meta(examples=[...])`` is what a refusal shows
as an example; without it that is the default. Keys of ``extra`` that mean something:

- ``unit``: the unit, as a person says it.
- ``form``: what a text with a ``pattern`` is, in words.
- ``role``: ``readable file`` for a file that must be readable when Waybill starts, ``folder of
  rules`` for a folder that must be there.
- ``also``: other spellings of the words of a closed set.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Secret(str):
    """A string that never shows itself: ``repr``, logs and dumps print ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _key(name: str) -> str:
    """The key of a field; ``return`` is no name in Python, so its field is ``return_``."""
    return name.rstrip("_")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_key):
    """Base of every section."""


Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1, extra={"unit": "bytes"})]
Seconds = Annotated[float, Meta(gt=0, extra={"unit": "seconds"})]
Milliseconds = Annotated[int, Meta(ge=0, extra={"unit": "milliseconds"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Address = Annotated[Text, Meta(extra={"unit": "host:port"})]
File = Annotated[Text, Meta(extra={"role": "readable file"}, examples=["/etc/waybill/file"])]
Url = Annotated[
    str, Meta(pattern="^https?://.", extra={"form": "URL that begins with http:// or https://"})
]

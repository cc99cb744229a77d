"""What the fields of all sections are made of: the base class and the types with bounds and units.

A field is written with its type, its bounds and one sentence or two::

    workers: Annotated[Count, Meta(description="Processes that share the address.")] = 1

From that come the check of a value, the text of its refusal, ``config/waybill.yaml``,
``docs/settings.md`` and the schema of the chart. ``Meta(examples=[...])`` is what a refusal shows
as an example; without it that is the default. Keys of ``extra`` that mean something:

- ``unit``: the unit, as a person says it.
- ``form``: what a text with a ``pattern`` is, in words.
- ``role``: what a path leads to, and so what is looked at when Waybill starts; see `Role`.
- ``also``: other spellings of the words of a closed set.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

#: ``file``: must be readable. ``token``, ``key``: a file with one secret, for HTTP or for Forward.
#: ``late token``: the same, but it may come later. ``tokens``: a file with one token a line.
Role = Literal["file", "token", "late token", "key", "tokens"]


class Secret(str):
    """A string that never shows itself: ``repr``, logs and dumps print ``***``.

    ``origin`` is the variable, setting or file that it comes from.
    """

    __slots__ = ("origin",)
    origin: str

    def __new__(cls, value: str, origin: str = "") -> Self:
        secret = super().__new__(cls, value)
        secret.origin = origin
        return secret

    def __repr__(self) -> str:
        return "'***'"


def _key(name: str) -> str:
    """The key of a field; ``return`` cannot be a name in Python, so its field is ``return_``."""
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
File = Annotated[Text, Meta(extra={"role": "file"})]
TokenFile = Annotated[Text, Meta(extra={"role": "token"})]
LateTokenFile = Annotated[Text, Meta(extra={"role": "late token"})]
KeyFile = Annotated[Text, Meta(extra={"role": "key"})]
TokensFile = Annotated[Text, Meta(extra={"role": "tokens"})]
Url = Annotated[
    str, Meta(pattern="^https?://.", extra={"form": "URL that begins with http:// or https://"})
]

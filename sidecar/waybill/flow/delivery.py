"""What an ingest hands to the flow: one body, as it came in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waybill.core.names import Compression, Ingest


class Delivery(msgspec.Struct):
    """A body as it came in, and what its sender said about it.

    ``ingest`` names the listener; ``encodings`` are the compressions in the order in which they
    were applied. ``is_final`` says that the sender cannot send the body again: it is taken even
    while the service drains.
    """

    body: bytes
    ingest: Ingest
    content_type: str = ""
    encodings: Sequence[Compression] = ()
    tag: str = ""
    is_final: bool = False

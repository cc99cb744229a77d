"""What handbacks share: where records are rendered, the tag that they go back under, and TLS towards the receiver."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import TypeVar

from waybill.core.records import Batch
from waybill.settings.schema import ReturnTlsSettings

T = TypeVar("T")
#: Records rendered between two turns of the event loop, about 15 ms: 0.3 to 1 µs each where they keep their
#: encoding, 7 to 40 µs where they take another (16,384 records of 120 bytes, each pair of encodings).
_INLINE_RECORDS, _INLINE_CONVERSIONS = 16_384, 512
_INLINE_BYTES = 8 << 20
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*-]")


async def render(batch: Batch, work: Callable[[], T], *, keeps_encoding: bool) -> T:
    """What ``work`` makes of ``batch``: at once, or on a thread where that would keep the event loop too long."""
    most = _INLINE_RECORDS if keeps_encoding else _INLINE_CONVERSIONS
    is_small = len(batch) <= most and len(batch.body) <= _INLINE_BYTES
    return work() if is_small else await asyncio.to_thread(work)


def return_tag(prefix: str, tag: str) -> str:
    """The tag that records go back under: prefixed, and with nothing in it that a path could mistake."""
    clean = _NOT_IN_TAGS.sub("_", tag).replace("..", "__") or "waybill"
    return (prefix + clean)[:255]


def client_tls(settings: ReturnTlsSettings) -> ssl.SSLContext | None:
    """The client side of TLS, or None for what the URL's scheme implies."""
    if not (settings.enabled or settings.ca_file or settings.cert_file or not settings.verify):
        return None
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

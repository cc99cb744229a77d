"""Recognises by its first bytes what speaks another protocol than the port it connects to.

The wrong port is the most frequent slip of all: a shipper's Forward output that sends to the HTTP
port, OTLP over gRPC, TLS where there is none. "No HTTP request" helps nobody who looks for it.

    >>> advice(b"PRI * HTTP/2.0", "http")
    'the sender speaks HTTP/2, as OTLP over gRPC does: let it send OTLP over HTTP to /v1/logs'
"""

from __future__ import annotations

import re
from typing import Final, Literal

from waybill.core.names import Ingest

__all__ = ["FIRST_BYTES", "advice"]

#: So many tell what is spoken.
FIRST_BYTES: Final = 16
_Spoken = Literal["tls", "http2", "http", "forward", "syslog", "beats", "json"]
_METHODS = rb"GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE"
_MARKS: Final[tuple[tuple[_Spoken, re.Pattern[bytes]], ...]] = (
    ("tls", re.compile(rb"\x16\x03[\x00-\x04]")),
    ("http2", re.compile(rb"PRI \* HTTP/2")),
    ("http", re.compile(rb"(?:" + _METHODS + rb") ")),
    ("syslog", re.compile(rb"(?:\d{1,5} )?<\d{1,3}>")),
    ("beats", re.compile(rb"[12][WCDJA]")),
    # An array of two to four parts that begins with a text: the tag.
    ("forward", re.compile(rb"[\x92-\x94][\xa0-\xbf\xd9-\xdb\xc4-\xc6]")),
    ("json", re.compile(rb"[{\[]\s*[\"{\[]")),
)
_ADVICE: Final[dict[_Spoken, str]] = {
    "tls": "TLS, which is off here: set {door}.tls, or turn TLS off in the sender",
    "http2": "HTTP/2, as OTLP over gRPC does: let it send OTLP over HTTP to /v1/logs",
    "http": "HTTP: let it send to the address of http.listen",
    "forward": "Forward: let it send to the address of forward.listen, or over HTTP to /v1/label",
    "syslog": "syslog: let a shipper take it in, and send from there",
    "beats": "the protocol of Beats: let a shipper take it in, and send from there",
    "json": "JSON without HTTP: let it post to /v1/label",
}


def advice(first: bytes, door: Ingest) -> str:
    """What a sender whose ``first`` bytes came in at ``door`` speaks, and what to do; else ''."""
    for spoken, mark in _MARKS:
        if mark.match(first):
            return (
                "" if spoken == door else f"the sender speaks {_ADVICE[spoken]}".format(door=door)
            )
    return ""

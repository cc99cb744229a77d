"""Where records go, and what is kept beside them: ``return``, ``dead_letter``, ``log``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from waybill.settings.sections.base import (
    Bytes,
    Count,
    File,
    KeyFile,
    Seconds,
    Section,
    Text,
    TokenFile,
)

Compression = Literal["none", "gzip", "deflate", "zstd", "snappy"]


class ReturnTlsSettings(Section, frozen=True):
    """Client side of TLS towards the receiver."""

    enabled: Annotated[
        bool, Meta(description="forward: TLS on. http and otlp follow the URL instead.")
    ] = False
    ca_file: Annotated[
        File | None,
        Meta(
            description="PEM file with certificate authorities, instead of the system's.",
            examples=["/etc/waybill/tls/ca.crt"],
        ),
    ] = None
    cert_file: Annotated[
        File | None,
        Meta(
            description="PEM file with our certificate, when the receiver asks for one.",
            examples=["/etc/waybill/tls/tls.crt"],
        ),
    ] = None
    key_file: Annotated[
        File | None,
        Meta(
            description="PEM file with the private key of cert_file.",
            examples=["/etc/waybill/tls/tls.key"],
        ),
    ] = None
    verify: Annotated[
        bool,
        Meta(
            description="False: take any certificate of the receiver. Records can then be read "
            "and changed on the way.",
        ),
    ] = True


class ReturnSettings(Section, frozen=True):
    """How labelled records go back."""

    type: Annotated[
        Literal["body", "http", "forward", "otlp"],
        Meta(
            description="body: in the answer. http, forward, otlp: pushed to the receiver before "
            "the answer.",
        ),
    ] = "body"
    url: Annotated[
        Text | None,
        Meta(
            description="The receiver: http://host:port/ (Vector), http://host:port/{tag} (Fluent "
            "Bit in_http), forward://host:port, forward+unix:///path or "
            "http://host:4318/v1/logs (otlp).",
            examples=["http://127.0.0.1:9881/"],
        ),
    ] = None
    format: Annotated[
        Literal["ndjson", "json", "protobuf", "as_received"] | None,
        Meta(
            description="Of http: ndjson (Vector; without a setting) or json (Fluent Bit in_http). "
            "Of otlp: protobuf (for receivers that take nothing else, such as Vector's), json, or "
            "as_received (without a setting): OTLP as it came, all else in protobuf.",
            examples=["protobuf"],
        ),
    ] = None
    compression: Annotated[
        Compression,
        Meta(description="Compression of what is pushed. forward and otlp know none and gzip."),
    ] = "none"
    tag_prefix: Annotated[
        str,
        Meta(
            description="Put before the tag, so that what comes back can be told from what went "
            "out. May be empty.",
        ),
    ] = "labelled."
    timeout_secs: Annotated[
        Seconds,
        Meta(
            le=30,
            description="For one batch, retries included; past it the shipper is told 503. At most "
            "30, because shippers give up after 60 s in all.",
        ),
    ] = 20
    connections: Annotated[Count, Meta(description="Connections to the receiver at most.")] = 4
    max_bytes: Annotated[
        Bytes,
        Meta(
            description="Size of one request or frame at most. Fluent Bit's inputs take about "
            "2 MB.",
        ),
    ] = 1_900_000
    idle_secs: Annotated[
        Seconds,
        Meta(
            description="A connection that was idle for longer is not used again; Fluent Bit's "
            "in_http closes it after 10 s.",
        ),
    ] = 8
    token_file: Annotated[
        TokenFile | None,
        Meta(
            description="File with the bearer token for http and otlp. Read again when it changes.",
            examples=["/etc/waybill/return-token"],
        ),
    ] = None
    shared_key_file: Annotated[
        KeyFile | None,
        Meta(
            description="File with the shared key for forward.",
            examples=["/etc/waybill/shared-key"],
        ),
    ] = None
    metadata: Annotated[
        Literal["keep", "drop"],
        Meta(
            description="forward: keep entries as [[time, metadata], record], or drop the metadata "
            "for Vector and Fluentd.",
        ),
    ] = "keep"
    tls: ReturnTlsSettings = ReturnTlsSettings()


class DeadLetterSettings(Section, frozen=True):
    """Where bodies go that nobody can read."""

    path: Annotated[
        Text | None,
        Meta(
            description="Folder for bodies that nobody can read. Null: none is kept.",
            examples=["/var/lib/waybill/dead-letter"],
        ),
    ] = None
    max_bytes: Annotated[
        Bytes,
        Meta(description="Size of the whole folder at most; each body takes 8,192 bytes or more."),
    ] = 1_073_741_824


class LogSettings(Section, frozen=True):
    """Waybill's own log."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(
            description="The least severe lines that are written.",
            extra={"also": {"warn": "warning", "err": "error"}},
        ),
    ] = "info"

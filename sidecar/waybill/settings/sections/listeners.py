"""Where batches come in, and what may be under way: ``http``, ``forward``, ``limits``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from waybill.settings.sections.base import (
    Address,
    Bytes,
    Count,
    File,
    KeyFile,
    Seconds,
    Section,
    Text,
    TokensFile,
)


class TlsSettings(Section, frozen=True):
    """Server side of TLS; the files are read again when they change."""

    cert_file: Annotated[
        File | None,
        Meta(
            description="PEM file with the certificate chain. Null: no TLS.",
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
    client_ca_file: Annotated[
        File | None,
        Meta(
            description="PEM file with certificate authorities. When set, clients must show a "
            "certificate that one of them has signed.",
            examples=["/etc/waybill/tls/ca.crt"],
        ),
    ] = None


class HttpSettings(Section, frozen=True):
    """The HTTP listener."""

    listen: Annotated[
        Address,
        Meta(
            description="Address to listen on. An address that other machines reach needs "
            "tokens_file, tls.client_ca_file or allow_anonymous.",
        ),
    ] = "127.0.0.1:9880"
    workers: Annotated[
        Count,
        Meta(
            description="Processes that share the address. Memo, limits and llm.calls count in "
            "each process apart.",
            examples=[2],
        ),
    ] = 1
    allow_anonymous: Annotated[
        bool,
        Meta(
            description="True: take records from other machines without tokens or client "
            "certificates. Only for a network that lets nobody else in.",
        ),
    ] = False
    tokens_file: Annotated[
        TokensFile | None,
        Meta(
            description="File with bearer tokens, one per line, all valid at once; those behind "
            "the word ship open nothing but sending batches. Blank lines and lines that begin "
            "with # are skipped. Read again when it changes.",
            examples=["/etc/waybill/tokens"],
        ),
    ] = None
    tls: TlsSettings = TlsSettings()
    header_timeout_secs: Annotated[
        Seconds, Meta(description="A request whose header takes longer is cut off.")
    ] = 10
    read_timeout_secs: Annotated[
        Seconds, Meta(description="A request whose body takes longer is answered 503.")
    ] = 15
    keepalive_secs: Annotated[
        Seconds,
        Meta(
            description="How long an idle connection stays open; longer than Fluent Bit keeps it "
            "(30 s).",
        ),
    ] = 80
    drain_secs: Annotated[
        Seconds, Meta(description="At SIGTERM: how long batches under way may take to end.")
    ] = 20


class ForwardSettings(Section, frozen=True):
    """The Fluent Forward listener, for out_forward; needs return.type http, forward or otlp."""

    listen: Annotated[
        Address | None,
        Meta(
            description="Address to listen on, usually with port 24224. Null: no TCP listener.",
            examples=["127.0.0.1:24224"],
        ),
    ] = None
    unix: Annotated[
        Text | None,
        Meta(
            description="Path of a unix socket to listen on, instead of listen or beside it.",
            examples=["/run/waybill/forward.sock"],
        ),
    ] = None
    allow_anonymous: Annotated[
        bool,
        Meta(
            description="True: take records from other machines without shared key or client "
            "certificates. Only for a network that lets nobody else in.",
        ),
    ] = False
    shared_key_file: Annotated[
        KeyFile | None,
        Meta(
            description="File with the shared key of the HELO, PING, PONG handshake.",
            examples=["/etc/waybill/shared-key"],
        ),
    ] = None
    tls: TlsSettings = TlsSettings()
    hostname: Annotated[Text, Meta(description="Our name in the handshake.")] = "waybill"


class LimitSettings(Section, frozen=True):
    """Bounds on what one request and all requests together may hold."""

    body_bytes: Annotated[
        Bytes, Meta(description="Largest body, after decompression. A larger one is answered 413.")
    ] = 67_108_864
    inflight_bytes: Annotated[
        Bytes,
        Meta(
            description="All bodies that are worked on together, with what is made of them (three "
            "times their size, and 300 bytes a record). Beyond it the answer is 503 with "
            "Retry-After. At least limits.body_bytes; with less than four times that, one body of "
            "full size that is alone goes beyond it.",
        ),
    ] = 268_435_456
    message_bytes: Annotated[
        Bytes, Meta(description="How much of a message rules look at, from its beginning.")
    ] = 65_536
    connections: Annotated[
        Count,
        Meta(
            description="Connections from shippers, all listeners together; never more than three "
            "quarters of the file descriptors (ulimit -n).",
        ),
    ] = 1000
    connections_per_client: Annotated[
        Count,
        Meta(description="Connections from one address. One too many is closed at once."),
    ] = 500

"""Holds the addresses of workers before the first one starts, so that all of them get the same."""

from __future__ import annotations

import socket

import msgspec

from waybill.core.errors import ConfigError
from waybill.ingest.forward.sockets import listen_unix
from waybill.settings.addresses import (
    bracketed,
    cannot_listen,
    cannot_listen_unix,
    split_address,
)
from waybill.settings.schema import Settings

__all__ = ["hold_addresses", "open_unix"]


def open_unix(path: str) -> socket.socket:
    """The Forward socket that all workers accept from. Raises ConfigError."""
    try:
        return listen_unix(path)
    except OSError as error:
        raise ConfigError([cannot_listen_unix("forward.unix", path, error)]) from None


def hold_addresses(settings: Settings) -> tuple[Settings, list[socket.socket]]:
    """Settings whose ports are numbers, and the sockets that keep them ours without listening.
    Raises ConfigError.
    """
    http, held_http = _hold("http.listen", settings.http.listen)
    settings = msgspec.structs.replace(
        settings, http=msgspec.structs.replace(settings.http, listen=http)
    )
    if settings.forward.listen is None:
        return settings, [held_http]
    forward, held_forward = _hold("forward.listen", settings.forward.listen)
    section = msgspec.structs.replace(settings.forward, listen=forward)
    return msgspec.structs.replace(settings, forward=section), [held_http, held_forward]


def _hold(path: str, address: str) -> tuple[str, socket.socket]:
    host, port = split_address(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # SO_REUSEPORT would share the port with another server of this user, and say nothing.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            where = probe.getsockname()
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(where)
    except OSError as error:
        raise ConfigError([cannot_listen(path, address, error)]) from None
    return f"{bracketed(host)}:{where[1]}", held

"""Addresses of listeners and receivers: ``host:port``."""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

#: A name, an address of either kind, or nothing for all; neither a URL nor a list.
_HOST = re.compile(r"[\w.%:-]*|\[[\w.%:]+\]", re.ASCII)


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as (host, port). Raises ValueError."""
    host, separator, port = address.rpartition(":")
    is_port = port.isascii() and port.isdigit() and int(port) <= 65_535
    if not separator or not is_port or not _HOST.fullmatch(host):
        raise ValueError("expected host:port")
    return host.strip("[]"), int(port)


def cannot_listen(path: str, address: str, error: OSError) -> str:
    """Why nothing can listen on ``address``, the value of the setting ``path``."""
    why = cannot_listen_unix(path, address, error)
    if error.errno == errno.EADDRINUSE:
        another = split_address(address)[1] % 65_535 + 1
        why += f"; take another port, such as --set {path}=127.0.0.1:{another}"
    return why


def cannot_listen_unix(path: str, address: str, error: OSError) -> str:
    """Why nothing can listen on the socket at ``address``, the value of the setting ``path``."""
    return f"{path}: cannot listen on {address}: {error.strerror or error}"


def is_taken(address: str) -> bool:
    """Whether another process listens on ``host:port``, as far as can be told by trying."""
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError:  # listening says what is wrong with it
        return False
    return port != 0 and any(_is_taken(family, place) for family, *_, place in found)


def _is_taken(family: int, place: tuple[Any, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(place)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def bracketed(host: str) -> str:
    """A host as it stands in a URL: IPv6 in brackets."""
    if ":" in host:
        return f"[{host}]"
    return host


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches ``host:port``."""
    host = address.rpartition(":")[0].strip("[]").lower()
    found = ip_of(host)
    return host == "localhost" or (found is not None and found.is_loopback)


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address of a machine that ``text`` is; None where it is a name or anything else.

    >>> ip_of("127.0.0.1"), ip_of("localhost")
    (IPv4Address('127.0.0.1'), None)
    """
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_address(text: str) -> bool:
    """Whether ``text`` is the address of an HTTP server, and no path of a file or folder."""
    return text.startswith(("http://", "https://"))

"""The sockets of the Forward listener."""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from pathlib import Path

#: A unix socket is for its owner and group: in a pod the shipper shares the latter.
_SOCKET_MODE = 0o660
_BACKLOG = 128
#: A client that vanished without a word is noticed after two minutes.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Probe a TCP connection that is silent."""
    sock = writer.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def listen_unix(path: str) -> socket.socket:
    """A listening socket at ``path``, for our user and group. Raises OSError."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        Path(path).chmod(_SOCKET_MODE)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket file that a killed process left, and nothing else. Raises OSError."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file that is not a socket is in the way", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise OSError(errno.EADDRINUSE, "another process listens here", path)

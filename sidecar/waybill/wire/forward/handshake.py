"""The shared-key handshake of Forward: HELO, PING, PONG."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgpack


def helo(nonce: bytes) -> bytes:
    """The server's greeting."""
    return bytes(msgpack.packb(["HELO", {"nonce": nonce, "auth": b"", "keepalive": True}]))


def ping(greeting: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bytes]:
    """The client's answer to a greeting, and what `is_pong` needs to check the server's.

    Raises:
        ValueError: it is not a greeting.
    """
    kind, options = _parts(greeting, 2)
    if kind != b"HELO" or not isinstance(options, dict):
        raise ValueError("no greeting")
    nonce = options.get(b"nonce")
    if not isinstance(nonce, bytes):
        raise ValueError("no greeting")
    # Fluent Bit reads the salt as a C string: hexadecimal keeps zero bytes out of it.
    salt = secrets.token_hex(8).encode()
    digest = _digest(salt, hostname.encode(), nonce, shared_key)
    auth = options.get(b"auth")
    password = b""
    if auth and isinstance(auth, bytes):  # users are asked for: we are nobody, with no password
        password = _digest(auth)
    message = msgpack.packb(
        ["PING", hostname, salt.decode(), digest.decode(), "", password.decode()]
    )
    return message, salt + b"\0" + nonce


def pong(answer: bytes, nonce: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bool]:
    """The server's answer to a PING, and whether the client knows the key.

    An empty key is nobody's.

    Raises:
        ValueError: it is not a PING.
    """
    kind, client, salt, given, *_ = _parts(answer, 6)
    if kind != b"PING":
        raise ValueError("no PING")
    own_salt = _bytes(salt)
    expected = _digest(own_salt, _bytes(client), nonce, shared_key)
    is_known = hmac.compare_digest(expected, _bytes(given)) and bool(shared_key)
    if not is_known:
        return msgpack.packb(["PONG", False, "shared key mismatch", hostname, ""]), False
    digest = _digest(own_salt, hostname.encode(), nonce, shared_key).decode()
    return msgpack.packb(["PONG", True, "", hostname, digest]), True


def is_pong(answer: bytes, salt_and_nonce: bytes, shared_key: bytes) -> bool:
    """Whether the server accepts us and knows the key itself.

    Raises:
        ValueError: it is not a PONG.
    """
    kind, is_accepted, _, hostname, digest = _parts(answer, 5)
    if kind != b"PONG":
        raise ValueError("no PONG")
    salt, _, nonce = salt_and_nonce.partition(b"\0")
    expected = _digest(salt, _bytes(hostname), nonce, shared_key)
    is_known = hmac.compare_digest(expected, _bytes(digest))
    return is_known and is_accepted is True


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).hexdigest().encode()


def _bytes(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    raise ValueError("a part of the message is not a string")


def _parts(data: bytes, size: int) -> list[object]:
    """A handshake message with its strings as bytes, for a nonce need not be text."""
    try:
        parts = msgpack.unpackb(data, raw=True, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        # A TypeError is a map as a map's key.
        raise ValueError(str(error)) from None
    if not isinstance(parts, list) or len(parts) != size:
        raise ValueError("not a handshake message")
    return parts

"""Secrets in files, read again when they change: bearer tokens and shared keys."""

from __future__ import annotations

import hashlib
import hmac
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from waybill.settings.schema import TlsSettings

log = logging.getLogger(__name__)
#: How long a file's state is believed before it is looked at again.
_RECHECK_SECS = 1.0


class WatchedFile:
    """A small file whose content follows the disk; a change is seen within a second.

    A file that cannot be read any more leaves the content as it was: a rotation that takes two
    steps must not lock everyone out.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = Path(path), clock
        self._checked = clock()
        self._stamp = self._stat()
        self.content = self._path.read_bytes()

    def _stat(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it did."""
        if self._clock() - self._checked < _RECHECK_SECS:
            return False
        self._checked = self._clock()
        try:
            stamp = self._stat()
            if stamp == self._stamp:
                return False
            self.content = self._path.read_bytes()
        except OSError as error:
            log.warning(
                "a secret file cannot be read; the old content stays", extra={"error": str(error)}
            )
            return False
        self._stamp = stamp
        return True


class Tokens:
    """Bearer tokens, one per line; several are valid at once, so that rotation loses nothing."""

    def __init__(self, file: WatchedFile) -> None:
        self._file = file
        self._digests = self._parse()

    def _parse(self) -> list[bytes]:
        lines = [line.strip() for line in self._file.content.splitlines()]
        return [_digest(line) for line in lines if line and not line.startswith(b"#")]

    def accept(self, header: str | None) -> bool:
        """Whether ``Authorization: Bearer <token>`` names a valid token; the time tells nothing."""
        if self._file.refresh():
            self._digests = self._parse()
        kind, _, token = (header or "").partition(" ")
        given = _digest(token.strip().encode("utf-8", "surrogateescape"))
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches) and kind.lower() == "bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class ApiKey:
    """A key from a file that may change, come late or go, else ``value``."""

    def __init__(self, path: str | None, value: str | None = None) -> None:
        self._path, self._value = path, value
        self._file: WatchedFile | None = None

    def __call__(self) -> str | None:
        """The key as of now; None without one."""
        if self._path is None:
            return self._value
        try:
            if self._file is None:
                self._file = WatchedFile(self._path)
        except OSError as error:
            log.warning("a key file cannot be read", extra={"error": str(error)})
            return self._value
        self._file.refresh()
        return self._file.content.decode("utf-8", "replace").strip() or self._value


class ServerTls:
    """An SSL context that follows its certificate files: new connections get the new certificate."""

    def __init__(self, settings: TlsSettings) -> None:
        assert settings.cert_file
        assert settings.key_file
        self._cert, self._key = settings.cert_file, settings.key_file
        self._files = [WatchedFile(self._cert), WatchedFile(self._key)]
        self.context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=settings.client_ca_file
        )
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.client_ca_file:
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(self._cert, self._key)

    def refresh(self) -> None:
        """Load certificate and key again if either file changed and the two fit together."""
        changed = [file.refresh() for file in self._files]
        if not any(changed):
            return
        try:
            # A pair that does not fit must not spoil the context in use, so it is tried on another first.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "a new certificate was refused; the old one stays", extra={"error": str(error)}
            )
        else:
            log.info("a new certificate is in force", extra={"file": self._cert})


def server_tls(settings: TlsSettings) -> ServerTls | None:
    """The TLS side of a listener, or None when no certificate is configured."""
    return ServerTls(settings) if settings.cert_file else None

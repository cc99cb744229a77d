"""The TLS side of a listener, with certificates that may be exchanged while it runs."""

from __future__ import annotations

import logging
import ssl

from waybill.core.errors import ConfigError
from waybill.ops.watched import WatchedFile
from waybill.settings.schema import TlsSettings

log = logging.getLogger(__name__)


class ServerTls:
    """An SSL context that follows its files: new connections get the new certificate.

    Raises:
        ConfigError: the files are no certificate and its key, or no authorities, with ``setting``
            as the section.
    """

    def __init__(self, settings: TlsSettings, setting: str = "tls") -> None:
        assert settings.cert_file
        assert settings.key_file
        self._cert = settings.cert_file
        self._key = settings.key_file
        try:
            self._files = [WatchedFile(self._cert), WatchedFile(self._key)]
            self.context = _context(settings.client_ca_file, setting)
            self._load(self.context)
        except (OSError, ssl.SSLError) as error:
            why = f"{setting}: {self._cert} and {self._key} are no PEM certificate and its key"
            raise ConfigError([f"{why} without a password: {error.strerror or error}"]) from None

    def refresh(self) -> None:
        """Load certificate and key again if either file changed and the two fit together."""
        changed = [file.refresh() for file in self._files]
        if not any(changed):
            return
        try:
            # A pair that does not fit must not spoil the context in use, so it is tried on another
            # first.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "a new certificate was refused; the old one stays", extra={"detail": str(error)}
            )
        else:
            log.info("a new certificate is in force", extra={"file": self._cert})

    def _load(self, context: ssl.SSLContext) -> None:
        # An empty password, or OpenSSL asks the terminal for one and waits.
        context.load_cert_chain(self._cert, self._key, password="")


def _context(client_ca: str | None, setting: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    except (OSError, ssl.SSLError) as error:
        why = f"{setting}.client_ca_file: {client_ca} is no PEM file of certificates"
        raise ConfigError([f"{why}: {error.strerror or error}"]) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_tls(settings: TlsSettings, setting: str) -> ServerTls | None:
    """The TLS side of a listener, or None when no certificate is configured.

    Raises:
        ConfigError: as `ServerTls`.
    """
    if not settings.cert_file:
        return None
    return ServerTls(settings, setting)

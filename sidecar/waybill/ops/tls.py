"""The TLS side of a listener, with certificates that may be exchanged while it runs."""

from __future__ import annotations

import logging
import ssl

from waybill.ops.watched import WatchedFile
from waybill.settings.schema import TlsSettings

log = logging.getLogger(__name__)


class ServerTls:
    """An SSL context that follows its files: new connections get the new certificate."""

    def __init__(self, settings: TlsSettings) -> None:
        assert settings.cert_file
        assert settings.key_file
        self._cert = settings.cert_file
        self._key = settings.key_file
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
            # A pair that does not fit must not spoil the context in use, so it is tried on another
            # first.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "a new certificate was refused; the old one stays", extra={"detail": str(error)}
            )
        else:
            log.info("a new certificate is in force", extra={"file": self._cert})


def server_tls(settings: TlsSettings) -> ServerTls | None:
    """The TLS side of a listener, or None when no certificate is configured."""
    if not settings.cert_file:
        return None
    return ServerTls(settings)

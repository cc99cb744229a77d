"""TLS contexts of clients and of listeners; a listener follows its certificate while it runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from waybill.core.errors import ConfigError
from waybill.ops.pem import fault_of_pair, fault_of_pem, fault_of_time
from waybill.ops.watched import WatchedFile
from waybill.settings.schema import TlsSettings

log = logging.getLogger(__name__)


class ServerTls:
    """An SSL context that follows its files: new connections get the new certificate.

    Raises:
        ConfigError: the files do not hold a certificate and its key, or authorities; it names
            ``setting`` as the section.
    """

    def __init__(self, settings: TlsSettings, setting: str = "tls") -> None:
        assert settings.cert_file
        assert settings.key_file
        self._cert = settings.cert_file
        self._key = settings.key_file
        try:
            self._files = [WatchedFile(self._cert), WatchedFile(self._key)]
        except OSError as error:
            raise _no_certificate(setting, self._cert, self._key, error) from None
        self.context = _listening(settings.client_ca_file, setting)
        load_certificate(self.context, self._cert, self._key, setting)
        self._warn_of_time()

    def refresh(self) -> None:
        """Load certificate and key again if either file changed and the two fit together."""
        changed = [file.refresh() for file in self._files]
        if not any(changed):
            return
        try:
            # A pair that does not fit must not spoil the context in use, so it is tried on another
            # first.
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._cert, self._key)
            _load(self.context, self._cert, self._key)
        except OSError as error:  # ssl.SSLError is one
            log.warning(
                "a new certificate was refused; the old one stays",
                extra={"detail": _why_not(self._cert, self._key, error)},
            )
        else:
            log.info("a new certificate is in force", extra={"file": self._cert})
            self._warn_of_time()

    def _warn_of_time(self) -> None:
        fault = fault_of_time(self.context, self._cert)
        if fault:
            log.warning("clients will refuse the certificate %s: %s", self._cert, fault)


def server_tls(settings: TlsSettings, setting: str) -> ServerTls | None:
    """The TLS side of a listener, or None when no certificate is configured.

    Raises:
        ConfigError: as `ServerTls`.
    """
    if not settings.cert_file:
        return None
    return ServerTls(settings, setting)


def trusting(ca_file: str | Path | None, where: str) -> ssl.SSLContext:
    """A client's context that trusts the authorities of ``ca_file``; None: those of the system.

    ``where`` says who named the file. Raises ConfigError: it holds no certificates.
    """
    return _context(ssl.Purpose.SERVER_AUTH, ca_file, where)


def load_certificate(context: ssl.SSLContext, cert: str, key: str | None, where: str) -> None:
    """Show this certificate to the other side. Raises ConfigError."""
    try:
        _load(context, cert, key)
    except OSError as error:
        raise _no_certificate(where, cert, key, error) from None


def _listening(client_ca: str | None, setting: str) -> ssl.SSLContext:
    context = _context(ssl.Purpose.CLIENT_AUTH, client_ca, f"{setting}.client_ca_file")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(purpose: ssl.Purpose, ca_file: str | Path | None, where: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=ca_file)
    except OSError as error:
        why = f"{where}: {ca_file} is not a PEM file of certificates"
        told = fault_of_pem(ca_file or "") or error.strerror or str(error)
        raise ConfigError([f"{why}: {told}"]) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    # An empty password, or OpenSSL asks the terminal for one and waits.
    context.load_cert_chain(cert, key, password="")


def _no_certificate(where: str, cert: str, key: str | None, error: OSError) -> ConfigError:
    return ConfigError([f"{where}: {_why_not(cert, key or cert, error)}"])


def _why_not(cert: str, key: str, error: OSError) -> str:
    for path, wanted in ((cert, "CERTIFICATE"), (key, "PRIVATE KEY")):
        fault = fault_of_pem(path, wanted)
        if fault:
            return f"{path} is no PEM {wanted.lower()}: {fault}"
    return fault_of_pair(cert, key, error)

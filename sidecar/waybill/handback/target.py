"""Where pushes go: the tag that records go back under, and TLS towards the receiver."""

from __future__ import annotations

import re
import ssl

from waybill.core.errors import ConfigError
from waybill.settings.schema import ReturnTlsSettings

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*-]")
_TAG_CHARS = 255


def return_tag(prefix: str, tag: str) -> str:
    """The tag that records go back under: prefixed, and with nothing that a path could mistake."""
    clean = _NOT_IN_TAGS.sub("_", tag).replace("..", "__") or "waybill"
    return (prefix + clean)[:_TAG_CHARS]


def client_tls(settings: ReturnTlsSettings) -> ssl.SSLContext | None:
    """The client side of TLS, or None for what the URL's scheme implies.

    Raises:
        ConfigError: the files are no authorities, or no certificate and its key.
    """
    if not (settings.enabled or settings.ca_file or settings.cert_file or not settings.verify):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        why = f"return.tls.ca_file: {settings.ca_file} is no PEM file of certificates"
        raise ConfigError([f"{why}: {error.strerror or error}"]) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        _show_certificate(context, settings.cert_file, settings.key_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    try:
        # An empty password, or OpenSSL asks the terminal for one and waits.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ssl.SSLError) as error:
        why = f"return.tls: {cert} and {key} are no PEM certificate and its key without a password"
        raise ConfigError([f"{why}: {error.strerror or error}"]) from None

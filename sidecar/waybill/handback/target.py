"""Where pushes go: the tag that records go back under, and TLS towards the receiver."""

from __future__ import annotations

import ssl

from waybill.core.tags import TAG_CHARS, clean_tag
from waybill.ops.tls import load_certificate, trusting
from waybill.settings.schema import ReturnTlsSettings


def return_tag(prefix: str, tag: str) -> str:
    """The tag that records go back under."""
    return (prefix + (clean_tag(tag) or "waybill"))[:TAG_CHARS]


def client_tls(settings: ReturnTlsSettings) -> ssl.SSLContext | None:
    """The client side of TLS, or None for what the URL's scheme implies.

    Raises:
        ConfigError: the files do not hold authorities, or a certificate and its key.
    """
    is_plain = settings.verify and not settings.ca_file and not settings.cert_file
    if is_plain and not settings.enabled:
        return None
    context = trusting(settings.ca_file, "return.tls.ca_file")
    if settings.cert_file:
        load_certificate(context, settings.cert_file, settings.key_file, "return.tls")
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

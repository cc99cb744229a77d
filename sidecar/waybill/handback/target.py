"""Where pushes go: the tag that records go back under, and TLS towards the receiver."""

from __future__ import annotations

import re
import ssl

from waybill.ops.tls import load_certificate, trusting
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
    context = trusting(settings.ca_file, "return.tls.ca_file")
    if settings.cert_file:
        load_certificate(context, settings.cert_file, settings.key_file, "return.tls")
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

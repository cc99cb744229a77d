"""Why a TLS handshake with a client has failed, and what to do; OpenSSL says ``http request``."""

from __future__ import annotations

__all__ = ["fault_of_handshake"]

_UNTRUSTED = "the sender does not trust this certificate: give it the authority that signed it"
_OTHER_TLS = "the sender speaks a TLS that is not taken: TLS 1.2 or newer is"
#: By the reason that OpenSSL gives.
_WORDS = {
    "HTTP_REQUEST": "the sender speaks HTTP without TLS: let it use https://",
    "WRONG_VERSION_NUMBER": "the sender speaks no TLS, which is on here: turn it on there",
    "RECORD_LAYER_FAILURE": "the sender speaks no TLS, which is on here: turn it on there",
    "UNKNOWN_PROTOCOL": "the sender speaks no TLS, which is on here: turn it on there",
    "UNSUPPORTED_PROTOCOL": _OTHER_TLS,
    "NO_SHARED_CIPHER": _OTHER_TLS,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "the sender shows no certificate, which client_ca_file asks for"
    ),
    "CERTIFICATE_VERIFY_FAILED": "the sender's certificate is not one that client_ca_file trusts",
    "TLSV1_ALERT_UNKNOWN_CA": _UNTRUSTED,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNTRUSTED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNTRUSTED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the sender says that this certificate has expired",
}


def fault_of_handshake(error: BaseException) -> str:
    """What ``error`` means in words, and OpenSSL's own behind them.

    >>> fault_of_handshake(OSError("broken"))
    'broken'
    """
    words = _WORDS.get(getattr(error, "reason", None) or "")
    return f"{words} ({error})" if words else str(error)

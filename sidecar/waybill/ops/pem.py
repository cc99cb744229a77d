"""What is wrong with a file of certificates or keys, in words; OpenSSL says `PEM lib`."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from waybill.core.files import read_small

__all__ = ["fault_of_pair", "fault_of_pem", "fault_of_time"]

#: No file of certificates is larger: those that a system trusts have 0.3 MB.
_MOST_BYTES = 4 << 20
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_AT_LINE = re.compile(rb"^-----BEGIN [A-Z0-9 ]{1,40}-----\s*$", re.MULTILINE)
_KEY = "PRIVATE KEY"
_CERTIFICATE = "CERTIFICATE"
#: How a file begins that is no PEM, and what to do.
_OTHERS = (
    (b"0", "it is DER or PKCS#12: openssl x509, pkey or pkcs12 writes PEM from it"),
    (b"LS0tLS1CRUdJTi", "it is base64 of PEM, as a Secret holds it: decode it with base64 -d"),
    (b"\xff\xfe", "it is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16: save it as UTF-8"),
)
_NOT_ITS_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


def fault_of_pem(path: str | Path, wanted: str = _CERTIFICATE) -> str:
    """What is wrong with the PEM file at ``path``; "" where that cannot be told.

    ``wanted`` is what it must hold: ``CERTIFICATE`` or ``PRIVATE KEY``.
    """
    try:
        data = read_small(Path(path), _MOST_BYTES)
    except OSError as error:
        return str(error.strerror)
    if not data.strip():
        return "it is empty"
    for magic, told in _OTHERS:
        if data.startswith(magic):
            return told
    found = b", ".join(_BLOCK.findall(data)).decode()
    if not found:
        return f"expected -----BEGIN {wanted}-----"
    if wanted == _KEY and ("ENCRYPTED" in found or b"Proc-Type: 4,ENCRYPTED" in data):
        return "it holds a key with a password: openssl pkey -in FILE writes it without"
    if wanted not in found.replace("OPENSSH ", "").replace("CERTIFICATE REQUEST", ""):
        return f"it holds {found}, and no {wanted}"
    if wanted == _KEY and "OPENSSH" in found:
        return "it holds a key of SSH: expected one of TLS, -----BEGIN PRIVATE KEY-----"
    if data.count(b"-----BEGIN ") != data.count(b"-----END "):
        return "it breaks off: an -----END ...----- is missing"
    if not _AT_LINE.search(data):
        return "-----BEGIN ...----- must stand on a line of its own, without blanks in front"
    return ""


def fault_of_pair(cert: str, key: str, error: OSError) -> str:
    """Why OpenSSL does not take ``cert`` and ``key``, in which `fault_of_pem` finds nothing."""
    reason = getattr(error, "reason", None)
    if reason in _NOT_ITS_KEY:
        return (
            f"{key} is not the key of the first certificate in {cert}; there stands the one of "
            "this server, and behind it those that signed it"
        )
    if reason == "EE_KEY_TOO_SMALL":
        return f"the key of {cert} is too short: expected 2,048 bits or more"
    return f"{cert} and {key} are not a PEM certificate and its key: {error.strerror or error}"


def fault_of_time(context: ssl.SSLContext, cert: str) -> str:
    """Whether the certificate that ``context`` shows has expired, or is not yet valid, in words.

    That is told by one who trusts just that certificate and shakes hands with ``context``.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cert)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(back, there)
    server = context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except ssl.SSLError:
            return ""
    return ""

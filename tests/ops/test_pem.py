"""Files of certificates and keys that OpenSSL does not take are told what is wrong with them."""

from __future__ import annotations

import base64
import datetime
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from waybill.core.errors import ConfigError
from waybill.ops.tls import ServerTls, trusting
from waybill.settings.schema import TlsSettings

CA = trustme.CA()
ISSUED = CA.issue_cert("localhost")
CERT = ISSUED.cert_chain_pems[0].bytes()
KEY = ISSUED.private_key_pem.bytes()
AUTHORITY = CA.cert_pem.bytes()
DER = ssl.PEM_cert_to_DER_cert(CERT.decode())
#: What is wrong whatever should stand in the file.
DAMAGED: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "it is empty"),
    (lambda _: DER, "it is DER or PKCS"),
    (lambda pem: base64.b64encode(pem), "it is base64 of PEM"),
    (lambda pem: pem.decode().encode("utf-16"), "it is UTF-16"),
    (lambda pem: pem[: len(pem) // 2], "it breaks off"),
    (lambda pem: pem.replace(b"\n", b" "), "must stand on a line of its own"),
    (lambda pem: b"    " + pem.replace(b"\n", b"\n    "), "must stand on a line of its own"),
    (lambda _: b"my certificate", "expected -----BEGIN "),
]
FINE: list[Callable[[bytes], bytes]] = [
    lambda pem: pem,
    lambda pem: pem.replace(b"\n", b"\r\n"),
    lambda pem: b"\xef\xbb\xbf" + pem,
    lambda pem: b"Bag Attributes\n  friendlyName: a\n" + pem,
]


def opened(folder: Path, cert: bytes, key: bytes, name: str = "http.tls") -> ServerTls:
    files = folder / "cert.pem", folder / "key.pem"
    for file, data in zip(files, (cert, key), strict=True):
        file.write_bytes(data)
    return ServerTls(TlsSettings(cert_file=str(files[0]), key_file=str(files[1])), name)


def fault(folder: Path, cert: bytes, key: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(folder, cert, key)
    (told,) = caught.value.problems
    return told


@pytest.mark.parametrize("written", FINE)
def test_what_openssl_takes_is_taken(tmp_path: Path, written: Callable[[bytes], bytes]) -> None:
    opened(tmp_path, written(CERT + AUTHORITY), written(KEY))
    opened(tmp_path, written(KEY + CERT), written(CERT + KEY))


@pytest.mark.parametrize(("written", "told"), DAMAGED)
def test_a_damaged_file_is_named_with_what_to_do(
    tmp_path: Path, written: Callable[[bytes], bytes], told: str
) -> None:
    assert f"http.tls: {tmp_path}/cert.pem is no PEM certificate: " in fault(
        tmp_path, written(CERT), KEY
    )
    assert told in fault(tmp_path, written(CERT), KEY)
    assert f"http.tls: {tmp_path}/key.pem is no PEM private key: " in fault(
        tmp_path, CERT, written(KEY)
    )
    assert told in fault(tmp_path, CERT, written(KEY))
    (tmp_path / "ca.pem").write_bytes(written(AUTHORITY))
    with pytest.raises(ConfigError, match=told):
        trusting(tmp_path / "ca.pem", "return.tls.ca_file")


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        (KEY, KEY, "cert.pem is no PEM certificate: it holds EC PRIVATE KEY, and no CERTIFICATE"),
        (CERT, CERT, "key.pem is no PEM private key: it holds CERTIFICATE, and no PRIVATE KEY"),
        (CERT.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"), KEY, "holds CERTIFICATE REQUEST"),
        (CERT, KEY.replace(b"EC PRIVATE", b"ENCRYPTED PRIVATE"), "holds a key with a password"),
        (CERT, KEY.replace(b"EC PRIVATE", b"OPENSSH PRIVATE"), "holds a key of SSH"),
        (AUTHORITY + CERT, KEY, "key.pem is not the key of the first certificate in"),
        (CERT, trustme.CA().issue_cert("a").private_key_pem.bytes(), "is not the key of the first"),
    ],
)
def test_a_file_that_holds_something_else_is_named(
    tmp_path: Path, cert: bytes, key: bytes, told: str
) -> None:
    assert told in fault(tmp_path, cert, key)


@pytest.mark.parametrize(("days", "told"), [(-2, "has expired"), (2, "is not yet valid")])
def test_a_certificate_out_of_its_time_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, days: int, told: str
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    begin, end = sorted((now + datetime.timedelta(days), now + datetime.timedelta(2 * days)))
    issued = CA.issue_cert("localhost", not_before=begin, not_after=end)
    with caplog.at_level(logging.WARNING):
        opened(tmp_path, CERT, KEY)
        assert not caplog.records
        opened(tmp_path, issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes())
    assert f"clients will refuse the certificate {tmp_path}/cert.pem: " in caplog.text
    assert told in caplog.text

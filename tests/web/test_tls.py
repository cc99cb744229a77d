"""TLS of the pages: an own certificate and its renewal, or a proxy that says what it spoke."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.patience import patience
from tests.web.conftest import settings_for
from waybill.core.errors import ConfigError
from waybill.settings.schema import Settings, TlsSettings
from waybill.web.app import Workbench, running_workbench

TOKENS = "anna apply a-token-of-anna\n"
HSTS = "Strict-Transport-Security"


def issue(authority: trustme.CA, place: Path) -> None:
    """A certificate for localhost and its key, in the files of `secret_in`."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))


def secret_in(place: Path, **more: object) -> Settings:
    """Settings of a workbench that speaks TLS."""
    tls = TlsSettings(cert_file=str(place / "cert.pem"), key_file=str(place / "key.pem"))
    return settings_for(place, tls=tls, **more)


def with_tokens(place: Path, **more: object) -> Settings:
    """Settings of one that asks who is there."""
    (place / "tokens").write_text(TOKENS)
    return settings_for(place, tokens_file=str(place / "tokens"), **more)


async def login(running: Workbench, **headers: str) -> tuple[str, str]:
    """The cookie and the HSTS header that a login with a token answers."""
    body = {"token": "a-token-of-anna"}
    async with (
        aiohttp.ClientSession() as one,
        one.post(
            f"{running.address}/login", data=body, headers=headers, allow_redirects=False
        ) as reply,
    ):
        assert reply.status == 303
        return reply.headers["Set-Cookie"], reply.headers.get(HSTS, "")


async def test_pages_speak_tls_and_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    trusting_old, trusting_new = ssl.create_default_context(), ssl.create_default_context()
    old.configure_trust(trusting_old)
    new.configure_trust(trusting_new)
    issue(old, tmp_path)

    async def status(address: str, context: ssl.SSLContext) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as one,
            one.get(f"{address}/healthz", ssl=context) as reply,
        ):
            return reply.status, reply.headers.get(HSTS, "")

    async with running_workbench(secret_in(tmp_path)) as running:
        assert running.address.startswith("https://127.0.0.1:")
        assert await status(running.address, trusting_old) == (200, "max-age=31536000")
        # That name is other services' too.
        name = running.address.replace("127.0.0.1", "localhost")
        assert await status(name, trusting_old) == (200, "")
        with pytest.raises(aiohttp.ClientError):
            await status(running.address.replace("https", "http"), trusting_old)
        issue(new, tmp_path)
        async with patience():
            while True:
                try:
                    assert (await status(running.address, trusting_new))[0] == 200
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("header", "trusted", "is_secure"),
    [
        ({"X-Forwarded-Proto": "https"}, ("127.0.0.0/8",), True),
        ({"X-Forwarded-Proto": "HTTPS, http"}, ("127.0.0.0/8",), True),
        ({"Forwarded": "for=10.0.0.1;proto=https"}, ("127.0.0.0/8",), True),
        ({"X-Forwarded-Proto": "http"}, ("127.0.0.0/8",), False),
        ({}, ("127.0.0.0/8",), False),
        ({"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}, ("10.0.0.0/8",), False),
        ({"X-Forwarded-Proto": "https"}, (), False),
    ],
)
async def test_the_word_of_a_trusted_proxy_makes_the_cookie_secret(
    tmp_path: Path, header: dict[str, str], trusted: tuple[str, ...], is_secure: bool
) -> None:
    async with running_workbench(with_tokens(tmp_path, trusted_proxies=trusted)) as running:
        cookie, hsts = await login(running, **header)
        assert ("secure" in cookie.lower(), hsts) == (is_secure, "")
        assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))


@pytest.mark.parametrize("of_another", [False, True])
async def test_files_that_are_no_pair_are_told_at_the_start(
    tmp_path: Path, of_another: bool
) -> None:
    issue(trustme.CA(), tmp_path)
    key = tmp_path / "key.pem"
    if of_another:
        trustme.CA().issue_cert("a").private_key_pem.write_to_path(str(key))
    else:
        key.write_text("rubbish")
    with pytest.raises(ConfigError, match=r"workbench\.tls: .*key\.pem is no"):
        async with running_workbench(secret_in(tmp_path)):
            pass

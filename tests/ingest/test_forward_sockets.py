"""Sockets, shared keys and TLS of the Forward listener."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from pathlib import Path

import pytest
import trustme

from tests.ingest.forward_rig import KEY, Client, message, serving, talking
from tests.patience import until
from waybill.core.errors import ConfigError
from waybill.ingest.forward import conversation
from waybill.ops.tls import ServerTls
from waybill.settings.schema import (
    TlsSettings,
)
from waybill.wire import forward as protocol

pytestmark = pytest.mark.usefixtures("impatience")


async def test_a_unix_socket_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "waybill.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serving(unix=str(path)) as rig:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}
    assert not path.exists()


async def test_both_listeners_at_once(tmp_path: Path) -> None:
    async with serving(listen="127.0.0.1:0", unix=str(tmp_path / "s")) as rig:
        assert len(rig.server.addresses) == 2


async def test_only_a_stale_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "waybill.sock"
    async with serving(unix=str(path)):
        with pytest.raises(ConfigError, match="another process"):
            async with serving(unix=str(path)):
                pass
        await asyncio.sleep(0.05)  # the first server has met the second one's probe
    path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        async with serving(unix=str(path)):
            pass
    assert path.read_text() == "precious"


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


async def shake(client: Client, key: bytes, cut: int | None = None) -> bool:
    greeting = await client.reader.read(1000)
    ping, check = protocol.ping(greeting, "client", key)
    for part in (ping[:cut], ping[cut:]) if cut else (ping,):
        client.send(part)
        await client.writer.drain()
        await asyncio.sleep(0.01)
    answer = await client.reader.read(1000)
    return bool(answer) and protocol.is_pong(answer, check, key)


@pytest.mark.parametrize("cut", [None, 20])
async def test_who_knows_the_key_may_send(key_file: Path, cut: int | None) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert await shake(client, KEY, cut)
        client.send(message("a", chunk="c"))
        assert await client.answer() == {"ack": "c"}


async def test_who_does_not_know_the_key_is_sent_away(key_file: Path) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert not await shake(client, b"guess")
        client.send(message("a"))
        assert await client.reader.read() == b""
        assert (rig.refused("unauthorised"), rig.handback.got) == (1, [])


@pytest.mark.parametrize(
    "junk", [b"\xc1", b"\x96\xa4PING\x81\x90\xc0\xc0\xc0\xc0\xc0", message("a"), b"x" * 99_999]
)
async def test_who_does_not_shake_hands_is_sent_away(key_file: Path, junk: bytes) -> None:
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        client.send(junk)
        await until(lambda: rig.refused("unauthorised") == 1)
        assert rig.handback.got == []


async def test_what_is_no_forward_client_is_named_in_the_log(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for key in (None, str(key_file)):
        async with (
            serving(listen="127.0.0.1:0", shared_key_file=key) as rig,
            talking(rig) as client,
        ):
            client.send(b"POST /v1/label HTTP/1.1\r\n\r\n")
            while await client.reader.read(1000):
                pass
    told = [vars(record)["detail"] for record in caplog.records if "detail" in vars(record)]
    assert [detail.startswith("the sender speaks HTTP:") for detail in told] == [True, True]


async def test_who_keeps_silent_is_sent_away(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "HANDSHAKE_SECS", 0.05)
    async with (
        serving(listen="127.0.0.1:0", shared_key_file=str(key_file)) as rig,
        talking(rig) as client,
    ):
        assert isinstance(await client.answer(), list)
        assert await client.answer() is None
        assert rig.refused("unauthorised") == 1


async def test_an_empty_key_file_is_a_fault_of_configuration(key_file: Path) -> None:
    key_file.write_bytes(b" \n")
    with pytest.raises(ConfigError):
        async with serving(listen="127.0.0.1:0", shared_key_file=str(key_file)):
            pass


@pytest.fixture(name="tls")
def _tls(tmp_path: Path) -> tuple[TlsSettings, ssl.SSLContext]:
    authority = trustme.CA()
    cert = authority.issue_cert("localhost", "127.0.0.1")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return TlsSettings(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")), context


async def test_a_listener_with_tls_answers_no_plain_client(
    tls: tuple[TlsSettings, ssl.SSLContext], key_file: Path
) -> None:
    config, context = tls
    async with serving(
        tls=ServerTls(config), listen="127.0.0.1:0", shared_key_file=str(key_file)
    ) as rig:
        async with talking(rig, ssl=context) as client:
            assert await shake(client, KEY)
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}
        async with talking(rig) as plain:
            plain.send(message("b"))
            assert await plain.reader.read() in (
                b"",
                b"\x15\x03\x01\x00\x02\x02\x46",
                b"\x15\x03\x03\x00\x02\x02\x46",
            )
        assert rig.handback.logs == ["a"]

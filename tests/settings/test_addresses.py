"""Addresses of listeners: a taken one is known before anything is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from waybill.cli.main import main
from waybill.settings.addresses import is_taken


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_an_address_on_which_somebody_listens_is_taken(host: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert is_taken(f"{host}:{port}")
    assert not is_taken(f"{host}:{port}")


@pytest.mark.parametrize("address", ["127.0.0.1:0", "192.0.2.1:9880", "no.such.invalid:9880"])
def test_what_cannot_be_told_is_not_taken(address: str) -> None:
    """Whoever listens there says what is wrong."""
    assert not is_taken(address)


@pytest.mark.parametrize("path", ["http.listen", "forward.listen"])
def test_serve_says_so_before_it_reads_the_rules(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.ops.logs.setup_logging", lambda _: None)
    (tmp_path / "broken.yaml").write_text("rules: 7\n")
    listens = {"http.listen": "127.0.0.1:0", "forward.listen": "127.0.0.1:0"}
    pushed = ["--set=return.type=http", "--set=return.url=http://127.0.0.1:1/"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listens[path] = f"127.0.0.1:{other.getsockname()[1]}"
        given = [f"--set={name}={address}" for name, address in listens.items()]
        assert main(["serve", *given, *pushed, f"--set=rules.path={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert f"{path}: cannot listen on {listens[path]}: Address already in use; take another" in told
    assert "broken.yaml" not in told

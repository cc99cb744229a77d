"""`waybill check` tells what a start would stumble over, in as few words as are needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.taxonomies import TOY_YAML
from waybill.cli.main import main

ROUTES = '[{source: ["*"], tiers: [rules]}]'


def check(*overrides: str) -> int:
    return main(["check", *(word for one in overrides for word in ("--set", one))])


def test_packaged_rules_beside_other_labels_are_one_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text(TOY_YAML)
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.yaml").write_text("rules:\n- {id: a, label: Frut, pattern: x}\n")
    settings = (f"labels.path={labels}", "model.path=null", f"routes={ROUTES}")
    assert check(*settings, f"rules.extra_paths=['{own}']") == 2
    packaged, mine = capsys.readouterr().err.splitlines()
    assert "set rules.path to a folder of rules of your own, or to null" in packaged
    assert "a.yaml:2: rule 'a': no such label 'Frut' (did you mean Fruit?)" in mine
    (own / "a.yaml").write_text("rules:\n- {id: a, label: Fruit, pattern: x}\n")
    assert check(*settings, f"rules.path={own}") == 0


def test_other_labels_ask_for_no_routes_and_no_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text(TOY_YAML)
    assert check(f"labels.path={labels}", "model.path=null", "rules.path=null") == 0
    assert "rules: 0 in force" in capsys.readouterr().out


def test_a_route_of_ones_own_with_a_label_that_is_not_there_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text(TOY_YAML)
    route = "routes=[{source: ['*'], tiers: [rules], labels: [Frut]}]"
    assert check(f"labels.path={labels}", "model.path=null", "rules.path=null", route) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("waybill: routes[0].labels: no such label 'Frut' (did you mean Fruit?)")


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    issued = trustme.CA().issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


@pytest.mark.parametrize("section", ["http.tls", "forward.tls", "workbench.tls", "return.tls"])
def test_certificates_are_tried(
    section: str, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, key = pair
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    settings = (
        "return.type=forward", "return.url=forward://127.0.0.1:24224",
        "model.path=null", f"{section}.cert_file={cert}",
    )  # fmt: skip
    assert check(*settings, f"{section}.key_file={key}") == 0
    capsys.readouterr()
    assert check(*settings, f"{section}.key_file={rubbish}") == 2
    told = f"{section}: {rubbish} is no PEM private key: expected -----BEGIN PRIVATE KEY-----"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "setting", ["http.tls.client_ca_file", "forward.tls.client_ca_file", "return.tls.ca_file"]
)
def test_authorities_are_tried(
    setting: str, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = setting.rpartition(".")[0]
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    settings = [
        "return.type=forward", "return.url=forward://127.0.0.1:24224", "model.path=null",
        f"{section}.cert_file={pair[0]}", f"{section}.key_file={pair[1]}",
    ]  # fmt: skip
    assert check(*settings, f"{setting}={rubbish}") == 2
    assert f"{setting}: {rubbish} is not a PEM file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "content", "told"),
    [
        ("http.tokens_file", "my token", "line 1: character 3 of the secret is blank"),
        ("http.tokens_file", "abc\nship: def", "line 2: a token that only ships is written: ship"),
        ("http.tokens_file", "Ship=def", "line 1: a token that only ships is written: ship"),
        ("http.tokens_file", "ship", "line 1: expected a token behind `ship`"),
        ("workbench.tokens_file", "ann everything abc", "expected a name, a scope"),
    ],
)
def test_tokens_are_read_as_a_start_reads_them(
    setting: str, content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    assert check("model.path=null", f"{setting}={file}") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert told in said


def test_a_file_that_is_gone_is_one_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    for setting in ("http.tokens_file", "workbench.tokens_file"):
        assert check("model.path=null", f"{setting}={gone}") == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert f"{setting}: cannot read {gone}" in said


def test_a_check_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an empty folder, of whatever the service would make or write."""
    monkeypatch.setenv("GROQ_API_KEY", "gsk_x")
    there = tmp_path / "there"
    there.mkdir()
    kept = ("llm.store", "llm.audit", "patterns.path", "dead_letter.path")
    files = [f"{name}={there}/{name}/new" for name in kept]
    assert check("llm.provider=groq", *files) == 0
    assert list(there.iterdir()) == []


def test_a_folder_that_could_not_be_made_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert check(f"dead_letter.path={tmp_path}/file/dead") == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told == (
        f"waybill: dead_letter.path: cannot write to {tmp_path}/file/dead: Not a directory"
    )

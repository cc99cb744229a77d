"""``waybill correct``: who is told decides which labellings there are."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from tests.conftest import Running
from waybill.cli import correct
from waybill.cli.main import main
from waybill.labelling.corrections.desk import CorrectionRequest


def test_a_running_waybill_knows_its_labellings_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[CorrectionRequest] = []

    async def send(address: str, token: str, saying: CorrectionRequest) -> str:
        told.append(saying)
        return f"kept by {address}"

    monkeypatch.setattr(correct, "_send", send)
    asked = ["correct", "disk 7 is wobbly", "--label", "High", "--labelling", "severity"]
    assert main([*asked, "--to", "node:9880"]) == 0
    assert [one.labelling for one in told] == ["severity"]
    assert main(asked) == 2
    assert "no such labelling 'severity'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["correct", "explain"])
def test_a_file_that_is_taken_for_a_message_is_said(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is kept all the same: `Withdraw` takes it back, and it may be meant."""
    file = tmp_path / "logs.csv"
    file.write_text("log\na\n")
    said = ["--label", "Error", f"--set=corrections.path={tmp_path / 'c.ndjson'}"]
    words = {"correct": said, "explain": ["--set=model.path=null"]}[command]
    assert main([command, str(file), *words]) == 0
    told = capsys.readouterr().err
    assert f"{file} is a file, but was taken for a message; a line of it is the message" in told


def test_a_label_that_is_missing_or_unknown_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["correct", "disk 7 is wobbly", f"--set=corrections.path={tmp_path / 'c.ndjson'}"]
    assert main(said) == 1
    assert "--label" in capsys.readouterr().err
    assert main([*said, "--label", "Foo"]) == 1
    assert capsys.readouterr().err.count("System Notification") == 1
    assert main([*said, "--label", "Eror"]) == 1
    assert "(did you mean Error?)" in capsys.readouterr().err


async def test_commands_that_ask_take_the_token_file_of_the_sidecar(
    running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Shippers' tokens stand in it as well, and comments."""
    tokens = tmp_path / "tokens"
    tokens.write_text("# all\nship first-token-of-16\nother-token-of-16\nthird-token-of-16\n")
    corrections = f"corrections.path={tmp_path / 'c.ndjson'}"
    overrides = ["model.path=null", f"http.tokens_file={tokens}", corrections]
    async with running(*overrides) as sidecar:
        address, with_token = sidecar.service.address, f"--token-file={tokens}"
        for words in (
            ["correct", "disk 7 is wobbly", "--label=Error", "--to", address],
            ["patterns", address],
            ["top", "--once", address],
            ["patterns", "--to", address],
            ["top", "--to", address, "--once"],
            ["canary", "--to", f"{address}/v1/label", "--records=10", "--rate=1000"],
        ):
            assert await asyncio.to_thread(main, [*words, with_token]) == 0, words
    assert "in force there" in capsys.readouterr().out
    tokens.write_text("ship first-token-of-16\n")
    assert await asyncio.to_thread(main, ["patterns", with_token, address]) == 2
    assert "expected a line with one that opens everything" in capsys.readouterr().err


async def test_what_is_taken_back_from_afar_is_said_so(
    running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "c.ndjson"
    async with running("model.path=null", f"corrections.path={file}") as sidecar:
        to = ["--to", sidecar.service.address]
        said = ["correct", "disk 7 is wobbly", "--label=Error", *to]
        assert await asyncio.to_thread(main, said) == 0
        said_id, _, words = capsys.readouterr().out.partition(":")
        assert words.startswith(" Error <- disk 0 is wobbly")
        assert await asyncio.to_thread(main, ["correct", "--withdraw", said_id, *to]) == 0
        assert ": taken back: Error <- disk 0 is wobbly" in capsys.readouterr().out


def test_each_command_that_is_proposed_can_be_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They name the settings that were given: without them they would find no file."""
    file = tmp_path / "my corrections.ndjson"
    settings = ["--set", f"corrections.path={file}", "--set", "model.path=null"]
    assert main(["correct", "disk 7 is wobbly", "--label", "Error", *settings]) == 0
    said = capsys.readouterr().out
    assert f"kept in {file}, for each Waybill with this corrections.path" in said
    assert main(["explain", "disk 8 is wobbly", *settings]) == 0
    explained = capsys.readouterr().out
    found = [line.partition(": waybill ")[2] for line in (said + explained).splitlines()]
    back = [line for line in found if line.startswith("correct --withdraw")]
    assert len(back) == 2
    assert len(set(back)) == 1
    assert main(shlex.split(back[0])) == 0
    assert "taken back for every source" in capsys.readouterr().out


async def test_what_a_running_waybill_keeps_is_taken_back_where_it_is(
    running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async with running("model.path=null", f"corrections.path={tmp_path / 'c.ndjson'}") as sidecar:
        said = ["correct", "disk 7 is wobbly", "--label=Error", "--to", sidecar.service.address]
        assert await asyncio.to_thread(main, said) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        back = shlex.split(line.partition(": waybill ")[2])
        assert await asyncio.to_thread(main, back) == 0
    told = capsys.readouterr().out
    assert "taken back:" in told
    assert "to take it back" not in told


def test_without_a_file_the_options_that_name_one_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["correct", "disk 7 is wobbly", "--label", "Error", "--set=model.path=null"]) == 1
    told = capsys.readouterr().err
    assert "--set corrections.path=FILE" in told
    assert "--to ADDRESS" in told
    assert main(["explain", "User User1 logged in.", "--set=model.path=null"]) == 0
    assert "--set corrections.path=FILE" in capsys.readouterr().out

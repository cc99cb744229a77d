"""The command line and the library call: the service's labels without the service."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from waybill import classify
from waybill.cli.main import main, make_parser

ROOT = Path(__file__).parents[2]
NO_MODEL = ("--set", "model.path=null")


def run(*arguments: str) -> int:
    return main(list(arguments))


def test_the_library_labels_pairs_in_order() -> None:
    records = [
        ("ModernCRM", "User User123 logged in."),
        ("LegacyCRM", "anything"),
        ("x", "the quick brown fox jumps over the lazy dog"),
    ]
    found = classify(records)
    assert [(source, message) for source, message, _, _ in found] == records
    assert [label for _, _, label, _ in found] == ["User Action", "Unclassified", "Unclassified"]
    assert found[0][3] == 1.0
    assert found[1][3] is None


async def test_the_library_can_be_called_within_an_event_loop() -> None:
    assert classify([("s", "Backup completed successfully.")])[0][2] == "System Notification"


def test_check_says_what_would_be_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 0
    out = capsys.readouterr().out
    assert "samples pass" in out
    assert "model: default@" in out
    assert "labels: 10 may be given" in out


def test_check_prints_all_problems_of_rules_and_model_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(
        "rules:\n- {id: a, label: Error, pattern: '('}\n- {id: a, label: Eror, pattern: x}\n"
    )
    faults = (
        "--set",
        f"rules.path={tmp_path}",
        "--set",
        f"model.path={tmp_path}",
        "--set",
        "memo.bytes=0",
        "--set",
        "x=1",
    )
    assert run("check", *faults) == 2
    err = capsys.readouterr().err
    assert "a.yaml:3: rule 'a': no such label 'Eror'" in err
    assert "a.yaml:2: rule 'a'" in err
    assert "model.path:" in err
    assert "memo.bytes:" in err
    assert "--set x: no such setting" in err


def test_a_misspelt_setting_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--set", "htp.listen=1") == 2
    assert "did you mean http.listen?" in capsys.readouterr().err


def test_check_prints_settings_with_secrets_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_verysecret")
    assert run("check", "--print", *NO_MODEL) == 0
    out = capsys.readouterr().out
    assert "verysecret" not in out
    assert '"api_key": "***"' in out


CSV = "source,log_message\nModernCRM,User User1 logged in.\nLegacyCRM,odd\n"
CSV_OUT = (
    "source,log_message,target_label,confidence,tier,reason,rule\n"
    "ModernCRM,User User1 logged in.,User Action,1,rule,,user-login-logout\n"
    "LegacyCRM,odd,Unclassified,,none,llm_disabled,\n"
)


def test_a_csv_is_labelled_into_a_file_that_appears_whole(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    assert run("label", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), *NO_MODEL) == 0
    assert (tmp_path / "out.csv").read_text() == CSV_OUT
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("name", ["in.ndjson", "in.json"])
def test_json_and_ndjson_are_labelled_in_place(tmp_path: Path, name: str) -> None:
    lines = [b'{"log":"User User1 logged in.","n":1e2}', b"broken", b'{"log":"b"}']
    body = (
        b"\n".join(lines) + b"\n"
        if name.endswith("ndjson")
        else b"[" + lines[0] + b",\n " + lines[2] + b"]"
    )
    (tmp_path / name).write_bytes(body)
    assert run("label", str(tmp_path / name), "-o", str(tmp_path / "out"), *NO_MODEL) == 0
    out = (tmp_path / "out").read_bytes()
    assert out.startswith(
        (b'{"log":"User User1 logged in.","n":1e2,"target_label":"User Action"', b'[{"log"')
    )
    assert out.count(b'"target_label"') == 2
    assert (b"\nbroken\n" in out) == name.endswith("ndjson")


def test_label_streams_from_stdin_to_stdout() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "waybill", "label", "-", "--format", "ndjson", *NO_MODEL],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    out, _ = process.communicate(b'{"log":"Backup completed successfully."}\n' * 3)
    assert process.returncode == 0
    assert [json.loads(line)["target_label"] for line in out.splitlines()] == [
        "System Notification"
    ] * 3


def test_label_refuses_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", str(tmp_path / "x.unknown")) == 1
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    assert run("label", str(tmp_path / "in.csv"), *NO_MODEL) == 1
    (tmp_path / "in.json").write_text("nonsense")
    assert run("label", str(tmp_path / "in.json"), *NO_MODEL) == 1
    assert run("label", str(tmp_path / "gone.csv"), *NO_MODEL) == 1
    err = capsys.readouterr().err
    assert "csv_columns" in err
    assert "not_json" in err
    assert "gone.csv" in err


def test_explain_shows_route_rules_and_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "--json", "--source", "ModernCRM", "User User1 logged in.") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["label"], told["rule"]) == ("User Action", "user-login-logout")
    assert len(told["model"]["nearest"]) == 3
    assert len(told["model"]["next_best"]) == 2
    first = told["model"]["confidence"]
    assert all(one["confidence"] <= first for one in told["model"]["next_best"])
    assert 0 < told["model"]["least_confidence"] < 1


def test_explain_says_what_the_model_fell_short_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "the moon rose over quiet harbours") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Unclassified: like nothing that the model knows (the nearest ")
    assert lines[0].endswith(" counts as known) [unknown]")
    assert any(line.startswith("  the next best labels: ") for line in lines)
    assert run("explain", "bob changed his e-mail address", "--set", "model.threshold=1") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Unclassified: the model is not sure (the model thinks of User ")
    assert first.endswith("a label needs 1) [low_confidence]")


def test_rules_can_be_tested_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "test", "Backup completed successfully.", "nothing") == 0
    out = capsys.readouterr().out
    assert "all pass" in out
    assert "System Notification  by backup-completed" in out
    assert "no rule" in out
    assert run("rules", "list") == 0
    assert "user-login-logout  User Action" in capsys.readouterr().out
    assert run("rules", "schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Waybill rules"
    (tmp_path / "a.yaml").write_text("rules:\n- {id: a, label: Error, pattern: x, match: [y]}\n")
    assert run("rules", "test", "--set", f"rules.path={tmp_path}") == 2


def test_model_info_prints_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "info", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "default"


def test_the_demo_runs_once_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "waybill", "demo", "--once", "--set", "http.listen=127.0.0.1:0"],
        capture_output=True, cwd=tmp_path, timeout=100, check=False,
    )  # fmt: skip
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "User Action" in out
    assert "records/s" in out
    assert "llm.provider" in out
    assert out.count("records out") == 5
    assert done.stderr == b""


def test_the_demo_with_a_stand_in_for_the_llm_labels_its_records() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.labelling.llm.demo", "--once", "http.listen=127.0.0.1:0"],
        capture_output=True, cwd=ROOT, timeout=100, check=False, env=os.environ | {"COLUMNS": "140"},
    )  # fmt: skip
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "openai/gpt-oss-20b@" in out
    assert "in 1 calls" in out
    assert "llm_disabled" not in out


def test_serving_imports_nothing_that_trains() -> None:
    code = (
        "import sys, waybill.service.app, waybill.cli.main\n"
        "heavy = {'torch', 'sklearn', 'joblib', 'sentence_transformers', 'pandas', 'groq', 'httpx', 'redis', 'google', 'tqdm', 'onnx'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_offline_tools_get_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for tool in ("train", "export"):
        try:
            code = run("model", tool, "--help")
        except SystemExit as end:
            assert end.code == 0
            assert "--output" in capsys.readouterr().out
        else:  # without the extra the tool says what to install
            assert code == 1
            assert "pip install 'waybill-sidecar[train]'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        run("check", "--nonsense")
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [(), ("rules",), ("model",)])
def test_a_command_that_is_not_finished_prints_its_help(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert capsys.readouterr().out.startswith("usage: waybill")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every parser below ``parser`` that runs something by itself."""
    groups = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    if not groups:
        yield parser
    for group in groups:
        for below in group.choices.values():
            yield from commands(below)


def test_every_command_has_a_sentence_and_examples_that_can_be_read() -> None:
    found = list(commands(make_parser()))
    assert len(found) >= 20
    for parser in found:
        assert parser.description
        assert parser.description.endswith(".")
        assert parser.epilog is not None
        for example in parser.epilog.splitlines()[1:]:
            words = shlex.split(example.split(" > ")[0], comments=True)
            assert " ".join(words).startswith(parser.prog)
            make_parser().parse_args(words[1:])


def test_explain_says_why_and_what_can_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "--source", "ModernCRM", "User User1 logged in.") == 0
    out = capsys.readouterr().out
    assert out.startswith("User Action, by the rule user-login-logout")
    assert run("explain", "--source", "LegacyCRM", "The invoice 12345 was lost") == 0
    out = capsys.readouterr().out
    assert "its route (LegacyCRM) asks nothing that is switched on" in out
    assert "llm.provider is not set" in out
    assert run("explain", "xylophone quokka 3 zzz") == 0
    out = capsys.readouterr().out
    assert out.startswith("Unclassified: no event, by the model [none_of_these]")
    assert "The model takes it for no event. Write a rule if it is one." in out
    assert "pattern: 'xylophone\\s+quokka\\s+\\d+\\s+zzz'" in out


def test_a_rule_file_that_is_taken_for_a_message_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "10-mine.yaml"
    file.write_text("rules: []")
    assert run("rules", "test", str(file), "x" * 5000, "nul \0") == 0
    told = capsys.readouterr().err
    assert told.count("was taken for a message") == 1
    assert f'rules.extra_paths=["{tmp_path}"]' in told


def test_explain_takes_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    record = '{"source":"ModernCRM","log":"User User42 logged in."}'
    assert run("explain", record) == 0
    out = capsys.readouterr().out
    assert "taken as a record" in out
    assert "User Action, by the rule user-login-logout\nsource ModernCRM" in out
    assert "Wrong? Say what it is" in out
    assert run("explain", record, "--text") == 0
    out = capsys.readouterr().out
    assert "taken as a record" not in out
    assert "source (none)" in out
    assert run("explain", record, "--source", "nas") == 0
    assert "source nas" in capsys.readouterr().out
    assert run("explain", '{"level": "info"}') == 0
    out = capsys.readouterr().out
    assert "taken as a record" not in out
    assert "fields.message holds a text" in out  # as a record it would be no_message
    assert run("explain", '{"level": "info"}', "--text") == 0
    assert "fields.message holds a text" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "message", "said"),
    [
        pytest.param(
            "LegacyCRM",
            "User User42 logged in.",
            "rules that would match, but this route asks no rules:",
            id="no rules asked",
        ),
        pytest.param("LegacyCRM", "zxqv 17 blorp", "put `rules` first", id="no rule can fire"),
        pytest.param("shop", " \t", "There is no text to read.", id="nothing to match"),
    ],
)
def test_explain_drafts_no_rule_that_cannot_help(
    capsys: pytest.CaptureFixture[str], source: str, message: str, said: str
) -> None:
    assert run("explain", "--source", source, message) == 0
    out = capsys.readouterr().out
    assert said in out
    assert "my-rule" not in out
    assert "the first decides" not in out
    assert "Wrong?" not in out


def test_model_info_is_a_page_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "info") == 0
    out = capsys.readouterr().out
    assert out.startswith("default@")
    assert "on software that was not trained on:" in out
    assert len(out.splitlines()) < 60


def test_check_says_faults_only_and_none_that_follows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--set", "log.level=chatty") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err == "waybill: log.level: 'chatty' is not one of debug, info, warning, error\n"
    )
    # The folder is looked for once, and the rules that would be loaded instead are not.
    assert run("check", "--set", 'rules.extra_paths=["nowhere"]', "--set", "memo.bytes=0") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["memo.bytes", "rules.extra_paths"]
    assert f"looked for {Path('nowhere').absolute()}" in said[1]


def test_check_says_where_a_model_was_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--set", "model.path=nowhere") == 2
    err = capsys.readouterr().err
    assert err.startswith("waybill: model.path: no such folder: nowhere; looked for ")


def test_check_names_secrets_and_says_which_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    monkeypatch.delenv("WAYBILL_LLM_API_KEY", raising=False)
    assert run("check", "--set", "llm.provider=groq") == 2
    assert "llm.provider: groq has no key" in capsys.readouterr().err
    own = ("--set", "llm.provider=groq", "--set", "llm.base_url=http://127.0.0.1:1")
    assert run("check", *own) == 0  # a server of one's own may need none
    assert "warning: llm.provider: groq has no key" in capsys.readouterr().err
    monkeypatch.setenv("GROQ_API_KEY", "gsk_secret\n")
    pushed = ("--set", "return.type=http", "--set", "return.url=http://127.0.0.1:1/")
    assert run("check", "--set", "llm.provider=groq", *pushed) == 0  # OTLP has a way back, too
    captured = capsys.readouterr()
    assert "secrets: llm.api_key from GROQ_API_KEY\n" in captured.out
    assert "gsk_secret" not in captured.out + captured.err
    assert captured.err == ""

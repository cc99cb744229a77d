"""Words that are not UTF-8, and terminals that show little."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.serving import serving
from waybill.cli.demo.table import print_table
from waybill.cli.pattern_rows import print_patterns
from waybill.core.pattern import Pattern, VerdictShare

ROOT = Path(__file__).parents[2]
NO_MODEL = (b"--set", b"model.path=null")
WORD = b"M\xfcller: caf\xe9 \xff"


def run(
    *words: bytes,
    stdin: bytes = b"",
    encoding: str = "utf-8",
    settings: tuple[bytes, ...] = NO_MODEL,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable.encode(), b"-m", b"waybill", *words, *settings],
        input=stdin, capture_output=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    "words",
    [
        (b"explain", WORD, b"--source", b"\xfc"),
        (b"explain", b"-"),
        (b"explain", b"--json", "ü€\N{SNOWMAN}".encode()),
        (b"rules", b"test", WORD, b"--source", b"\xfc"),
    ],
)
def test_no_word_and_no_terminal_ends_in_a_traceback(
    words: tuple[bytes, ...], encoding: str
) -> None:
    done = run(*words, stdin=WORD, encoding=encoding)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_no_utf_8_still_names_its_file(tmp_path: Path) -> None:
    path = bytes(tmp_path) + b"/M\xfcller.csv"
    Path(os.fsdecode(path)).write_bytes(b"log\nUser User1 logged in.\n")
    done = run(b"label", path, b"-o", path + b".out", encoding="ascii")
    assert done.returncode == 0, done.stderr
    assert b"User Action" in Path(os.fsdecode(path + b".out")).read_bytes()
    gone = run(b"label", path + b"gone.csv", encoding="ascii")
    assert gone.returncode == 1
    assert b"\\udcfcller" in gone.stderr


#: What commands a terminal: by escape and C1 sequences, by the direction of letters.
COMMANDS = "\x1b]0;title\x07\x1b[2J\x9b31m\x85\N{RIGHT-TO-LEFT OVERRIDE}"


def commands_of(told: bytes) -> set[str]:
    return {char for char in told.decode() if not char.isprintable()} - {"\n", "\r", "\t"}


async def test_what_a_lying_sidecar_answers_commands_no_terminal() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"detail": f"{COMMANDS} no"}, status=503)

    async with serving(answer) as address:
        done = await asyncio.to_thread(run, b"patterns", address.encode(), settings=())
    assert b"503" in done.stderr
    assert commands_of(done.stderr) == set()


@pytest.mark.parametrize("command", ["label", "check"])
def test_what_a_file_is_called_and_says_commands_no_terminal(tmp_path: Path, command: str) -> None:
    file = tmp_path / f"{COMMANDS}.yaml"
    file.write_text(f'"a\\e[2J": 1\nlog: {{level: "{COMMANDS[0:3]}"}}\n')
    words = ("-o", "/dev/null", str(file)) if command == "label" else ("--config", str(file))
    done = run(command.encode(), *map(os.fsencode, words))
    assert b".yaml" in done.stderr
    assert commands_of(done.stdout + done.stderr) == set()


def test_every_sentence_on_stderr_is_told_by_one_function() -> None:
    """Or it may hold what a file, a log or a server says to the terminal."""
    commands = ROOT / "sidecar/waybill/cli"
    tellers = [
        str(file.relative_to(commands))
        for file in commands.rglob("*.py")
        if re.search(r"file=sys\.stderr|sys\.stderr\.write", file.read_text())
    ]
    assert sorted(tellers) == ["label_progress.py", "terminal.py"]  # the first tells JSON


@pytest.mark.parametrize(
    "line", ["label FILE -o /dev/full", "label FILE > /dev/full", "labels list > /dev/full"]
)
def test_what_cannot_be_written_ends_in_one_sentence(line: str, tmp_path: Path) -> None:
    """The file is large enough that a part of it is written before the end."""
    file = tmp_path / "logs.csv"
    file.write_text("log\n" + "User User1 logged in.\n" * 2000)
    command = line.replace("FILE", f"{file} --set model.path=null")
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m waybill {command}"],
        capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    last = done.stderr.decode().splitlines()[-1]
    assert last == "waybill: what comes out cannot be written: No space left on device"
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["labels init OUT --labels Good,Bad", "pack new own --labels Good,Bad --into OUT"]
)
def test_what_had_no_room_leaves_nothing_in_the_way_of_the_next_try(
    command: str, tmp_path: Path
) -> None:
    line = f"{sys.executable} -m waybill {command.replace('OUT', str(tmp_path / 'out'))}"
    full = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; {line}"], capture_output=True, cwd=ROOT, check=False
    )
    assert full.returncode == 1
    assert b"cannot be written" in full.stderr
    again = subprocess.run(["sh", "-c", line], capture_output=True, cwd=ROOT, check=False)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_leads_nowhere(closed: str, tmp_path: Path) -> None:
    """As under a supervisor, or in a script: no file is taken for the stream, no traceback."""
    file = tmp_path / "labels.yaml"
    words = [sys.executable, "-m", "waybill", "labels", "init", str(file), "--labels", "A,B"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words],
        capture_output=True, cwd=ROOT, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert file.read_text().startswith("#")


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_tables_are_no_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    source, text, rule = "a-service-with-a-long-name", "a long message " * 20, "a-long-rule-id" * 4
    share = VerdictShare(label="Deprecation Warning", tier="rule", rule=rule, count=1_000_000)
    print_patterns([Pattern(id="0", mask=text, count=9, sources={source: 1}, verdicts=(share,))])
    print_table(
        [{"source": source, "log": text, "target_label": share.label, "label_rule": rule,
          "label_tier": "rule", "label_confidence": 0.5}]
    )  # fmt: skip
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns
    assert told.count("Deprecation Warning") == 2

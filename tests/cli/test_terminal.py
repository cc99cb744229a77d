"""Words that are no UTF-8, and terminals that show little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORD = b"M\xfcller: caf\xe9 \xff"


def run(
    *words: bytes, stdin: bytes = b"", encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable.encode(), b"-m", b"waybill", *words, b"--set", b"model.path=null"],
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

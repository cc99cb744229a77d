"""A correction that was accepted is in the file, whole, whoever else writes and whatever dies."""

from __future__ import annotations

import errno
import fcntl
import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waybill.core.correction import encode_correction, new_correction
from waybill.core.errors import CorrectError
from waybill.labelling.corrections import store
from waybill.labelling.corrections.files import read_history
from waybill.labelling.corrections.store import append

STORE = "waybill.labelling.corrections.store"
ONE = new_correction("m", "Error", at="2026-11-26T10:00:00Z")
TWO = new_correction("n", "Error", at="2026-11-26T10:00:00Z")


def refusal(path: Path) -> str:
    with pytest.raises(CorrectError) as raised:
        append(path, TWO)
    return raised.value.code


def test_a_file_is_made_and_appended_to(tmp_path: Path) -> None:
    for path in (tmp_path / "c.ndjson", tmp_path):
        append(path, ONE)
        append(path, TWO)
    assert (tmp_path / "c.ndjson").read_bytes() == encode_correction(ONE) + encode_correction(TWO)
    assert read_history([tmp_path / "corrections.ndjson"]).corrections == [ONE, TWO]


def test_a_last_line_without_its_end_gets_one(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(encode_correction(ONE).rstrip(b"\n"))
    append(file, TWO)
    assert read_history([file]).corrections == [ONE, TWO]


@pytest.mark.parametrize(
    "data",
    [
        encode_correction(ONE)[:20],
        encode_correction(ONE).decode().encode("utf-16"),
        gzip.compress(b""),
    ],
    ids=["half a line", "utf-16", "gzip"],
)
def test_nothing_is_put_behind_what_it_would_spoil(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(data)
    assert refusal(file) == "damaged"
    assert file.read_bytes() == data


def test_a_disk_that_is_full_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.ndjson"
    append(file, ONE)
    write = os.write
    monkeypatch.setattr(f"{STORE}.os.write", lambda number, data: write(number, data[:7]))
    assert refusal(file) == "no_space"

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(f"{STORE}.os.write", write)
    monkeypatch.setattr(f"{STORE}.os.fsync", fail)
    assert refusal(file) == "no_space"
    assert file.read_bytes() == encode_correction(ONE)


def test_what_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path / "missing" / "c.ndjson") == "not_writable"

    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(f"{STORE}.os.open", read_only)
    assert refusal(tmp_path / "c.ndjson") == "not_writable"


def test_a_lock_that_is_held_too_long_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LOCK_SECS", 0.05)
    file = tmp_path / "c.ndjson"
    append(file, ONE)
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert refusal(file) == "busy"
    append(file, TWO)


def _write_many(path: str, name: str) -> None:
    for number in range(25):
        append(Path(path), new_correction(name * (number + 1), "Error"))


def test_several_processes_write_to_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    file = tmp_path / "c.ndjson"
    writers = [
        context.Process(target=_write_many, args=(str(file), name), daemon=True) for name in "abc"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_history([file]).corrections) == 75


KILLED = """
import sys
from pathlib import Path
from waybill.core.correction import new_correction
from waybill.labelling.corrections.store import append
while True:
    one = new_correction("m", "Error")
    append(Path(sys.argv[1]), one)
    print(one.id, flush=True)
"""


def test_a_killed_process_loses_none_that_it_accepted(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    command = [sys.executable, "-c", KILLED, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        accepted = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        accepted += process.stdout.readlines()
    kept = {one.id for one in read_history([file]).corrections}
    assert {line.strip() for line in accepted if line.endswith("\n")} <= kept

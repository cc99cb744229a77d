"""A child process gets its input, says its words, and never outlives its bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from tests.patience import patience, until, wait_until
from waybill.core import child
from waybill.core.child import ChildOutputError, Ended, run_child


@pytest.fixture(name="module")
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module ``told`` that a child can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "told.py"


async def test_it_reads_its_input_and_says_how_it_ended(module: Path) -> None:
    module.write_text(
        "import sys\n"
        "data = sys.stdin.buffer.read()\n"
        "sys.stdout.buffer.write(data[::-1])\n"
        "print('one\\ntwo', sys.argv[1], file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    ended = await run_child("told", ["x"], stdin=b"ab" * 500_000, secs=30)
    assert ended == Ended(7, b"ba" * 500_000, b"one\ntwo x\n")
    assert ended.last_words() == "two x"


async def test_one_that_does_not_read_its_input_is_no_fault(module: Path) -> None:
    module.write_text("print('done')")
    ended = await run_child("told", stdin=b"x" * (8 << 20), secs=30)
    assert ended == Ended(0, b"done\n", b"")
    assert ended.last_words() == ""


async def test_a_signal_is_a_negative_code(module: Path) -> None:
    module.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert (await run_child("told", secs=30)).code == -signal.SIGSEGV


async def test_it_is_killed_when_it_prints_too_much(module: Path) -> None:
    module.write_text("while True: print('x' * 1000)")
    with pytest.raises(ChildOutputError, match="more than 100000 bytes"):
        await run_child("told", secs=30, output_bytes=100_000)


async def test_of_much_on_stderr_the_end_is_kept(module: Path) -> None:
    module.write_text("import sys\nprint('x' * (1 << 20), 'end', sep='\\n', file=sys.stderr)")
    ended = await run_child("told", secs=30)
    assert ended.last_words() == "end"
    assert len(ended.errors) <= 1 << 16


#: Starts a process of its own, says the numbers of both, and waits for ever.
_FAMILY = """
import os, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {other.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def written(file: Path) -> list[int]:
    while not file.exists():
        await asyncio.sleep(0.01)
    return [int(pid) for pid in file.read_text().split()]


async def test_it_is_killed_with_its_family_when_time_is_up(module: Path) -> None:
    module.write_text(_FAMILY)
    file = module.parent / "pids"
    running = asyncio.create_task(run_child("told", [str(file)], secs=2))
    pids = await written(file)
    with pytest.raises(TimeoutError):
        await running
    while not all(map(is_gone, pids)):
        await asyncio.sleep(0.01)


async def test_it_is_killed_with_its_family_when_its_caller_is_cancelled(module: Path) -> None:
    module.write_text(_FAMILY)
    file = module.parent / "pids"
    running = asyncio.create_task(run_child("told", [str(file)], secs=600))
    pids = await written(file)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    while not all(map(is_gone, pids)):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("turns", range(2, 12))
def test_it_is_killed_with_its_family_however_early_its_caller_is_cancelled(
    module: Path, run: Callable[..., None], turns: int
) -> None:
    """A loop that is held up may connect the pipes when the child has long been at work."""
    module.write_text(_FAMILY)
    file = module.parent / "pids"

    async def cancelled() -> None:
        running = asyncio.create_task(run_child("told", [str(file)], secs=600))
        for _ in range(turns):
            await asyncio.sleep(0)
        wait_until(file.exists)
        running.cancel()
        async with patience():
            await asyncio.wait([running])
        assert running.cancelled()
        pids = await written(file)
        await until(lambda: all(map(is_gone, pids)))

    run(cancelled())


async def test_it_finds_our_code_and_nothing_of_the_working_directory(
    module: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    (here / "waybill").mkdir(parents=True)
    (here / "waybill" / "__init__.py").write_text("raise SystemExit('a stranger')")
    (here / "json.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(here)
    module.write_text("import json, waybill\nprint(waybill.__file__)")
    ended = await run_child("told", secs=30)
    assert Path(os.fsdecode(ended.output).strip()).parents[1] == child.ROOT


async def test_that_none_can_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        await run_child("told", secs=30)


def test_it_runs_on_the_event_loop_of_the_service(module: Path) -> None:
    module.write_text("import os; print(os.getpid() == os.getpgrp())")
    ended = uvloop.run(run_child("told", secs=30))
    assert ended == Ended(0, b"True\n", b"")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("stdin", [b"", b"x" * 1_000_000], ids=["nothing", "much"])
def test_one_that_ends_before_it_is_fed_is_heard(
    module: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Coroutine[None, None, Ended]], Ended],
    stdin: bytes,
) -> None:
    module.write_text("import os; os.close(0); print('done')")
    feed = child._feed

    async def feed_late(pipe: asyncio.StreamWriter, data: bytes) -> None:
        while not pipe.is_closing():
            await asyncio.sleep(0.01)
        await feed(pipe, data)

    monkeypatch.setattr(child, "_feed", feed_late)
    assert run(run_child("told", secs=30, stdin=stdin)) == Ended(0, b"done\n", b"")


async def test_it_may_take_so_much_memory_and_is_the_first_to_go(module: Path) -> None:
    module.write_text(
        "import time\n"
        "while open('/proc/self/oom_score_adj').read() != '1000\\n':\n"
        "    time.sleep(0.01)  # its parent says so once it runs\n"
        "print('told', flush=True)\n"
        "bytearray(1 << 30)"
    )
    ended = await run_child("told", secs=30, memory_bytes=256 << 20)
    assert ended.output == b"told\n"
    assert ended.last_words() == "MemoryError"


async def test_it_gets_the_environment_that_is_given(module: Path) -> None:
    module.write_text("import os; print(os.environ.get('HOME'), os.environ['TOLD'])")
    given = {"TOLD": "yes", "PYTHONPATH": os.environ["PYTHONPATH"]}
    ended = await run_child("told", secs=30, environment=given)
    assert ended.output == b"None yes\n"

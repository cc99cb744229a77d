"""The server of forks outlives whatever happens to those who ask it."""

from __future__ import annotations

import functools
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.patience import wait_until
from tests.support.forking.process import is_forking, server_socket, start_waybill
from tests.support.forking.wire import Request, encode, own_limits


def _fields(pid: int) -> list[str]:
    """State, parent and what follows of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _is_dead(pid: int) -> bool:
    return _fields(pid)[0] == "Z"


def _serving(caller: socket.socket, folder: Path) -> int:
    """The id of a ``waybill serve`` that ``caller`` has asked for."""
    request = Request(["serve"], str(folder), dict(os.environ), *own_limits())
    caller.connect(server_socket())
    with Path(os.devnull).open("r+b") as null:
        socket.send_fds(caller, [encode(request)], [null.fileno()] * 3)
    with caller.makefile("rb") as answers:
        return int(answers.readline())


@pytest.mark.skipif(not is_forking(), reason="processes are not forked here")
def test_processes_that_end_as_their_callers_go(tmp_path: Path) -> None:
    callers = [socket.socket(socket.AF_UNIX) for _ in range(6)]
    pids = [_serving(caller, tmp_path) for caller in callers]
    server = int(_fields(pids[0])[1])
    os.kill(server, signal.SIGSTOP)
    for at, (caller, pid) in enumerate(zip(callers, pids, strict=True)):
        if at % 2:
            caller.close()
        os.kill(pid, signal.SIGKILL)
        wait_until(functools.partial(_is_dead, pid))
        caller.close()
    os.kill(server, signal.SIGCONT)  # and is told of both ends at once
    output = tmp_path / "version"
    with output.open("wb") as file:
        assert start_waybill("--version", folder=tmp_path, output=file).wait(60) == 0
    assert output.read_text().startswith("waybill")

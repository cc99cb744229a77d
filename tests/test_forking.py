"""The server of forks outlives whatever happens to those who ask it."""

from __future__ import annotations

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


@pytest.mark.skipif(not is_forking(), reason="processes are not forked here")
def test_a_process_that_ends_as_its_caller_goes(tmp_path: Path) -> None:
    request = Request(["serve"], str(tmp_path), dict(os.environ), *own_limits())
    with Path(os.devnull).open("r+b") as null, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(server_socket())
        socket.send_fds(caller, [encode(request)], [null.fileno()] * 3)
        with caller.makefile("rb") as answers:
            pid = int(answers.readline())
        server = int(_fields(pid)[1])
        os.kill(server, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)  # after its caller has gone
    wait_until(lambda: _fields(pid)[0] == "Z")
    os.kill(server, signal.SIGCONT)  # and is told of both at once
    output = tmp_path / "version"
    with output.open("wb") as file:
        assert start_waybill("--version", folder=tmp_path, output=file).wait(60) == 0
    assert output.read_text().startswith("waybill")

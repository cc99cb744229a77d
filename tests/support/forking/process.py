"""``waybill`` in a process of its own, forked by the server of this run of the tests."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from tests.support.forking.wire import Request, encode, own_limits
from tests.support.startup.sitecustomize import search_path

__all__ = [
    "Forked",
    "Process",
    "command_script",
    "command_words",
    "is_forking",
    "server_socket",
    "start_waybill",
]

ROOT = Path(__file__).parents[3]
_COMMAND = Path(__file__).with_name("command.py")
#: What acts when a process starts, and is too late in a fork; coverage is counted by real ones.
_EARLY = ("LD_PRELOAD", "MALLOC_", "PYTHONIOENCODING", "LC_ALL", "COV", "COVERAGE_")


def is_forking() -> bool:
    """Whether processes are forked here."""
    return hasattr(os, "pidfd_open") and not any(name.startswith("COV") for name in os.environ)


@cache
def server_socket() -> str:
    """The address of the server, which is started on first use and ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="waybill-forks-")
    path = f"{folder.name}/socket"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forking.server", path],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=os.environ
        | {"PYTHONPATH": search_path(ROOT / "sidecar", ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )

    def end() -> None:
        server.kill()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    while not _answers(path):
        assert server.poll() is None
        time.sleep(0.02)
    return path


def _answers(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)
        return True
    return False


class Forked:
    """As much of `subprocess.Popen` as the tests use."""

    def __init__(
        self, words: Sequence[str], folder: Path, environ: Mapping[str, str], files: Sequence[int]
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(server_socket())
        request = Request(list(words), str(folder), dict(environ), *own_limits())
        socket.send_fds(self._connection, [encode(request)], files)
        self._answers = self._connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises `TimeoutError`."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self._connection.setblocking(False)
                if self._connection.recv(1, socket.MSG_PEEK):
                    self.wait(10)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To a process that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


#: Either kind of process.
Process = subprocess.Popen[bytes] | Forked


def start_waybill(
    *words: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    errors: IO[bytes] | None = None,
) -> Process:
    """Start ``waybill`` with ``words`` in ``folder``: forked, or anew where that is another thing.

    ``environ`` comes on top of that of this process.
    """
    own = dict(environ or {})
    whole = os.environ | {"PYTHONPATH": search_path(ROOT / "sidecar", ROOT)} | own
    if not is_forking() or any(name.startswith(_EARLY) for name in own):
        command = [sys.executable, "-m", "waybill", *words]
        return subprocess.Popen(command, cwd=folder, env=whole, stdout=output, stderr=errors)
    files = [os.open(os.devnull, os.O_RDONLY)]
    try:
        files += [
            1 if output is None else output.fileno(),
            2 if errors is None else errors.fileno(),
        ]
        return Forked(words, folder, whole, files)
    finally:
        os.close(files[0])


def command_words() -> tuple[str, ...]:
    """What stands in place of ``python -m waybill``."""
    if not is_forking():
        return (sys.executable, "-m", "waybill")
    return (sys.executable, "-I", "-S", str(_COMMAND), server_socket())


def command_script() -> str:
    """The text of a command ``waybill`` for a shell."""
    return f'#!/bin/sh\nexec {shlex.join(command_words())} "$@"\n'

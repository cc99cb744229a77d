"""Starts ``waybill`` again and again without importing it again: a process that has, forks.

A start takes 1.1 s of processor time, of which a second is imports; the tests start it some hundred
times. What runs in the fork is the same `main`, with its own arguments, folder, environment, files
and limits, and ends as any process does: signals, exit code, atexit.

    python -m tests.support.forking.server SOCKET

A request is one line of JSON with the files 0, 1 and 2 attached; two lines come back, the process
id at once and the exit code in the end. Who goes away before that has its process killed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.abc
import os
import resource
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import NoReturn

from tests.support.forking.child import forked_compilers
from tests.support.forking.wire import Request, decode
from waybill.labelling.rules import loading

_MOST_BYTES = 1 << 20
#: What serving and the small commands import.
_PACKAGES = (
    "core",
    "settings",
    "ops",
    "wire",
    "labelling",
    "patterns",
    "handback",
    "flow",
    "ingest",
    "api",
    "service",
    "web",
)
#: The command that the workbench starts for each file, and the compiler.
_MODULES = ("cli.main", "cli.label_file", "cli.label_plan", "labelling.rules.compiler")


class _Refuser(importlib.abc.MetaPathFinder):
    """No fork may have a thread: what starts one when it is imported waits for the fork."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "onnxruntime":
            raise ImportError(fullname)
        return None


def _preload() -> None:
    """Most of what a command imports when it runs."""
    refuser = _Refuser()
    sys.meta_path.insert(0, refuser)
    for package in _PACKAGES:
        folder = import_module(f"waybill.{package}")
        for module in walk_packages(folder.__path__, f"waybill.{package}."):
            with contextlib.suppress(ImportError):
                import_module(module.name)
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            import_module(f"waybill.{name}")
    sys.meta_path.remove(refuser)
    assert threading.active_count() == 1
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    gc.collect()
    gc.freeze()


class _Server:
    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        #: Connection of a process that runs -> its id and the descriptor that tells of its end.
        self._running: dict[socket.socket, tuple[int, int]] = {}
        self._ends: dict[int, socket.socket] = {}

    def until_asked(self) -> Request:
        """Fork for each request; returns in the forks only, with what was asked of them."""
        while True:
            told = [key.fileobj for key, _ in self._selector.select()]
            for one in told:
                # A process that ends as its caller goes is told of twice.
                if isinstance(one, int) and one in self._ends:
                    self._reap(self._ends[one])
                elif isinstance(one, socket.socket) and one in self._running:
                    self._hear(one)
            # Last: its descriptors may be those of what has just ended.
            if self._listener in told:
                request = self._accept()
                if request is not None:
                    return request

    def _accept(self) -> Request | None:
        connection, _ = self._listener.accept()
        data, files = b"", list[int]()
        with contextlib.suppress(OSError):  # it was killed meanwhile
            data, files, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
        if not data.endswith(b"\n"):  # the one who started this looks whether it is there
            connection.close()
            return None
        pid = os.fork()
        if pid == 0:
            self._leave_all(connection)
            for target, file in enumerate(files):
                os.dup2(file, target)
                os.close(file)
            return decode(data)
        for file in files:
            os.close(file)
        end = os.pidfd_open(pid)
        self._running[connection], self._ends[end] = (pid, end), connection
        self._selector.register(end, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # it was killed meanwhile: `_hear` kills its process
            connection.sendall(b"%d\n" % pid)
        return None

    def _leave_all(self, connection: socket.socket) -> None:
        """What belongs to the server and not to its fork."""
        self._selector.close()
        for one in (connection, self._listener, *self._running):
            one.close()
        for end in self._ends:
            os.close(end)

    def _hear(self, connection: socket.socket) -> None:
        """Nothing more is said on a connection: it has gone."""
        pid, _ = self._running[connection]
        with contextlib.suppress(OSError):
            if connection.recv(1):
                return
        os.kill(pid, signal.SIGKILL)
        self._reap(connection)

    def _reap(self, connection: socket.socket) -> None:
        pid, end = self._running.pop(connection)
        del self._ends[end]
        self._selector.unregister(end)
        self._selector.unregister(connection)
        os.close(end)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"%d\n" % code)


def _become(request: Request) -> int:
    """What was asked for; its exit code."""
    os.environ.clear()
    os.environ.update(request.environ)
    os.chdir(request.folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (request.files_soft, request.files_hard))
    sys.argv = ["waybill", *request.words]
    # Anew: the server had other files.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    if request.module is not None:
        code: int = import_module(request.module).main()
        return code
    from waybill.cli.main import main

    return main(request.words)


def _end(code: int) -> NoReturn:
    """As any process, but for tearing down all that was imported: 0.05 s, as long as the work."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # what cannot be written is told by the ordinary end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _preload()
    socket_path = sys.argv[1]
    setattr(loading, "run_child", forked_compilers(lambda: socket_path))  # noqa: B010 - mypy
    asked = _Server(socket_path).until_asked()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end(_become(asked))

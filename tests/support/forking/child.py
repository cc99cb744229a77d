"""The compiler of rules, too, is forked: a few rules, which the tests compile some hundred times,
take 0.01 s of processor time so, and 0.08 s in a process that is started.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from tests.patience import PATIENCE_SECS, patience
from tests.support.forking.wire import Request, encode, own_limits
from waybill.core import child
from waybill.core.child import Ended, run_child

__all__ = ["forked_compilers"]

#: More than these are the shipped rules: few tests compile them, and those start what Waybill does.
_MOST_BYTES = 50_000
RunChild = Callable[..., Awaitable[Ended]]


def forked_compilers(path: Callable[[], str]) -> RunChild:
    """What runs the compiler in a fork of the server at ``path()``.

    A test that changes what a started process would find, or has it hurry, gets one.
    """
    usual = _surroundings()

    async def forked(module: str, *, stdin: bytes, secs: float) -> Ended:
        is_usual = secs >= PATIENCE_SECS and _surroundings() == usual
        if len(stdin) > _MOST_BYTES or not is_usual:
            return await run_child(module, stdin=stdin, secs=secs)
        async with patience():
            return await _fork(path(), module, stdin)

    return forked


def _surroundings() -> tuple[Path, str | None]:
    return child.ROOT, os.environ.get("PYTHONPATH")


async def _fork(path: str, module: str, stdin: bytes) -> Ended:
    """Its end; it is killed when this is cancelled, for then the connection is closed."""
    with ExitStack() as stack:
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        for file in files:
            stack.callback(os.close, file)
        os.pwrite(files[0], stdin, 0)
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.connect(path)
        request = Request([], str(Path.cwd()), dict(os.environ), *own_limits(), module)
        socket.send_fds(connection, [encode(request)], files)
        connection.setblocking(False)
        code = await _last_line(connection)
        output, errors = (os.pread(file, os.fstat(file).st_size, 0) for file in files[1:])
        return Ended(code, output, errors)


async def _last_line(connection: socket.socket) -> int:
    """The second of the two that are said: the exit code."""
    said = b""
    receive = functools.partial(asyncio.get_running_loop().sock_recv, connection, 100)
    while said.count(b"\n") < 2:
        piece = await receive()
        assert piece, "the server of forks has ended"
        said += piece
    return int(said.split()[1])

"""The one way to run a module of ours in a child process that is limited.

What may crash, hang, leak or need much memory runs apart from the service: the rule compiler, the
pull of a model. The caller says how long it may take and how much it may print; it is killed, with
all that it started, when it takes longer, prints more, or when the caller is cancelled.

    >>> ended = await run_child("json.tool", stdin=b"[1]", secs=10)   # doctest: +SKIP
    >>> ended.code                                                    # doctest: +SKIP
    0
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from waybill.core.errors import WaybillError
from waybill.core.streams import send

#: Where the package lies: a child finds the same code as we, wherever the working directory is.
ROOT = Path(__file__).parents[2]
_OUTPUT_BYTES = 256 << 20
#: Of what a child writes to stderr only the end says why it ended.
_ERROR_BYTES = 64 << 10
_READ_BYTES = 1 << 16


class ChildOutputError(WaybillError):
    """A child printed more than it may."""


class Ended(NamedTuple):
    """How a child ended: exit code (negative: the signal), its stdout, the end of its stderr."""

    code: int
    output: bytes
    errors: bytes

    def last_words(self) -> str:
        """The last line of stderr; "" where it is empty."""
        lines = self.errors.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


async def run_child(
    module: str,
    arguments: Sequence[str] = (),
    *,
    stdin: bytes = b"",
    secs: float,
    output_bytes: int = _OUTPUT_BYTES,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Ended:
    """Run ``python -m module arguments`` until it ends, at most ``secs`` seconds by the clock.

    It gets ``stdin``, the ``environment``, and no module from the working directory. With
    ``memory_bytes`` it may take so much, and is the first to go where the machine has no more.

    Raises:
        OSError: no process can be started.
        TimeoutError: it took longer and was killed.
        ChildOutputError: it printed more than ``output_bytes`` and was killed.
    """
    child = await start_child(
        sys.executable,
        "-P",
        "-m",
        module,
        *arguments,
        kill=_kill,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**environment, "PYTHONPATH": _search_path()},
        start_new_session=True,  # uvloop has no process_group
    )
    try:
        if memory_bytes is not None:
            _limit(child.pid, memory_bytes)
        async with asyncio.timeout(secs):
            return await _talk(child, stdin, output_bytes)
    finally:
        await end_child(child, functools.partial(_kill, child))


async def start_child(
    *words: str, kill: Callable[[Process], None] = Process.kill, **options: Any
) -> Process:
    """`asyncio.create_subprocess_exec` that may be cancelled: then ``kill`` is called.

    asyncio can wait for ever for the end of a process whose pipes were not connected yet. Raises
    OSError.
    """
    starting = asyncio.create_task(asyncio.create_subprocess_exec(*words, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            child = starting.result()
            await end_child(child, functools.partial(kill, child))
        raise


async def end_child(child: Process, kill: Callable[[], None]) -> None:
    """Close its pipes, after it has ended; if it runs still, ``kill`` is called."""
    try:
        if child.returncode is None:
            kill()
            await child.wait()
    finally:
        # Its pipes are left to a later turn of the loop, which may be at its end.
        child._transport.close()  # type: ignore[attr-defined] # noqa: SLF001


def _limit(pid: int, memory_bytes: int) -> None:
    """Bound the memory of a child; it may have ended already."""
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000", "ascii")


def _search_path() -> str:
    """Our own code first, then what ``PYTHONPATH`` named already."""
    inherited = os.environ.get("PYTHONPATH")
    if not inherited:
        return str(ROOT)
    return os.pathsep.join((str(ROOT), inherited))


async def _talk(child: Process, stdin: bytes, output_bytes: int) -> Ended:
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    feed = asyncio.create_task(_feed(child.stdin, stdin))
    listen = asyncio.create_task(_read_tail(child.stderr))
    try:
        output = await _read_all(child.stdout, output_bytes)
        errors = await listen
        await feed
        return Ended(await child.wait(), output, errors)
    finally:
        feed.cancel()
        listen.cancel()


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # it may end without reading all of it
        await send(pipe, data)
    pipe.close()


async def _read_all(pipe: asyncio.StreamReader, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await pipe.read(_READ_BYTES):
        size += len(chunk)
        if size > limit:
            raise ChildOutputError(f"a child process printed more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_tail(pipe: asyncio.StreamReader) -> bytes:
    tail = b""
    while chunk := await pipe.read(_READ_BYTES):
        tail = (tail + chunk)[-_ERROR_BYTES:]
    return tail


def _kill(child: Process) -> None:
    """Kill the child and all that it started: it leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)

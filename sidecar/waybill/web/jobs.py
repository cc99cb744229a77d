"""Jobs of the CSV page: a file that was sent, and ``waybill label`` at work on it.

A job is a folder beside the store: the file as it came, the labelled one, and what is known of it
in the store. The work is done by a process of its own, with the command that people use, so that
the page and the command line give the same bytes, and memory stays flat. One job runs, others wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from waybill.core.child import ROOT
from waybill.web.store.database import Database
from waybill.web.store.jobs import JobRow, drop_jobs, load_job, save_job

log = logging.getLogger(__name__)
State = Literal["ready", "waiting", "running", "finished", "failed", "cancelled"]
#: Longest name of a file that is kept.
_NAME_CHARS = 200
#: Faults of rows that a page names, by kind.
_NAMED = 5
#: A job with its files is kept so long, in seconds.
KEEP_SECS = 86_400.0
#: Longest line that the command may tell.
_LINE_BYTES = 1 << 24


class Options(msgspec.Struct, frozen=True):
    """How the file is read; empty: found out. The same words as ``waybill label`` has."""

    form: str = ""
    delimiter: str = ""
    encoding: str = ""
    message: str = ""
    source: str = ""
    label: str = ""
    on_error: Literal["pass", "skip", "fail"] = "pass"

    def arguments(self) -> list[str]:
        """As flags of the command."""
        given = {
            "--format": self.form,
            "--delimiter": self.delimiter,
            "--encoding": self.encoding,
            "--message-column": self.message,
            "--source-column": self.source,
            "--label-column": self.label,
            "--on-error": self.on_error,
        }
        flags: list[str] = []
        for name, value in given.items():
            if value:
                # In one word: a value that begins with a dash is no flag.
                flags.append(f"{name}={value}")
        return flags


class Job(msgspec.Struct):
    """One file and what became of it."""

    id: str
    name: str
    author: str
    at: float
    size: int = 0
    state: State = "ready"
    options: Options = Options()
    rows: int = 0
    bytes: int = 0
    secs: float = 0.0
    said: str = ""
    failure: str = ""
    faults: dict[str, list[str]] = {}
    fault_counts: dict[str, int] = {}
    result: dict[str, object] = {}


class Jobs:
    """Keeps jobs, and lets one of them run at a time."""

    def __init__(self, folder: Path, database: Database, flags: list[str]) -> None:
        self._folder = folder
        self._database = database
        self._flags = flags
        self._slot = asyncio.Lock()
        self._known: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    def new(self, name: str, author: str) -> Job:
        """A job for a file that is about to come."""
        job = Job(secrets.token_hex(8), _plain_name(name), author, time.time())
        self._known[job.id] = job
        self.folder(job).mkdir(parents=True, exist_ok=True)
        return job

    def folder(self, job: Job) -> Path:
        """Where its files are."""
        return self._folder / job.id

    def source(self, job: Job) -> Path:
        """The file as it came; its suffix says what it is."""
        return self.folder(job) / f"in{''.join(Path(job.name).suffixes[-2:])[:16]}"

    def target(self, job: Job) -> Path:
        """The labelled file."""
        return self.folder(job) / "out"

    async def receive(self, job: Job, chunks: AsyncIterator[bytes]) -> None:
        """Write the file to disk as it comes; of one that does not come whole nothing is left.

        Raises OSError.
        """
        try:
            with self.source(job).open("wb") as file:
                async for chunk in chunks:
                    job.size += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            await self._save(job)
        except BaseException:
            self._known.pop(job.id, None)
            shutil.rmtree(self.folder(job), ignore_errors=True)
            raise

    async def find(self, job_id: str) -> Job | None:
        """The job of this id, of this process or of one before it."""
        if job_id in self._known:
            return self._known[job_id]
        row = await self._database.read(lambda store: load_job(store, job_id))
        if row is None:
            return None
        job = msgspec.json.decode(row.body, type=Job)
        if job.state in ("running", "waiting"):
            job.state = "failed"
            job.failure = "The workbench was stopped while the file was labelled. Start it again."
        self._known[job_id] = job
        return job

    async def start(self, job: Job) -> None:
        """Label it, now or when the jobs before it have ended."""
        if job.id in self._tasks and not self._tasks[job.id].done():
            return
        job.state = "waiting"
        job.rows = job.bytes = 0
        job.failure = ""
        job.faults = {}
        job.fault_counts = {}
        job.result = {}
        await self._save(job)
        self._tasks[job.id] = asyncio.create_task(self._run(job))

    async def cancel(self, job: Job) -> None:
        """Stop it; what was labelled so far stays to be taken."""
        process = self._processes.get(job.id)
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
        task = self._tasks.get(job.id)
        if task is not None and job.state == "waiting":
            task.cancel()
        job.state = "cancelled"
        await self._save(job)

    async def forget_old(self) -> None:
        """Remove jobs, and files of jobs, that are older than a day."""
        gone = await self._database.write(lambda store: drop_jobs(store, time.time() - KEEP_SECS))
        for job_id in gone:
            self._known.pop(job_id, None)
            await asyncio.to_thread(shutil.rmtree, self._folder / job_id, True)

    async def close(self) -> None:
        """Stop what runs."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
        for task in self._tasks.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self, job: Job) -> None:
        async with self._slot:
            if job.state != "waiting":
                return
            job.state = "running"
            begin = time.monotonic()
            code = await self._label(job)
            job.secs = time.monotonic() - begin
        await self._end(job, code)

    async def _end(self, job: Job, code: int) -> None:
        """What became of it, unless somebody has cancelled it."""
        if job.state == "cancelled":
            return
        job.state = "finished" if job.result else "failed"
        if not job.result and not job.failure:
            job.failure = f"waybill label ended with code {code}"
        await self._save(job)

    async def _label(self, job: Job) -> int:
        """Run the command and follow what it tells; its exit code."""
        command = [sys.executable, "-m", "waybill", "label", str(self.source(job))]
        command += ["--progress", "json", *job.options.arguments(), *self._flags]
        with self.target(job).open("wb") as target:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=target,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                limit=_LINE_BYTES,
            )
        self._processes[job.id] = process
        assert process.stderr is not None
        async for line in process.stderr:
            _note(job, line)
        return await process.wait()

    async def _save(self, job: Job) -> None:
        row = JobRow(job.id, job.at, job.author, job.name, job.state, msgspec.json.encode(job))
        await self._database.write(lambda store: save_job(store, row))


def _plain_name(name: str) -> str:
    """The name of a file as it may stand in a path and on a page."""
    shown = "".join(sign for sign in Path(name).name if sign.isprintable())
    return shown[:_NAME_CHARS] or "file"


def _note(job: Job, line: bytes) -> None:
    """What the command told: progress, a fault of a row, the end, or why it cannot go on."""
    try:
        told = json.loads(line)
    except ValueError:
        words = line.decode("utf-8", "replace").strip()
        if words:
            job.failure = words.removeprefix("waybill: ").removeprefix("error: ")
        return
    if "done" in told:
        job.result = told
        job.rows = told["rows"]
        job.bytes = told["bytes"]
    elif "rows" in told:
        job.rows = told["rows"]
        job.bytes = told["bytes"]
        job.secs = told["secs"]
    elif "fault" in told:
        _count_fault(job, told)
    elif "said" in told:
        job.said = told["said"]


def _count_fault(job: Job, told: Mapping[str, str]) -> None:
    kind = told["fault"].split(";")[0].split(":")[0][:80]
    counts = Counter(job.fault_counts)
    counts[kind] += 1
    job.fault_counts = dict(counts)
    named = job.faults.setdefault(kind, [])
    if len(named) < _NAMED:
        named.append(told["row"])

"""Jobs of the CSV page: a file that was sent, and ``waybill label`` at work on it.

A job is a folder beside the store: the file as it came, the labelled one, and what is known of it
in the store. The work is done by a process of its own, with the command that people use, so that
the page and the command line give the same bytes, and memory stays flat. One job runs, others wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from waybill.core.again import again_and_again
from waybill.core.child import end_child, start_child
from waybill.core.clock import Steadiness
from waybill.settings.schema import Settings
from waybill.web.job import Faults, Job, note, note_check
from waybill.web.room import Room, not_written, plain_name
from waybill.web.run_settings import SETTINGS_FILE, environment, write_settings
from waybill.web.sample import is_table, settled_options
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.store.faults import StoreError
from waybill.web.store.jobs import (
    JobRow,
    drop_job,
    drop_jobs,
    list_jobs,
    load_job,
    save_job,
)

log = logging.getLogger(__name__)
_SWEEP_SECS = 600.0
#: After so many bytes of a file that is sent the disk is looked at.
_LOOK_BYTES = 16 << 20
#: Longest line that the command may tell.
_LINE_BYTES = 1 << 24
#: The command that labels a file, in a process of its own.
_WAYBILL: Sequence[str] = (sys.executable, "-m", "waybill")
_STOPPED = "The workbench was stopped while the file was labelled. Start it again."
Note = Callable[[Job, bytes], None]


class Jobs:
    """Keeps jobs, and lets one of them run at a time; the settings are those of the preview."""

    def __init__(self, folder: Path, database: Database, settings: Settings) -> None:
        self._folder = folder
        self._database = database
        self._settings = settings
        self.room = Room(folder, database, settings.workbench)
        self._slot = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._known: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._order: list[str] = []
        self._sweeper: asyncio.Task[None] | None = None
        #: A clock that jumped ahead makes everything old.
        self._is_steady = Steadiness()

    async def start_sweeping(self) -> None:
        """Remove what is too old, from time to time, when the clock is to be believed."""
        self._sweeper = asyncio.create_task(again_and_again("removing old files", self._sweep))

    def new(self, name: str, author: str) -> Job:
        """A job for a file that is about to come."""
        job = Job(secrets.token_hex(8), plain_name(name), author, time.time())
        self._known[job.id] = job
        return job

    def folder(self, job: Job) -> Path:
        """Where its files are."""
        return self._folder / job.id

    def source(self, job: Job) -> Path:
        """The file as it came; its suffix says what it is."""
        return self.folder(job) / f"in{''.join(Path(job.name).suffixes[-2:])[:16]}"

    def target(self, job: Job) -> Path:
        """The labelled file of the newest run."""
        return self.folder(job) / f"out{job.run}"

    @property
    def keep_secs(self) -> float:
        """How long a file is kept."""
        return self._settings.workbench.upload_keep_secs

    async def delete(self, job: Job) -> None:
        """Stop it, and remove its files and what is known of it."""
        await self.cancel(job)
        await self._end_check(job)
        task = self._tasks.pop(job.id, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._known.pop(job.id, None)
        await self._database.write(lambda store: drop_job(store, job.id))
        await asyncio.to_thread(shutil.rmtree, self.folder(job), ignore_errors=True)

    async def receive(self, job: Job, chunks: AsyncIterator[bytes]) -> None:
        """Write the file to disk as it comes; one that does not come whole is forgotten.

        Raises UploadError.
        """
        try:
            self.folder(job).mkdir(parents=True, exist_ok=True)
            with self.source(job).open("wb") as file:
                async for chunk in chunks:
                    if job.size // _LOOK_BYTES < (job.size + len(chunk)) // _LOOK_BYTES:
                        self.room.check_more(job.size)
                    job.size += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            await self.save(job)
        except BaseException as error:
            self._known.pop(job.id, None)
            shutil.rmtree(self.folder(job), ignore_errors=True)
            if isinstance(error, OSError):
                raise not_written(error) from None
            raise
        await self.check(job)

    async def find(self, job_id: str) -> Job | None:
        """The job of this id, of this process or of one before it."""
        if job_id in self._known:
            return self._known[job_id]
        row = await self._database.read(lambda store: load_job(store, job_id))
        if row is None:
            return None
        try:
            job = msgspec.json.decode(row.body, type=Job)
        except msgspec.ValidationError:
            return None  # of an older version; it is gone within a day
        if job.state in ("running", "waiting"):
            job.state = "failed"
            job.failure = _STOPPED
        if job.check == "running":
            job.check = "none"
        self._known[job_id] = job
        return job

    async def check(self, job: Job) -> None:
        """Read the whole file for faults, as it is to be read now."""
        await self._end_check(job)
        job.check = "running"
        job.checked = Faults()
        job.checked_rows = 0
        job.check_words = ""
        self._checks[job.id] = asyncio.create_task(self._check(job))

    async def start(self, job: Job) -> None:
        """Label it, now or when the jobs before it have ended."""
        if job.id in self._tasks and not self._tasks[job.id].done():
            return
        await self._end_check(job)
        await asyncio.to_thread(self.target(job).unlink, missing_ok=True)
        job.begin()
        job.state = "waiting"
        self._order.append(job.id)
        await self.save(job)
        self._tasks[job.id] = asyncio.create_task(self._run(job))

    def place(self, job: Job) -> int:
        """How many jobs are before it."""
        return self._order.index(job.id) if job.id in self._order else 0

    async def cancel(self, job: Job) -> None:
        """Stop it; what was labelled so far stays to be taken."""
        if job.state not in ("waiting", "running"):
            return
        was_waiting = job.state == "waiting"
        job.state = "cancelled"
        process = self._processes.get(job.id)
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
        task = self._tasks.get(job.id)
        if task is not None and was_waiting:
            task.cancel()
            self._leave(job)
        await self.save(job)

    async def forget_old(self) -> None:
        """Remove jobs, and files of jobs, that are older than `keep_secs`."""
        before = time.time() - self.keep_secs
        gone = await self._database.write(lambda store: drop_jobs(store, before))
        for job_id in gone:
            self._known.pop(job_id, None)
        await asyncio.to_thread(self._remove, gone, before)

    async def close(self) -> None:
        """Stop what runs."""
        tasks = [*self._tasks.values(), *self._checks.values()]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        # One that failed must not keep the others from being awaited.
        await asyncio.gather(*tasks, return_exceptions=True)

    async def save(self, job: Job) -> None:
        """Keep what is known of it."""
        row = JobRow(job.id, job.at, job.author, job.name, job.state, msgspec.json.encode(job))
        await self._database.write(lambda store: save_job(store, row))

    async def _run(self, job: Job) -> None:
        try:
            async with self._slot:
                job.state = "running"
                await self.save(job)
                begin = time.monotonic()
                await self._prepare(job)
                with self.target(job).open("wb") as target:
                    code = await self._command(job, job.id, [], target, note)
                job.secs = time.monotonic() - begin
            await self._end(job, code)
        except OSError as error:
            log.exception("a file of the CSV page cannot be labelled")
            job.state = "failed"
            job.failure = f"The file cannot be labelled: {error.strerror}"
            await self.save(job)
        finally:
            self._leave(job)

    async def _end(self, job: Job, code: int) -> None:
        """What became of it, unless somebody has cancelled it."""
        if job.state == "cancelled":
            return
        job.state = "finished" if job.result else "failed"
        if not job.result and not job.failure:
            job.failure = f"waybill label ended with code {code}"
        await self.save(job)

    async def _check(self, job: Job) -> None:
        try:
            async with self._reading:
                await self._prepare(job)
                name = f"check of {job.id}"
                await self._command(job, name, ["--check"], asyncio.subprocess.DEVNULL, note_check)
        except OSError as error:
            log.exception("a file of the CSV page cannot be read")
            job.check_words = f"The file cannot be read: {error.strerror}"
        if job.check == "running":
            job.check = "failed"
        await self.save(job)

    async def _end_check(self, job: Job) -> None:
        task = self._checks.pop(job.id, None)
        if task is None or task.done():
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        job.check = "none"

    async def _prepare(self, job: Job) -> None:
        """Write down the settings, and what people have said up to now."""
        said = await self._database.read(export)
        job.corrections = said.count(b"\n")
        await asyncio.to_thread(write_settings, self.folder(job), self._settings, said)

    async def _command(
        self, job: Job, name: str, flags: Sequence[str], target: BinaryIO | int, told: Note
    ) -> int:
        """Run the command and follow what it tells; its exit code."""
        fields = self._settings.fields
        options = await asyncio.to_thread(
            settled_options, fields, self.source(job), job.name, job.options
        )
        settings = str(self.folder(job) / SETTINGS_FILE)
        process = await start_child(
            *_WAYBILL,
            *("label", str(self.source(job)), "--config", settings),
            *("--progress", "json", *options.arguments(), *flags),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=target,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            limit=_LINE_BYTES,
        )
        self._processes[name] = process
        assert process.stderr is not None
        try:
            async for line in process.stderr:
                told(job, line)
            return await process.wait()
        finally:
            del self._processes[name]
            await end_child(process, process.kill)

    def _leave(self, job: Job) -> None:
        if job.id in self._order:
            self._order.remove(job.id)

    async def _sweep(self) -> None:
        try:
            if self._is_steady():
                await self.forget_old()
        except (OSError, StoreError):
            log.exception("old files of the CSV page cannot be removed")
        await asyncio.sleep(_SWEEP_SECS)

    def _remove(self, gone: Sequence[str], before: float) -> None:
        """Folders of these jobs, and those that nobody knows any more."""
        for job_id in gone:
            shutil.rmtree(self._folder / job_id, ignore_errors=True)
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            if folder.name not in self._known and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)

    async def is_table(self, job: Job) -> bool:
        """Whether the file is read as a table, as the preview says."""
        fields = self._settings.fields
        return await asyncio.to_thread(is_table, fields, self.source(job), job.name, job.options)

    async def newest(self) -> list[Job]:
        """The newest jobs, newest first."""
        most = self._settings.workbench.upload_files
        rows = await self._database.read(lambda store: list_jobs(store, most))
        found: list[Job] = []
        for row in rows:
            job = await self.find(row.id)
            if job is not None:
                found.append(job)
        return found

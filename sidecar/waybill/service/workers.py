"""Several processes behind one address (``http.workers``): workers that serve, and a parent that
serves nothing.

The parent loads rules and model once and forks, so that the workers share that memory: of 128 MB in
a fresh worker 6 are its own (``/proc/PID/smaps_rollup``, default model). The kernel deals out
connections (SO_REUSEPORT). The parent has no event loop and no threads of its own, so it can fork
again at any time: a worker that dies, or falls silent, is replaced, and what it had not answered is
sent again by its shippers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import multiprocess, values

from waybill.core.errors import BundleError, ConfigError
from waybill.core.version import VERSION
from waybill.labelling.model.manifest import read_manifest
from waybill.ops.memory import settle_memory
from waybill.ops.metrics import worker_restarts
from waybill.ops.tuning import tune_process
from waybill.service.app import serve
from waybill.service.held_addresses import hold_addresses, open_unix
from waybill.service.loading import Parts, bundle_folders, read_parts
from waybill.service.patterns import make_known
from waybill.service.roles import Member
from waybill.service.signals import ENDING_AT_ONCE
from waybill.settings.labellings import each_labelling
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_TICK_SECS = 1.0
#: A worker whose event loop has not turned for so many ticks hangs. Counted, not timed: a whole
#: machine that stood still is no reason to kill anybody.
_SILENT_TICKS = 30
#: One that is not up yet may wait for its model, or for a busy machine: killed too soon, the next
#: one would have to begin anew, and none would ever be there.
_STARTING_TICKS = 600
#: Between two starts of a worker that keeps dying, in seconds; the wait doubles.
_FIRST_DELAY_SECS, _LONGEST_DELAY_SECS = 1.0, 30.0
#: Beyond ``http.drain_secs``, for closing.
_CLOSE_SECS = 8.0
_FAILED, _CONFIGURATION = 1, 2

RunLoop = Callable[[Coroutine[Any, Any, None]], None]


def serve_workers(settings: Settings, run_loop: RunLoop) -> int:
    """Serve with ``http.workers`` processes until SIGTERM or SIGINT; gives the exit code.

    Raises:
        ConfigError: rules, model or an address cannot be used.
    """
    tune_process()
    settings, held = hold_addresses(settings)
    with tempfile.TemporaryDirectory(prefix="waybill-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        parts = asyncio.run(read_parts(settings)) if _survives_fork(settings) else None
        unix = open_unix(settings.forward.unix) if settings.forward.unix else None
        settle_memory()
        try:
            return Supervisor(settings, parts, unix, Path(folder), run_loop).run()
        finally:
            for sock in held:
                sock.close()
            if unix is not None and settings.forward.unix:
                unix.close()
                Path(settings.forward.unix).unlink(missing_ok=True)


class _Slot(msgspec.Struct):
    """One worker's place. ``pulse`` is the end of a pipe that the worker writes to as long as its
    loop turns. ``was_ready``: some worker of this place; ``is_up``: the one that is there now.
    """

    number: int
    pid: int = 0
    pulse: int = -1
    silent_ticks: int = 0
    was_ready: bool = False
    is_up: bool = False
    is_killed: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    delay_secs: float = _FIRST_DELAY_SECS


class Supervisor:
    """Starts workers, replaces those that die or hang, and passes signals on."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts | None,
        unix: socket.socket | None,
        metrics: Path,
        run_loop: RunLoop,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._unix = unix
        self._metrics = metrics
        self._run_loop = run_loop
        # Made before the first worker, so that all of them share it.
        self._known = make_known(settings, lambda _: None, metrics / "known.lock")
        self._slots = [_Slot(number) for number in range(settings.http.workers)]
        self._own_pid = os.getpid()
        _count_as("parent")
        self._restarts = worker_restarts()
        self._was_ready = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a worker finds that the settings cannot be used."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            while True:
                self._start_missing()
                caught = signal.sigtimedwait(_SIGNALS, _TICK_SECS)
                code = self._react(caught.si_signo if caught else None)
                if code is not None:
                    return code
        finally:
            if os.getpid() == self._own_pid:
                self._stop()

    def _react(self, number: int | None) -> int | None:
        """Act on a signal, or on a tick without one; the exit code when all is over."""
        if number in (signal.SIGTERM, signal.SIGINT):
            log.info("stopping")
            return 0
        if number == signal.SIGHUP:
            self._signal_all(signal.SIGHUP)
        for slot, status in self._reap():
            if os.waitstatus_to_exitcode(status) == _CONFIGURATION and not slot.was_ready:
                return _CONFIGURATION
            self._plan_restart(slot, status)
        if number is None:
            self._look_for_life()
        return None

    def _start_missing(self) -> None:
        for slot in self._slots:
            if not slot.pid and time.monotonic() >= slot.start_at:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        pulse, beat = os.pipe()
        os.set_blocking(pulse, False)
        os.set_blocking(beat, False)
        slot.started_at, slot.silent_ticks = time.monotonic(), 0
        slot.is_up = slot.is_killed = False
        slot.pid = os.fork()
        if not slot.pid:
            os.close(pulse)
            self._work(slot.number, beat)
        os.close(beat)
        slot.pulse = pulse

    def _work(self, number: int, beat: int) -> None:
        """The child's life; never returns."""
        code = _FAILED
        try:
            for slot in self._slots:
                if slot.pulse >= 0:
                    os.close(slot.pulse)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            # By number, not by process: the next in a place goes on counting where the last ended.
            _count_as(number)
            worker = Member(
                number, len(self._slots), self._parts, beat, self._metrics, self._unix, self._known
            )
            self._run_loop(serve(self._settings, worker))
            code = 0
        except ConfigError as error:
            for problem in error.problems:
                sys.stderr.write(f"waybill: {problem}\n")
            code = _CONFIGURATION
        except BaseException:
            log.exception("a worker failed")
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> list[tuple[_Slot, int]]:
        """The slots whose workers ended, with their wait status."""
        ended = []
        for slot in self._slots:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid == 0:
                continue
            os.close(slot.pulse)
            slot.pid = 0
            slot.pulse = -1
            _forget(slot.number, self._metrics)
            ended.append((slot, status))
        return ended

    def _plan_restart(self, slot: _Slot, status: int) -> None:
        now = time.monotonic()
        if now - slot.started_at > 2 * _LONGEST_DELAY_SECS:
            slot.delay_secs = _FIRST_DELAY_SECS
        slot.start_at = now + slot.delay_secs
        slot.delay_secs = min(2 * slot.delay_secs, _LONGEST_DELAY_SECS)
        reason = "signal" if os.WIFSIGNALED(status) else "exit"
        if slot.is_killed:
            reason = "silent"
        self._restarts.labels(reason).inc()
        log.error("a worker ended; another takes its place", extra={
            "worker": slot.number, "reason": reason, "status": os.waitstatus_to_exitcode(status),
        })  # fmt: skip

    def _look_for_life(self) -> None:
        for slot in self._slots:
            if not slot.pid:
                continue
            try:
                is_alive = bool(os.read(slot.pulse, 4096))
            except BlockingIOError:
                is_alive = False
            slot.silent_ticks = 0 if is_alive else slot.silent_ticks + 1
            slot.is_up |= is_alive
            slot.was_ready |= is_alive
            if slot.silent_ticks >= (_SILENT_TICKS if slot.is_up else _STARTING_TICKS):
                slot.is_killed = True
                os.kill(slot.pid, signal.SIGKILL)
        if not self._was_ready and all(slot.was_ready for slot in self._slots):
            self._was_ready = True
            address = self._settings.http.listen
            log.info(
                "ready", extra={"address": address, "workers": len(self._slots), "version": VERSION}
            )

    def _signal_all(self, number: int) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)

    def _stop(self) -> None:
        """Let every worker drain; kill what has not ended in time, or at another Ctrl-C."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.http.drain_secs + _CLOSE_SECS
        while any(slot.pid for slot in self._slots):
            if time.monotonic() > deadline:
                self._signal_all(signal.SIGKILL)
            caught = signal.sigtimedwait((signal.SIGCHLD, signal.SIGINT), 0.1)
            if caught is not None and caught.si_signo == signal.SIGINT:
                log.warning(ENDING_AT_ONCE)
                deadline = 0.0
            self._reap()


def _survives_fork(settings: Settings) -> bool:
    """Whether the runtime of every model does: onnxruntime without threads, but not the thread
    pools of torch.
    """
    for one in each_labelling(settings):
        folders = bundle_folders(one)
        try:
            if folders and read_manifest(folders[0]).encoder.kind != "onnx":
                return False
        except BundleError:
            return True  # reading the parts says why
    return True


def _count_as(name: str | int) -> None:
    """Have this process count in files of ``name``."""
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        lambda: name
    )


def _forget(number: int, folder: Path) -> None:
    """Take a process that has ended out of the gauges."""
    multiprocess.mark_process_dead(  # type: ignore[no-untyped-call]
        number, str(folder)
    )

"""When a worker is taken for dead."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from waybill.service import workers
from waybill.service.workers import Supervisor, _Slot

PID = 1 << 30


class Started:
    """A supervisor of one worker that is never forked; ``beat`` is what the worker writes to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.killed: list[tuple[int, int]] = []
        self.beat = -1
        self.slot = _Slot(0)
        self._supervisor = Supervisor.__new__(Supervisor)
        self._supervisor._slots = [self.slot]
        self._supervisor._was_ready = True
        monkeypatch.setattr(os, "fork", lambda: PID)
        monkeypatch.setattr(os, "kill", lambda *kill: self.killed.append(kill))

    def start(self) -> None:
        self.close()
        self._supervisor._start(self.slot)
        os.close(self.slot.pulse)
        self.slot.pulse, self.beat = os.pipe()
        os.set_blocking(self.slot.pulse, False)

    def live(self) -> None:
        os.write(self.beat, b".")
        self._supervisor._look_for_life()

    def be_silent(self, ticks: int) -> None:
        for _ in range(ticks):
            self._supervisor._look_for_life()

    def close(self) -> None:
        if self.beat >= 0:
            os.close(self.beat)
            os.close(self.slot.pulse)
            self.beat = -1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    one = Started(monkeypatch)
    one.start()
    yield one
    one.close()


def test_one_whose_loop_stands_still_is_killed(started: Started) -> None:
    started.live()
    started.be_silent(workers._SILENT_TICKS - 1)
    assert started.killed == []
    started.be_silent(1)
    assert started.killed == [(PID, signal.SIGKILL)]


def test_one_that_takes_its_time_to_start_is_not(started: Started) -> None:
    """Nor one in the place of another that was up: on a busy machine none would ever be."""
    for _ in range(2):
        started.be_silent(10 * workers._SILENT_TICKS)
        started.live()
        started.start()
    assert started.killed == []


def test_one_that_never_comes_up_is_killed_in_the_end(started: Started) -> None:
    for _ in range(2):
        started.be_silent(workers._STARTING_TICKS)
        assert started.killed.pop() == (PID, signal.SIGKILL)
        assert started.slot.is_killed
        started.start()
        assert not started.slot.is_killed

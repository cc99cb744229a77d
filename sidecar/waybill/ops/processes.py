"""The ``process_*`` metrics of several processes as those of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_MEMORY = "process_resident_memory_bytes"
_merge: Callable[[list[str]], Iterable[Metric]] = MultiProcessCollector.merge
#: What is no sum: the oldest start and the tightest limit stand for all.
_SMALLEST = frozenset(("process_start_time_seconds", "process_max_fds"))


class SharedCollector(Collector):
    """What all processes counted in the files of ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # A process that begins has made its file and not yet written its head.
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        return _merge(files)


class SiblingCollector(Collector):
    """Sums over this process's parent and all of the parent's children.

    Memory that processes share is counted once (proportional set size): the sum is what all of them
    take.
    """

    def collect(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for pid in _family():
            collector = ProcessCollector(registry=CollectorRegistry(), pid=partial(int, pid))
            for metric in collector.collect():
                if metric.name == _MEMORY:
                    _set(metric, _proportional_bytes(pid))
                total = found.setdefault(metric.name, metric)
                if total is metric:
                    continue
                values = (total.samples[0].value, metric.samples[0].value)
                _set(total, min(values) if metric.name in _SMALLEST else sum(values))
        return found.values()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # of a process that has ended
        return 0


def _family() -> Iterator[int]:
    parent = os.getppid()
    yield parent
    try:
        yield from map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    except OSError:
        yield os.getpid()


def _proportional_bytes(pid: int) -> float:
    """Proportional set size in bytes; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _set(metric: Metric, value: float) -> None:
    metric.samples[0] = metric.samples[0]._replace(value=value)

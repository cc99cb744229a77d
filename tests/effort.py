"""Bounds on processor time that mean the same on a slow machine and on a fast one.

A test must tell work that grows without bound from work that does not, and nothing finer: how
quick something is, `make bench` and `make stalls` measure.
"""

from __future__ import annotations

import json
import re
import time

#: Seconds of :func:`_work` on the machine on which the bounds were set.
_NOMINAL_SECS = 0.0024
#: How far cold caches and other processes may stretch a piece of work.
_SLACK = 4.0
_RECORD = {"log": "order 17 failed after 3 tries at 10.0.0.1", "source": "shop", "n": [1, 2.5]}


def _work() -> None:
    """A little of all that labelling does: parse, look for, write."""
    for _ in range(300):
        read = json.loads(json.dumps(_RECORD))
        re.sub(r"\d+", "#", read["log"])


def _yardstick_secs() -> float:
    """Processor time of the same work as ever, here and now: the least of five."""
    best = float("inf")
    for _ in range(5):
        begin = time.thread_time()
        _work()
        best = min(best, time.thread_time() - begin)
    return best


def allowed(secs: float) -> float:
    """The most processor time that work of ``secs`` may take here, in seconds."""
    return _SLACK * secs * max(1.0, _yardstick_secs() / _NOMINAL_SECS)

"""Trying again: what a ``Retry-After`` header asks for, and the one loop that waits and repeats.

>>> retry_after_secs("120", now=0.0)
120.0
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")
#: Seconds to wait after the error of attempt 1, 2, ...; None where trying again is of no use.
Pause = Callable[[BaseException, int], float | None]
#: A server that names a longer pause is asked again after this one, in case it was a mistake.
LONGEST_SECS = 3600.0


def retry_after_secs(header: str | None, now: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks us to wait (RFC 9110), at most an hour.

    It is a number or an HTTP date. ``now`` is in seconds since the epoch. None: there is no header,
    or it is neither of them.
    """
    if header is None:
        return None
    try:
        secs = float(header)
    except ValueError:
        return _date_secs(header, now)
    if math.isnan(secs):
        return None
    return min(max(secs, 0.0), LONGEST_SECS)


def _date_secs(header: str, now: float) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(moment - now, 0.0), LONGEST_SECS)


async def retry(
    call: Callable[[], Awaitable[T]],
    pause: Pause,
    *,
    attempts: int | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """The result of ``call``, tried again after each error for which ``pause`` names a time.

    ``pause`` must be a pure function. At most ``attempts`` calls are made; with None the caller
    bounds the time, for example by `asyncio.timeout`. Cancellation is never an error to try again.

    Raises:
        Exception: the last error of ``call``, as it was.
    """
    loop = tenacity.AsyncRetrying(
        retry=_Retryable(pause),
        wait=_Wait(pause),
        stop=_stop(attempts),
        sleep=sleep,
        reraise=True,
    )
    return await loop(call)


def retry_blocking(
    call: Callable[[], T],
    pause: Pause,
    *,
    attempts: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """`retry` for threads and command-line tools."""
    loop = tenacity.Retrying(
        retry=_Retryable(pause),
        wait=_Wait(pause),
        stop=_stop(attempts),
        sleep=sleep,
        reraise=True,
    )
    return loop(call)


def _stop(attempts: int | None) -> tenacity.stop.stop_base:
    if attempts is None:
        return tenacity.stop_never
    return tenacity.stop_after_attempt(attempts)


def _pause_of(pause: Pause, state: tenacity.RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, Exception):  # no error, or one such as CancelledError
        return None
    return pause(error, state.attempt_number)


class _Retryable(tenacity.retry_base):
    def __init__(self, pause: Pause) -> None:
        self._pause = pause

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return _pause_of(self._pause, retry_state) is not None


class _Wait(tenacity.wait.wait_base):
    def __init__(self, pause: Pause) -> None:
        self._pause = pause

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        return _pause_of(self._pause, retry_state) or 0.0

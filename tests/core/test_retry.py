"""One reading of ``Retry-After``, and one loop that waits as long as it is told."""

from __future__ import annotations

import asyncio
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.retry import LONGEST_SECS, retry, retry_after_secs, retry_blocking

NOW = 1_795_210_250.0


@pytest.mark.parametrize(
    ("header", "secs"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("inf", LONGEST_SECS),
        ("9999999999", LONGEST_SECS),
        (email.utils.formatdate(NOW + 60, usegmt=True), 60.0),
        (email.utils.formatdate(NOW - 60, usegmt=True), 0.0),
        (email.utils.formatdate(NOW + 10**7, usegmt=True), LONGEST_SECS),
        ("Wed, 99 Nov 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, secs: float | None) -> None:
    assert retry_after_secs(header, NOW) == secs


@given(st.one_of(st.text(), st.floats().map(str), st.integers().map(str)), st.floats(0, 1e10))
def test_whatever_a_server_says_the_pause_is_bounded(header: str, now: float) -> None:
    secs = retry_after_secs(header, now)
    assert secs is None or 0 <= secs <= LONGEST_SECS


class Calls:
    """Fails with each of ``errors`` in turn, then gives their count; notes the pauses."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.made = 0
        self.pauses: list[float] = []

    def __call__(self) -> int:
        self.made += 1
        if self._errors:
            raise self._errors.pop(0)
        return self.made

    async def call(self) -> int:
        return self()

    async def sleep(self, secs: float) -> None:
        self.pauses.append(secs)


def pause(error: BaseException, attempt: int) -> float | None:
    return None if isinstance(error, KeyError) else 10.0 * attempt


async def test_passing_errors_are_waited_out() -> None:
    calls = Calls(OSError(), ValueError())
    assert await retry(calls.call, pause, sleep=calls.sleep) == 3
    assert calls.pauses == [10.0, 20.0]


async def test_an_error_without_a_pause_ends_it() -> None:
    calls = Calls(OSError(), KeyError("no"), OSError())
    with pytest.raises(KeyError, match="no"):
        await retry(calls.call, pause, sleep=calls.sleep)
    assert (calls.made, calls.pauses) == (2, [10.0])


async def test_the_last_error_comes_out_as_it_was() -> None:
    calls = Calls(OSError("first"), OSError("second"), OSError("third"))
    with pytest.raises(OSError, match="second"):
        await retry(calls.call, pause, attempts=2, sleep=calls.sleep)


async def test_cancellation_is_not_tried_again() -> None:
    calls = Calls(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await retry(calls.call, lambda error, attempt: 0.0, sleep=calls.sleep)
    assert calls.made == 1


def test_threads_have_the_same_loop() -> None:
    calls = Calls(OSError(), OSError())
    assert retry_blocking(calls, pause, sleep=calls.pauses.append) == 3
    assert calls.pauses == [10.0, 20.0]

"""What all pushes share: parts, tries again, and what is said when it was all in vain."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.errors import HandbackError
from waybill.handback import push as push_module
from waybill.handback.push import PassingError, Push, cause, excerpt, parts


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "RETRY_SECS", 0.01)


@given(st.lists(st.integers(1, 100)), st.integers(1, 300))
def test_parts_hold_everything_once_and_stay_below_the_limit(
    sizes: list[int], max_bytes: int
) -> None:
    found = list(parts(sizes, max_bytes))
    assert [i for start, stop in found for i in range(start, stop)] == list(range(len(sizes)))
    for start, stop in found:
        assert sum(sizes[start:stop]) <= max_bytes or stop - start == 1


async def fail(push: Push, *errors: HandbackError) -> HandbackError:
    """What a push says that meets ``errors`` in turn, the last for ever."""
    left = list(errors)

    async def post() -> None:
        raise left.pop(0) if len(left) > 1 else left[0]

    async def send(start: int, stop: int) -> None:
        await push.attempt(post)

    with pytest.raises(HandbackError) as caught:
        await push.send([1], 10, send)
    return caught.value


async def test_the_first_and_the_last_cause_are_told() -> None:
    first = PassingError("connect", "ConnectionRefusedError: nobody there")
    last = PassingError("unavailable", "the receiver answered 503: starting")
    error = await fail(Push(0.2), first, last)
    assert error.code == "unavailable"
    assert error.detail.startswith("the receiver answered 503: starting; ")
    assert error.detail.endswith(
        " failed attempts within 0.2 s; at first: ConnectionRefusedError: nobody there"
    )


async def test_one_cause_is_told_once() -> None:
    refused = HandbackError("refused", "the receiver answered 401: bad token")
    error = await fail(Push(0.2), refused)
    assert (error.code, error.detail) == ("refused", "the receiver answered 401: bad token")


async def test_a_refusal_after_trouble_tells_both() -> None:
    trouble = PassingError("connect", "ConnectionRefusedError")
    refused = HandbackError("refused", "the receiver answered 401")
    error = await fail(Push(5), trouble, refused)
    assert error.code == "refused"
    assert error.detail == (
        "the receiver answered 401; 2 failed attempts within 5 s; at first: ConnectionRefusedError"
    )


async def test_silence_is_a_timeout() -> None:
    async def send(start: int, stop: int) -> None:
        await asyncio.Event().wait()

    with pytest.raises(HandbackError) as caught:
        await Push(0.05).send([1], 10, send)
    assert (caught.value.code, caught.value.detail) == (
        "timeout",
        "the receiver did not answer in time",
    )


async def test_a_pause_that_the_receiver_asks_for_is_kept() -> None:
    push = Push(0.2)
    error = await fail(push, PassingError("unavailable", "later", pause_secs=60))
    assert error.detail == "later"  # one attempt, no second within the time


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", ""),
        (b"  bad\r\n\ttoken ", "bad token"),
        (b"a\x00b\x1b[31mred\xff", "a b [31mred\ufffd"),
        (b"x" * 300, "x" * 200 + "..."),
        ("\u202eevil\u2028line".encode(), "evil line"),
    ],
)
def test_an_answer_is_told_on_one_printable_line(answer: bytes, told: str) -> None:
    assert excerpt(answer) == told


@given(st.binary())
def test_whatever_is_answered_its_telling_is_bounded(answer: bytes) -> None:
    told = excerpt(answer)
    assert len(told) <= 203
    assert told.isprintable()


def test_a_cause_says_its_kind() -> None:
    assert cause(ConnectionResetError()) == "ConnectionResetError"
    assert cause(OSError("no\nroute")) == "OSError: no route"

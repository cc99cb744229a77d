"""What all pushes share: parts, a deadline, retries, and the error when all of them fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from waybill.core.causes import cause_of
from waybill.core.errors import HandbackError
from waybill.core.reasons import HandbackCode
from waybill.core.retry import retry
from waybill.core.sent import without_secrets

T = TypeVar("T")
#: Between attempts on one part; a receiver in trouble is not asked more than about once a second.
RETRY_SECS = 1.0
#: So much of a receiver's answer is told.
_EXCERPT_CHARS = 200


class PassingError(HandbackError):
    """Trouble that may pass: the same part is sent again.

    ``pause_secs`` is how long the receiver asks us to wait. ``is_stale``: a pooled connection was
    closed meanwhile, which says nothing about the receiver's health.
    """

    def __init__(
        self,
        code: HandbackCode,
        detail: str = "",
        *,
        pause_secs: float = 0.0,
        is_stale: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.pause_secs = pause_secs
        self.is_stale = is_stale


class Push:
    """One batch on its way to one receiver; remembers why it is not there yet."""

    def __init__(self, timeout_secs: float) -> None:
        self._timeout_secs = timeout_secs
        self._first: HandbackError | None = None
        self._last: HandbackError | None = None
        self._failed = 0

    async def send(
        self,
        sizes: Sequence[int],
        max_bytes: int,
        send_part: Callable[[int, int], Awaitable[None]],
    ) -> None:
        """Send all parts, in order, within ``timeout_secs``.

        Raises:
            HandbackError: the receiver does not have all of them; says first and last cause.
        """
        try:
            async with asyncio.timeout(self._timeout_secs):
                for start, stop in parts(sizes, max_bytes):
                    await send_part(start, stop)
        except TimeoutError:
            silence = HandbackError("timeout", "the receiver did not answer in time")
            raise self._with_history(self._last or silence) from None
        except HandbackError as error:
            raise self._with_history(error) from None

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of ``call``, made again after each `PassingError` until `send`'s deadline."""

        async def noted() -> T:
            try:
                return await call()
            except HandbackError as error:
                self._note(error)
                raise

        return await retry(noted, _pause)

    def _note(self, error: HandbackError) -> None:
        self._failed += 1
        self._first = self._first or error
        self._last = error

    def _with_history(self, error: HandbackError) -> HandbackError:
        """``error`` with the history of this push."""
        detail = error.detail
        if self._failed > 1:
            detail += f"; {self._failed} failed attempts within {self._timeout_secs:g} s"
        first = self._first
        if first is not None and (first.code, first.detail) != (error.code, error.detail):
            detail += f"; at first: {first.detail or first.code}"
        return HandbackError(error.code, detail)


def _pause(error: BaseException, attempt: int) -> float | None:
    if not isinstance(error, PassingError):
        return None
    if error.is_stale and attempt == 1:
        return 0.0
    return max(RETRY_SECS, error.pause_secs)


def parts(sizes: Sequence[int], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Runs (start, stop) of at most ``max_bytes``; a bigger record goes alone."""
    start = 0
    total = 0
    for i, size in enumerate(sizes):
        total += size
        if total > max_bytes and i > start:
            yield start, i
            start = i
            total = size
    if start < len(sizes):
        yield start, len(sizes)


def excerpt(answer: bytes) -> str:
    """The beginning of what a receiver answered, on one line and printable; "" for nothing."""
    return excerpt_of_text(answer[: 4 * _EXCERPT_CHARS].decode("utf-8", "replace"))


def excerpt_of_text(text: str) -> str:
    """`excerpt` for what is text already."""
    text = without_secrets(text[: 4 * _EXCERPT_CHARS])
    line = " ".join("".join(map(_printable, text)).split())
    return line if len(line) <= _EXCERPT_CHARS else f"{line[:_EXCERPT_CHARS]}..."


def _printable(character: str) -> str:
    return character if character.isprintable() else " "


def cause(error: BaseException) -> str:
    """What an exception of a connection says, with its kind; never longer than an `excerpt`."""
    text = excerpt_of_text(cause_of(error))
    kind = type(error).__name__
    return kind if text == kind else f"{kind}: {text}"

"""Asks a running sidecar for its patterns, with a token where it wants one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from waybill.core.causes import cause_at
from waybill.core.errors import WaybillError
from waybill.core.foreign import check_levels, read_json
from waybill.core.pattern import Pattern, decode
from waybill.core.sent import without_secrets
from waybill.ops.answers import Lines, OversizeError, beginning_of
from waybill.ops.sessions import open_session
from waybill.patterns.query import MOST_PATTERNS

__all__ = ["Answer", "NoAnswerError", "PatternClient", "address_of"]

#: A sidecar under load may take some seconds to look through 500,000 patterns.
_PATIENCE = aiohttp.ClientTimeout(total=30, sock_connect=5)
#: One page has 1,000 patterns with examples; all pages together are those of 500,000 patterns.
_MOST_BYTES = 64 << 20
#: A pattern has a mask and three examples, each of a message's length at most.
_MOST_LINE_BYTES = 8 << 20
_PIECE_BYTES = 1 << 16
_MOST_PAGES = 1000
#: All pages together: those of 500,000 patterns, of some hundred bytes each.
_MOST_BYTES_IN_ALL = 512 << 20
#: All pages together: a page with a cursor can come just in time for ever.
_MOST_SECS = 120.0
#: A clock that is wrong by less is right: answers take a while, and clocks are set now and then.
_RIGHT_SECS = 120.0
_NO_PATTERNS = "it counts no patterns: patterns.enabled is false there, or it is older"
#: What is kept of an answer that cannot be used.
_HEAD_BYTES = 2048
#: `/nodes` shows all of it; that of a service has a few kilobytes.
_MOST_EDITION_BYTES = 256 << 10


class NoAnswerError(WaybillError):
    """A sidecar gives no answer that can be used: a sentence, and how its answer begins."""

    code = "no_answer"

    def __init__(self, why: str, head: bytes = b"") -> None:
        super().__init__(without_secrets(why))
        self.head = without_secrets(head[:_HEAD_BYTES].decode("utf-8", "replace"))


class Answer(msgspec.Struct):
    """One page; ``cursor`` is empty behind the last. ``workers``: how many answered of how many."""

    patterns: list[Pattern]
    cursor: str
    workers: str

    @property
    def is_whole(self) -> bool:
        """Whether every worker of the node answered."""
        answered, _, of = self.workers.partition("/")
        return answered == of


def address_of(text: str) -> str:
    """The URL of a sidecar: ``host:port``, or the URL itself, without a slash at its end."""
    url = text if "://" in text else f"http://{text}"
    return url.rstrip("/")


class PatternClient:
    """Asks the sidecar at ``address``; an async context manager.

    Every method raises NoAnswerError: there is no answer, or it is too long, has no end, or is not
    NDJSON.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.url = address_of(address)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Never redirected: who answers must not choose whom a workbench asks, and what it shows.
        self._client = open_session(timeout=_PATIENCE, headers=headers)
        #: How far its clock is ahead of ours, in seconds, to the minute; as its last page says.
        self.ahead_secs = 0.0

    async def __aenter__(self) -> PatternClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def page(self, asked: Mapping[str, str]) -> Answer:
        """One page of ``GET /v1/patterns`` with these parameters."""
        found: list[Pattern] = []
        headers, _ = await self._take_page(asked, found.append)
        return Answer(found, headers.get("Waybill-Cursor", ""), headers.get("Waybill-Workers", ""))

    async def all(self, asked: Mapping[str, str] | None = None) -> AsyncIterator[Answer]:
        """All pages, each pattern once."""
        found: list[Pattern] = []
        async for headers in self._pages(asked or {}, found.append):
            cursor = headers.get("Waybill-Cursor", "")
            yield Answer(found.copy(), cursor, headers.get("Waybill-Workers", ""))
            found.clear()

    async def each(
        self, take: Callable[[Pattern], None], asked: Mapping[str, str] | None = None
    ) -> None:
        """``take`` every pattern of all pages as it comes, so that no page is held.

        ``take`` raises ValueError for a pattern that a sidecar cannot have sent.
        """
        async for _ in self._pages(asked or {}, take):
            pass

    async def _pages(
        self, asked: Mapping[str, str], take: Callable[[Pattern], None]
    ) -> AsyncIterator[Mapping[str, str]]:
        """The headers of each page, when its patterns were taken."""
        seen: set[str] = set()
        left = _MOST_BYTES_IN_ALL
        ends_at = time.monotonic() + _MOST_SECS
        wanted = {"order": "id", "limit": str(MOST_PATTERNS), **asked}
        for _ in range(_MOST_PAGES):
            headers, size = await self._take_page(wanted, take)
            left -= size
            if left < 0:
                raise NoAnswerError(f"{self.url} gives more than {_MOST_BYTES_IN_ALL:,} bytes")
            if time.monotonic() > ends_at:
                raise NoAnswerError(f"{self.url} is not done within {_MOST_SECS:g} s")
            yield headers
            cursor = headers.get("Waybill-Cursor", "")
            if not cursor:
                return
            if cursor in seen:
                raise NoAnswerError(f"{self.url} gives the same page again and again")
            seen.add(cursor)
            wanted["after"] = cursor
        raise NoAnswerError(f"{self.url} gives more than {_MOST_PAGES} pages")

    async def _take_page(
        self, asked: Mapping[str, str], take: Callable[[Pattern], None]
    ) -> tuple[Mapping[str, str], int]:
        """``take`` the patterns of one page; gives its headers and its size."""
        size = 0
        lines = Lines(_MOST_BYTES, _MOST_LINE_BYTES)
        try:
            async with self._client.get(
                f"{self.url}/v1/patterns", params=asked, allow_redirects=False
            ) as reply:
                if reply.status != 200:
                    self._check(reply.status, await beginning_of(reply.content, _HEAD_BYTES))
                self.ahead_secs = _ahead_secs(reply.headers.get("Date", ""), time.time())
                async for piece in reply.content.iter_chunked(_PIECE_BYTES):
                    size += len(piece)
                    self._take(lines.feed(piece), take, lines)
                    await asyncio.sleep(0)
                self._take(lines.end(), take, lines)
                return reply.headers, size
        except OversizeError as error:
            raise NoAnswerError(f"{self.url} answers {error}", lines.head) from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._silent(error) from None

    def _take(self, found: Iterable[bytes], take: Callable[[Pattern], None], lines: Lines) -> None:
        if lines.count > MOST_PATTERNS:
            why = f"{self.url} answers more than {MOST_PATTERNS:,} patterns in a page"
            raise NoAnswerError(why, lines.head)
        try:
            for line in found:
                take(decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            why = f"{self.url} answers with no list of patterns, so it may be no sidecar: {error}"
            raise NoAnswerError(why, lines.head) from None

    async def edition(self) -> dict[str, object]:
        """What is in force there, as ``GET /v1/edition`` tells it."""
        body, _ = await self._get("/v1/edition", {}, "it has no such address: it may be older")
        if len(body) > _MOST_EDITION_BYTES:
            raise NoAnswerError(f"{self.url} answers an edition of {len(body):,} bytes", body)
        try:
            edition = read_json(body, dict[str, object])
            check_levels(edition)
        except msgspec.MsgspecError as error:
            why = f"{self.url} answers what is not an edition: {error}"
            raise NoAnswerError(why, body) from None
        return edition

    async def explain(self, message: str, source: str) -> dict[str, object]:
        """The way of one message, as ``POST /v1/explain`` tells it."""
        question = msgspec.json.encode({"message": message, "source": source})
        try:
            async with self._client.post(
                f"{self.url}/v1/explain", data=question, allow_redirects=False
            ) as reply:
                body = await self._read(reply)
                self._check(reply.status, body)
                return read_json(body, dict[str, object])
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise self._silent(error) from None

    async def _get(
        self, path: str, asked: Mapping[str, str], missing: str
    ) -> tuple[bytes, Mapping[str, str]]:
        """The answer; ``missing`` says what it means that the address is not there."""
        try:
            async with self._client.get(
                f"{self.url}{path}", params=asked, allow_redirects=False
            ) as reply:
                body = await self._read(reply)
                self._check(reply.status, body, missing)
                return body, reply.headers
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._silent(error) from None

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        body = await beginning_of(reply.content, _MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            why = f"{self.url} answers more than {_MOST_BYTES >> 20} MB"
            raise NoAnswerError(why, body[:_HEAD_BYTES])
        return body

    def _silent(self, error: Exception) -> NoAnswerError:
        return NoAnswerError(f"no sidecar answers at {self.url}: {cause_at(self.url, error)}")

    def _check(self, status: int, body: bytes, missing: str = _NO_PATTERNS) -> None:
        match status:
            case 200:
                return
            case 401:
                why = "it asks for a token; name a file with one: --token-file FILE"
            case 404:
                why = missing
            case _:
                why = _detail_of(body)
        raise NoAnswerError(f"{self.url} answers {status}: {why}", body)


def _ahead_secs(date: str, now: float) -> float:
    """How far the clock behind a ``Date`` header is ahead, to the minute; 0: it is right, or the
    header cannot be read.
    """
    try:
        ahead = parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
    return 60.0 * round(ahead / 60) if abs(ahead) >= _RIGHT_SECS else 0.0


class _Problem(msgspec.Struct):
    """How a sidecar says what is wrong."""

    detail: str


def _detail_of(body: bytes) -> str:
    """What a sidecar says is wrong, or how its answer begins."""
    try:
        return read_json(body, _Problem).detail
    except msgspec.MsgspecError:
        return body[:200].decode("utf-8", "replace")

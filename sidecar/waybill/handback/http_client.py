"""Requests to a receiver that speaks HTTP, and how a batch is pushed with them.

A receiver that refuses a request for good (400, 413, 422) gets it again in halves, until the record
that it does not take stands alone; that one goes as text inside a plain record, so nothing is lost
and nothing loops.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Callable
from urllib.parse import quote

import aiohttp
import msgspec

from waybill.core.errors import HandbackError
from waybill.core.retry import retry_after_secs
from waybill.handback.push import PassingError, Push, cause, excerpt
from waybill.handback.rendering import encoded
from waybill.handback.target import client_tls, return_tag
from waybill.ops.answers import beginning_of
from waybill.ops.secret_file import SecretFile
from waybill.ops.sessions import open_session
from waybill.settings.schema import ReturnSettings
from waybill.wire.compression import compress
from waybill.wire.rendered import Rendered

log = logging.getLogger(__name__)
#: Statuses that condemn what was sent, not the moment: worth halving.
_REFUSALS = frozenset((400, 413, 422))
#: Statuses below 500 that speak of the moment.
_PASSING = frozenset((408, 429))
_REPLY_BYTES = 64 << 10
_INLINE_BYTES = 256 << 10


class Answer(msgspec.Struct):
    """A receiver's answer; ``body`` is its beginning."""

    status: int
    body: bytes

    def __str__(self) -> str:
        words = excerpt(self.body)
        told = f"the receiver answered {self.status}"
        return f"{told}: {words}" if words else told


def _ignore(body: bytes) -> None:
    """What a receiver says beside 2xx does not matter to most handbacks."""


class HttpClient:
    """Pushes rendered records to ``settings.url``; done when every part was answered 2xx.

    ``on_success`` gets what the receiver said (the first 64 KiB) for each part that it took.
    """

    def __init__(
        self,
        settings: ReturnSettings,
        on_success: Callable[[bytes], None] = _ignore,
    ) -> None:
        assert settings.url is not None
        self._settings = settings
        self._url = settings.url
        self._on_success = on_success
        self._token: SecretFile | None = None
        if settings.token_file:
            self._token = SecretFile(settings.token_file, "return.token_file")
        self._tls = client_tls(settings.tls)
        self._session: aiohttp.ClientSession | None = None

    async def push(self, rendered: Rendered, tag: str) -> None:
        """Push the records, in parts of at most ``max_bytes``.

        Raises:
            HandbackError: ``timeout``, ``connect``, ``closed``, ``refused`` or ``unavailable``.
        """
        push = Push(self._settings.timeout_secs)
        parts = _Parts(self, push, rendered, return_tag(self._settings.tag_prefix, tag))
        await push.send(rendered.sizes, self._settings.max_bytes, parts.send)

    async def close(self) -> None:
        """Close the pooled connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes, content_type: str, tag: str) -> Answer:
        """The answer to one request that is not about the moment.

        Raises:
            PassingError: no answer, or one that says: not now.
        """
        headers = self._headers(content_type, tag)
        url = self._url.replace("{tag}", quote(tag))
        try:
            async with self._client().post(
                url, data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as reply:
                answer = Answer(reply.status, await beginning_of(reply.content, _REPLY_BYTES))
                pause = retry_after_secs(reply.headers.get("Retry-After"), time.time())
        except aiohttp.ClientConnectorError as error:
            raise PassingError("connect", cause(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise PassingError("closed", cause(error), is_stale=True) from None
        if answer.status >= 500 or answer.status in _PASSING:
            raise PassingError("unavailable", str(answer), pause_secs=pause or 0.0)
        if 200 <= answer.status < 300:
            self._on_success(answer.body)
        return answer

    async def compress(self, body: bytes) -> bytes:
        """``body`` in the configured compression."""
        if self._settings.compression == "none":
            return body
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(compress, body, self._settings.compression)
        return compress(body, self._settings.compression)

    def _headers(self, content_type: str, tag: str) -> dict[str, str]:
        headers = {"Content-Type": content_type, "X-Waybill-Tag": tag}
        if self._settings.compression != "none":
            headers["Content-Encoding"] = self._settings.compression
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        return headers

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session(
                connector={
                    "limit": self._settings.connections,
                    "keepalive_timeout": self._settings.idle_secs,
                    "ssl": self._tls if self._tls is not None else True,
                }
            )
        return self._session


class _Parts:
    """The parts of one batch, each sent until the receiver has it or refuses it for good."""

    def __init__(self, client: HttpClient, push: Push, rendered: Rendered, tag: str) -> None:
        self._client = client
        self._push = push
        self._rendered = rendered
        self._tag = tag

    async def send(self, start: int, stop: int) -> None:
        """Send the records from ``start`` to ``stop``; what is refused goes in halves.

        Raises:
            HandbackError: ``refused``.
        """
        answer = await self._settle(await encoded(self._rendered, start, stop))
        if answer.status not in _REFUSALS:
            _require_success(answer)
        elif stop - start > 1:
            middle = (start + stop) // 2
            await self.send(start, middle)
            await self.send(middle, stop)
        else:
            log.warning(
                "the receiver refuses a record; it goes as text",
                extra={"status": answer.status, "answer": excerpt(answer.body)},
            )
            text = await asyncio.to_thread(self._rendered.as_text, start)
            _require_success(await self._settle(text))

    async def _settle(self, body: bytes) -> Answer:
        """Send ``body``, again while the receiver is in passing trouble."""
        body = await self._client.compress(body)
        content_type = self._rendered.content_type
        return await self._push.attempt(lambda: self._client.post(body, content_type, self._tag))


def _require_success(answer: Answer) -> None:
    if not 200 <= answer.status < 300:
        raise HandbackError("refused", str(answer))

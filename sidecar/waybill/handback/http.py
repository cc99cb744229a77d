"""Handback by HTTP push: to Vector's ``http_server`` source or Fluent Bit's ``in_http`` input.

Their rules differ and both are kept (``return.*`` settings):

===================  =========================  ===========================================
                     Vector ``http_server``     Fluent Bit ``in_http``
``return.format``    ``ndjson``                 ``json`` (one array per request)
``return.url``       ``http://host:port/``      ``http://host:port/{tag}`` (path becomes tag)
request size         100 MiB                    about 2 MB: ``return.max_bytes``
idle connections     kept                       closed after 10 s: ``return.idle_secs`` is 8
one bad record       refuses the whole request  stops there, keeps the ones before
===================  =========================  ===========================================

A receiver that refuses a request for good (400, 413, 422) gets it again in halves, until the record
that it does not take stands alone; that one goes as text inside a plain record, so nothing is lost
and nothing loops.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

import aiohttp
import msgspec
import orjson

from waybill.core.errors import HandbackError
from waybill.core.names import HandbackName
from waybill.core.reasons import HandbackCode
from waybill.core.records import Batch, Verdict
from waybill.handback.target import client_tls, render, return_tag
from waybill.ops.auth import WatchedFile
from waybill.settings.schema import ReturnSettings
from waybill.wire import Codec, JsonCodec
from waybill.wire.compression import compress
from waybill.wire.transcode import json_records, wrap_record

log = logging.getLogger(__name__)
_CONTENT_TYPES = {"ndjson": "application/x-ndjson", "json": "application/json"}
#: Statuses that condemn what was sent, not the moment: worth halving.
_REFUSALS = frozenset((400, 413, 422))
#: A batch is pushed at most once a second, so that a receiver in trouble is not beaten while down.
_RETRY_SECS = 1.0
_REPLY_BYTES = 64 << 10
_INLINE_BYTES = 256 << 10


class Load(msgspec.Struct):
    """The records of one batch, ready to be sent in runs.

    ``sizes`` are what each adds to a body, ``encode(start, stop)`` is the body of a run, and ``wrap(i)``
    is one with record ``i`` as text inside a plain record, for a receiver that does not take it as it is.
    """

    content_type: str
    sizes: Sequence[int]
    encode: Callable[[int, int], bytes]
    wrap: Callable[[int], bytes]


class HttpHandback:
    """Pushes labelled records to ``settings.url``; done when every part was answered 2xx."""

    name: HandbackName = "http"

    def __init__(self, settings: ReturnSettings) -> None:
        assert settings.url is not None
        self._settings = settings
        self._url = settings.url
        self._token = WatchedFile(settings.token_file) if settings.token_file else None
        self._tls = client_tls(settings.tls)
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._settings.connections,
                keepalive_timeout=self._settings.idle_secs,
                ssl=self._tls if self._tls is not None else True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in parts of at most ``max_bytes``.

        Raises:
            HandbackError: ``timeout``, ``connect``, ``refused`` or ``unavailable``.
        """

        def records_of_batch() -> list[bytes]:
            records = json_records(codec, batch, verdicts)
            if self._settings.format != "ndjson":
                return records
            # White space between tokens may hold line ends, strings may not: this changes no value.
            return [
                r.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in r or b"\r" in r else r
                for r in records
            ]

        records = await render(batch, records_of_batch, keeps_encoding=isinstance(codec, JsonCodec))

        def wrap(i: int) -> bytes:
            return self._body([orjson.dumps(wrap_record(records[i], codec.plan, verdicts[i]))])

        sizes = [len(record) + 1 for record in records]
        load = Load(
            _CONTENT_TYPES[self._settings.format],
            sizes,
            lambda start, stop: self._body(records[start:stop]),
            wrap,
        )
        await self.push(load, batch.tag)

    async def push(self, load: Load, tag: str) -> None:
        """Push ``load`` in parts of at most ``max_bytes``. Raises as `hand_back`."""
        push = _Push(self, load, return_tag(self._settings.tag_prefix, tag))
        try:
            async with asyncio.timeout(self._settings.timeout_secs):
                for start, stop in _parts(load.sizes, self._settings.max_bytes):
                    await push.send(start, stop)
        except TimeoutError:
            raise push.last_error from None

    async def close(self) -> None:
        """Close the pooled connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes, content_type: str, tag: str) -> tuple[int, float]:
        """One request; gives (status, seconds that the receiver asks us to wait)."""
        headers = {"Content-Type": content_type, "X-Waybill-Tag": tag}
        if self._settings.compression != "none":
            headers["Content-Encoding"] = self._settings.compression
        if self._token is not None:
            self._token.refresh()
            headers["Authorization"] = "Bearer " + self._token.content.decode().strip()
        url = self._url.replace("{tag}", quote(tag))
        async with self._client().post(
            url, data=io.BytesIO(body), headers=headers, allow_redirects=False
        ) as reply:
            self.note_answer(reply.status, await reply.content.read(_REPLY_BYTES))
            wait = reply.headers.get("Retry-After", "")
            return reply.status, float(wait) if wait.isdigit() else 0.0

    def note_answer(self, status: int, answer: bytes) -> None:
        """What the receiver said beside its status (the first 64 KiB); nothing that matters here."""

    async def compress(self, body: bytes) -> bytes:
        """``body`` in the configured compression."""
        if self._settings.compression == "none":
            return body
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(compress, body, self._settings.compression)
        return compress(body, self._settings.compression)

    def _body(self, records: Sequence[bytes]) -> bytes:
        """A request body of ``records`` in the configured format."""
        if self._settings.format == "ndjson":
            return b"".join(record + b"\n" for record in records)
        return b"[" + b",".join(records) + b"]"


class _Push:
    """The records of one batch on their way; remembers why they are not there yet."""

    def __init__(self, handback: HttpHandback, load: Load, tag: str) -> None:
        self._handback, self._load, self._tag = handback, load, tag
        self.last_error = HandbackError("timeout", "the receiver did not answer in time")

    async def send(self, start: int, stop: int) -> None:
        """Send the records from ``start`` to ``stop`` until the receiver has them; halve what it refuses."""
        status = await self._settle(self._load.encode(start, stop))
        if status not in _REFUSALS:
            _require_success(status)
        elif stop - start > 1:
            middle = (start + stop) // 2
            await self.send(start, middle)
            await self.send(middle, stop)
        else:
            log.warning("the receiver refuses a record; it goes as text", extra={"status": status})
            _require_success(await self._settle(self._load.wrap(start)))

    async def _settle(self, body: bytes) -> int:
        """Send ``body``, again while the receiver is in passing trouble; gives its final status."""
        body = await self._handback.compress(body)
        is_first = True
        while True:
            try:
                status, wait = await self._handback.post(body, self._load.content_type, self._tag)
            except (aiohttp.ClientError, OSError) as error:
                code: HandbackCode
                code = "connect" if isinstance(error, aiohttp.ClientConnectorError) else "closed"
                self.last_error = HandbackError(code, type(error).__name__)
                # A pooled connection that the receiver closed meanwhile says nothing about its health.
                pause = 0.0 if is_first and code == "closed" else _RETRY_SECS
            else:
                if status < 500 and status not in (408, 429):
                    return status
                self.last_error = HandbackError("unavailable", f"the receiver answered {status}")
                pause = max(_RETRY_SECS, wait)
            is_first = False
            await asyncio.sleep(pause)


def _require_success(status: int) -> None:
    if not 200 <= status < 300:
        raise HandbackError("refused", f"the receiver answered {status}")


def _parts(sizes: Sequence[int], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Runs (start, stop) whose bodies stay below ``max_bytes``; a bigger record goes alone."""
    at = total = 0
    for i, size in enumerate(sizes):
        total += size
        if total > max_bytes and i > at:
            yield at, i
            at, total = i, size
    if at < len(sizes):
        yield at, len(sizes)

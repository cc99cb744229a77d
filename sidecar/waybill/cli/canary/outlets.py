"""Where the canary's records come out: in an agent's output, in Loki, in Elasticsearch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Protocol, TypedDict, TypeVar, Unpack

import aiohttp
import msgspec
from aiohttp import web

from waybill.cli.canary.ledger import Ledger
from waybill.core.errors import WaybillError
from waybill.core.foreign import read_json
from waybill.learn.json_stream import objects
from waybill.settings.addresses import split_address

__all__ = ["Elasticsearch", "Listener", "Loki", "Outlet", "records"]

#: How often a store is asked, and for how many records at once.
_ASK_SECS, _ASK_RECORDS = 2.0, 5000
_SHOWN_BYTES = 300


def records(body: bytes) -> list[dict[str, object]]:
    """The objects in a body, however they are put together; the canary sends nothing else."""
    return list(objects(body.decode("utf-8", "replace")))


class Outlet(Protocol):
    """Where records come out."""

    async def watch(self, ledger: Ledger) -> None:
        """Show the ledger what comes out, until cancelled."""
        ...


class Listener:
    """An HTTP server that the agent's output (Fluent Bit's ``http``, Vector's ``http``) sends the
    records to.
    """

    def __init__(self, address: str) -> None:
        self._host, self._port = split_address(address)

    async def watch(self, ledger: Ledger) -> None:
        """Serve until cancelled. Raises OSError when the address is taken."""

        async def take(request: web.Request) -> web.Response:
            for record in records(await request.read()):
                ledger.see(record)
            return web.Response(status=200)

        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


class Loki:
    """Reads the run's lines back with ``query_range``; ``selector`` chooses the streams."""

    def __init__(self, client: aiohttp.ClientSession, url: str, selector: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/loki/api/v1/query_range"
        self._selector = selector

    async def watch(self, ledger: Ledger) -> None:
        """Ask again and again."""
        query = {
            "query": f'{self._selector} |= "{ledger.report.run}"',
            "start": str(time.time_ns()),
            "direction": "forward",
            "limit": str(_ASK_RECORDS),
        }
        async for text in _asking(self._client, "GET", self._url, params=query):
            answer = _decode(text, _LokiAnswer, self._url)
            for stream in answer.data.result:
                for value in stream.values:
                    for record in records(str(value[1]).encode()):
                        ledger.see(stream.stream | record, is_first_look=False)


class Elasticsearch:
    """Reads the run's documents back with ``_search``; the address ends in the index."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/_search"

    async def watch(self, ledger: Ledger) -> None:
        """Ask again and again, each page after the last number seen."""
        body: dict[str, object] = {
            "size": _ASK_RECORDS,
            "query": {"match": {"canary_run": ledger.report.run}},
            "sort": [{"canary_number": "asc"}],
        }
        async for text in _asking(self._client, "POST", self._url, json=body):
            hits = _decode(text, _SearchAnswer, self._url).hits.hits
            for hit in hits:
                ledger.see(hit.source, is_first_look=False)
            if hits:
                body["search_after"] = hits[-1].sort
            else:  # from the beginning: numbers do not arrive in order
                body.pop("search_after", None)


class _LokiStream(msgspec.Struct):
    stream: dict[str, object]
    #: Time, line, and perhaps metadata.
    values: list[list[object]]


class _LokiData(msgspec.Struct):
    result: list[_LokiStream]


class _LokiAnswer(msgspec.Struct):
    """As far as it is read: Loki's HTTP API, ``query_range`` of streams."""

    data: _LokiData


class _Hit(msgspec.Struct):
    source: dict[str, object] = msgspec.field(name="_source")
    sort: list[object]


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _SearchAnswer(msgspec.Struct):
    """As far as it is read: Elasticsearch's search API."""

    hits: _Hits


A = TypeVar("A", _LokiAnswer, _SearchAnswer)


def _decode(text: bytes, kind: type[A], url: str) -> A:
    """The answer of a store. Raises WaybillError for something else."""
    try:
        return read_json(text, kind)
    except msgspec.DecodeError as error:
        raise WaybillError(f"{url} gives no answer of its kind: {error}") from error


class _Question(TypedDict, total=False):
    params: dict[str, str]
    json: dict[str, object]


async def _asking(
    client: aiohttp.ClientSession, method: str, url: str, **question: Unpack[_Question]
) -> AsyncIterator[bytes]:
    """Answers to the same question, again and again.

    A store that does not answer now may later: what counts is what it has then. Raises WaybillError
    when it refuses the question.
    """
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with client.request(method, url, **question) as reply:
                text = await reply.read()
            if _is_refusal(reply.status):
                shown = text[:_SHOWN_BYTES].decode("utf-8", "replace")
                raise WaybillError(f"{url} answers {reply.status}: {shown}")
            if reply.status == 200:
                yield text
        await asyncio.sleep(_ASK_SECS)


def _is_refusal(status: int) -> bool:
    """404 is an index that is not there yet, 429 and 5xx are a store that is busy."""
    return 400 <= status < 500 and status not in (404, 429)

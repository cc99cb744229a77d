"""The endpoints beside the log path: probes, metrics, reload, explain, rules, CSV."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from waybill.core.errors import MalformedError, RuleSetError
from waybill.core.labels import Taxonomy
from waybill.flow.flow import Flow
from waybill.ingest.http import HttpIngest
from waybill.labelling.explain import explain
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.service.reload import Reloader
from waybill.wire.csv import RowSplitter, Table, write_rows

#: Messages that one rule trial may bring.
_MAX_TRIAL_MESSAGES = 1000
#: A trial compiles what a caller sends: less time than a reload of the real rules gets.
_TRIAL_SECS = 10.0


class Tools:
    """Handlers for people, probes and scripts; none of them touches a record on its way."""

    def __init__(
        self, flow: Flow, model: Batcher | None, reloader: Reloader, ingest: HttpIngest
    ) -> None:
        self._flow, self._model, self._reloader, self._ingest = flow, model, reloader, ingest
        self._trial = asyncio.Lock()

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to ``app``."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_post("/-/reload", self.reload)
        app.router.add_post("/v1/explain", self.explain)
        app.router.add_get("/v1/rules", self.rules)
        app.router.add_post("/v1/rules/test", self.test_rules)
        app.router.add_post("/v1/classify/csv", self.classify_csv)

    async def healthz(self, _: web.Request) -> web.Response:
        """Liveness: answers as long as the event loop turns."""
        return _json({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Readiness, with what is in force and what was refused. Not ready only while draining: an LLM
        that is down, for example, costs some records their label and is none of the probe's business.
        """
        is_ready = not self._flow.is_draining
        body = {
            "status": "ready" if is_ready else "draining",
            "rules": self._reloader.rules.describe(),
            "model": self._reloader.model.describe() if self._model is not None else None,
            "llm": self._reloader.describe_llm(),
        }
        return _json(body, 200 if is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus or OpenMetrics text."""
        self._flow.note_state()
        body, content_type = self._flow.metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def openapi(self, _: web.Request) -> web.Response:
        """The OpenAPI description of this service."""
        text = resources.files("waybill.api").joinpath("openapi.json").read_bytes()
        return web.Response(body=text, content_type="application/json")

    async def reload(self, _: web.Request) -> web.Response:
        """Load rules and model now; 409 when something was refused and the old one stays."""
        is_ok = await self._reloader.reload()
        body = {"rules": self._reloader.rules.describe(), "model": self._reloader.model.describe()}
        return _json(body, 200 if is_ok else 409)

    async def explain(self, request: web.Request) -> web.Response:
        """Which tier, which rule, how sure, and the nearest training examples of one message."""
        asked = await self._read_object(request)
        source, message = asked.get("source", ""), asked.get("message")
        if not isinstance(source, str) or not isinstance(message, str):
            raise MalformedError("fields", "source and message are strings")
        return _json(await explain(self._flow.pipeline, self._model, source, message))

    async def rules(self, _: web.Request) -> web.Response:
        """The rules in force, in the order in which they are tried."""
        rules = self._flow.pipeline.rules
        return _json({"version": rules.version, "rules": [rule.describe() for rule in rules.rules]})

    async def test_rules(self, request: web.Request) -> web.Response:
        """Compile the YAML in ``rules`` and try it on ``messages``; nothing comes into force."""
        asked = await self._read_object(request)
        text, messages = asked.get("rules"), asked.get("messages", [])
        is_list = isinstance(messages, list) and all(
            isinstance(message, str) for message in messages
        )
        if not isinstance(text, str) or not is_list or len(messages) > _MAX_TRIAL_MESSAGES:
            raise MalformedError(
                "fields", "rules is YAML text, messages a list of at most 1,000 strings"
            )
        try:
            async with self._trial:
                found = await _try_rules(text, messages, self._flow.pipeline.taxonomy)
        except RuleSetError as error:
            faults = [
                {"line": one.line, "rule": one.rule_id, "reason": one.code, "detail": one.detail}
                for one in error.errors
            ]
            return _json({"accepted": False, "faults": faults})
        return _json({"accepted": True, "matches": found})

    async def classify_csv(self, request: web.Request) -> web.StreamResponse:
        """A CSV with message and source columns; answers it row by row with label, confidence, tier."""
        rows = self._csv_rows(request)
        table = Table(await anext(rows, [""]) or [], self._flow.wire.plan.settings)
        headers = {"Content-Disposition": 'attachment; filename="labelled.csv"'}
        response = web.StreamResponse(headers=headers | {"Content-Type": "text/csv; charset=utf-8"})
        await response.prepare(request)
        await response.write(write_rows([table.header]).encode())
        chunk: list[list[str]] = []
        async for row in rows:
            chunk.append(row)
            if len(chunk) == _CSV_ROWS:
                await response.write(await self._label_rows(table, chunk))
                chunk = []
        await response.write(await self._label_rows(table, chunk))
        await response.write_eof()
        return response

    async def _label_rows(self, table: Table, rows: list[list[str]]) -> bytes:
        messages, sources = (
            [table.message(row) for row in rows],
            [table.source(row) for row in rows],
        )
        verdicts = await self._flow.pipeline.label(messages, sources)
        return write_rows(
            table.labelled(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)
        ).encode()

    async def _csv_rows(self, request: web.Request) -> AsyncIterator[list[str]]:
        splitter = RowSplitter(self._flow.limits.body_bytes)
        async for data in _csv_chunks(request):
            for row in splitter.feed(data):
                yield row
        for row in splitter.feed(b"", is_last=True):
            yield row

    async def _read_object(self, request: web.Request) -> dict[str, Any]:
        with self._flow.inflight.hold() as grow:
            body = await self._ingest.read_body(request, grow)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise MalformedError("not_json") from None
        if not isinstance(value, dict):
            raise MalformedError("not_an_object")
        return value


#: Rows labelled at once: enough to fill the model's batches, few enough to stream.
_CSV_ROWS = 500


async def _csv_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The CSV's bytes: the first file of a multipart form, or the body itself."""
    if not request.content_type.startswith("multipart/"):
        async for chunk in request.content.iter_chunked(1 << 16):
            yield chunk
        return
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and (part.filename or part.name == "file"):
                while chunk := await part.read_chunk(1 << 16):
                    yield chunk
                return
    except ValueError as error:
        raise MalformedError("multipart", str(error)) from None
    raise MalformedError("multipart", "the form holds no file")


async def _try_rules(
    text: str, messages: list[str], taxonomy: Taxonomy
) -> list[dict[str, Any] | None]:
    trial = RuleFile("trial.yaml", text.encode("utf-8", "replace"))
    rules = await compile_rules([trial], labels=taxonomy.names, cpu_secs=_TRIAL_SECS)
    found = [rules.first_match(message, None) for message in messages]
    return [{"rule": rule.id, "label": rule.label} if rule else None for rule in found]


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")

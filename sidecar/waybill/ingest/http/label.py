"""``/v1/label``: batches from ``out_http``, from Vector's ``http`` sink, and from anyone with curl.

200 or 204 say that the records are where they belong: in the answer, or with the receiver. Answers
to shippers that read none are counted, and the log says what to set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from waybill.ingest.http.bodies import BodyReader
from waybill.ingest.http.errors import LABEL_PATH
from waybill.ingest.listener import Intake
from waybill.wire.compression import accepted_encoding, compress
from waybill.wire.lines import is_text

_log = logging.getLogger(__name__)

#: Above this an answer is compressed on a thread.
_INLINE_BYTES = 256 << 10
#: How shippers whose outputs look at nothing but the status of an answer call themselves.
_DEAF = (("Fluent-Bit", "Fluent Bit"), ("Vector/", "Vector"))


def routes(
    intake: Intake, reader: BodyReader, *, count_unread: Callable[[], None] | None
) -> list[web.RouteDef]:
    """The endpoint with and without a tag in its path, and the health check of shippers.

    ``count_unread`` counts an answer with records to a shipper that reads none; None where batches
    are pushed to a receiver.
    """

    async def label(request: web.Request) -> web.Response:
        """One batch."""
        if count_unread is not None:
            _tell_if_unread(request, count_unread)
        with intake.hold() as grow:
            delivery = await reader.receive(request, grow, "http")
            answer = await intake.run(delivery, grow)
            if answer is None:
                return web.Response(status=204)
            del delivery  # the answer takes its place
            return await _encoded(request, answer)

    found: list[web.RouteDef] = []
    for path in (LABEL_PATH, f"{LABEL_PATH}/{{tag:[\\s\\S]+}}"):
        found += [web.get(path, _ok), web.post(path, label), web.put(path, label)]
    return found


def _tell_if_unread(request: web.Request, count: Callable[[], None]) -> None:
    """Count a sender that will not read its answer, and say so in the log."""
    agent = request.headers.get("User-Agent", "")
    for begins, name in _DEAF:
        if agent.startswith(begins):
            count()
            _log.warning(
                "%s reads no answer, so its labelled records are lost: set return.type and "
                "return.url to hand them back",
                name,
                extra={"peer": request.remote or ""},
            )


async def _ok(_: web.Request) -> web.Response:
    return web.Response(status=200)


async def _encoded(request: web.Request, body: bytes) -> web.Response:
    """The labelled batch in the format it came in and an encoding that the caller accepts."""
    encoding = accepted_encoding(request.headers.get("Accept-Encoding"))
    headers = {"Content-Type": _content_type(request, body)}
    if encoding != "none":
        headers["Content-Encoding"] = encoding
        if len(body) > _INLINE_BYTES:
            body = await asyncio.to_thread(compress, body, encoding)
        else:
            body = compress(body, encoding)
    return web.Response(body=body, headers=headers)


def _content_type(request: web.Request, answer: bytes) -> str:
    """The request's content type, but for text, which is answered as JSON. ``curl -d`` calls
    everything a form by default: that is answered as JSON, too.
    """
    content_type = request.headers.get("Content-Type", "application/json")
    if content_type.lower().startswith("application/x-www-form-urlencoded"):
        return "application/json"
    if not is_text(content_type.lower()):
        return content_type
    if answer[:1] == b"[":
        return "application/json"
    return "application/x-ndjson"

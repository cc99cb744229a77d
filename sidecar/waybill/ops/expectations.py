"""What aiohttp answers before any middleware is asked, answered otherwise.

It would be a line of text and no ``{"reason": ..., "detail": ...}``, and a 500 for an ``Expect``
header that is not ASCII. Of what is not HTTP the answer would hold the
line that is wrong: a cookie or a token, which scripts and the logs of shippers must not see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError

__all__ = ["Refused", "answer_ourselves"]

_CONTINUE = "100-continue"
#: What a parser says, in words for who sent it.
_PLAINER = {
    "Pause on PRI/Upgrade": "HTTP/2 is not spoken here: send HTTP/1.1, and OTLP to /v1/logs",
    "Received HTTPS traffic on an HTTP port": "TLS is off here: send http://, or set http.tls",
}
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Refused(web.Response):
    """What no middleware was asked about, written as every refusal is."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        body = orjson.dumps({"reason": reason, "detail": detail})
        super().__init__(status=status, body=body, content_type="application/json")


class _Handler(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """As aiohttp's, without what the client sent and whose versions read it."""
        said = (message or "").partition("\n\n")[0]
        if "b'" in said or 'b"' in said or isinstance(exc, InvalidURLError):
            said = "the request is not HTTP"
        response = super().handle_error(request, status, exc, said)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            said = _PLAINER.get(said.strip().rstrip(":"), said)
            response = Refused(status, "bad_request", " ".join(said.split()).rstrip(":"))
            response.force_close()
        response.headers["Server"] = "waybill"
        return response


class _Server(web.Server):
    """Makes such connections."""

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


def answer_ourselves(runner: web.AppRunner) -> None:
    """Have ``runner``, which is set up, answer so; an odd ``Expect`` with 417."""
    server = runner.server
    assert server is not None
    server.request_handler = _refusing(server.request_handler)
    server.__class__ = _Server  # the runner makes its server itself


def _refusing(handle: Answer) -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
            return Refused(417, "expectation_failed", f"only Expect: {_CONTINUE} is understood")
        return await handle(request)

    return answer

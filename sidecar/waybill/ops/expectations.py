"""What aiohttp answers before any middleware is asked, answered otherwise.

An ``Expect`` header that is no ASCII would be a 500. Of what is no HTTP the answer would hold the
line that is wrong: a cookie or a token, which scripts and the logs of shippers must not see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError

__all__ = ["answer_ourselves"]

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


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
            said = "the request is no HTTP"
        response = super().handle_error(request, status, exc, said)
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
        if not request.headers.get("Expect", "").isascii():
            return web.Response(status=HTTPStatus.EXPECTATION_FAILED, text="Unknown Expect")
        return await handle(request)

    return answer

"""An ``Expect`` header that is no ASCII: aiohttp itself would answer 500, before any middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

__all__ = ["refuse_odd_expectations"]

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def refuse_odd_expectations(runner: web.AppRunner) -> None:
    """Have ``runner``, which is set up, answer such a header with 417."""
    server = runner.server
    assert server is not None
    server.request_handler = _refusing(server.request_handler)


def _refusing(handle: Answer) -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if not request.headers.get("Expect", "").isascii():
            return web.Response(status=HTTPStatus.EXPECTATION_FAILED, text="Unknown Expect")
        return await handle(request)

    return answer

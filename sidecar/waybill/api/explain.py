"""``POST /v1/explain``: why one message gets its label."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from waybill.api.answers import Questions, as_json
from waybill.core.errors import MalformedError

#: Explains a message: source and message to plain data.
Explain = Callable[[str, str], Awaitable[Mapping[str, object]]]


def routes(questions: Questions, explain: Explain) -> list[web.RouteDef]:
    """The endpoint."""

    async def answer(request: web.Request) -> web.Response:
        """Which tier, which rule, how sure, and the nearest training examples of one message."""
        asked = await questions.read(request)
        source = asked.get("source", "")
        message = asked.get("message")
        if not isinstance(message, str):
            raise MalformedError("fields", "message is missing, or is no string")
        if not isinstance(source, str):
            raise MalformedError("fields", "source is no string")
        return as_json(await explain(source, message))

    return [web.post("/v1/explain", answer)]

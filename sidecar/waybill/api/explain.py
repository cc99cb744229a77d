"""``POST /v1/explain``: why one message gets its label.

The message is ``message`` with its ``source``, or a whole record as a shipper sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from waybill.api.answers import Questions, as_json
from waybill.core.errors import MalformedError
from waybill.labelling.explanation import Explanation
from waybill.wire.members import Places

#: Explains a message, given its source and its text.
Explain = Callable[[str, str], Awaitable[Explanation]]


def routes(questions: Questions, places: Places, explain: Explain) -> list[web.RouteDef]:
    """The endpoint; ``places`` say where message and source stand in a record."""

    async def answer(request: web.Request) -> web.Response:
        """Which tier, which rule, how sure, and the nearest training examples of one message."""
        asked = await questions.read(request)
        message: object = places.message_of(asked)
        if message is None:
            message = asked.get("message")
        if not isinstance(message, str):
            wanted = places.named_messages
            raise MalformedError(
                "fields",
                "message is missing, or is not a string: send a message, or a record with text in "
                f"one of {wanted}",
            )
        source = asked.get("source", "")
        if not isinstance(source, str):
            raise MalformedError("fields", "source is not a string")
        source = places.source_of(asked) or source
        found = await explain(source, message)
        return as_json(found.plain())

    return [web.post("/v1/explain", answer)]

"""Who is asked: one interface.

A provider makes exactly one HTTP request per `Provider.ask`. Retries, waiting and counting belong
to the tier, so the client's own retries are off and its time-out (60 s) is replaced by ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from waybill.core.clock import EPOCH
from waybill.core.retry import retry_after_secs
from waybill.labelling.llm.errors import ProviderError
from waybill.labelling.llm.prompt import Question

#: How an answer is kept in shape, strictest first. Strict schemas exist for some models only.
Form = Literal["schema", "object", "text"]
FORMS: tuple[Form, ...] = ("schema", "object", "text")

ApiKey = Callable[[], str | None]


class Reply(msgspec.Struct, frozen=True):
    """An answer's text and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int


class Provider(Protocol):
    """A language model behind a network."""

    model: str

    async def ask(self, question: Question, form: Form) -> Reply:
        """One request.

        Raises ProviderError, or BadAnswer when the model failed to answer in ``form``.
        """

    async def close(self) -> None:
        """Close the connections."""


def status_error(status: int, headers: Mapping[str, str]) -> ProviderError:
    """What an HTTP status means."""
    retry_after = retry_after_secs(headers.get("retry-after"), EPOCH())
    if status == 429:
        return ProviderError("rate_limited", retry_after=retry_after)
    if status >= 500:
        return ProviderError("unavailable", retry_after=retry_after)
    if status in (400, 422):
        return ProviderError("form")
    if status in (401, 403):
        return ProviderError("auth")
    return ProviderError("bad_request")

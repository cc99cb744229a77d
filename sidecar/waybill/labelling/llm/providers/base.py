"""The interface of providers of language models.

A provider makes exactly one HTTP request per `Provider.ask`. Retries, waiting and counting belong
to the tier, so the client's own retries are off and its time-out (60 s) is replaced by ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from waybill.core.clock import EPOCH
from waybill.core.reasons import ProviderCode
from waybill.core.retry import retry_after_secs
from waybill.core.sent import without_secrets
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


#: Statuses that say "too much just now": 413 is a pack beyond the tokens of a minute, 498 (Groq)
#: and 529 (Anthropic and others) a service without capacity.
_LOAD = (413, 429, 498, 529)
#: Codes and kinds of errors that say the same, whatever the status.
_LOAD_CODES = ("rate_limit", "capacity", "overloaded", "resource_exhausted")
#: How an error speaks that is about the form of answer that was asked for.
_ABOUT_FORM = re.compile(
    r"response[_ ]?(?:format|mime|json|schema)|json[_ ]?(?:schema|object|mode)|structured output"
    r"|grammar|guided",
    re.IGNORECASE,
)
_NO_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")


def status_error(status: int, headers: Mapping[str, str], body: object = None) -> ProviderError:
    """What an HTTP status and the ``body`` of the answer mean, as JSON that was read.

    A 400 is about the form of answer only where it says so, or does not say anything: another one
    (a model that was withdrawn) would come again for each form.
    """
    retry_after = retry_after_secs(headers.get("retry-after"), EPOCH())
    said = _error_in(body)
    told = [str(said[key]) for key in ("code", "status", "type") if said.get(key)]
    name = next((text for text in told if not text.isdigit()), None)
    code = _classify(status, told, said)
    return ProviderError(
        code,
        retry_after=retry_after if code in ("rate_limited", "unavailable") else None,
        status=status,
        provider_code=_NO_CODE.sub("_", without_secrets(name))[:64] if name else None,
    )


def _classify(status: int, told: Sequence[str], said: Mapping[str, object]) -> ProviderCode:
    words = " ".join(told).lower()
    if status in _LOAD or (status < 500 and any(word in words for word in _LOAD_CODES)):
        return "rate_limited"
    if status >= 500 or status in (408, 409, 425):
        return "unavailable"
    if status in (401, 403):
        return "auth"
    if status in (400, 422) and (not said or _ABOUT_FORM.search(_text_of(said))):
        return "form"
    return "bad_request"


def _text_of(said: Mapping[str, object]) -> str:
    """All words of an error; none where it is nested more deeply than can be written."""
    try:
        return str(dict(said))
    except RecursionError:
        return ""


def _error_in(body: object) -> Mapping[str, object]:
    """The error that an answer tells of: ``{"error": {...}}``, a list of it, or the members."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error", body)
    if isinstance(inner, str):
        return {"message": inner}
    return inner if isinstance(inner, Mapping) else {}

"""Who is asked: one interface, one HTTP connection policy, and the Groq client behind both.

A provider makes exactly one HTTP request per `Provider.ask`. Retries, waiting and counting belong to
the tier, so the client's own retries are off; its time-out (60 s) is replaced by ours; redirects are
not followed, answers are capped and must come uncompressed.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.reasons import ProviderCode
from waybill.labelling.llm.prompt import BadAnswer, Question

if TYPE_CHECKING:
    import httpx

#: How an answer is kept in shape, strictest first. Strict schemas exist for some models only.
Form = Literal["schema", "object", "text"]
FORMS: tuple[Form, ...] = ("schema", "object", "text")
#: A chat completion of 20 labels has 2 KB.
MAX_REPLY_BYTES = 262_144
_GROQ_URL = "https://api.groq.com"
#: The path that the Groq client puts behind the base URL; other servers have no ``/openai``.
_GROQ_PATH = "/openai/v1/"

#: Loggers that write down requests when the level is debug: with texts of records, which no log may hold.
_CHATTY = ("groq", "google_genai", "httpx", "httpcore")

ApiKey = Callable[[], str | None]


class Reply(msgspec.Struct, frozen=True):
    """An answer's text and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int


class ProviderError(WaybillError):
    """A call that brought no answer.

    Codes: ``no_key``, ``timeout``, ``connect`` (nothing or half an answer came), ``rate_limited`` (429),
    ``unavailable`` (5xx), ``auth`` (401, 403), ``form`` (400, 422: perhaps the form of answer is not
    supported), ``bad_request`` (other statuses), ``bad_answer`` (no completion in it). ``retry_after``
    is in seconds. ``may_be_billed``: the request may have been worked on.
    """

    code: ProviderCode

    def __init__(
        self, code: ProviderCode, *, retry_after: float | None = None, may_be_billed: bool = False
    ) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after
        self.may_be_billed = may_be_billed


class Provider(Protocol):
    """A language model behind a network."""

    model: str

    async def ask(self, question: Question, form: Form) -> Reply:
        """One request. Raises ProviderError, or BadAnswer when the model failed to answer in ``form``."""

    async def close(self) -> None:
        """Close the connections."""


class GroqProvider:
    """Groq, or any server that speaks the OpenAI chat API (``base_url`` then ends in ``/v1``).

    Imports the client when it is made: do that off the event loop.
    """

    def __init__(
        self,
        *,
        model: str | None,
        key: ApiKey,
        base_url: str | None = None,
        proxy: str | None = None,
        timeout_secs: float = 10,
        reply_tokens: int = 2048,
    ) -> None:
        import groq

        self._errors = groq
        self.model = model or "openai/gpt-oss-20b"
        self._key, self._timeout_secs, self._reply_tokens = key, timeout_secs, reply_tokens
        base_url = (base_url or _GROQ_URL).rstrip("/")
        self._client = groq.AsyncGroq(
            api_key="-",  # set for each call: it may have changed
            base_url=base_url,
            max_retries=0,
            timeout=timeout_secs,
            http_client=http_client(
                timeout_secs, proxy, strip=_GROQ_PATH if base_url.endswith("/v1") else None
            ),
        )

    async def ask(self, question: Question, form: Form) -> Reply:
        key = self._key()
        if not key:
            raise ProviderError("no_key")
        self._client.api_key = key
        try:
            async with asyncio.timeout(self._timeout_secs):
                completion = await self._client.chat.completions.create(
                    **self._request(question, form)
                )
        except TimeoutError:
            raise ProviderError("timeout", may_be_billed=True) from None
        except self._errors.APIStatusError as error:
            if _is_generation_failure(error.body):
                raise BadAnswer("bad_answer") from None
            raise status_error(error.status_code, error.response.headers) from None
        except self._errors.APITimeoutError:
            raise ProviderError("timeout", may_be_billed=True) from None
        except self._errors.APIConnectionError:
            raise ProviderError("connect", may_be_billed=True) from None
        except (
            self._errors.GroqError,
            ValueError,
            TypeError,
            AttributeError,
        ):  # an answer that is none
            raise ProviderError("bad_answer", may_be_billed=True) from None
        return _read(completion)

    def _request(self, question: Question, form: Form) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "temperature": 0,
            "max_completion_tokens": self._reply_tokens,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
        }
        if "gpt-oss" in self.model:
            request["reasoning_effort"] = "low"
        if form == "schema":
            schema = {"name": "labels", "strict": True, "schema": question.schema()}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form == "object":
            request["response_format"] = {"type": "json_object"}
        return request

    async def close(self) -> None:
        await self._client.close()


def _is_generation_failure(body: object) -> bool:
    """Groq's word for an answer that came out in another form than asked for: a 400 of that one answer."""
    detail = body.get("error", body) if isinstance(body, dict) else None
    return isinstance(detail, dict) and detail.get("code") == "json_validate_failed"


def _read(completion: Any) -> Reply:
    """The text and usage of a completion. The client does not check what came, so any field may be absent."""
    try:
        text = completion.choices[0].message.content
    except (AttributeError, IndexError, TypeError, KeyError):
        text = None
    usage = getattr(completion, "usage", None)
    tokens = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (
        count if isinstance(count, int) and count >= 0 else 0 for count in tokens
    )
    # An answer without text is one that the tier will throw away, but it was paid for.
    return Reply(text if isinstance(text, str) else "", tokens_in, tokens_out)


def status_error(status: int, headers: Mapping[str, str]) -> ProviderError:
    """What an HTTP status means."""
    retry_after = read_retry_after(headers.get("retry-after"))
    if status == 429:
        return ProviderError("rate_limited", retry_after=retry_after)
    if status >= 500:
        return ProviderError("unavailable", retry_after=retry_after)
    if status in (400, 422):
        return ProviderError("form")
    if status in (401, 403):
        return ProviderError("auth")
    return ProviderError("bad_request")


def read_retry_after(text: str | None, wall: Callable[[], float] = time.time) -> float | None:
    """Seconds named by a Retry-After header (a number or an HTTP date); None when there is none."""
    if text is None:
        return None
    try:
        secs = float(text)
    except ValueError:
        try:
            secs = email.utils.parsedate_to_datetime(text).timestamp() - wall()
        except (ValueError, OverflowError, TypeError):
            return None
    return max(0.0, secs) if secs == secs else None  # NaN is a float, too


def http_client(
    timeout_secs: float, proxy: str | None, strip: str | None = None
) -> httpx.AsyncClient:
    """The client for all providers; a proxy of the environment is not used. ``strip`` is left out of paths."""
    import httpx

    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)

    class Guarded(httpx.AsyncHTTPTransport):
        """Takes answers that are uncompressed and of bounded size."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.headers["accept-encoding"] = "identity"
            if strip:
                request.url = request.url.copy_with(path=request.url.path.replace(strip, "/", 1))
            response = await super().handle_async_request(request)
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                raise httpx.RemoteProtocolError(
                    "a compressed answer was not asked for", request=request
                )
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = Capped(response.stream)
            return response

    class Capped(httpx.AsyncByteStream):
        """A stream that breaks off at `MAX_REPLY_BYTES`."""

        def __init__(self, stream: httpx.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            count = 0
            async for chunk in self._stream:
                count += len(chunk)
                if count > MAX_REPLY_BYTES:
                    raise httpx.RemoteProtocolError("the answer is too large")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    limits = httpx.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=30)
    transport = Guarded(limits=limits, proxy=proxy)
    return httpx.AsyncClient(
        transport=transport, timeout=timeout_secs, follow_redirects=False, trust_env=False
    )

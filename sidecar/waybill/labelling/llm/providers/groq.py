"""Groq, or any server that speaks the OpenAI chat API (extra ``llm``)."""

from __future__ import annotations

import asyncio
from typing import Any

from waybill.labelling.llm.errors import BadAnswer, ProviderError
from waybill.labelling.llm.prompt import Question
from waybill.labelling.llm.providers.base import ApiKey, Form, Reply, status_error
from waybill.labelling.llm.providers.http_client import http_client
from waybill.settings.schema import LlmSettings

_GROQ_URL = "https://api.groq.com"
#: The path that the Groq client puts behind the base URL; other servers have no ``/openai``.
_GROQ_PATH = "/openai/v1/"


class GroqProvider:
    """Groq, or any server that speaks the OpenAI chat API (``base_url`` then ends in ``/v1``).

    Imports the client when it is made: do that off the event loop.
    """

    def __init__(self, settings: LlmSettings, key: ApiKey) -> None:
        import groq

        self._errors = groq
        self.model = settings.model or "openai/gpt-oss-20b"
        self._key = key
        self._timeout_secs = settings.timeout_secs
        self._reply_tokens = settings.reply_tokens
        base_url = (settings.base_url or _GROQ_URL).rstrip("/")
        strip = _GROQ_PATH if base_url.endswith("/v1") else None
        self._client = groq.AsyncGroq(
            api_key="-",  # set for each call: it may have changed
            base_url=base_url,
            max_retries=0,
            timeout=settings.timeout_secs,
            http_client=http_client(settings.timeout_secs, settings.proxy, strip=strip),
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
            raise status_error(error.status_code, error.response.headers, error.body) from None
        except self._errors.APITimeoutError:
            raise ProviderError("timeout", may_be_billed=True) from None
        except self._errors.APIConnectionError:
            raise ProviderError("connect", may_be_billed=True) from None
        except Exception:  # noqa: BLE001 - an answer can be wrong in any way
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
    """Whether Groq says that the answer came out in another form: a 400 for this answer alone."""
    detail = body.get("error", body) if isinstance(body, dict) else None
    return isinstance(detail, dict) and detail.get("code") == "json_validate_failed"


def _read(completion: Any) -> Reply:
    """The text and usage of a completion.

    The client does not check what came, so any field may be absent.
    """
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

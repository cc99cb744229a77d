"""Google Gemini as a `waybill.labelling.llm.providers.base.Provider` (extra ``gemini``)."""

from __future__ import annotations

import asyncio
from typing import Any

from waybill.core.reasons import ProviderCode
from waybill.labelling.llm.errors import ProviderError
from waybill.labelling.llm.prompt import Question
from waybill.labelling.llm.providers.base import ApiKey, Form, Reply, status_error
from waybill.labelling.llm.providers.http_client import http_client
from waybill.settings.schema import LlmSettings


class GeminiProvider:
    """Gemini by its own client. Imports the client when it is made: do that off the event loop."""

    def __init__(self, settings: LlmSettings, key: ApiKey) -> None:
        from google import genai
        from google.genai import errors

        self._genai: Any = genai
        self._errors: Any = errors
        self.model = settings.model or "gemini-2.5-flash-lite"
        self._key = key
        self._timeout_secs = settings.timeout_secs
        self._reply_tokens = settings.reply_tokens
        self._base_url = settings.base_url
        self._http = http_client(settings.timeout_secs, settings.proxy)
        self._client: Any = None
        self._client_key: str | None = None

    async def ask(self, question: Question, form: Form) -> Reply:
        key = self._key()
        if not key:
            raise ProviderError("no_key")
        try:
            async with asyncio.timeout(self._timeout_secs):
                response = await self._client_for(key).aio.models.generate_content(
                    model=self.model, contents=question.user, config=self._config(question, form)
                )
        except TimeoutError:
            raise ProviderError("timeout", may_be_billed=True) from None
        except self._errors.APIError as error:
            headers = getattr(error.response, "headers", None) or {}
            raise status_error(error.code, headers, getattr(error, "details", None)) from None
        except Exception as error:  # noqa: BLE001 - becomes a ProviderError, which the tier counts
            # The client lets errors of its HTTP library, of pydantic and of json through; they
            # share no base.
            code: ProviderCode = (
                "connect"
                if type(error).__module__.partition(".")[0] in ("httpx", "httpcore")
                else "bad_answer"
            )
            raise ProviderError(code, may_be_billed=True) from None
        return _read(response)

    def _client_for(self, key: str) -> Any:
        if key != self._client_key:
            options: dict[str, Any] = {
                "timeout": int(self._timeout_secs * 1000),
                "httpx_async_client": self._http,
                "retry_options": {"attempts": 1},
            }
            if self._base_url:
                options["base_url"] = self._base_url
            self._client = self._genai.Client(api_key=key, vertexai=False, http_options=options)
            self._client_key = key
        return self._client

    def _config(self, question: Question, form: Form) -> dict[str, Any]:
        config: dict[str, Any] = {
            "system_instruction": question.system,
            "temperature": 0,
            "max_output_tokens": self._reply_tokens,
        }
        if form != "text":
            config["response_mime_type"] = "application/json"
        if form == "schema":
            config["response_json_schema"] = question.schema()
        return config

    async def close(self) -> None:
        await self._http.aclose()


def _read(response: Any) -> Reply:
    """The text and usage of a response.

    A blocked or empty one has no text and is thrown away by the tier.
    """
    try:
        text = "".join(
            part.text or "" for part in response.candidates[0].content.parts if not part.thought
        )
    except (AttributeError, IndexError, TypeError):
        text = ""
    usage = response.usage_metadata
    tokens_out = (getattr(usage, "candidates_token_count", 0) or 0) + (
        getattr(usage, "thoughts_token_count", 0) or 0
    )
    return Reply(text, getattr(usage, "prompt_token_count", 0) or 0, tokens_out)

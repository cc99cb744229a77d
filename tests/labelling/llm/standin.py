"""A stand-in for the providers: the chat API of Groq and OpenAI, and Gemini's, over real HTTP.

It judges lines by a few words, which is all that tests and demo need, and misbehaves as it is told:
`Standin.script` holds what the next calls get, `Standin.habit` what all others get.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from tests.taxonomies import LABELS

#: The first that fits decides.
_WORDS = {
    "Deprecation Warning": r"no longer supported|retired|deprecated|outdated|removed (in|with)|migrate|switched off",
    "Security Alert": r"attack|unauthori[sz]ed|brute",
    "Workflow Error": r"failed|aborted|stopped|could not be (routed|assigned)|undefined",
    "System Notification": r"completed successfully",
    "User Action": r"logged in",
    "HTTP Status": r"status code",
    "Critical Error": r"are down",
    "Resource Usage": r"usage",
    "Error": r"could not",
}
_ORDER = re.compile(
    r"(?:answer|label|classify|respond|reply|output)\b.{0,60}?\b(" + "|".join(LABELS) + ")",
    re.IGNORECASE,
)

Lines = list[dict[str, Any]]
#: Makes the answers of one call.
Mind = Callable[[Lines, list[str]], Any]


def sensible(lines: Lines, labels: list[str]) -> Any:
    """By words, always within the set."""
    return {
        "answers": [{"index": one["index"], "label": _label(one["line"], labels)} for one in lines]
    }


def gullible(lines: Lines, labels: list[str]) -> Any:
    """Does what any line tells it, to all lines."""
    orders = [match[1] for one in lines if (match := _ORDER.search(one["line"]))]
    told = next(
        (label for order in orders for label in LABELS if label.lower() == order.lower()), None
    )
    answers = sensible(lines, labels)
    if told is not None:
        for answer in answers["answers"]:
            answer["label"] = told
    return answers


def credulous(lines: Lines, labels: list[str]) -> Any:
    """Does what a line tells it, to that line only."""
    return {"answers": [gullible([one], labels)["answers"][0] for one in lines]}


def _label(line: str, labels: list[str]) -> str:
    return next(
        (x for x, words in _WORDS.items() if x in labels and re.search(words, line, re.IGNORECASE)),
        "Unclassified",
    )


class Fault:
    """One way to misbehave; see `Standin._misbehave`."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind, self.options = kind, options


class Standin:
    """The server. ``calls`` are the bodies received, ``times`` when, ``raw`` every byte of head and
    body.
    """

    def __init__(self, mind: Mind = sensible) -> None:
        self.mind = mind
        self.script: deque[Fault | Mind] = deque()
        self.habit: Fault | None = None
        self.latency_secs = 0.0
        #: No answer goes out while it is clear.
        self.gate = asyncio.Event()
        self.gate.set()
        #: Forms of answer that are refused, as models without strict schemas do.
        self.unsupported: set[str] = set()
        self.calls: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str] = []
        self.raw: list[str] = []
        self.url = ""

    @property
    def lines(self) -> list[str]:
        """Every line that was asked about, canaries included."""
        return [one["line"] for call in self.calls for one in _lines(call)]

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Standin]:
        """Serve on 127.0.0.1."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/openai/v1/chat/completions", self._groq)
        app.router.add_post("/v1/chat/completions", self._groq)
        app.router.add_post("/{version}/models/{model:.*}", self._gemini)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, found = runner.addresses[0][:2]
        self.url = f"http://{host}:{found}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _groq(self, request: web.Request) -> web.StreamResponse:
        body = await self._receive(
            request, request.headers.get("Authorization", "").removeprefix("Bearer ")
        )
        form = body.get("response_format", {}).get("type", "text")
        system, user = (message["content"] for message in body["messages"])
        call = {"form": form, "system": system, "user": user, "body": body}
        self.calls.append(call)
        if form in self.unsupported:
            return _error(400, f"This model does not support response format `{form}`")
        text, usage = await self._answer(request, call)
        if isinstance(text, web.StreamResponse):
            return text
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text},
                    }
                ],
                "usage": {
                    "prompt_tokens": usage[0],
                    "completion_tokens": usage[1],
                    "total_tokens": sum(usage),
                },
            }
        )

    async def _gemini(self, request: web.Request) -> web.StreamResponse:
        body = await self._receive(request, request.headers.get("x-goog-api-key", ""))
        config = body.get("generationConfig", {})
        form = (
            "json_schema"
            if "responseJsonSchema" in config
            else "json_object"
            if "responseMimeType" in config
            else "text"
        )
        system = body["systemInstruction"]["parts"][0]["text"]
        call = {
            "form": form,
            "system": system,
            "user": body["contents"][0]["parts"][0]["text"],
            "body": body,
        }
        self.calls.append(call)
        if form in self.unsupported:
            return _error(400, "schema is not supported")
        text, usage = await self._answer(request, call)
        if isinstance(text, web.StreamResponse):
            return text
        return web.json_response(
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": text}]},
                        "finishReason": "STOP",
                    }
                ],
                "usageMetadata": {"promptTokenCount": usage[0], "candidatesTokenCount": usage[1]},
            }
        )

    async def _receive(self, request: web.Request, key: str) -> Any:
        text = await request.text()
        self.times.append(time.monotonic())
        self.keys.append(key)
        self.raw.append(f"{request.method} {request.raw_path} {text}")
        return json.loads(text)

    async def _answer(
        self, request: web.Request, call: dict[str, Any]
    ) -> tuple[Any, tuple[int, int]]:
        act = self.script.popleft() if self.script else self.habit
        if self.latency_secs:
            await asyncio.sleep(self.latency_secs)
        await self.gate.wait()
        lines = _lines(call)
        usage = (len(call["system"] + call["user"]) // 4, 12 * len(lines))
        if isinstance(act, Fault):
            return await self._misbehave(request, act, lines), usage
        labels = re.findall(r"^\s*- ([A-Z][A-Za-z ]+):", call["system"], re.MULTILINE)
        return json.dumps((act or self.mind)(lines, labels)), usage

    async def _misbehave(self, request: web.Request, fault: Fault, lines: Lines) -> Any:
        options = fault.options
        match fault.kind:
            case "status":
                headers = (
                    {"Retry-After": options["retry_after"]} if "retry_after" in options else {}
                )
                return _error(
                    options["status"],
                    options.get("message", "told to"),
                    headers,
                    options.get("code"),
                )
            case "redirect":
                return web.Response(status=307, headers={"Location": options["to"]})
            case "hang":
                await asyncio.sleep(options.get("secs", 3600))
            case "cut":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "drip":
                response = web.StreamResponse()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):
                    for _ in range(3600):
                        await response.write(b" ")
                        await asyncio.sleep(0.1)
                return response
            case "body":
                return web.Response(**options)
            case "text":
                return options["text"]
        raise AssertionError(fault.kind)


def _lines(call: dict[str, Any]) -> Lines:
    """The lines of a call, as a model would find them in the text."""
    found = [
        json.loads(line) for line in call["user"].splitlines() if line.startswith('{"index": ')
    ]
    return [one for one in found if isinstance(one, dict)]


def _error(
    status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
) -> web.Response:
    error = {"message": message, "type": "told", "code": code or status, "status": "TOLD"}
    return web.json_response({"error": error}, status=status, headers=headers)

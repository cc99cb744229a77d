"""Whoever is sent a secret of ours may send it back: it is in no log, no error and on no page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web

from tests.serving import serving
from waybill.core.errors import WaybillError
from waybill.handback.http_client import HttpClient
from waybill.handback.push import PassingError
from waybill.labelling.llm.errors import ProviderError, StoreError
from waybill.labelling.llm.prompt import Question
from waybill.labelling.llm.providers.base import Provider
from waybill.labelling.llm.providers.gemini import GeminiProvider
from waybill.labelling.llm.providers.groq import GroqProvider
from waybill.ops.logs import JsonFormatter
from waybill.ops.secret_file import SecretFile
from waybill.patterns.client import PatternClient
from waybill.service.fetching import Fetcher
from waybill.settings.schema import LlmSettings, ReturnSettings

KEY = 'sk-live/0123456789+"abc\\' + "x" * 80
#: How an answer may have it.
FORMS = {
    "as it is": KEY,
    "in an address": quote(KEY, safe=""),
    "in capitals": KEY.upper(),
    "behind much": "z" * 50 + KEY,
}
Ask = Callable[[str, str], Awaitable[None]]


def _llm(url: str) -> LlmSettings:
    return msgspec.structs.replace(LlmSettings(), base_url=url, model="m")


async def _ask_model(kind: Callable[..., Provider], url: str, token_file: str) -> None:
    provider = kind(_llm(url), SecretFile(token_file, "llm.api_key_file"))
    try:
        await provider.ask(Question("s", "u", ("A",), (1,), {}), "text")
    except ProviderError as error:
        logging.getLogger("waybill").warning("failed", extra={"code": error.provider_code})
        assert not error.provider_code or "sk-live" not in error.provider_code.lower()
        raise
    finally:
        await provider.close()


async def _groq(url: str, token_file: str) -> None:
    await _ask_model(GroqProvider, url, token_file)


async def _gemini(url: str, token_file: str) -> None:
    pytest.importorskip("google.genai", reason="google-genai is not installed (extra gemini)")
    await _ask_model(GeminiProvider, url, token_file)


async def _receiver(url: str, token_file: str) -> None:
    client = HttpClient(ReturnSettings(url=url, token_file=token_file))
    try:
        answer = await client.post(b"{}", "application/json", "app")
        raise PassingError("unavailable", str(answer))
    finally:
        await client.close()


async def _followed(url: str, token_file: str) -> None:
    await Fetcher(url, token_file, "rules.follow.token_file", 1 << 20).fetch()


async def _sidecar(url: str, token_file: str) -> None:
    async with PatternClient(url, SecretFile(token_file, "token")()) as client:
        await client.edition()


async def _redis(url: str, token_file: str) -> None:
    pytest.importorskip("redis", reason="the redis client is not installed")
    from waybill.labelling.llm.store_redis import Redis

    said = json.loads(url)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                writer.write(b"-WRONGPASS no user has %b\r\n" % said.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    redis = Redis(f"redis://:{quote(KEY, safe='')}@{host}/0")
    try:
        await redis.run(redis.client.get("x"), str)
    finally:
        await redis.close()
        server.close()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ask", [_groq, _gemini, _receiver, _followed, _sidecar, _redis])
async def test_a_secret_that_somebody_sends_back_is_shown_nowhere(
    ask: Ask, form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = FORMS[form]
    (tmp_path / "token").write_text(KEY)

    async def answer(request: web.Request) -> web.Response:
        if ask is _followed:
            return web.Response(body=b"x", headers={"Content-Encoding": said})
        error = {"message": said, "code": said, "status": said, "type": said}
        return web.json_response({"error": error, "detail": said}, status=403, reason="No")

    async with serving(answer) as url:
        address = json.dumps(said) if ask is _redis else f"{url}/v1"
        with pytest.raises((WaybillError, PassingError, StoreError)) as caught:
            await ask(address, str(tmp_path / "token"))
    told = [str(caught.value), getattr(caught.value, "head", "")]
    told += [JsonFormatter().format(record) for record in caplog.records]
    assert not [text for text in told if "sk-live" in text.lower() or "0123456789" in text]
    assert isinstance(caught.value, (ProviderError, StoreError)) or "***" in "".join(told)


async def test_the_log_has_no_secret_whoever_says_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(KEY)
    SecretFile(str(tmp_path / "token"), "setting")
    record = logging.makeLogRecord({"msg": "a library says %s", "args": (KEY,), "also": [KEY]})
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["also"]) == ("a library says ***", ["***"])

"""Fetches one thing from a server, which sends it only when it is new."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

import aiohttp

from waybill.core.causes import cause_at
from waybill.core.errors import CodedError, MalformedError
from waybill.core.reasons import FetchCode
from waybill.core.sent import without_secrets
from waybill.ops.answers import beginning_of
from waybill.ops.secret_file import SecretFile
from waybill.ops.sessions import open_session
from waybill.wire.compression import decompress, encodings_of

__all__ = ["START_SECS", "FetchError", "Fetched", "Fetcher"]

_TIMEOUT_SECS = 30.0
#: Where nothing was fetched before, a start waits for it, but not longer.
START_SECS = 5.0
#: Of what is wrong with an answer so much is told: a header may be long.
_SHOWN_CHARS = 100
#: What is sent back to the server: another name than this would end every further request.
_TAG = re.compile(r"[!-~]{1,256}")
_STATUS: dict[int, FetchCode] = {401: "unauthorised", 403: "unauthorised"}


class FetchError(CodedError[FetchCode]):
    """Nothing was fetched: why, in a word and in a sentence."""

    code: FetchCode


class Fetched(NamedTuple):
    """What the server has now; ``data`` is None for what `Fetcher.tag` names, and empty where it
    has nothing yet (204).
    """

    data: bytes | None
    tag: str | None


class Fetcher:
    """Asks ``url``, with the bearer token of ``token_file`` (named by ``setting``) if there is one.

    Raises:
        ConfigError: the file with the token cannot be used.
    """

    def __init__(self, url: str, token_file: str | None, setting: str, most_bytes: int) -> None:
        self.url = url
        self._most_bytes = most_bytes
        self._token: SecretFile | None = None
        if token_file is not None:
            self._token = SecretFile(token_file, setting)
        #: What the server called the copy that we have.
        self.tag: str | None = None

    async def fetch(self) -> Fetched:
        """What is there now. Raises FetchError."""
        headers = {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        if self.tag is not None:
            headers["If-None-Match"] = self.tag
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECS)
        try:
            async with (
                open_session(timeout=timeout, headers=headers) as session,
                session.get(self.url, allow_redirects=False) as answer,
            ):
                return await self._read(answer)
        except TimeoutError:
            detail = f"{self.url}: no answer within {_TIMEOUT_SECS:g} s"
            raise FetchError("timeout", detail) from None
        except (aiohttp.ClientError, ValueError) as error:
            detail = f"{self.url}: {cause_at(self.url, error)}"
            raise FetchError("unreachable", detail) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> Fetched:
        if answer.status == 304:
            return Fetched(None, self.tag)
        if answer.status == 204:
            return Fetched(b"", None)
        if answer.status != 200:
            code = _STATUS.get(answer.status, "refused")
            raise FetchError(code, f"{self.url} answered {answer.status}")
        whole = await beginning_of(answer.content, self._most_bytes + 1)
        if len(whole) > self._most_bytes:
            raise self._too_large()
        encoding = answer.headers.get("Content-Encoding")
        if encoding is not None:  # asked for or not; what it becomes would hold up the event loop
            whole = await asyncio.to_thread(self._inflated, whole, without_secrets(encoding))
        tag = answer.headers.get("ETag", "")
        return Fetched(whole, tag if _TAG.fullmatch(tag) else None)

    def _too_large(self) -> FetchError:
        return FetchError("too_large", f"more than {self._most_bytes} bytes")

    def _inflated(self, data: bytes, encoding: str) -> bytes:
        """``data`` without its compression. Raises FetchError."""
        try:
            encodings = encodings_of(encoding)
            if len(encodings) > 1:
                raise MalformedError("unsupported_encoding", f"Content-Encoding {encoding!r}")
            return decompress(data, encodings, self._most_bytes)
        except MalformedError as error:
            if error.code == "too_large":
                raise self._too_large() from None
            raise FetchError("refused", f"{self.url}: {str(error)[:_SHOWN_CHARS]}") from None

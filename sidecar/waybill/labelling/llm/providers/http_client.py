"""One HTTP connection policy for all providers.

Redirects are not followed, answers are capped and must come uncompressed, and a proxy of the
environment is not used. httpx is imported when the client is made: it comes with an extra.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

#: A chat completion of 20 labels has 2 KB.
MAX_REPLY_BYTES = 262_144
#: So much of an answer is read, and parsed, at once: thousands of interim answers (``103``) that
#: come together would hold the event loop up.
_PIECE_BYTES = 4096
#: Loggers that write down requests when the level is debug: with texts of records, which no log may
#: hold.
_CHATTY = ("groq", "google_genai", "httpx", "httpcore")


def http_client(
    timeout_secs: float, proxy: str | None, strip: str | None = None
) -> httpx.AsyncClient:
    """The client for all providers; ``strip`` is left out of paths."""
    import httpx

    _tame()

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


def _tame() -> None:
    """Keep the libraries below from writing down records, and from long pieces of work."""
    import httpcore

    httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = _PIECE_BYTES
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)

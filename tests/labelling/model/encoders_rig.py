"""What these tests share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class GeminiServer(ThreadingHTTPServer):
    """``models/...:batchEmbedContents`` as the service answers it; ``vectors`` gives the
    embeddings.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.calls: list[dict[str, Any]] = []
        #: What happens to the next calls: a status, (status, Retry-After), or a body to answer
        #: with.
        self.script: list[int | tuple[int, str] | bytes] = []
        self.always: int | None = None
        self.delay_secs = 0.0
        self.vectors: Callable[[Sequence[str], int], list[list[float]]] = _lengths

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def texts(self) -> list[str]:
        """Every text that was asked for, in order."""
        return [
            request["content"]["parts"][0]["text"]
            for call in self.calls
            for request in call["requests"]
        ]


class _Answers(BaseHTTPRequestHandler):
    server: GeminiServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append({"path": self.path, "key": self.headers["x-goog-api-key"], **body})
        time.sleep(self.server.delay_secs)
        step = self.server.script.pop(0) if self.server.script else self.server.always
        if isinstance(step, bytes):
            self._answer(200, step)
        elif step is not None:
            status, after = step if isinstance(step, tuple) else (step, "")
            error = {"code": status, "message": "told to", "status": "RESOURCE_EXHAUSTED"}
            self._answer(status, json.dumps({"error": error}).encode(), after)
        else:
            texts = [request["content"]["parts"][0]["text"] for request in body["requests"]]
            rows = self.server.vectors(texts, body["requests"][0]["outputDimensionality"])
            self._answer(
                200, json.dumps({"embeddings": [{"values": row} for row in rows]}).encode()
            )

    def _answer(self, status: int, body: bytes, retry_after: str = "") -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


def _lengths(texts: Sequence[str], size: int) -> list[list[float]]:
    return [[float(len(text) + i) for i in range(size)] for text in texts]

"""Paths that are spelt otherwise than ours: a shipper drops what is answered with 404.

A base URL that ends in a slash before ``/v1/label``, or capitals, must not lose records, so the
paths that take batches are found however they are spelt. Others stay exact: nothing is lost there,
and a proxy before us may go by paths, too.

>>> as_served("//v1/Label//kube.Var")
'/v1/label//kube.Var'
>>> as_served("/V1/labels")
'/V1/labels'
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

from waybill.ingest.http.errors import LABEL_PATH, OTLP_PATH

__all__ = ["as_served", "find_batches"]

_PATHS = frozenset({LABEL_PATH, OTLP_PATH})
_MOST_WORDS = max(path.count("/") for path in _PATHS)
_WORD = re.compile("[^/]+")


def as_served(path: str) -> str:
    """The path of ours that ``path`` begins with, and what follows; else ``path`` as it is."""
    words = list(itertools.islice(_WORD.finditer(path), _MOST_WORDS))
    if not words:
        return path
    begin = "".join(f"/{word[0].lower()}" for word in words)
    if begin not in _PATHS:
        return path
    rest = path[words[-1].end() :]
    return begin + rest if rest.strip("/") else begin


def find_batches(server: web.Server) -> None:
    """Have ``server`` serve requests at the paths that they mean."""
    make = server.request_factory

    def request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        url = message.url
        path = as_served(url.raw_path)
        if path != url.raw_path:
            url = URL.build(path=path, query_string=url.raw_query_string, encoded=True)
            message = message._replace(path=str(url), url=url)
        return make(message, *others)

    server.request_factory = request

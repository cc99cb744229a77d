"""Bounds what a server of models may answer, whatever it says of its answer.

The client library reads all that comes, into memory or a file, and undoes compression on the way.
It names files of its own by what the server calls a content (its ETag).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from waybill.hub.outcome import HubError

__all__ = ["Answers"]

#: What a compressed byte may become; nothing of a bundle comes compressed.
_INFLATES_TO = 1024
#: What a server calls a content and a commit, and how such names look.
_COMMIT = "X-Repo-Commit"
_NAMED_IN = ("ETag", "X-Linked-Etag", _COMMIT)
_NAME = re.compile(r'(?:W/)?"?[A-Za-z0-9_.:+=-]{1,128}"?')
#: Of what it said instead, as much as is told.
_SHOWN = 60


class Response(Protocol):
    """As much of the client's answer as is needed here."""

    headers: Mapping[str, str]
    iter_raw: Callable[..., Iterator[bytes]]


class Answers:
    """All answers of a server, of so many bytes as were allowed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._most = self._left = 0

    def allow(self, count: int) -> None:
        """From now on ``count`` bytes may come."""
        self._most = self._left = count

    def watch(self, response: Response) -> None:
        """For the client's hook: count what is read of ``response``.

        Reading then raises HubError (``too_large``) beyond what is allowed. Raises HubError
        (``unreachable``) for a name that would lead out of a folder.
        """
        is_file = _COMMIT in response.headers
        for header in _NAMED_IN:
            said = response.headers.get(header)
            if is_file and said is not None and not _NAME.fullmatch(said):
                detail = f"{self._name}: its {header} is not a name: {said[:_SHOWN]!r}"
                raise HubError("unreachable", detail)
        cost = 1
        if response.headers.get("Content-Encoding", "identity") != "identity":
            cost = _INFLATES_TO
        response.iter_raw = functools.partial(self._counted, response.iter_raw, cost)

    def _counted(
        self, read: Callable[..., Iterator[bytes]], cost: int, chunk_size: int | None = None
    ) -> Iterator[bytes]:
        for piece in read(chunk_size):
            self._left -= len(piece) * cost
            if self._left < 0:
                detail = f"{self._name}: answers have more than {self._most} bytes"
                raise HubError("too_large", detail)
            yield piece

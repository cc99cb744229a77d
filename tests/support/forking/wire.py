"""What is said to the forking server. Plain: the command reads it without any package."""

from __future__ import annotations

import json
import resource
from typing import NamedTuple

__all__ = ["Request", "decode", "encode", "own_limits"]


class Request(NamedTuple):
    """A run of ``waybill``, or of a ``module`` with a `main`."""

    words: list[str]
    folder: str
    environ: dict[str, str]
    files_soft: int
    files_hard: int
    module: str | None = None


def own_limits() -> tuple[int, int]:
    """The soft and the hard limit of open files of this process."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def encode(request: Request) -> bytes:
    """One line."""
    return json.dumps(request).encode() + b"\n"


def decode(line: bytes) -> Request:
    """What `encode` made."""
    return Request(*json.loads(line))

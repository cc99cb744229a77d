"""What is said to the forking server. Plain: the command reads it without any package."""

from __future__ import annotations

import json
from typing import NamedTuple

__all__ = ["Request", "decode", "encode"]


class Request(NamedTuple):
    """A run of ``waybill``."""

    words: list[str]
    folder: str
    environ: dict[str, str]
    files_soft: int
    files_hard: int


def encode(request: Request) -> bytes:
    """One line."""
    return json.dumps(request).encode() + b"\n"


def decode(line: bytes) -> Request:
    """What `encode` made."""
    return Request(*json.loads(line))

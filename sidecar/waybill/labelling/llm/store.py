"""The protocol of verdict stores: verdicts that were paid for, and what was spent.

`store_sqlite` is a file on the node's volume, `store_redis` what all nodes share. A store may fail
(disk full, file damaged): then `StoreError` says so, and the tier goes on as if nothing were kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Usage(msgspec.Struct):
    """What was spent on a day: tokens, and money in millionths of the currency."""

    tokens: int = 0
    micros: int = 0


class Judgement(msgspec.Struct, frozen=True):
    """One verdict of the LLM: the cleaned text, its label, and what it was chosen from."""

    key: str
    text: str
    label: str
    labels: tuple[str, ...]
    #: Source patterns of the route that asked.
    sources: tuple[str, ...]
    #: ``<model>@<prompt version>``.
    version: str
    judged_at: float


def judgement_key(text: str, labels: Sequence[str], version: str) -> str:
    """The key of a verdict: same text, same labels to choose from, same model and prompt."""
    whole = "\0".join((text, *sorted(labels), version))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class VerdictStore(Protocol):
    """Keeps judgements and usage. Every method may raise StoreError."""

    async def get(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> label, for those that are kept and young enough."""

    async def put(self, judgements: Sequence[Judgement]) -> None:
        """Keep them."""

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        """Add to a day's usage and give its total."""

    async def judgements(self) -> list[Judgement]:
        """Everything kept, oldest first."""

    async def close(self) -> None:
        """Let go of file or connections."""

"""Closed sets of names: the words for tiers, ways in and ways back that metrics and records show.

Each set is a ``Literal``: the type checker refuses a word that is not in it, and `words` lists it
at run time. A table over a set is a ``match`` that ends in ``assert_never``, so that a new word
cannot be forgotten in any of them.
"""

from __future__ import annotations

import types
import typing
from typing import Literal

#: A kind of decision maker. The same word stands in metrics, in verdicts and in ``label_tier``.
TierName = Literal["correction", "rule", "model", "llm"]
#: The tiers that answer later than at once.
SlowTierName = Literal["model", "llm"]
#: Who gave a verdict: a tier; ``pending``: one is still at work on it; ``none``: no tier decided.
DecidedBy = Literal[TierName, "pending", "none"]
SLOW_TIERS: tuple[SlowTierName, ...] = ("model", "llm")

#: Where a batch came in.
Ingest = Literal["http", "forward", "otlp"]
#: Where something was refused: a way in, or an endpoint for people and scripts.
Door = Literal[Ingest, "api"]
#: Where a batch goes.
HandbackName = Literal["body", "http", "forward", "otlp"]
#: ``Content-Encoding`` that is read and written, but for none at all.
Compression = Literal["zstd", "gzip", "deflate", "snappy"]

#: Where a record's verdict came from: the memo of exact messages, of shapes, of masks; the
#: corrections; the rules; or none of these (a slow tier was asked, or nobody could be).
MemoLevel = Literal["exact", "shape", "mask", "corrections", "rules", "none"]
#: How a text put to the model ended: joined to one under way, embedding known, embedded; or not at
#: all.
ModelOutcome = Literal["shared", "cached", "embedded", "failed", "refused"]
#: Where a text put to the LLM was found: under way, in the store; or it is asked.
LlmLookup = Literal["shared", "stored", "asked"]
#: What the circuit breaker before the LLM lets through: all calls, one, none.
BreakerState = Literal["closed", "half_open", "open"]


def words(closed_set: object) -> tuple[str, ...]:
    """The words of a ``Literal``, or of a union of several, in the order of their declaration.

    >>> words(SlowTierName)
    ('model', 'llm')
    """
    if typing.get_origin(closed_set) in (typing.Union, types.UnionType):
        found = [word for part in typing.get_args(closed_set) for word in words(part)]
        return tuple(dict.fromkeys(found))
    return typing.get_args(closed_set)

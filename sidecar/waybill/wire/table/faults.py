"""What can be wrong with a row of a table, by kind, and what is done about each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

from waybill.core.errors import MalformedError

__all__ = ["KINDS", "WORDS", "FaultKind", "OnError", "Policy", "parse_policy"]

#: ``quote``: never closed; ``cells``: more or fewer than the head has; ``bytes``: not of the
#: encoding; ``message``: none. The last is a fault only where something is said about it.
FaultKind: TypeAlias = Literal["quote", "cells", "bytes", "message"]
#: What is done: the row goes on, is left out, or ends the whole.
OnError: TypeAlias = Literal["pass", "skip", "fail"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
#: The kinds for people.
WORDS: Mapping[FaultKind, str] = {
    "quote": "a quote that is never closed",
    "cells": "more or fewer cells than the head has",
    "bytes": "bytes that are not of the encoding",
    "message": "no message",
}
_DONE: dict[str, OnError] = {"pass": "pass", "skip": "skip", "fail": "fail"}


class Policy(NamedTuple):
    """What is done about rows with faults: in general, and by kind."""

    general: OnError = "pass"
    kinds: Mapping[FaultKind, OnError] = {}

    def of(self, kinds: Sequence[FaultKind]) -> OnError:
        """The strictest of what is said about the kinds of a row."""
        wanted = {self.kinds.get(kind, self.general) for kind in kinds}
        if "fail" in wanted:
            return "fail"
        return "skip" if "skip" in wanted else "pass"

    @property
    def minds_messages(self) -> bool:
        """Whether a row without a message is a fault."""
        return "message" in self.kinds


def parse_policy(text: str) -> Policy:
    """A policy in words: ``skip``, or ``pass,quote=fail,cells=skip``.

    Raises:
        MalformedError: ``fields``, with what can be said.
    """
    general: OnError = "pass"
    kinds: dict[FaultKind, OnError] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, done = part.rpartition("=")
        found = _DONE.get(done.strip())
        kind = next((kind for kind in KINDS if kind == name.strip()), None)
        if found is None or (equals and kind is None):
            raise MalformedError(
                "fields",
                f"on_error: {part[:60]!r}; it is fail, pass or skip, also for one kind such as "
                f"quote=fail; the kinds are {', '.join(KINDS)}",
            )
        if kind is None:
            general = found
        else:
            kinds[kind] = found
    return Policy(general, kinds)

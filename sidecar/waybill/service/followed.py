"""The state of a source that a part of the service follows."""

from __future__ import annotations

import logging

__all__ = ["Followed"]

log = logging.getLogger(__name__)


class Followed:
    """A ``source``, None where nothing is followed, and why nothing comes from it."""

    def __init__(self, source: str | None, trouble: str) -> None:
        self._source = source
        self._trouble = trouble
        #: Empty while all is well.
        self._problem = ""

    def tell(self, problem: str) -> None:
        """Note ``problem``, or with "" that there is none; each is logged once."""
        if problem and problem != self._problem:
            log.warning("%s", self._trouble, extra={"detail": problem})
        self._problem = problem

    def describe(self, **more: object) -> dict[str, object]:
        """As plain data under ``follow``, with ``more``; empty where nothing is followed."""
        if self._source is None:
            return {}
        return {"follow": {"source": self._source, "problem": self._problem, **more}}

"""A table of verdicts, each once: a pattern keeps two bytes instead of a verdict."""

from __future__ import annotations

import msgspec

from waybill.core.names import DecidedBy
from waybill.core.pattern import kind_of
from waybill.core.reasons import Reason
from waybill.core.records import Verdict

__all__ = ["VerdictKey", "Vocabulary"]

#: Codes of a column of unsigned shorts. Beyond it rules and models are no longer told apart.
_MOST = 60_000
#: Verdicts whose code is remembered: those of rules are one object each.
_MOST_VERDICTS = 1024


class VerdictKey(msgspec.Struct, frozen=True):
    """A verdict without its confidence; ``guess`` is the nearest label where nobody decided."""

    label: str
    tier: DecidedBy
    rule: str | None = None
    reason: Reason | None = None
    guess: str | None = None


class Vocabulary:
    """A code for each `VerdictKey`, and back; ``fallback`` is the label where no other fits."""

    def __init__(self, fallback: str) -> None:
        self._fallback = fallback
        self._codes: dict[VerdictKey, int] = {}
        self._keys: list[VerdictKey] = []
        self._undecided = bytearray()
        self._of_verdict: dict[Verdict, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def code(self, verdict: Verdict) -> int:
        """The code of a verdict's key."""
        code = self._of_verdict.get(verdict)
        if code is None:
            code = self._find(self._key_of(verdict))
            if len(self._of_verdict) >= _MOST_VERDICTS:
                self._of_verdict.clear()
            self._of_verdict[verdict] = code
        return code

    def key(self, code: int) -> VerdictKey:
        """What ``code`` stands for."""
        return self._keys[code]

    def is_undecided(self, code: int) -> bool:
        """Whether ``code`` says that nobody could decide."""
        return bool(self._undecided[code])

    def _find(self, key: VerdictKey) -> int:
        code = self._codes.get(key)
        if code is None and len(self._keys) >= _MOST:
            key = VerdictKey(key.label, key.tier, None, key.reason)
            code = self._codes.get(key)
        if code is None:
            # Labels, tiers and reasons are few: beyond the bound only their combinations come.
            code = self._codes[key] = len(self._keys)
            self._keys.append(key)
            self._undecided.append(kind_of(key.reason) == "undecided")
        return code

    def _key_of(self, verdict: Verdict) -> VerdictKey:
        reason = verdict.reason
        if reason is None and verdict.label == self._fallback:
            reason = "none_of_these"  # a rule or a correction says so
        return VerdictKey(verdict.label, verdict.tier, verdict.rule, reason, verdict.guess)

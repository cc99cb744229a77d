"""Confirming matches in bounded time, whatever a log line holds.

A confirmation may take 2 ms. Each rule has an allowance of time for slow ones, which fills again at
2 % of a processor; all rules share a second one. While the rule's allowance is not full, or that of
all is not half full, confirmations get a quarter of the time: an ordinary line needs a hundredth of
it, a line made to be slow needs more. A rule that has used up its allowance is out of force until
half of it is there again, about a third of a second. That is counted, logged, and shown in
`describe`. So lines made to be slow on N rules take 20 ms and N times 0.5 ms in one go.
"""

from __future__ import annotations

import logging
from typing import TypedDict

import msgspec
import regex

from waybill.core.clock import MONOTONIC, Clock

log = logging.getLogger(__name__)
#: What confirming one match may take, in seconds; a quarter of it while there is a hurry.
CONFIRM_SECS = 0.002
_HASTY_SHARE = 0.25
#: Above this share of what all rules have in stock there is no hurry.
_CALM_SHARE = 0.5
#: What all confirmations of one message may take.
_MESSAGE_SECS = 0.004
#: A confirmation that takes longer is paid from the allowances.
_SLOW_SECS = 0.0004
#: Seconds of slow confirmations in stock: of a rule, of all rules together.
_RULE_SECS = 0.012
_SHARED_SECS = 0.02
#: Seconds that come to an allowance in a second.
_REFILL = 0.02
#: How long `describe` tells of a rule that was slow.
_TELL_SECS = 3600.0


class Allowance:
    """Time in stock. It may be overdrawn by what was under way."""

    __slots__ = ("_at", "_clock", "_full", "_secs")

    def __init__(self, full_secs: float, clock: Clock) -> None:
        self._full = full_secs
        self._clock = clock
        self._secs = full_secs
        self._at = clock()

    def share(self) -> float:
        """What is there, as a share of the full allowance; below 0 when overdrawn."""
        now = self._clock()
        self._secs = min(self._full, self._secs + (now - self._at) * _REFILL)
        self._at = now
        return self._secs / self._full

    def spend(self, secs: float) -> None:
        """Take ``secs`` out."""
        self._secs -= secs


class SlowRule(TypedDict):
    """A rule that was slow within the last hour; ``unconfirmed`` messages were not put to it."""

    rule: str
    file: str
    line: int
    is_in_force: bool
    timeouts: int
    unconfirmed: int
    times_out_of_force: int


class Confirmation(msgspec.Struct):
    """One rule's second look at a match."""

    rule_id: str
    file: str
    line: int
    pattern: regex.Pattern[str]
    allowance: Allowance
    timeouts: int = 0
    unconfirmed: int = 0
    times_out_of_force: int = 0
    is_in_force: bool = True
    last_slow: float = -_TELL_SECS

    def describe(self) -> SlowRule:
        """What `Confirmer.describe` tells of it."""
        return SlowRule(
            rule=self.rule_id,
            file=self.file,
            line=self.line,
            is_in_force=self.is_in_force,
            timeouts=self.timeouts,
            unconfirmed=self.unconfirmed,
            times_out_of_force=self.times_out_of_force,
        )


class Confirmer:
    """Confirms matches of the rules of one set; ``clock`` also measures what it takes."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._shared = Allowance(_SHARED_SECS, clock)
        self._all: list[Confirmation] = []
        self._message_secs = 0.0
        #: What confirming took so far, in seconds.
        self.spent_secs = 0.0
        #: Confirmations that ran out of time, and matches that were not put to their rule.
        self.timeouts = 0
        self.unconfirmed = 0

    def add(self, rule_id: str, file: str, line: int, pattern: regex.Pattern[str]) -> Confirmation:
        """A rule whose matches are to be confirmed with ``pattern``."""
        allowance = Allowance(_RULE_SECS, self._clock)
        confirmation = Confirmation(rule_id, file, line, pattern, allowance)
        self._all.append(confirmation)
        return confirmation

    def is_needed(self) -> bool:
        """Whether any rule has to confirm."""
        return bool(self._all)

    def begin_message(self) -> None:
        """What follows is about another message."""
        self._message_secs = 0.0

    def confirms(self, one: Confirmation, text: str) -> bool:
        """Whether ``text`` matches; False as well where that cannot be found out in time."""
        share = self._share(one)
        if not one.is_in_force or self._message_secs >= _MESSAGE_SECS:
            self._note_unconfirmed(one)
            return False
        is_calm = share >= 1 and self._shared.share() > _CALM_SHARE
        limit = CONFIRM_SECS if is_calm else CONFIRM_SECS * _HASTY_SHARE
        begin = self._clock()
        try:
            is_match = one.pattern.search(text, timeout=limit) is not None
        except TimeoutError:
            one.timeouts += 1
            self.timeouts += 1
            self._note_unconfirmed(one)
            self._charge(one, limit)
            return False
        secs = self._clock() - begin
        # `regex` counts processor time, and gives no answer after more of it than the limit. More
        # time by the clock was a wait for the processor, for which rule and message do not pay.
        if secs < limit:
            self._charge(one, secs)
        return is_match

    def _share(self, one: Confirmation) -> float:
        """The rule's allowance; puts the rule back in force when half of it is there."""
        share = one.allowance.share()
        if share < 1:  # a rule that was never slow does not suffer from others
            shared = self._shared.share()
            if one.is_in_force and shared <= 0:
                self._put_out(one)
            share = min(share, shared)
        if not one.is_in_force and share >= 0.5:
            one.is_in_force = True
            log.info("a rule is in force again", extra={"rule": one.rule_id})
        return share

    def _charge(self, one: Confirmation, secs: float) -> None:
        self.spent_secs += secs
        self._message_secs += secs
        if secs < _SLOW_SECS:
            return
        one.last_slow = self._clock()
        one.allowance.spend(secs)
        self._shared.spend(secs)
        if one.is_in_force and one.allowance.share() <= 0:
            self._put_out(one)

    def _put_out(self, one: Confirmation) -> None:
        one.is_in_force = False
        one.times_out_of_force += 1
        one.last_slow = self._clock()
        log.error(
            "a rule is out of force for a while: its pattern takes too long on some messages",
            extra={"rule": one.rule_id, "file": one.file, "line": one.line},
        )

    def _note_unconfirmed(self, one: Confirmation) -> None:
        one.unconfirmed += 1
        self.unconfirmed += 1

    def describe(self) -> list[SlowRule]:
        """The rules that were slow within the last hour, out of force or not."""
        told: list[SlowRule] = []
        for one in self._all:
            self._share(one)
            if self._clock() - one.last_slow < _TELL_SECS:
                told.append(one.describe())
        return told

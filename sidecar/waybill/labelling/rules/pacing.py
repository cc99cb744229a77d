"""Cuts batches into turns of the event loop by what confirming matches has taken lately."""

from __future__ import annotations

from waybill.labelling.rules.confirming import Confirmer

__all__ = ["Pace"]

#: Messages in one turn where rules must be confirmed: at first, at least.
_FIRST_TURN = 64
_LEAST_TURN = 8
#: What confirming should take in one turn, in seconds.
_TURN_SECS = 0.004
#: Into so many turns characters are cut that would otherwise be one.
_CONFIRMING_PARTS = 4


class Pace:
    """How much of a batch to take in one turn; everything where no rule has to be confirmed."""

    def __init__(self, confirmer: Confirmer) -> None:
        self._confirmer = confirmer
        self._turn = _FIRST_TURN
        self._spent_secs = 0.0

    def messages(self, most: int) -> int:
        """How many messages to take: ``most``, or fewer, by what they took since the last call."""
        if not self._confirmer.is_needed():
            return most
        spent = self._confirmer.spent_secs - self._spent_secs
        self._spent_secs = self._confirmer.spent_secs
        if spent > _TURN_SECS:
            self._turn = max(_LEAST_TURN, int(self._turn * _TURN_SECS / spent))
        elif spent < _TURN_SECS / 2:
            self._turn = min(most, self._turn * 2)
        return min(most, self._turn)

    def chars(self, most: int) -> int:
        """How many characters to take: ``most``, or a part of it."""
        return most // _CONFIRMING_PARTS if self._confirmer.is_needed() else most

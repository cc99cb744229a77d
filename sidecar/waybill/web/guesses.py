"""Slows down wrong tokens by address; good tokens go on working there."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from waybill.settings.addresses import ip_of

__all__ = ["Guesses"]

T = TypeVar("T")
#: Wrong tokens of one address in stock, and how many come to it in a second: a token of six letters
#: and digits lasts 60 years.
_STOCK = 60.0
_REFILL = 1.0
#: Addresses, and users seen at one, that are remembered at most.
_MOST = 4096


class Guesses:
    """Wrong tokens by address. Behind a proxy all have one address: a token that was good before
    still is while somebody there guesses.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Address -> what was in stock, and when.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._welcome: OrderedDict[tuple[str, object], None] = OrderedDict()

    def passed(self, address: str, found: T | None) -> T | None:
        """``found``, what a token of ``address`` opens (None: nothing), or None all the same."""
        address = _place_of(address)
        left = self._in_stock(address)
        if found is None:
            self._left[address] = (left - min(left, 1), self._clock())
            self._left.move_to_end(address)
            if len(self._left) > _MOST:
                self._left.popitem(last=False)
            return None
        if left < 1 and (address, found) not in self._welcome:
            return None
        self._welcome[address, found] = None
        self._welcome.move_to_end((address, found))
        if len(self._welcome) > _MOST:
            self._welcome.popitem(last=False)
        return found

    def _in_stock(self, address: str) -> float:
        left, at = self._left.get(address, (_STOCK, 0.0))
        return min(_STOCK, left + (self._clock() - at) * _REFILL)


def _place_of(address: str) -> str:
    """What counts as one address: of IPv6 the whole /64, which one client can use at will."""
    found = ip_of(address)
    if found is None or found.version == 4:
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))

"""The role of a serving process: the only one, or one of several (`waybill.service.workers`)."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec

from waybill.patterns.known import KnownPatterns
from waybill.service.loading import Parts


class Single:
    """The only process: it loads what it needs and has its addresses for itself."""

    number = 0
    count = 1
    is_first = True
    shares_address = False
    parts: Parts | None = None
    metrics: Path | None = None
    unix: socket.socket | None = None
    known: KnownPatterns | None = None


class Member(msgspec.Struct, frozen=True):
    """One of ``count`` processes, with what it gets from their parent.

    ``pulse`` is a pipe to write to as long as the event loop turns; ``metrics`` the folder that all
    count in; ``unix`` the listening Forward socket that all accept from; ``known`` the patterns
    that all know.
    """

    number: int
    count: int
    parts: Parts | None
    pulse: int
    metrics: Path
    unix: socket.socket | None
    known: KnownPatterns | None = None

    @property
    def shares_address(self) -> bool:
        """Whether other processes listen at the same addresses."""
        return True

    @property
    def is_first(self) -> bool:
        """Whether this one does what is to be done once for all members."""
        return self.number == 0


Role = Single | Member
SINGLE = Single()

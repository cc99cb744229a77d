"""Rules, messages and what came of a run, for tests of ``waybill label``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["DISK", "LOGIN", "RULES", "Done", "Label"]

RULES = """rules:
- {id: login, label: User Action, pattern: 'User User\\d+ logged in'}
- {id: disk, label: Critical Error, pattern: 'disk [0-9]+ is full'}
- {id: name, label: Error, pattern: 'Müller'}
"""
DISK, LOGIN = "disk 5 is full", "User User1 logged in."


class Done(NamedTuple):
    """What came of a run."""

    code: int
    said: str
    out: bytes | None

    def records(self) -> list[dict[str, object]]:
        assert self.out is not None
        return [json.loads(line) for line in self.out.splitlines()]


Label = Callable[..., Done]

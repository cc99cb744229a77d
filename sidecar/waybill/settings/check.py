"""A check across settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from waybill.settings.problems import Problem
from waybill.settings.schema import Settings


class Check(msgspec.Struct, frozen=True):
    """A check and the dotted paths of the settings that it reads."""

    reads: tuple[str, ...]
    run: Callable[[Settings], Iterator[Problem]]

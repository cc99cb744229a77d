r"""What stands behind a compressed stream and holds nothing: NULs of tapes, line ends of tools.

>>> skip_filling(b"end\r\n\0\0", 3)
7
"""

from __future__ import annotations

import re

from waybill.core.steps import run_end

__all__ = ["FILLING", "skip_filling"]

FILLING = b"\0\t\n\r "
_FILLING = re.compile(rb"[\0\t\n\r ]*+")


def skip_filling(data: bytes, offset: int = 0) -> int:
    """The offset behind the filling that begins at ``offset``."""
    return run_end(_FILLING, data, offset)

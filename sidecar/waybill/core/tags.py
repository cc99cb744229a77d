"""The text by which a shipper routes records, as paths and other shippers can take it.

>>> clean_tag("app/../x y")
'app____x_y'
"""

from __future__ import annotations

import re

__all__ = ["TAG_CHARS", "clean_tag"]

#: Characters of the longest tag.
TAG_CHARS = 255
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*-]")


def clean_tag(tag: str) -> str:
    """``tag`` with nothing in it that a path could mistake, and not too long."""
    return _NOT_IN_TAGS.sub("_", tag).replace("..", "__")[:TAG_CHARS]

"""Small charts as SVG, drawn on the server: attributes only, for styles are forbidden inline."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

_HEIGHT = 20
_BAR = 4


def bars(hours: Sequence[int], label: str = "") -> Markup:
    """Bars from zero, one an hour, the running hour hatched; an hour without records is a gap."""
    top = max(hours, default=0) or 1
    parts = []
    last = len(hours) - 1
    for i, count in enumerate(hours):
        if not count:
            continue
        height = max(1, round(_HEIGHT * count / top))
        kind = "bar now" if i == last else "bar"
        parts.append(
            f'<rect class="{kind}" x="{i * _BAR}" y="{_HEIGHT - height}" width="{_BAR - 1}"'
            f' height="{height}"><title>{count:,} records, {last - i} h ago</title></rect>'
        )
    width = _BAR * max(1, len(hours))
    words = escape(label or f"records by hour, {len(hours)} hours, highest {top:,}")
    return Markup(  # noqa: S704 - numbers, and one escaped text
        f'<svg class=spark role=img aria-label="{words}" width="{width}" height="{_HEIGHT}"'
        f' viewBox="0 0 {width} {_HEIGHT}"><line class=floor x1="0" y1="{_HEIGHT - 0.5}"'
        f' x2="{width}" y2="{_HEIGHT - 0.5}"/>{"".join(parts)}</svg>'
    )

"""Log text on a page: the one function that renders it, because log text is hostile.

What it gives is HTML. Everything is escaped; control characters become visible signs, colours and
other terminal sequences are dropped and said, direction marks and characters without width are
written by their number; the whole stands in ``<bdi>``, so that it cannot turn what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

#: What is shown of a text in a list, in characters; of that the beginning gets 60 %.
LIST_CHARS = 160
_HEAD_SHARE = 0.6
#: Terminal sequences: CSI, OSC up to BEL or ST, and single escapes.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: Direction marks, characters without width, separators that break lines unseen.
_HIDDEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
#: The same without blanks and line ends, which HTML takes for blanks.
_UNWRITTEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UTC = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC")
#: What a mask has in place of a value: see `waybill.labelling.masking`.
_MASKED = re.compile(r"&lt;i[dp]&gt;|\b0+\b")


def plain(text: str) -> str:
    """``text`` without what moves a terminal or a page; for titles and attributes."""
    text = _TERMINAL.sub("", text)
    text = _SURROGATE.sub("\ufffd", text)
    text = _HIDDEN.sub(lambda found: f"U+{ord(found[0]):04X}", text)
    return _CONTROL.sub(_sign, text)


def harmless(value: object) -> object:
    """What a template writes: texts without signs that turn or hide what is around them.

    HTML that was rendered by us, and texts marked with the filter ``exact``, stay as they are.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = _SURROGATE.sub("\ufffd", value)
    text = _HIDDEN.sub(lambda found: f"U+{ord(found[0]):04X}", text)
    return _UNWRITTEN.sub(_sign, text)


def exact(text: str) -> Markup:
    """``text`` as it is, escaped: for fields whose content comes back."""
    return escape(text)


def shortened(text: str, most: int = LIST_CHARS) -> str:
    """``text`` with its middle left out when it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = int(most * _HEAD_SHARE)
    return f"{text[:head]}\u2026{text[len(text) - (most - head - 1) :]}"


def log_text(text: str, most: int | None = None) -> Markup:
    """``text`` as HTML; at most ``most`` characters of it."""
    shown = plain(text)
    if most is not None:
        shown = shortened(shown, most)
    html = Markup("<bdi class=log>{}</bdi>").format(shown)
    if _TERMINAL.search(text):
        html += Markup(' <span class=note title="terminal sequences were left out">ANSI</span>')
    return html


def timed(words: str) -> Markup:
    """A sentence of ours as HTML, its times in UTC as ``<time>``, for browsers with another zone.

    >>> timed("since 2026-11-27 00:00:01 UTC")
    Markup('since <time datetime="2026-11-27T00:00:01Z">2026-11-27 00:00:01 UTC</time>')
    """
    told = _UTC.sub(r'<time datetime="\1T\2Z">\g<0></time>', str(escape(harmless(words))))
    return Markup(told)  # noqa: S704 - escaped above


def mask_text(mask: str, most: int | None = None, values: Sequence[str] = ()) -> Markup:
    """A mask as HTML, with what stands for a value marked; its tooltip has ``values``, in order."""
    shown = plain(mask)
    if most is not None:
        shown = shortened(shown, most)
    told = iter(values)
    cut = shown.find("\u2026") if shown != plain(mask) else -1

    def mark(found: re.Match[str]) -> str:
        # Behind what was left out nobody knows which value it is.
        value = next(told, "") if cut < 0 or found.start() < cut else ""
        says = escape(f"a value: {value}") if value else "a value"
        return f'<span class=var title="{says}">{found[0]}</span>'

    marked = _MASKED.sub(mark, str(escape(shown)))
    return Markup("<bdi class=log>{}</bdi>").format(Markup(marked))  # noqa: S704 - escaped above


def _sign(found: re.Match[str]) -> str:
    """The picture of a control character; those of C1 have none, so their number."""
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"U+{code:04X}"

"""A backtest as a page: one file, no script, nothing fetched; log text is hostile and escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from waybill.learn.backtest.result import Backtest, SideReport
from waybill.learn.backtest.show import counted, flips_of, say, scored, share_of

__all__ = ["to_html"]

#: Masks listed; the JSON has all.
_MOST = 500
#: Nothing may be loaded or run, whatever a log line says; the style stands in this file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;width:100%}
th,td{padding:.3rem .7rem;border-bottom:1px solid #8886;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}
.big{font-size:1.6rem}.dim{opacity:.7}.wrong{color:#c33}
"""


def to_html(found: Backtest, said: Sequence[str] = ()) -> str:
    """The page; ``said`` are sentences about bounds that are broken."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<title>Waybill backtest</title><style>{_STYLE}</style></head><body>",
        "<h1>What would change</h1>",
        *_head(found, said),
        *_sides(found),
        *_matrix(found),
        *_changes(found),
        *_contradictions(found),
    ]
    parts += [f"<p class=dim>{_text(note)}</p>" for note in found.notes]
    return "\n".join([*parts, "</body></html>\n"])


def _head(found: Backtest, said: Sequence[str]) -> Iterable[str]:
    what = f"{found.records:,} records"
    if found.unit == "patterns":
        what += f" in {found.patterns:,} patterns"
    flips = counted(found.low, found.high)
    share = share_of(found.low, found.high, found.records)
    yield f"<p class=big>{flips} records get another label ({share})</p>"
    yield f"<p>{what} of <code>{_text(found.on)}</code></p>"
    if found.low != found.high:
        yield "<p>The lower number for certain; the rest depends on values that patterns hide.</p>"
    if found.held:
        yield f"<p>{found.held:,} more would, had no correction decided them.</p>"
    for sentence in said:
        yield f"<p class=wrong>{_text(sentence)}</p>"


def _sides(found: Backtest) -> Iterable[str]:
    yield "<h2>Both sides</h2>"
    rows: list[Sequence[object]] = []
    for title, side in (("old", found.old), ("new", found.new)):
        rows.append((title, *_side(side)))
    header = ("", "rules", "n:rules", "model", "n:by corrections", "n:by labels", "n:CPU s")
    yield _table(header, rows)


def _side(side: SideReport) -> Sequence[object]:
    return (
        f"{side.name} ({side.rules_version})",
        side.rules,
        side.model or "none",
        scored(side.corrections),
        scored(side.labelled),
        f"{side.cpu_secs:.2f}",
    )


def _matrix(found: Backtest) -> Iterable[str]:
    flips = flips_of(found)
    if not flips:
        return
    yield "<h2>By label</h2>"
    rows = [(flip.old, flip.new, counted(flip.low, flip.high)) for flip in flips]
    yield _table(("from", "to", "n:records"), rows)


def _changes(found: Backtest) -> Iterable[str]:
    if not found.changes:
        return
    yield f"<h2>Patterns that flip ({found.changed_patterns:,})</h2>"
    rows: list[Sequence[object]] = []
    for change in found.changes[:_MOST]:
        sources = ", ".join(
            f"{name or '(none)'} {count:,}" for name, count in change.sources.items()
        )
        records = counted(change.low, change.high)
        rows.append((records, say(change.old), say(change.new), f"c:{change.mask}", sources))
    yield _table(("n:records", "old", "new", "pattern", "sources"), rows)


def _contradictions(found: Backtest) -> Iterable[str]:
    if not found.contradictions:
        return
    yield f"<h2>Corrections that the new side contradicts ({len(found.contradictions):,})</h2>"
    rows: list[Sequence[object]] = []
    for one in found.contradictions[:_MOST]:
        since = "new" if one.is_new else "as before"
        rows.append((f"c:{one.mask}", one.source, one.label, say(one.given), since))
    yield _table(("pattern", "source", "corrected to", "given", ""), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a header with ``n:`` makes a column of numbers, a cell with ``c:`` is log text."""
    kinds: list[str] = []
    head: list[str] = []
    for title in header:
        kinds.append(" class=n" * title.startswith("n:"))
        head.append(f"<th{kinds[-1]}>{_text(title.removeprefix('n:'))}</th>")
    body: list[str] = []
    for row in rows:
        body.append("<tr>")
        for kind, cell in zip(kinds, row, strict=True):
            body.append(f"<td{kind}>{_cell(str(cell))}</td>")
        body.append("</tr>")
    return f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(text: str) -> str:
    if text.startswith("c:"):
        return f"<code>{_text(text[2:])}</code>"
    return _text(text)


def _text(text: str) -> str:
    """Text in which nothing is markup; what cannot be shown (lone surrogates) is replaced."""
    return html.escape(text.encode("utf-8", "replace").decode())

"""An evaluation as a page: tables, confusion matrix and reliability plot, in one file without
scripts.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from waybill.learn.evaluation import Evaluation, Mistake
from waybill.learn.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_confusion", "draw_reliability", "write_report"]

#: One row of a table.
Cells: TypeAlias = Sequence[object]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.25rem .8rem;border-bottom:1px solid #d8dee4;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)
#: Lines listed in the page; the command lists all.
_MOST_MISTAKES = 200


def draw_confusion(scores: Scores, target: Path) -> None:
    """The confusion matrix as PNG: rows are the right labels, shares of the row in colour."""
    figure, axes = _figure(7.5, 6.5)
    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(scores.labels))
    axes.set_xticks(ticks, scores.labels, rotation=45, ha="right")
    axes.set_yticks(ticks, scores.labels)
    axes.set_xlabel("given label")
    axes.set_ylabel("right label")
    for i, j in np.argwhere(counts):
        colour = "white" if shares[i, j] > 0.5 else "black"
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour)
    figure.savefig(target, dpi=110, bbox_inches="tight", metadata={"Software": None})


def draw_reliability(bins: Sequence[tuple[float, float, int]], error: float, target: Path) -> None:
    """Confidence against the share of right answers as PNG; the size of a dot is its count."""
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color="#8c959f", linewidth=1, linestyle="--")
    sure, right, count = (np.array(column) for column in zip(*bins, strict=True))
    axes.plot(sure, right, color="#0969da", linewidth=1)
    axes.scatter(sure, right, s=20 + 400 * count / count.sum(), color="#0969da", alpha=0.6)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share right")
    axes.set_title(f"expected calibration error {error:.3f}")
    figure.savefig(target, dpi=110, bbox_inches="tight", metadata={"Software": None})


def write_report(folder: Path, found: Evaluation, files: Sequence[str]) -> None:
    """Write ``report.html``, ``confusion.png`` and ``reliability.png`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_confusion(found.scores, folder / "confusion.png")
    draw_reliability(found.bins, found.calibration_error, folder / "reliability.png")
    parts = [
        f"<h1>Labels of {html.escape(found.bundle)}</h1><p>{html.escape(', '.join(files))}</p>",
        _table(("measure", "value"), _summary(found)),
        _table(("label", "precision", "recall", "F1", "lines"), _labels(found.scores)),
    ]
    if found.ablation:
        header = ("every source asked of", "accuracy", "macro-F1", "unclassified", "wrong")
        parts.append(_table(header, _ablation(found.ablation)))
    if found.mistakes:
        parts.append(f"<h2>Lines that got another label ({len(found.mistakes)})</h2>")
        columns = ("right", "given", "decided by", "line")
        parts.append(_table(columns, _mistakes(found.mistakes[:_MOST_MISTAKES])))
    parts.append(_image(folder / "confusion.png", "confusion matrix"))
    parts.append(_image(folder / "reliability.png", "reliability plot"))
    head = (
        f"<!doctype html><meta charset=utf-8><title>Waybill labels</title><style>{_STYLE}</style>"
    )
    (folder / "report.html").write_text(head + "".join(parts), "utf-8")


def _summary(found: Evaluation) -> list[Cells]:
    scores = found.scores
    rows: list[Cells] = [
        ("lines", scores.lines),
        ("accuracy", f"{scores.accuracy:.4f}"),
        ("macro-F1", f"{scores.macro_f1:.4f}"),
        ("unclassified", f"{scores.unclassified:.4f}"),
        ("wrong", f"{scores.wrong:.4f}"),
        ("calibration error of the model", f"{found.calibration_error:.4f}"),
        ("generated fragments left unclassified", f"{found.fragments_unclassified:.4f}"),
    ]
    for tier, count in found.by_tier.items():
        rows.append((f"decided by {tier}", count))
    for reason, count in found.by_reason.items():
        rows.append((f"unclassified because of {reason}", count))
    return rows


def _labels(scores: Scores) -> list[Cells]:
    rows: list[Cells] = []
    for label, one in scores.per_label.items():
        figures = (f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}")
        rows.append((label, *figures, one.lines))
    return rows


def _ablation(ablation: Mapping[str, Scores]) -> list[Cells]:
    rows: list[Cells] = []
    for name, one in ablation.items():
        figures = (one.accuracy, one.macro_f1, one.unclassified, one.wrong)
        rows.append((name, *(f"{figure:.4f}" for figure in figures)))
    return rows


def _mistakes(mistakes: Sequence[Mistake]) -> list[Cells]:
    rows: list[Cells] = []
    for mistake in mistakes:
        decided = " ".join(filter(None, (mistake.tier, mistake.reason)))
        rows.append((mistake.right, mistake.given, decided, mistake.text))
    return rows


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    # Figure without pyplot: no display, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _table(header: Cells, rows: Sequence[Cells]) -> str:
    body = "".join(_row("td", cells) for cells in rows)
    return f"<table>{_row('th', header)}{body}</table>"


def _row(tag: str, cells: Cells) -> str:
    escaped = [html.escape(str(cell)) for cell in cells]
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in escaped)}</tr>"


def _image(file: Path, text: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<p><img alt="{text}" src="data:image/png;base64,{data}"></p>'

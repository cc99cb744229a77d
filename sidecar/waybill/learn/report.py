"""An evaluation as a page: tables, confusion matrix and reliability plot, in one file without scripts."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from waybill.learn.scores import Scores

if TYPE_CHECKING:
    from waybill.learn.evaluate import Evaluation

__all__ = ["draw_confusion", "draw_reliability", "write_report"]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .8rem;border-bottom:1px solid #d8dee4;"
    "text-align:right}td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


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
        axes.text(
            j,
            i,
            str(counts[i, j]),
            ha="center",
            va="center",
            color="white" if shares[i, j] > 0.5 else "black",
        )
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
    scores = found.scores
    labels = [
        (label, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", one.lines)
        for label, one in scores.per_label.items()
    ]
    summary = [
        ("lines", scores.lines),
        ("accuracy", f"{scores.accuracy:.4f}"),
        ("macro-F1", f"{scores.macro_f1:.4f}"),
        ("unclassified", f"{scores.unclassified:.4f}"),
        ("wrong", f"{scores.wrong:.4f}"),
        ("calibration error of the model", f"{found.calibration_error:.4f}"),
        ("generated fragments left unclassified", f"{found.fragments_unclassified:.4f}"),
        *((f"decided by {tier}", count) for tier, count in found.by_tier.items()),
    ]
    ablation = [
        (
            name,
            f"{one.accuracy:.4f}",
            f"{one.macro_f1:.4f}",
            f"{one.unclassified:.4f}",
            f"{one.wrong:.4f}",
        )
        for name, one in found.ablation.items()
    ]
    parts = [
        f"<h1>Labels of {html.escape(found.bundle)}</h1><p>{html.escape(', '.join(files))}</p>",
        _table(("measure", "value"), summary),
        _table(("label", "precision", "recall", "F1", "lines"), labels),
        _table(("tiers", "accuracy", "macro-F1", "unclassified", "wrong"), ablation)
        if ablation
        else "",
        _image(folder / "confusion.png", "confusion matrix"),
        _image(folder / "reliability.png", "reliability plot"),
    ]
    page = f"<!doctype html><meta charset=utf-8><title>Waybill labels</title><style>{_STYLE}</style>{''.join(parts)}"
    (folder / "report.html").write_text(page, "utf-8")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    # Figure without pyplot: no display, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _image(file: Path, text: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<p><img alt="{text}" src="data:image/png;base64,{data}"></p>'

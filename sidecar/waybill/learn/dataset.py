"""Labelled lines from files: CSV, NDJSON and Parquet; what is the same line, and what leaks.

Two lines are the same for the model when their masks are (`waybill.labelling.masking.mask`), so all
counting, splitting and keeping apart is done by mask.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.labelling.masking import mask
from waybill.learn.corpus import Example
from waybill.settings.schema import FieldSettings

__all__ = ["distinct", "read_examples", "shared_masks", "split", "without_masks_of"]

SPLITS = ("stratified", "random", "grouped")


def read_examples(
    paths: Iterable[Path],
    taxonomy: Taxonomy,
    *,
    where: Sequence[str] = (),
    fields: FieldSettings | None = None,
) -> list[Example]:
    """The labelled lines of files, in order; ``group`` is the mask, ``software`` the source.

    The message and the source stand in the first column (or member) of ``fields.message`` and
    ``fields.source`` that is there, the label in ``fields.label``. ``where`` are ``COLUMN=VALUE`` or
    ``COLUMN!=VALUE`` conditions that a row must meet. Raises WaybillError for a file that is unknown,
    unreadable, or has a row without message or with a label that is not of ``taxonomy``.
    """
    fields = fields or FieldSettings()
    conditions = [_condition(text) for text in where]
    examples = []
    for path in paths:
        for number, row in enumerate(_rows(path), 1):
            if not all(
                (str(row.get(key, "")) == value) is is_equal for key, value, is_equal in conditions
            ):
                continue
            message = next(
                (row[name] for name in fields.message if isinstance(row.get(name), str)), None
            )
            label = row.get(fields.label)
            if message is None:
                raise WaybillError(
                    f"{path}: row {number}: no message; expected one in {', '.join(fields.message)}"
                )
            if label not in taxonomy:
                told = unknown_labels([str(label)], taxonomy, "--labels or labels.path")
                raise WaybillError(f"{path}: row {number}: {told}")
            source = next((str(row[name]) for name in fields.source if row.get(name)), path.stem)
            examples.append(Example(message, str(label), mask(message), source))
    return examples


def distinct(examples: Sequence[Example]) -> tuple[list[Example], dict[str, int]]:
    """One example per mask, with the label that most of its lines have; and what was dropped.

    The counts are ``repeated`` (same mask, same label) and ``contradicting`` (same mask, another label).
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, Example] = {}
    for example in examples:
        key = mask(example.text)
        labels[key][example.label] += 1
        first.setdefault(key, example)
    kept = []
    dropped = {"repeated": 0, "contradicting": 0}
    for key, example in first.items():
        label, count = labels[key].most_common(1)[0]
        kept.append(example._replace(label=label))
        dropped["repeated"] += count - 1
        dropped["contradicting"] += labels[key].total() - count
    return kept, dropped


def shared_masks(one: Iterable[Example], other: Iterable[Example]) -> int:
    """How many lines of ``one`` have the mask of a line of ``other``."""
    known = {mask(example.text) for example in other}
    return sum(mask(example.text) in known for example in one)


def without_masks_of(examples: Sequence[Example], apart: Iterable[Example]) -> list[Example]:
    """``examples`` without those that have the mask of a line in ``apart``."""
    known = {mask(example.text) for example in apart}
    return [example for example in examples if mask(example.text) not in known]


def split(
    examples: Sequence[Example], test_share: float, seed: int, kind: str = "stratified"
) -> tuple[list[Example], list[Example]]:
    """Training and test examples.

    ``stratified`` keeps the shares of the labels, ``random`` is the plain split that published figures
    use, ``grouped`` puts no mask on both sides. Raises WaybillError for another kind.
    """
    rows = range(len(examples))
    if kind == "grouped":
        splitter = GroupShuffleSplit(1, test_size=test_share, random_state=seed)
        train, test = next(splitter.split(rows, groups=[example.group for example in examples]))
    elif kind in SPLITS:
        labels = [example.label for example in examples] if kind == "stratified" else None
        train, test = train_test_split(
            rows, test_size=test_share, random_state=seed, stratify=labels
        )
    else:
        raise WaybillError(f"split is one of {', '.join(SPLITS)}, not {kind!r}")
    return [examples[i] for i in train], [examples[i] for i in test]


def _condition(text: str) -> tuple[str, str, bool]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise WaybillError(f"{text!r} is not COLUMN=VALUE or COLUMN!=VALUE")
    return (key[:-1], value, False) if key.endswith("!") else (key, value, True)


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        if suffix in (".ndjson", ".jsonl"):
            return [
                msgspec.json.decode(line, type=dict[str, Any])
                for line in path.read_bytes().splitlines()
                if line
            ]
        if suffix == ".parquet":
            from pyarrow import parquet

            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            return rows
    except ModuleNotFoundError:
        raise
    except Exception as error:  # csv, msgspec and pyarrow share no base class
        raise WaybillError(f"{path}: {error}") from error
    raise WaybillError(f"{path}: neither .csv nor .ndjson nor .parquet")

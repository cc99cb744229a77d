"""Labelled lines from files: what is the same line, and what leaks.

Two lines are the same for the model when their masks are (`waybill.labelling.masking.mask`), so all
counting, splitting and keeping apart is done by mask.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sklearn.model_selection import GroupShuffleSplit, train_test_split

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.labelling.masking import mask
from waybill.learn.chain import Example, Line
from waybill.learn.messages import format_of, line_of, read_rows
from waybill.learn.plan import SPLITS
from waybill.settings.schema import FieldSettings
from waybill.wire.members import Places, named
from waybill.wire.table.dialect import normal

__all__ = [
    "distinct",
    "read_examples",
    "shared_masks",
    "split",
    "without_masks",
    "without_masks_of",
]

#: Formats that hold labels.
_FORMATS = ("csv", "ndjson", "json", "parquet", "xlsx")


class Condition(NamedTuple):
    """What a row must meet: a column that has the value, or has it not."""

    column: str
    value: str
    is_equal: bool

    def holds(self, row: Mapping[str, object]) -> bool:
        """Whether the row meets it."""
        return (str(row.get(self.column, "")) == self.value) is self.is_equal


def read_examples(
    paths: Iterable[Path],
    taxonomy: Taxonomy,
    *,
    where: Sequence[str] = (),
    fields: FieldSettings | None = None,
) -> list[Example]:
    """The labelled lines of files, in order; ``group`` is the mask, ``software`` the source.

    The message, source and label stand where ``fields`` say. ``where`` are ``COLUMN=VALUE`` or
    ``COLUMN!=VALUE`` conditions that a row must meet. Raises WaybillError for a file that is
    unknown, unreadable, or has a row without message or with a label that is not of ``taxonomy``.
    """
    fields = fields or FieldSettings()
    conditions = [_condition(text) for text in where]
    examples: list[Example] = []
    for path in paths:
        if format_of(path) not in _FORMATS and not path.is_dir():  # which reading it will tell
            raise WaybillError(f"{path}: neither .csv nor .xlsx nor .ndjson nor .json nor .parquet")
        lines = _lines(path, fields, conditions)
        examples += [_example(path, line, fields, taxonomy) for line in lines]
    return examples


def _lines(path: Path, fields: FieldSettings, conditions: Sequence[Condition]) -> Iterator[Line]:
    places = Places(fields)
    for number, row in enumerate(read_rows(path, fields=fields, is_strict=True), 1):
        if all(condition.holds(row) for condition in conditions):
            yield line_of(row, number, places)


def _example(path: Path, line: Line, fields: FieldSettings, taxonomy: Taxonomy) -> Example:
    if line.message is None:
        wanted = Places(fields).named_messages
        raise WaybillError(f"{path}: row {line.row}: no message in any of {wanted}")
    if line.label is None:
        columns: dict[str, str] = {}  # a reader of tables adds the names that were looked for
        for name in line.members:
            columns.setdefault(normal(name), name)
        there = named(columns.values())
        raise WaybillError(
            f"{path}: row {line.row}: no label in {fields.label}; it has {there}. "
            "Name the one that holds labels: --set fields.label=NAME"
        )
    if line.label not in taxonomy:
        fault = unknown_labels([line.label], taxonomy, "--labels or labels.path")
        hint = f"; 'waybill labels init labels.yaml --from {path}' writes one of the labels in it"
        raise WaybillError(f"{path}: row {line.row}: {fault}{hint}")
    return Example(line.message, line.label, mask(line.message), line.source or path.stem)


def distinct(examples: Sequence[Example]) -> tuple[list[Example], dict[str, int]]:
    """One example per mask, with the label that most of its lines have; and what was dropped.

    The counts are ``repeated`` (same mask, same label) and ``contradicting`` (same mask, another
    label).
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, Example] = {}
    for example in examples:
        key = mask(example.text)
        labels[key][example.label] += 1
        first.setdefault(key, example)
    kept: list[Example] = []
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
    return without_masks(examples, {mask(example.text) for example in apart})


def without_masks(examples: Sequence[Example], masks: Container[str]) -> list[Example]:
    """``examples`` without those that have one of these masks."""
    return [example for example in examples if mask(example.text) not in masks]


def split(
    examples: Sequence[Example], test_share: float, seed: int, kind: str = "stratified"
) -> tuple[list[Example], list[Example]]:
    """Training and test examples.

    ``stratified`` keeps the shares of the labels, ``random`` is the plain split that published
    figures use, ``grouped`` puts no mask on both sides. Raises WaybillError for another kind.
    """
    if kind not in SPLITS:
        raise WaybillError(f"split is one of {', '.join(SPLITS)}, not {kind!r}")
    rows = range(len(examples))
    if kind == "grouped":
        splitter = GroupShuffleSplit(1, test_size=test_share, random_state=seed)
        train, test = next(splitter.split(rows, groups=[example.group for example in examples]))
    else:
        labels = None
        if kind == "stratified":
            labels = [example.label for example in examples]
        train, test = train_test_split(
            rows, test_size=test_share, random_state=seed, stratify=labels
        )
    return [examples[i] for i in train], [examples[i] for i in test]


def _condition(text: str) -> Condition:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise WaybillError(f"{text!r} is not COLUMN=VALUE or COLUMN!=VALUE")
    if key.endswith("!"):
        return Condition(key[:-1], value, is_equal=False)
    return Condition(key, value, is_equal=True)

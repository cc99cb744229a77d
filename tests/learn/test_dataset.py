"""Labelled files: what is read, what is the same line, what leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.taxonomies import TEN
from waybill.core.errors import WaybillError
from waybill.learn.chain import Example
from waybill.learn.dataset import distinct, read_examples, shared_masks, split, without_masks_of
from waybill.learn.fragments import KINDS, fragments
from waybill.learn.scores import calibration_error, score

ROWS = [
    {"log_message": "disk 7 failed", "source": "nas", "target_label": "Error"},
    {"log_message": "disk 8 failed", "source": "nas", "target_label": "Error"},
    {"log_message": "disk 9 failed", "source": "nas", "target_label": "Critical Error"},
    {"log_message": "bob logged in", "source": "", "target_label": "User Action"},
]


def write_csv(path: Path) -> None:
    path.write_text(
        "log_message,source,target_label\n" + "".join(",".join(row.values()) + "\n" for row in ROWS)
    )


def write_ndjson(path: Path) -> None:
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n")


def write_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", write_csv), ("a.ndjson", write_ndjson), ("a.parquet", write_parquet)],
)
def test_each_format_gives_the_same_examples(tmp_path: Path, name: str, write: object) -> None:
    write(tmp_path / name)  # type: ignore[operator]
    examples = read_examples([tmp_path / name], TEN)
    assert [(e.text, e.label, e.software) for e in examples] == [
        (row["log_message"], row["target_label"], row["source"] or "a") for row in ROWS
    ]


def test_a_row_must_meet_all_conditions(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv")
    conditions = ["source=nas", "target_label!=Error"]
    (chosen,) = read_examples([tmp_path / "a.csv"], TEN, where=conditions)
    assert (chosen.text, chosen.label) == ("disk 9 failed", "Critical Error")
    with pytest.raises(WaybillError, match="COLUMN=VALUE"):
        read_examples([tmp_path / "a.csv"], TEN, where=["source"])


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.txt", "x", "neither"),
        (
            "a.csv",
            "log,target_label\nx,Nonsense\n",
            "row 1: no such label: Nonsense; the labels are Security Alert, .*--labels",
        ),
        (
            "a.csv",
            "log,target_label\nx,error\n",
            r"row 1: no such label: error \(did you mean Error\?\)",
        ),
        ("a.csv", "words,target_label\nx,Error\n", "row 1: no message"),
        (
            "a.csv",
            "log,kind\nx,Error\n",
            "row 1: no label in target_label; it has log, kind.*fields.label=NAME",
        ),
        ("a.csv", "Message,kind\nx,Error\n", r"it has Message, kind\. "),
        ("a.csv", "log,target_label\n ,Error\n", "row 1: no message in any of log, .* more"),
        ("a.ndjson", "{broken\n", "a.ndjson"),
        ("a.parquet", "no parquet", "a.parquet"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, fault: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(WaybillError, match=fault):
        read_examples([tmp_path / name], TEN)


def examples_of(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(text, label, text, "s") for text, label in pairs]


def test_the_same_line_counts_once_with_the_label_of_most() -> None:
    kept, dropped = distinct(
        examples_of(
            ("disk 1 failed", "Error"),
            ("disk 2 failed", "Critical Error"),
            ("disk 33 failed", "Error"),
        )
    )
    assert [(e.text, e.label) for e in kept] == [("disk 1 failed", "Error")]
    assert dropped == {"repeated": 1, "contradicting": 1}


def test_leaks_are_seen_by_mask() -> None:
    train = examples_of(("disk 1 failed", "Error"), ("ok", "Error"))
    test = examples_of(("disk 99 failed", "Error"))
    assert shared_masks(test, train) == 1
    assert [e.text for e in without_masks_of(train, test)] == ["ok"]


@pytest.mark.parametrize("kind", ["stratified", "random", "grouped"])
def test_splits_are_repeatable_and_whole(kind: str) -> None:
    examples = [
        Example(f"line {i}", ("Error", "User Action")[i % 2], f"g{i // 4}", "s") for i in range(80)
    ]
    train, test = split(examples, 0.25, 7, kind)
    assert (train, test) == split(examples, 0.25, 7, kind)
    assert sorted(train + test) == sorted(examples)
    if kind == "grouped":
        assert not {e.group for e in train} & {e.group for e in test}
    with pytest.raises(WaybillError, match="split is one of"):
        split(examples, 0.25, 7, "odd")


def test_scores_are_those_worked_out_by_hand() -> None:
    found = score(
        ["Error", "Error", "User Action", "User Action"],
        ["Error", "Unclassified", "User Action", "Error"],
        TEN,
    )
    assert (found.accuracy, found.unclassified, found.wrong) == (0.5, 0.25, 0.25)
    assert found.per_label["Error"].f1 == 0.5
    assert found.macro_f1 == pytest.approx((0.5 + 0.6667) / 2, abs=1e-4)
    assert found.macro_f1_answered == pytest.approx((0.5 + 0.6667) / 3, abs=1e-4)
    with pytest.raises(ValueError, match="against"):
        score(["Error"], [], TEN)


def test_calibration_error_by_hand() -> None:
    import numpy as np

    confidence, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx(0.05)


def test_fragments_are_repeatable_and_of_every_kind() -> None:
    found = fragments(60, seed=3)
    assert found == fragments(60, seed=3) != fragments(60, seed=4)
    assert {kind for kind, _ in found} == set(KINDS)

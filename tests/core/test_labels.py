"""The labels come from a file; a file that cannot be used is answered with file, line and what is
expected.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.effort import allowed
from tests.taxonomies import TEN, TOY, TOY_YAML
from waybill.core.errors import ConfigError
from waybill.core.labels import MAX_FILE_BYTES, Taxonomy, read_taxonomy, unknown_labels
from waybill.core.reasons import RECORD_REASONS

EXAMPLE = "for example [{name: Error, description: a failure of one operation}]"


def read(tmp_path: Path, text: str | bytes) -> Taxonomy:
    file = tmp_path / "labels.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_taxonomy(file)


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    return [one.removeprefix(str(tmp_path / "labels.yaml")) for one in raised.value.problems]


def test_the_labels_that_come_with_waybill_are_ten_in_a_documented_order() -> None:
    assert TEN.names == (
        "Security Alert",
        "HTTP Status",
        "Critical Error",
        "Resource Usage",
        "Deprecation Warning",
        "Workflow Error",
        "User Action",
        "Error",
        "System Notification",
        "Unclassified",
    )
    assert TEN.fallback == "Unclassified"
    assert all(label.description for label in TEN.labels)


def test_other_labels_are_read_with_their_order_and_fallback(tmp_path: Path) -> None:
    assert read(tmp_path, TOY_YAML) == TOY
    assert "Fruit" in TOY
    assert "Error" not in TOY


def test_a_verdict_without_label_carries_the_fallback_and_is_one_object_per_reason() -> None:
    assert TOY.unclassified("undecided").label == "Neither"
    assert set(TOY.passed) == set(RECORD_REASONS)
    assert all(verdict.reason == reason for reason, verdict in TOY.passed.items())
    assert TOY.passed["no_message"] is TOY.passed["no_message"]


def test_a_wrong_name_is_answered_with_the_closest_or_with_all() -> None:
    assert TOY.hint("Fruits") == " (did you mean Fruit?)"
    assert TOY.hint("xyz") == " (one of: Fruit, Tool, Neither)"


def test_labels_of_another_taxonomy_are_named_with_the_way_out() -> None:
    assert unknown_labels(["Fruit"], TOY) == ""
    told = unknown_labels(["Fruit", "Foo", "Bar"], TOY)
    assert told.startswith("no such label: Bar, Foo; the labels are Fruit, Tool, Neither.")
    assert "labels.path" in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [":1: the file: expected a mapping with fallback and labels"]),
        ("[", [":1: expected the node content, but found '<stream end>'"]),
        ("[]", [":1: the file: expected a mapping with fallback and labels"]),
        (
            "fallback: Neither\nlables: []\n",
            [
                ":2: unknown key 'lables'; expected fallback and labels",
                ":1: the file: labels is missing",
            ],
        ),
        (
            "fallback: A\nlabels: A, B\n",
            [f":2: labels: expected a list of labels, {EXAMPLE}"],
        ),
        (
            "fallback: A\nlabels:\n- {name: A, description: a}\n",
            [":3: labels: expected 2 to 200 of them, found 1"],
        ),
        (
            TOY_YAML + "  - {name: Tool, description: again}\n",
            [":6: label 'Tool' is given twice, first in line 4"],
        ),
        (
            TOY_YAML + "  - {name: TOOL, description: again}\n",
            [":6: label 'TOOL' is given twice, first in line 4"],
        ),
        (
            TOY_YAML.replace("fallback: Neither", "fallback: None of them"),
            [":1: fallback: 'None of them' is not one of the labels: Fruit, Tool, Neither"],
        ),
        (
            TOY_YAML.replace("name: Tool", "name: yes"),
            [":4: name: YAML takes 'yes' for no text; put it in quotes"],
        ),
        (
            TOY_YAML.replace("name: Tool", r'name: "To\nol"'),
            [":4: name: expected one line of printable text, found 'To\\nol'"],
        ),
        (TOY_YAML.replace("Tool", "T" * 65), [":4: name: longer than 64 characters"]),
        (
            TOY_YAML.replace(", description: something to work with", ""),
            [":4: a label: description is missing"],
        ),
        (
            TOY_YAML.replace(", description: no fruit and no tool", ""),  # that of the fallback
            [":5: a label: description is missing"],
        ),
        (b"fallback: A\nlabels: [\xff]", [":2: not UTF-8: invalid start byte; save it as UTF-8"]),
    ],
)
def test_a_file_that_is_none_is_answered_with_line_and_expectation(
    tmp_path: Path, text: str | bytes, expected: list[str]
) -> None:
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_windows_saved_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "labels.yaml"
    file.write_bytes(TOY_YAML.replace("\n", "\r\n").encode(encoding))
    assert read_taxonomy(file).fallback == "Neither"


def test_a_file_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels\.path: cannot read .*: No such file"):
        read_taxonomy(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * (MAX_FILE_BYTES - 1),
        "{a: " * 16_000,
        "x" * (MAX_FILE_BYTES + 1),
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in pairwise("abcdefghi")),
        "fallback: !!python/object/apply:os.system [exit]\nlabels: []\n",
    ],
    ids=["deep list", "deep mapping", "large", "laughs", "object"],
)
def test_a_bomb_is_refused_at_once(tmp_path: Path, bomb: str) -> None:
    begin = time.thread_time()
    assert problems(tmp_path, bomb)
    assert time.thread_time() - begin < allowed(1)

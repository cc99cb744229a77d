"""What was appended is read alone, and ends as if all had been read."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waybill.core.correction import Correction, encode_correction, new_correction, withdrawal
from waybill.core.errors import CorrectionsError
from waybill.labelling.corrections import source as module
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import CorrectionTable
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

TAXONOMY = read_labels(Settings().labels.path)
FIRST = new_correction("m", "Error", at="2026-11-26T10:00:00Z")


def lines(corrections: Sequence[Correction]) -> bytes:
    return b"".join(map(encode_correction, corrections))


def told(table: CorrectionTable) -> object:
    return (
        table.version,
        table.history_version,
        table.disputed,
        sorted((one.mask, one.source, one.verdict.label) for one in table.standing()),
        sorted(str(one.verdict.rule) for one in table.standing()),
    )


def loaded_anew(path: Path) -> object:
    return told(CorrectionSource([path]).load(TAXONOMY))


SAID = st.tuples(
    st.sampled_from("mno"),
    st.sampled_from(["Error", "User Action"]),
    st.sampled_from(["*", "shop"]),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["", "severity"]),
    st.integers(0, 5),
    st.none() | st.integers(0, 20),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(SAID, max_size=3), min_size=2, max_size=5))
def test_it_ends_as_if_all_had_been_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[object, ...]]]
) -> None:
    path = tmp_path_factory.mktemp("appended") / "c.ndjson"
    path.touch()
    source = CorrectionSource([path])
    history: list[Correction] = []
    for step in steps:
        new: list[Correction] = []
        for mask, label, of, by, labelling, second, takes in step:
            at = f"2026-11-26T10:00:{second:02}.{len(history):06}Z"
            one = new_correction(
                str(mask), str(label), source=str(of), by=str(by), labelling=str(labelling), at=at
            )
            if isinstance(takes, int) and takes < len(history):
                one = withdrawal(history[takes], by=str(by), at=at)
            history.append(one)
            new.append(one)
        with path.open("ab") as file:
            file.write(lines(new))
        assert told(source.load(TAXONOMY)) == loaded_anew(path)
        said = source.history().corrections
        assert list(source.said()) == said
        for one in said:
            assert source.tell(one.id) == one
        assert source.tell("eggs") is None


def test_nothing_else_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.ndjson"
    path.write_bytes(lines([FIRST]))
    source = CorrectionSource([path])
    before = source.load(TAXONOMY)
    monkeypatch.setattr(module, "read_history", None)
    assert source.load(TAXONOMY) is before
    with path.open("ab") as file:
        file.write(lines([new_correction("n", "Error"), withdrawal(FIRST)]))
    after = source.load(TAXONOMY)
    assert set(after.everywhere) == {"n"}
    assert set(before.everywhere) == {"m"}


OTHER = lines([new_correction("n", "Error", at="2026-11-26T11:00:00Z")])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        OTHER,
        lines([FIRST]).replace(b"Error", b"User Action"),
        lines([FIRST]).replace(b"10:00", b"10:01") + OTHER,
        gzip.compress(lines([FIRST]) + OTHER),
        (lines([FIRST]) + OTHER).decode().encode("utf-16"),
        lines([FIRST]) + OTHER + lines([FIRST]),
        lines([FIRST]) + OTHER.rstrip(),
    ],
    ids=["emptied", "exchanged", "edited", "edited and longer", "gzip", "utf-16", "twice", "open"],
)
def test_whatever_happens_to_a_file_is_seen(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    path.write_bytes(lines([FIRST]))
    source = CorrectionSource([path])
    source.load(TAXONOMY)
    path.write_bytes(data)
    if not data:
        with pytest.raises(CorrectionsError):
            source.load(TAXONOMY)
    else:
        assert told(source.load(TAXONOMY)) == loaded_anew(path)


@pytest.mark.parametrize("line", [b"{", b'{"id": 1}\n', lines([FIRST]).replace(b'"m"', b'"n"')])
def test_a_fault_is_told_with_its_line(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    path.write_bytes(lines([FIRST]))
    source = CorrectionSource([path])
    source.load(TAXONOMY)
    path.write_bytes(lines([FIRST]) + line)
    with pytest.raises(CorrectionsError) as raised:
        source.load(TAXONOMY)
    assert raised.value.errors[0].line == 2


def test_a_label_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    path.write_bytes(lines([FIRST]))
    source = CorrectionSource([path])
    source.load(TAXONOMY)
    path.write_bytes(lines([FIRST, new_correction("n", "Eggs")]))
    with pytest.raises(CorrectionsError, match="Eggs"):
        source.load(TAXONOMY)


def test_files_that_come_and_go_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines([FIRST]))
    source = CorrectionSource([tmp_path])
    source.load(TAXONOMY)
    (tmp_path / "b.ndjson").write_bytes(OTHER)
    assert len(source.load(TAXONOMY)) == 2
    (tmp_path / "a.ndjson").unlink()
    assert len(source.load(TAXONOMY)) == 1

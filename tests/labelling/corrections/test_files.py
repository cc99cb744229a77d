"""Files of corrections: what people bring is read, or refused with file, line and a code."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.taxonomies import TEN
from waybill.core.correction import Correction, encode_correction, new_correction, withdrawal
from waybill.core.errors import CorrectionsError
from waybill.labelling.corrections.files import (
    correction_files,
    fingerprint,
    read_history,
    unread_files,
)
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import read_table

ONE = new_correction("User 0 left", "User Action", by="ann", at="2026-11-26T10:00:00Z")
TWO = new_correction("disk 0 on <ip>", "Error", source="nas", at="2026-11-26T11:00:00Z")
LINES = encode_correction(ONE) + encode_correction(TWO)


def refusal(path: Path) -> list[str]:
    """The faults of a load, without the folder."""
    with pytest.raises(CorrectionsError) as raised:
        read_table(read_history([path]), TEN)
    return [str(error).removeprefix(f"{path.parent}/") for error in raised.value.errors]


@pytest.mark.parametrize(
    "data",
    [
        LINES,
        LINES.rstrip(b"\n"),
        b"\n\n" + LINES.replace(b"\n", b"\r\n") + b"  \n",
        b"\xef\xbb\xbf" + LINES,
        LINES.decode().encode("utf-16"),
        LINES + LINES,
        gzip.compress(LINES),
        gzip.compress(encode_correction(ONE)) + gzip.compress(encode_correction(TWO)),
        gzip.compress(LINES) + b"\r\n",
        gzip.compress(LINES) + bytes(512),
    ],
    ids=[
        "plain",
        "no-end",
        "crlf",
        "bom",
        "utf-16",
        "twice",
        "gzip",
        "gzip-members",
        "gzip-line",
        "gzip-nul",
    ],
)
def test_what_people_bring_is_read(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(data)
    assert read_history([file]).corrections == [ONE, TWO]


def changed(**values: object) -> bytes:
    """The first correction with other values, as a line."""
    values = {"id": ONE.id, "mask": ONE.mask, "label": ONE.label, "at": ONE.at} | values
    return encode_correction(Correction(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": "1", "mask"', "[half_line]"),
        (b"message,label\n", "is not a JSON object"),
        (b'[{"id": "1"}]\n', "a JSON array"),
        (b'{"id": "1"}\n', "missing required field `mask`"),
        (b'{"id": 1}\n', "Expected `str`"),
        (b'{"id": "\xff"}\n', "[not_json]"),
        (b"[" * 5000 + b"\n", "[not_json]"),
        (changed(id=""), "[not_a_correction]"),
        (changed(mask="User 17 left"), "a message, no mask"),
        (changed(mask=" User 0"), "[mask]"),
        (changed(mask="x" * 513), "[mask]"),
        (changed(mask=""), "[mask]"),
        (changed(source="crm-*"), "is a pattern"),
        (changed(source="a\0b"), "[source]"),
        (changed(source="x" * 257), "[source]"),
        (changed(at="yesterday"), "[time]"),
        (changed(label="Error"), "another correction's, first in c.ndjson:1"),
        (changed(id="2", label="Eror"), "did you mean Error?"),
    ],
)
def test_a_fault_names_file_line_and_code(line: bytes, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(encode_correction(ONE) + b"\n" + line)
    (told,) = refusal(file)
    assert told.replace(f"{tmp_path}/", "").startswith("c.ndjson:3: ")
    assert fault in told.replace(f"{tmp_path}/", "")


def test_many_faults_are_told_up_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(b"{}\n" * 1000)
    assert len(refusal(file)) == 20


def test_labels_of_what_counts_no_more_need_not_exist(tmp_path: Path) -> None:
    old = new_correction("m", "Retired Label", at="2026-11-26T09:00:00Z")
    file = tmp_path / "c.ndjson"
    file.write_bytes(encode_correction(old) + encode_correction(withdrawal(old)))
    assert len(read_table(read_history([file]), TEN)) == 0


def test_a_folder_is_read_by_name_and_says_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(encode_correction(ONE))
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(encode_correction(TWO)))
    (tmp_path / ".hidden.ndjson").write_bytes(b"no")
    (tmp_path / "labels.csv").write_text("message,label\n")
    (tmp_path / "README.md").write_text("read me")
    assert [file.name for file in correction_files(tmp_path)] == ["a.ndjson.gz", "b.jsonl"]
    assert read_history([tmp_path]).corrections == [TWO, ONE]
    (told,) = unread_files(tmp_path)
    assert "labels.csv" in told


def test_the_fingerprint_follows_names_and_content(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    seen = [fingerprint([file])]
    file.write_bytes(LINES)
    seen.append(fingerprint([file]))
    assert seen[-1] == fingerprint([tmp_path])
    file.write_bytes(LINES.replace(b"ann", b"bob"))
    seen.append(fingerprint([file]))
    file.rename(tmp_path / "d.ndjson")
    seen.append(fingerprint([tmp_path]))
    assert len(set(seen)) == 4


def test_a_file_that_is_cut_or_gone_takes_nothing_back(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    source = CorrectionSource([file])
    assert len(source.load(TEN)) == 0
    file.write_bytes(LINES)
    assert len(source.load(TEN)) == 2
    file.write_bytes(b"")
    with pytest.raises(CorrectionsError, match="emptied"):
        source.load(TEN)
    file.unlink()
    with pytest.raises(CorrectionsError, match="gone"):
        source.load(TEN)
    file.write_bytes(b"\n")
    assert len(source.load(TEN)) == 0


def test_the_version_is_that_of_what_stands_in_whatever_files(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(LINES)
    together = CorrectionSource([tmp_path]).load(TEN)
    (tmp_path / "a.ndjson").write_bytes(encode_correction(TWO))
    (tmp_path / "b.ndjson").write_bytes(encode_correction(ONE))
    apart = CorrectionSource([tmp_path]).load(TEN)
    assert together.version == apart.version
    with (tmp_path / "b.ndjson").open("ab") as file:
        file.write(encode_correction(withdrawal(ONE)))
    assert CorrectionSource([tmp_path]).load(TEN).version != apart.version


def test_who_said_what_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_bytes(LINES)
    table = CorrectionSource([file]).load(TEN)
    assert table.tell(ONE.id) == ONE
    assert table.tell("nobody's") is None


def test_too_many_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.labelling.corrections.files.MAX_LINES", 1)
    for lines in (LINES, b"no correction\n" * 3):
        (tmp_path / "c.ndjson").write_bytes(lines)
        with pytest.raises(CorrectionsError, match="too_large"):
            CorrectionSource([tmp_path]).load(TEN)
    (tmp_path / "c.ndjson").write_bytes(encode_correction(ONE))
    source = CorrectionSource([tmp_path])
    assert len(source.load(TEN)) == 1
    source.take_fetched(encode_correction(TWO))
    with pytest.raises(CorrectionsError, match="too_large"):
        source.load(TEN)


def test_too_many_bytes_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("files", "appended"):
        monkeypatch.setattr(f"waybill.labelling.corrections.{module}.MAX_TOTAL_BYTES", 100)
    (tmp_path / "c.ndjson").write_bytes(LINES)
    with pytest.raises(CorrectionsError, match="too_large"):
        CorrectionSource([tmp_path]).load(TEN)


def test_a_file_of_another_kind_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "c.ndjson"
    file.write_text("message,label\na,Error\nb,Error\n")
    (told,) = refusal(file)
    assert "'message,label' is not a JSON object" in told


def test_a_folder_within_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "..data").mkdir()
    (told,) = unread_files(tmp_path)
    assert told == f"{tmp_path / 'team'}: is not read: folders within the folder are left out"

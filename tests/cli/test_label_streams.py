"""NDJSON that comes in pieces: where a pipe is cut decides nothing, and no record is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import pytest

from tests.taxonomies import TEN
from waybill.cli import label_input
from waybill.cli.label_json import label_lines
from waybill.cli.label_known import JsonPieces
from waybill.cli.label_progress import JsonSummary
from waybill.cli.label_summary import Summary
from waybill.core.labels import Taxonomy
from waybill.core.reasons import Reason
from waybill.core.records import Verdict
from waybill.core.text import decoded
from waybill.library import Labeller
from waybill.settings.schema import FieldSettings

VERDICT = Verdict("Error", "rule", 1.0, "r")


class Always:
    """Labels everything alike and counts what it is asked."""

    taxonomy: Taxonomy = TEN
    passed = TEN.passed
    asked = 0

    def label(self, messages: Sequence[str | None], _: Sequence[str]) -> list[Verdict]:
        self.asked += len(messages)
        return [VERDICT] * len(messages)


def run(chunks: Sequence[bytes]) -> tuple[bytes, Summary]:
    summary = Summary("in", is_quiet=True)
    reader = JsonPieces(FieldSettings(), summary)
    labeller = cast("Labeller", Always())
    return b"".join(label_lines(reader, labeller, summary, iter(chunks))), summary


def test_the_masks_without_a_label_are_told_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    summary = JsonSummary("in", is_quiet=True)
    messages = ["order 1 held", "order 2 held", "tea is ready", None, "disk full"]
    reasons: list[Reason | None] = ["unknown", "llm_disabled", "none_of_these", "no_message", None]
    verdicts = [Verdict("Unclassified", "none", 0.0, reason=reason) for reason in reasons]
    summary.note_patterns(messages, verdicts)
    summary.show()
    told = json.loads(capsys.readouterr().err)
    assert (told["open"], told["undecided"]) == (2, [["order 0 held", 2]])
    assert told["no_event"] == [["tea is ready", 1]]


def test_a_banner_between_records_of_a_stream_passes_however_it_is_cut() -> None:
    """As from ``(echo '{"log":"a"}'; sleep 3; echo banner; echo '{"log":"b"}')`` and at once."""
    lines = [b'{"log":"a"}\n', b"banner\n", b"Traceback:\n  at x\n", b'{"log":"b"}\n']
    apart, summary = run(lines)
    assert apart == run([b"".join(lines)])[0]
    assert apart.count(b'"target_label":"Error"') == 2
    assert b"\nbanner\nTraceback:\n  at x\n" in apart
    assert summary.rows == 5


def test_a_stretch_of_text_longer_than_a_piece_passes() -> None:
    text = b"no record here\n" * 50_000
    out, _ = run([b'{"log":"a"}\n' + text + b'{"log":"b"}\n'])
    assert text in out
    assert out.count(b'"target_label"') == 2


@pytest.mark.parametrize("size", [1000, 65_536, 1 << 20])
def test_indented_objects_across_pieces_are_all_labelled(size: int) -> None:
    count = 12_000
    body = b"".join(
        json.dumps({"log": f"line {i}", "more": {"n": i, "text": "x" * 30}}, indent=2).encode()
        + b"\n"
        for i in range(count)
    )
    out, summary = run([body[at : at + size] for at in range(0, len(body), size)])
    assert len(body) > 1 << 20
    assert out.count(b'"target_label":"Error"') == summary.rows == count


def test_each_piece_of_whole_lines_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    decode = JsonPieces.decode

    def counting(self: JsonPieces, piece: bytes) -> object:
        sizes.append(len(piece))
        return decode(self, piece)

    monkeypatch.setattr(JsonPieces, "decode", counting)
    body = b'{"log":"a"}\n' * 100_000
    run([body[at : at + (1 << 20)] for at in range(0, len(body), 1 << 20)])
    assert sum(sizes) < 1.01 * len(body) + (1 << 16)


def test_blank_lines_in_front_are_read_a_few_times_and_not_once_for_each_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []

    def counted(data: bytes) -> str:
        read.append(len(data))
        return decoded(data)

    monkeypatch.setattr(label_input, "decoded", counted)
    blank = [b"\n" * 1000] * 500
    start, _ = label_input._first(iter(blank))
    assert start == b""
    start, everything = label_input._first(iter([*blank, b"disk full"]))
    assert start.endswith(b"disk full")
    assert b"".join(everything) == b"".join(blank) + b"disk full"
    assert sum(read) < 8 * 500_000

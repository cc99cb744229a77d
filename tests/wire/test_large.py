"""Records that are too large to be read pass as they came; their neighbours are labelled."""

from __future__ import annotations

import base64
import tracemalloc

import pytest

from tests.contract.encodings import KINDS, Kind
from waybill.core.records import Verdict
from waybill.core.steps import STEP_BYTES
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.event import RAW_FIELD, wrapped
from waybill.wire.json import scan
from waybill.wire.rendered import render

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Workflow Error", "rule", 1.0, "r")
TEXT = "x" * MOST_RECORD_BYTES


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.encoding)
def test_a_large_record_passes_and_its_neighbours_are_labelled(kind: Kind) -> None:
    body = kind.pack([{"log": "first"}, {"log": TEXT}, {"log": "second"}])
    codec, batch = WIRE.decode(body, kind.content_type)
    assert batch.messages == ["first", None, "second"]
    assert batch.specials[1].reason == "record_too_large"
    spliced = codec.splice(batch, [VERDICT] * 3)
    assert spliced.count(b"Workflow Error") == 2
    assert spliced.count(TEXT.encode()) == 1
    assert not list(codec.unfit(batch))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.encoding)
def test_a_large_record_alone_is_no_bad_body(kind: Kind) -> None:
    body = kind.pack([{"log": TEXT}])
    codec, batch = WIRE.decode(body, kind.content_type)
    assert codec.splice(batch, [VERDICT]) == body


@pytest.mark.parametrize(
    "form", [JsonForm(lines=True), EntryForm(), OtlpForm()], ids=lambda form: type(form).__name__
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.encoding)
def test_nothing_of_a_large_record_is_lost_in_another_encoding(kind: Kind, form: JsonForm) -> None:
    body = kind.pack([{"log": "first"}, {"log": TEXT}])
    codec, batch = WIRE.decode(body, kind.content_type)
    written = render(codec, batch, [VERDICT] * 2, form, lambda: 1e9).encode(0, 2)
    as_base64 = base64.b64encode(b"xxx") * (len(TEXT) // 3 - 1)  # wherever it begins
    assert TEXT.encode() in written or as_base64 in written


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        (b'{"log":"%b"}\n{"log":"b"}', ["record_too_large", None]),
        (b'{"log":"%b"}{"log":"b"}', ["record_too_large", None]),
        (b'{"log":"a"} {"log":"%b"}', [None, "record_too_large"]),
        (b'[{"log":"b"},{"log":"%b"},]', [None, "record_too_large"]),
        (b'[{"log":"b"},{"log":"%b",}]', [None, "malformed_record"]),
        (b'{"log":"b"}\n{"log":"%b\n{"log":"b"}', [None, "malformed_record", None]),
        (b'[{"log":"b"},"%b"]', [None, "not_an_object"]),
    ],
)
def test_json_in_whatever_form(body: bytes, reasons: list[str | None]) -> None:
    _, batch = WIRE.decode(body % TEXT.encode(), "application/json")
    found = [batch.specials[i].reason if i in batch.specials else None for i in range(len(batch))]
    assert found == reasons


def test_much_on_one_line_is_read_record_by_record() -> None:
    record = b'{"log":"%b"}' % (b"x" * 1000)
    body = record * (MOST_RECORD_BYTES // 1000)
    _, batch = WIRE.decode(body, "application/json")
    assert not batch.specials
    assert len(batch) == MOST_RECORD_BYTES // 1000


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("near", range(-3, 4))
def test_a_long_string_ends_where_it_ends_wherever_escapes_stand(
    steps: int, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = 4096
    monkeypatch.setattr("waybill.core.steps.STEP_BYTES", step)
    before = b"x" * (steps * step + near)
    for inside in (b"", b"\\\\", b'\\"', b'\\\\\\"', b'\\"' * 3):
        text = b'"' + before + inside + b'y"'
        assert scan.value_end(text + b",1", 0) == len(text)
        assert scan.value_end(b'{"a":' + text + b"}", 0) == len(text) + 6
        assert scan.value_end(text[:-1], 0) == -1
        assert scan.value_end(b'"' + before + b"\n" + inside + b'"', 0) == -1


def test_long_scalars_and_gaps_end_where_they_end() -> None:
    digits = b"9" * (2 * STEP_BYTES + 1)
    assert scan.value_end(digits + b",", 0) == len(digits)
    gap = b"[1," + b" " * len(digits) + b"2]"
    assert scan.value_end(gap, 0) == len(gap)
    assert scan.value_end(gap[:-1], 0) == -1


def test_what_is_no_text_is_shown_in_part_and_kept_whole() -> None:
    data = b"\xff" + b"x" * (4 << 20) + b"\xfe"
    record = wrapped(data, WIRE.plan, VERDICT)
    assert base64.b64decode(str(record[RAW_FIELD])) == data
    assert len(str(record["log"])) == 1 << 20


def test_a_string_of_escapes_takes_no_memory_to_find_its_end() -> None:
    for text in (b'"' + b'\\"' * STEP_BYTES + b'"', b'["' + b"\\u00e4" * 600_000 + b'"]'):
        tracemalloc.start()
        try:
            assert scan.value_end(text, 0) == len(text)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100_000

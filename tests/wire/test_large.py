"""Records that are too large to be read pass as they came; their neighbours are labelled."""

from __future__ import annotations

import pytest

from tests.contract.encodings import KINDS, Kind
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.rendered import render

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Workflow Error", "rule", 1.0, "r")
TEXT = "x" * MOST_RECORD_BYTES


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_large_record_passes_and_its_neighbours_are_labelled(kind: Kind) -> None:
    body = kind.pack([{"log": "first"}, {"log": TEXT}, {"log": "second"}])
    codec, batch = WIRE.decode(body, kind.content_type)
    assert batch.messages == ["first", None, "second"]
    assert batch.specials[1].reason == "record_too_large"
    spliced = codec.splice(batch, [VERDICT] * 3)
    assert spliced.count(b"Workflow Error") == 2
    assert spliced.count(TEXT.encode()) == 1
    assert not list(codec.unfit(batch))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_large_record_alone_is_no_bad_body(kind: Kind) -> None:
    body = kind.pack([{"log": TEXT}])
    codec, batch = WIRE.decode(body, kind.content_type)
    assert codec.splice(batch, [VERDICT]) == body


@pytest.mark.parametrize("form", [JsonForm(lines=True), EntryForm(), OtlpForm()], ids=repr)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nothing_of_a_large_record_is_lost_in_another_encoding(kind: Kind, form: JsonForm) -> None:
    body = kind.pack([{"log": "first"}, {"log": TEXT}])
    codec, batch = WIRE.decode(body, kind.content_type)
    rendered = render(codec, batch, [VERDICT] * 2, form, lambda: 1e9)
    assert rendered.encode(0, len(rendered.sizes)).count(TEXT.encode()) == 1


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

"""One record that makes the code raise costs no other record a thing, at any stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from unittest import mock

import pytest

from tests.contract.encodings import KINDS, Kind, Record
from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, FieldPlan, Wire, policy
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.event import Event
from waybill.wire.json import codec as json_codec
from waybill.wire.msgpack import codec as msgpack_codec
from waybill.wire.otlp.json import OtlpJsonCodec
from waybill.wire.otlp.proto import OtlpCodec
from waybill.wire.policy import LabelPolicy
from waybill.wire.rendered import Context, Form, render
from waybill.wire.rescue import spliced_body

ALL = pytest.mark.parametrize("kind", KINDS, ids=[kind.encoding.value for kind in KINDS])
VERDICT = Verdict("Error", "rule", 1.0, "r", None, {"severity": "high"})
#: The second is special (it carries a name of ours) and makes whatever is made to raise raise.
RECORDS: list[Record | bytes] = [
    {"log": "first", "time": "x"},
    {"log": "poison", "time": "poison", "label_tier": "mine"},
    {"log": "last", "time": "x"},
]
FORMS: list[Form] = [JsonForm(lines=True), EntryForm(), OtlpForm()]


class Unforeseen(Exception):
    """What nobody has thought of."""


def decoded(kind: Kind, settings: FieldSettings | None = None) -> tuple[Codec, Batch]:
    wire = Wire(FieldPlan(settings or FieldSettings(time=("time",))))
    return wire.decode(kind.pack(RECORDS), kind.content_type)


def check_splice(kind: Kind, codec: Codec, batch: Batch) -> None:
    records = kind.unpack(spliced_body(codec, batch, [VERDICT] * len(batch)))
    assert [record.get("target_label") for record in records] == ["Error", None, "Error"]
    assert records[1] == RECORDS[1]
    assert [i for i in range(3) if batch.is_set_aside(i)] == [1]
    assert isinstance(batch.fault, Unforeseen)


@ALL
def test_a_record_that_cannot_be_read_passes_as_it_came(kind: Kind) -> None:
    real = LabelPolicy.add

    def add(self: LabelPolicy, batch: Batch, start: int, stop: int, *rest: object) -> None:
        real(self, batch, start, stop, *rest)  # type: ignore[arg-type]
        raise Unforeseen

    with mock.patch.object(LabelPolicy, "add", add):
        codec, batch = decoded(kind)
    assert batch.messages == ["first", None, "last"]
    check_splice(kind, codec, batch)


@ALL
@pytest.mark.parametrize("form", FORMS, ids=["json", "msgpack", "otlp"])
def test_a_record_that_cannot_be_written_passes_as_it_came(kind: Kind, form: Form) -> None:
    real = policy._may_name

    def may_name(data: bytes, names: Iterable[str]) -> bool:
        if b"poison" in data:
            raise Unforeseen
        return real(data, names)

    with mock.patch.object(policy, "_may_name", may_name):
        check_splice(kind, *decoded(kind))
        codec, batch = decoded(kind)
        rendered = render(codec, batch, [VERDICT] * 3, form, lambda: 1e9)
    body = rendered.encode(0, 3)
    assert len(rendered.sizes) == 3
    assert body.count(b"high") >= 2
    assert b"first" in body
    assert b"last" in body
    assert batch.is_set_aside(1)
    assert not batch.is_set_aside(0)


def failing(real: Callable[..., object]) -> Callable[..., object]:
    """``real``, which raises for the poison."""

    def fail(*arguments: object) -> object:
        if any("poison" in str(argument) for argument in arguments):
            raise Unforeseen
        return real(*arguments)

    return fail


CONVERTERS: list[tuple[object, str]] = [
    (json_codec, "moment_of"),
    (msgpack_codec, "read_entry"),
    (OtlpCodec, "record"),
    (OtlpJsonCodec, "record"),
]


@pytest.mark.parametrize("form", FORMS, ids=["json", "msgpack", "otlp"])
@pytest.mark.parametrize(
    ("kind", "place"),
    list(zip(KINDS, CONVERTERS, strict=True)),
    ids=[kind.encoding for kind in KINDS],
)
def test_a_record_that_cannot_be_converted_goes_as_text(
    kind: Kind, place: tuple[object, str], form: Form
) -> None:
    codec, batch = decoded(kind)
    if codec.encoding in form.native:
        pytest.skip("nothing is converted")
    owner, name = place
    with mock.patch.object(owner, name, failing(getattr(owner, name))):
        rendered = render(codec, batch, [VERDICT] * 3, form, lambda: 1e9)
    records = [rendered.encode(i, i + 1) for i in range(3)]
    assert [b"Error" in record for record in records] == [True] * 3
    assert b"poison" in records[1]
    assert isinstance(batch.fault, Unforeseen)


def test_what_is_no_records_fault_is_raised() -> None:
    (kind, *_) = KINDS
    codec, batch = decoded(kind)
    for error in (MemoryError, Unforeseen):
        with (
            mock.patch.object(type(codec), "splice", side_effect=[error, *[b""] * 3]),
            pytest.raises(error),
        ):
            spliced_body(codec, batch, [VERDICT] * 3)
    assert batch.fault is None


@pytest.mark.parametrize("form", FORMS, ids=["json", "msgpack", "otlp"])
def test_an_event_without_a_record_is_written_in_every_form(form: Form) -> None:
    codec, _ = decoded(KINDS[0])
    at = Context(codec.plan, "", lambda: 1e9)
    rendered = form.convert([Event(VERDICT, b"\xff")], at)
    assert b"Error" in rendered.encode(0, 1)

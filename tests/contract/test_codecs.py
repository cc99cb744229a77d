"""What every codec keeps to: the same policy for names, bytes that stay, and nothing lost.

A further encoding joins by one line in `tests.contract.encodings.KINDS`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgpack
import pytest

from tests.contract.encodings import KINDS, Kind, Record
from tests.wire.rendering import json_records, msgpack_entries
from waybill.core.batch import Batch, Passed, ScanBudget, Spliced
from waybill.core.errors import SlowToReadError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, Encoding, FieldPlan, Wire
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.rendered import render

ALL = pytest.mark.parametrize("kind", KINDS, ids=[kind.encoding.value for kind in KINDS])
VERDICT = Verdict("Error", "rule", 1.0, "r")
OURS: Record = {
    "target_label": "Error",
    "label_tier": "rule",
    "label_confidence": 1.0,
    "label_rule": "r",
}


def opened(
    kind: Kind, records: Sequence[Record | bytes], settings: FieldSettings | None = None
) -> tuple[Codec, Batch]:
    wire = Wire(FieldPlan(settings or FieldSettings()))
    codec, batch = wire.decode(kind.pack(records), kind.content_type, "kube.pod")
    assert codec.encoding is kind.encoding
    return codec, batch


def labelled(
    kind: Kind,
    records: Sequence[Record | bytes],
    settings: FieldSettings | None = None,
    verdict: Verdict = VERDICT,
) -> list[Record]:
    codec, batch = opened(kind, records, settings)
    return kind.unpack(codec.splice(batch, [verdict] * len(batch)))


def test_every_encoding_has_its_contract() -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    assert [codec.encoding for codec in wire.codecs()] == [kind.encoding for kind in KINDS]
    assert {kind.encoding for kind in KINDS} == set(Encoding)


@ALL
def test_message_and_source_are_read_and_the_label_is_added(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": "a", "source": "s"}, {"log": "b", "n": 5}]
    _, batch = opened(kind, records)
    assert (batch.messages, batch.sources, batch.specials) == (["a", "b"], ["s", ""], {})
    assert labelled(kind, records) == [
        {"log": "a", "source": "s"} | OURS,
        {"log": "b", "n": 5} | OURS,
    ]


@ALL
def test_a_record_that_is_labelled_already_passes_as_it_is(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": "a", "target_label": "Old"}, {"log": "b"}]
    codec, batch = opened(kind, records)
    assert batch.messages == [None, "b"]
    assert batch.specials[0] == Passed(batch.specials[0].stop, "already_labelled")
    pieces = codec.split(batch, [VERDICT] * 2)
    assert pieces[0] == codec.split(*_unlabelled(batch))[0] == _own(codec, batch, 0)
    assert labelled(kind, records) == [records[0], {"log": "b"} | OURS]


def _unlabelled(batch: Batch) -> tuple[Batch, list[Verdict]]:
    return batch, [Verdict("other", "none")] * len(batch)


def _own(codec: Codec, batch: Batch, i: int) -> bytes:
    """Record ``i`` as `split` gives one that passes."""
    if codec.encoding is Encoding.MSGPACK:
        return batch.body[batch.ends[i - 1] if i else 0 : batch.ends[i]]
    return batch.data(i)


@ALL
@pytest.mark.parametrize("fields", [None, {"team": "b", "zone": "z"}], ids=["plain", "more fields"])
def test_relabelling_replaces_every_name_of_ours(
    kind: Kind, fields: dict[str, object] | None
) -> None:
    old: Record = {"log": "a", "target_label": "Old", "label_tier": "x", "team": "a"}
    verdict = Verdict("Error", "rule", 1.0, "r", None, fields)
    (record,) = labelled(kind, [old], FieldSettings(relabel=True), verdict)
    added: Record = {"zone": "z"} if fields else {}
    assert record == {"log": "a", "team": "a"} | OURS | added


@ALL
def test_a_name_that_the_record_uses_for_itself_is_left_alone(kind: Kind) -> None:
    codec, batch = opened(kind, [{"log": "a", "label_tier": "mine"}])
    assert batch.messages == ["a"]
    assert batch.specials[0] == Spliced(batch.specials[0].stop, None, frozenset(("label_tier",)))
    (record,) = kind.unpack(codec.splice(batch, [VERDICT]))
    assert record == OURS | {"log": "a", "label_tier": "mine"}


@ALL
def test_extra_fields_of_a_rule_never_replace_a_field(kind: Kind) -> None:
    extra = {"team": "b", "zone": "z", "target_label": "no", "label_reason": "no", "_id": "no"}
    verdict = Verdict("Error", "rule", 1.0, "r", None, extra)
    records: list[Record | bytes] = [{"log": "a"}, {"log": "team", "team": "a"}]
    settings = FieldSettings(record_id="_id")
    first, second = labelled(kind, records, settings, verdict)
    ids = first.pop("_id"), second.pop("_id")
    assert "no" not in ids
    assert first == OURS | {"log": "a", "team": "b", "zone": "z"}
    assert second == OURS | {"log": "team", "team": "a", "zone": "z"}


@ALL
def test_record_ids_are_stable_and_tell_equal_records_apart(kind: Kind) -> None:
    settings = FieldSettings(record_id="_id")
    records: list[Record | bytes] = [{"log": "a"}, {"log": "a"}, {"log": "b", "_id": "mine"}]
    found = [record["_id"] for record in labelled(kind, records, settings)]
    assert found == [record["_id"] for record in labelled(kind, records, settings)]
    assert len(set(found)) == 3
    assert found[2] == "mine"


@ALL
@pytest.mark.parametrize(
    ("record", "reason"), [({"n": 5}, "no_message"), ({"log": 5}, "message_not_a_string")]
)
def test_a_record_without_message_is_labelled_with_the_reason(
    kind: Kind, record: Record, reason: str
) -> None:
    codec, batch = opened(kind, [record, {"log": "b"}])
    assert batch.messages == [None, "b"]
    assert batch.specials[0] == Spliced(batch.specials[0].stop, reason)  # type: ignore[arg-type]
    assert kind.unpack(codec.splice(batch, [VERDICT] * 2)) == [record | OURS, {"log": "b"} | OURS]


@ALL
def test_a_broken_record_costs_only_itself(kind: Kind) -> None:
    codec, batch = opened(kind, [{"log": "a"}, kind.broken, {"log": "b"}])
    assert batch.messages == ["a", None, "b"]
    assert isinstance(batch.specials[1], Passed)
    out = codec.splice(batch, [VERDICT] * 3)
    assert kind.broken in out
    assert codec.split(batch, [VERDICT] * 3)[1].endswith(kind.broken)


@ALL
def test_an_attribute_that_is_special_costs_no_label(kind: Kind) -> None:
    """A rule's extra fields are held against names alone: odd values beside them do not matter."""
    verdict = Verdict("Error", "rule", 1.0, "r", None, {"team": "b"})
    odd: Record | bytes = {"log": "a", "team": 5}
    if kind.encoding is Encoding.OTLP_JSON:
        odd = (
            b'{"body":{"stringValue":"a"},"attributes":[{"key":"x","value":7},'
            b'{"key":"team","value":{"intValue":"5"}}]}'
        )
    codec, batch = opened(kind, [odd])
    out = codec.splice(batch, [verdict])
    assert out.count(b"team") == 1
    assert b"target_label" in out


@ALL
def test_an_empty_body_is_an_empty_batch(kind: Kind) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    codec, batch = wire.decode(b"", kind.content_type)
    assert len(batch) == 0
    assert codec.splice(batch, []) == b""
    assert codec.split(batch, []) == []
    assert list(codec.events(batch, [])) == []


@ALL
def test_what_is_not_labelled_comes_out_byte_for_byte(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": "a", "target_label": "x"}, kind.broken] * 3
    codec, batch = opened(kind, records)
    assert codec.splice(batch, [VERDICT] * 6) == kind.pack(records)


@ALL
def test_the_parts_are_the_whole(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": str(i), "n": i} for i in range(7)]
    codec, batch = opened(kind, [*records, {"log": "x", "label_rule": "mine"}, {"n": 1}])
    verdicts = [VERDICT] * len(batch)
    pieces = codec.split(batch, verdicts)
    whole = kind.unpack(codec.splice(batch, verdicts))
    assert len(pieces) == len(whole) == 9
    assert len(codec.sizes(batch, pieces)) == 9
    found: list[Record] = []
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        part = codec.join(batch, pieces, start, stop)
        assert len(part) <= sum(codec.sizes(batch, pieces)[start:stop]) + 64
        found += json.loads(part) if kind.encoding is Encoding.JSON else kind.unpack(part)
    assert found == whole


@ALL
def test_every_record_becomes_one_event_with_its_label(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": "a", "n": 1}, kind.broken, {"log": "c"}]
    codec, batch = opened(kind, records)
    first, broken, last = codec.events(batch, [VERDICT] * 3)
    assert first.record is not None
    assert first.record.items() >= OURS.items()
    assert first.record["log"] == "a"
    assert broken.record is None
    assert kind.broken in broken.original
    assert last.record == {"log": "c"} | OURS


@ALL
def test_every_other_encoding_gets_every_record(kind: Kind) -> None:
    records: list[Record | bytes] = [{"log": "a"}, kind.broken, {"log": "c", "n": 5}]
    codec, batch = opened(kind, records)
    verdicts = [VERDICT] * 3
    texts = [json.loads(text) for text in json_records(codec, batch, verdicts)]
    entries = [msgpack.unpackb(e)[1] for e in msgpack_entries(codec, batch, verdicts, lambda: 5.0)]
    for first, broken, last in (texts, entries):
        assert first.items() >= ({"log": "a"} | OURS).items()
        assert broken.items() >= OURS.items()
        assert last.items() >= ({"log": "c"} | OURS).items()
        assert last.get("n", last.get("attributes", {}).get("n")) == 5


@ALL
@pytest.mark.parametrize("wanted", [None, Encoding.OTLP, Encoding.OTLP_JSON])
def test_otlp_gets_every_record(kind: Kind, wanted: Encoding | None) -> None:
    records: list[Record | bytes] = [{"log": "a"}, kind.broken, {"log": "c", "n": 5}]
    codec, batch = opened(kind, records)
    form = OtlpForm(wanted)
    if codec.encoding in form.native:
        records[1] = {"log": "b"}  # a broken one stays as it came, which no receiver can read
        codec, batch = opened(kind, records)
    rendered = render(codec, batch, [VERDICT] * 3, form, lambda: 5.0)
    encoding = wanted or (codec.encoding if codec.encoding in form.family else Encoding.OTLP)
    (taker,) = [kind for kind in KINDS if kind.encoding is encoding]
    found = taker.unpack(rendered.encode(0, 3))
    assert [found[0]["log"], found[2]["log"]] == ["a", "c"]
    assert all(record.items() >= OURS.items() for record in found)
    assert found[2]["n"] == 5
    assert taker.unpack(rendered.encode(2, 3)) == found[2:]
    assert len(rendered.sizes) == 3
    alone = taker.unpack(rendered.as_text(2))
    assert len(alone) == 1
    assert alone[0].items() >= OURS.items()


@ALL
def test_reading_stops_where_the_budget_ends(kind: Kind) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    body = kind.pack([{"log": "a", "target_label": "Old"}] * 50)
    with pytest.raises(SlowToReadError):
        wire.decode(body, kind.content_type, budget=ScanBudget(100))
    assert len(wire.decode(body, kind.content_type)[1]) == 50

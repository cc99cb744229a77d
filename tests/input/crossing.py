"""One record by every way through Waybill: settings x extra fields x encodings x conversions.

Whatever the record is, its neighbours come out labelled, it comes out itself, and nothing raises.
"""

from __future__ import annotations

import random
import struct

import msgpack

from tests.contract.encodings import KINDS, Kind
from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, Encoding, FieldPlan, Wire
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.otlp.protobuf import pack_field
from waybill.wire.rendered import Form, render
from waybill.wire.rescue import spliced_body

_NESTED = ("kubernetes.labels.app", "a.b", "log", "a")
_SETTINGS = (
    FieldSettings(),
    FieldSettings(relabel=True, record_id="id", reason="why"),
    FieldSettings(parse_nested=True, record_id="log"),
    FieldSettings(message=_NESTED, source=("a.c", "severity"), time=("a", "time", "date")),
)
_FIELDS: tuple[dict[str, object] | None, ...] = (
    None,
    {"severity": "high", "log": "no", "a": 1},
    {"severity": 10**30, "x": float("nan"), "target_label": "no", "é\ud800": "\udc00"},
    {"id": {"a": [1, 2.5, None, {1: b"x"}]}, "time": True},
)
_FORMS: tuple[Form, ...] = (
    JsonForm(lines=False),
    JsonForm(lines=True),
    EntryForm(),
    EntryForm(metadata=False),
    OtlpForm(),
)
_WIRES = [Wire(FieldPlan(settings)) for settings in _SETTINGS]
_LABEL = "Workflow Error"


def cross(choice: int, record: bytes) -> None:
    """Take ``record`` through, by the way that the bits of ``choice`` name.

    Raises:
        AssertionError: a neighbour is lost or unlabelled, or a record was set aside.
        Exception: whatever the code under test raises.
    """
    kind = KINDS[choice % 4]
    wire = _WIRES[choice // 4 % 4]
    verdict = Verdict(_LABEL, "rule", 1.0, "r", None, _FIELDS[choice // 16 % 4])
    body = _between_good_ones(kind, record)
    codec, batch = wire.decode(body, kind.content_type, "tag")
    assert batch.fault is None, repr(batch.fault)
    verdicts = [verdict] * len(batch)
    _check(codec, batch, verdicts, _count(batch))


def _count(batch: Batch) -> int:
    """How many good neighbours were found; a record that is cut may have swallowed the second."""
    return sum(message in ("first", "second") for message in batch.messages)


def _check(codec: Codec, batch: Batch, verdicts: list[Verdict], good: int) -> None:
    assert good
    label = _LABEL.encode()
    spliced = spliced_body(codec, batch, verdicts)
    assert spliced.count(label) >= good
    pieces = codec.split(batch, verdicts)
    assert len(pieces) == len(batch)
    assert len(codec.sizes(batch, pieces)) == len(batch)
    for form in _FORMS:
        rendered = render(codec, batch, verdicts, form, lambda: 1e9)
        count = len(rendered.sizes)
        assert rendered.encode(0, count).count(label) >= good, form
        assert count >= good
        for i in range(count):
            rendered.as_text(i)
    assert batch.fault is None, repr(batch.fault)


def _between_good_ones(kind: Kind, record: bytes) -> bytes:
    if kind.encoding is Encoding.JSON and record[:1] == b"[":
        return b'[{"log":"first"},' + record[1:] + b',{"log":"second"}]'
    return kind.pack([{"log": "first"}, record, {"log": "second"}])


# -- records made to be odd ---------------------------------------------------------------------

_NAMES = ("log", "a", "severity", "id", "time", "target_label", "label_tier", "kubernetes", "")
_JSON_VALUES = (
    b'"x failed"', b"1", b"-0", b"1e999", b"9" * 400, b"NaN", b"true", b"null", b'"\\ud800"', b'"\xff"', b'"\x01"',
    b'"2026-11-20T22:23:01Z"', b"1e17", b'{"log":"x"}', b'"{\\"log\\":1}"', b"[" * 40 + b"]" * 40,
    b"[" * 1100 + b"]" * 1100, b'{"":{}}', b'{"b":{"c":1}}',
)  # fmt: skip
_OTLP_JSON_VALUES = (
    b'{"intValue":"x"}', b'{"doubleValue":"abc"}', b'{"bytesValue":"!"}', b"null", b"1", b"[]", b'"x"',
    b'{"stringValue":"x"}', b'{"stringValue":5}', b'{"kvlistValue":{"values":[{"key":5}]}}', b'{"boolValue":"x"}',
    b'{"arrayValue":{"values":5}}', b'{"intValue":99999999999999999999}', b'{"doubleValue":"NaN"}',
    b'{"arrayValue":{"values":[' * 40 + b"]}}" * 40, b'{"unknown":1}', b'{"intValue":"' + b"9" * 5000 + b'"}',
)  # fmt: skip
_PROTO_VALUES = (
    b"\x0a\x01x", b"\x0a\xff", b"\x0a\x05ab", b"\x18\x01", b"\x21\x00", b"\x21" + b"\xff" * 8, b"\x2a\x02\x0a\x00",
    b"", b"\xff" * 12, b"\x3a\x02\xff\xff", b"\x0b", b"\x0a\x02\xed\xa0", pack_field(6, pack_field(1, b"\x0a\x09x")),
)  # fmt: skip
_PACKED_VALUES = (
    b"\xa1x", b"\xa1\xff", b"\xc0", b"\xcb" + b"\xff" * 8, b"\xcf" + b"\xff" * 8, b"\xc4\x01\xff", b"\x91" * 40 + b"\xc0",
    b"\x91" * 1100 + b"\xc0", b"\x81\x80\x80", b"\x81\x91\xc0\x01", b"\xd6\xff\x00\x00\x00\x01", b"\xd7\xff" + b"\xff" * 8,
    b"\xc7\x0c\xff" + b"\xff" * 12, b"\xd4\x05x", b"\x82\x01\x02\xa11\x03", b"\xa3\xed\xa0\x80", b"\xc7\x00\x00",
)  # fmt: skip


def odd_record(encoding: Encoding, chance: random.Random) -> bytes:
    """A record of ``encoding`` with members that few would write."""
    names = [chance.choice(_NAMES) for _ in range(chance.randrange(1, 5))]
    match encoding:
        case Encoding.JSON:
            members = [b'"%b":%b' % (n.encode(), chance.choice(_JSON_VALUES)) for n in names]
            return b"{" + b",".join(members) + b"}"
        case Encoding.MSGPACK:
            return _odd_entry(names, chance)
        case Encoding.OTLP:
            return _odd_proto(names, chance)
        case Encoding.OTLP_JSON:
            return _odd_otlp_json(names, chance)


def _odd_entry(names: list[str], chance: random.Random) -> bytes:
    times = (
        b"\x01",
        b"\xc0",
        b"\xcb\x7f\xf0" + b"\0" * 6,
        b"\x92\x01\xa1x",
        b"\x92\xd7\x00" + b"\xff" * 8 + b"\x80",
    )
    keys = [msgpack.packb(name) for name in names]
    keys.append(
        chance.choice(
            (b"\x01", b"\xc0", b"\xa1\xff", b"\x80", b"\xcb" + b"\xff" * 8, b"\xc4\x03log")
        )
    )
    members = [key + chance.choice(_PACKED_VALUES) for key in keys]
    return (
        b"\x92" + chance.choice(times) + struct.pack("B", 0x80 + len(members)) + b"".join(members)
    )


def _odd_proto(names: list[str], chance: random.Random) -> bytes:
    fields = [
        pack_field(6, pack_field(1, name.encode()) + pack_field(2, chance.choice(_PROTO_VALUES)))
        for name in names
    ]
    fields.append(pack_field(5, chance.choice(_PROTO_VALUES)))
    fields.append(
        chance.choice(
            (b"", b"\x09" + b"\xff" * 8, b"\x12\x01x", b"\x0d", b"\x48\x01", b"\x10\xff" * 3)
        )
    )
    return b"".join(fields)


def _odd_otlp_json(names: list[str], chance: random.Random) -> bytes:
    pairs = [
        b'{"key":"%b","value":%b}' % (n.encode(), chance.choice(_OTLP_JSON_VALUES)) for n in names
    ]
    attributes = chance.choice(
        (b"[" + b",".join(pairs) + b"]",) * 6 + (b"5", b"null", b"{}", b"[5]", b'[{"key":5}]')
    )
    time = chance.choice(
        (b'"x"', b"null", b"[]", b"1e999", b'"' + b"9" * 5000 + b'"', b"true", b"-1")
    )
    body = chance.choice((*_OTLP_JSON_VALUES, b'{"stringValue":"x failed"}'))
    return b'{"timeUnixNano":%b,"body":%b,"attributes":%b}' % (time, body, attributes)

"""JSON bodies: nothing but our fields changes, and one bad record costs only itself."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given

from tests.wire.strategies import bodies, plain
from waybill.core.batch import Batch
from waybill.core.errors import MalformedError
from waybill.core.prepare import prepare
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, JsonCodec, Wire
from waybill.wire.json import scan

CODEC = JsonCodec(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "model", 0.75, "m@1")
SUFFIX = b'"target_label":"Error","label_tier":"model","label_confidence":0.75,"label_rule":"m@1"'


def labelled(body: bytes, codec: JsonCodec = CODEC, verdict: Verdict = VERDICT) -> bytes:
    batch = codec.decode(body)
    return codec.splice(batch, [verdict] * len(batch))


def reasons(body: bytes) -> dict[int, str | None]:
    return {i: special.reason for i, special in CODEC.decode(body).specials.items()}


@given(bodies())
def test_removing_our_fields_gives_back_the_input_bytes(body: bytes) -> None:
    out = labelled(body)
    assert re.sub(b",?" + re.escape(SUFFIX), b"", out) == body
    assert out.count(SUFFIX) == len(CODEC.decode(body))


@given(bodies())
def test_every_record_has_the_same_values_plus_ours(body: bytes) -> None:
    batch = CODEC.decode(body)
    for start, record in zip(batch.starts, CODEC.split(batch, [VERDICT] * len(batch)), strict=True):
        before: Any = plain(body[start : scan.value_end(body, start)])
        after: Any = plain(record)
        ours: Any = plain(b"{" + SUFFIX + b"}")
        assert after[1][-4:] == ours[1]
        assert ("object", after[1][:-4]) == before


def is_text(value: object) -> bool:
    return isinstance(value, str) and prepare(value) != ""


@given(bodies())
def test_messages_and_sources_are_what_a_json_parser_reads(body: bytes) -> None:
    batch = CODEC.decode(body)
    for start, message, source in zip(batch.starts, batch.messages, batch.sources, strict=True):
        record = json.loads(body[start : scan.value_end(body, start)], parse_int=lambda _: 0)
        texts = [record[name] for name in FieldSettings().message if is_text(record.get(name))]
        assert message == (texts[0] if texts else None)
        assert source == (record["source"] if is_text(record.get("source")) else "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"log":"a"}', b'{"log":"a",X}', id="single object"),
        pytest.param(b'[{"log":"a"}]', b'[{"log":"a",X}]', id="array"),
        pytest.param(
            b'[{"log":"a"} , {"log":"b"}\n]',
            b'[{"log":"a",X} , {"log":"b",X}\n]',
            id="spaced array",
        ),
        pytest.param(
            b'{"log":"a"}\n{"log":"b"}\r\n', b'{"log":"a",X}\n{"log":"b",X}\r\n', id="lines"
        ),
        pytest.param(b'{"log":"a"}{"log":"b"}', b'{"log":"a",X}{"log":"b",X}', id="concatenated"),
        pytest.param(
            b'{"log":"}{"}{"log":"b"}', b'{"log":"}{",X}{"log":"b",X}', id="braces within a string"
        ),
        pytest.param(b'{\n "log": "a"\n}', b'{\n "log": "a"\n,X}', id="pretty-printed"),
        pytest.param(b"[{},{ }]", b"[{X},{ X}]", id="empty objects get no comma"),
        pytest.param(
            b'\xef\xbb\xbf{"log":"a"}', b'\xef\xbb\xbf{"log":"a",X}', id="byte order mark"
        ),
        pytest.param(
            b'[{"log":"a"}][{"log":"b"}]', b'[{"log":"a",X}][{"log":"b",X}]', id="two arrays"
        ),
        pytest.param(b"[]", b"[]", id="empty array"),
        pytest.param(b"", b"", id="empty body"),
        pytest.param(b" \n", b" \n", id="white space"),
    ],
)
def test_every_form_of_json_is_labelled_in_place(body: bytes, expected: bytes) -> None:
    assert labelled(body) == expected.replace(b"X", SUFFIX)


NEIGHBOURS = b'{"log":"before"}', b'{"log":"after"}'
HOSTILE = [
    pytest.param(rb'{"log":"x\ud800"}', None, id="lone surrogate in the message"),
    pytest.param(rb'{"log":"x","f":"\udfff"}', None, id="lone surrogate elsewhere"),
    pytest.param(b'{"log":"x","n":NaN}', None, id="NaN"),
    pytest.param(b'{"log":"x","n":-Infinity}', None, id="Infinity"),
    pytest.param(b'{"log":"x","n":1e999}', None, id="a number beyond a double"),
    pytest.param(b'{"log":"x","n":' + b"9" * 400 + b"}", None, id="400 digits"),
    pytest.param(
        b'{"log":"x","d":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, id="depth 100,000"
    ),
    pytest.param(
        b'{"log":"x","d":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
        None,
        id="objects 2,000 deep",
    ),
    pytest.param(b'{"log":"x\xff\xfe"}', None, id="invalid UTF-8 in the message"),
    pytest.param(b'{"log":"x","f":"\xff"}', None, id="invalid UTF-8 elsewhere"),
    pytest.param(b'{"log":"x","log":"y"}', None, id="duplicate keys"),
    pytest.param(b'{"log":"' + b"y" * 1_000_000 + b'"}', None, id="1 MB message"),
    pytest.param(b'{"log":42}', "message_not_a_string", id="message is a number"),
    pytest.param(b'{"log":{"a":1}}', "message_not_a_string", id="message is an object"),
    pytest.param(b'{"log":null}', "no_message", id="message is null"),
    pytest.param(b'{"x":1}', "no_message", id="no message"),
    pytest.param(b'{"log":"x",}', None, id="trailing comma"),
    pytest.param(b'{"kubernetes":"no object","log":"x"}', None, id="a path leads through a string"),
]


@pytest.mark.parametrize(("record", "reason"), HOSTILE)
@pytest.mark.parametrize("form", ["array", "lines", "concatenated"])
def test_a_hostile_record_costs_only_itself(record: bytes, reason: str | None, form: str) -> None:
    joiner = {"array": b",", "lines": b"\n", "concatenated": b""}[form]
    body = joiner.join((NEIGHBOURS[0], record, NEIGHBOURS[1]))
    body = b"[" + body + b"]" if form == "array" else body
    batch = CODEC.decode(body)
    assert [batch.messages[0], batch.messages[2]] == ["before", "after"]
    assert (batch.specials[1].reason if 1 in batch.specials else None) == reason
    assert (batch.messages[1] is None) == (reason is not None)
    out = CODEC.splice(batch, [VERDICT] * 3)
    assert out == body.replace(NEIGHBOURS[0], NEIGHBOURS[0][:-1] + b"," + SUFFIX + b"}").replace(
        NEIGHBOURS[1], NEIGHBOURS[1][:-1] + b"," + SUFFIX + b"}"
    ).replace(record, record[:-1] + b","[record.endswith(b",}") :] + SUFFIX + b"}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"5", "not_an_object"), (b"null", "not_an_object"), (b'"text"', "not_an_object"), (b"[1]", "not_an_object"),
     (b"nonsense", "malformed_record")],
)  # fmt: skip
def test_what_is_no_object_passes_as_it_is(value: bytes, reason: str) -> None:
    body = b'[{"log":"a"},' + value + b',{"log":"b"}]'
    assert reasons(body) == {1: reason}
    assert value in labelled(body)
    assert labelled(body).count(SUFFIX) == 2


@pytest.mark.parametrize(
    "broken", [b'{"log":"b', b'{"log":{"x":', b"plain text here", b'{"a":1]', b"}", b'"']
)
def test_a_broken_line_passes_and_its_neighbours_are_labelled(broken: bytes) -> None:
    body = b'{"log":"a"}\n' + broken + b'\n{"log":"c"}\n'
    batch = CODEC.decode(body)
    assert [message for message in batch.messages if message] == ["a", "c"]
    assert (
        labelled(body)
        == b'{"log":"a",' + SUFFIX + b"}\n" + broken + b'\n{"log":"c",' + SUFFIX + b"}\n"
    )


def test_an_array_cut_short_keeps_what_came_whole() -> None:
    body = b'[{"log":"a"},{"log":"b"},{"log":"c'
    assert reasons(body) == {2: "malformed_record"}
    assert labelled(body).count(SUFFIX) == 2


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_body_cut_at_any_byte_is_labelled_or_refused_but_never_loses_a_whole_record(
    cut: int,
) -> None:
    body = b'[{"log":"a"},{"log":"b","n":[1,{}]}]'[:cut]
    whole = body.count(b'"}') + body.count(b"]}")
    try:
        batch = CODEC.decode(body)
    except MalformedError as error:
        assert (error.code, whole) == ("not_json", 0)
        return
    assert sum(message is not None for message in batch.messages) == whole
    assert (
        re.sub(b"," + re.escape(SUFFIX), b"", CODEC.splice(batch, [VERDICT] * len(batch))) == body
    )


@pytest.mark.parametrize(
    "body",
    [b"hello", b'{"log":', b"\x00\x01", b'{"a":' * 100_000, b"[" * 100_000, b"[" * 99 + b"}"],
)
def test_a_body_without_any_record_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        CODEC.decode(body)
    assert caught.value.code == "not_json"


@pytest.mark.parametrize("spelling", [b'"target_label"', rb'"target_labe\u006c"'])
def test_a_record_that_is_labelled_already_stays_untouched(spelling: bytes) -> None:
    body = b'[{"log":"a",' + spelling + b':"Mine"},{"log":"b"}]'
    assert reasons(body) == {0: "already_labelled"}
    assert labelled(body) == b'[{"log":"a",' + spelling + b':"Mine"},{"log":"b",' + SUFFIX + b"}]"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"target_label":"Mine", "log":"a"}', b'{"log":"a",X}'),
        (b'{"log":"a", "target_label":"Mine"}', b'{"log":"a",X}'),
        (b'{ "log":"a" , "label_tier":1, "z":2 }', b'{ "log":"a" , "z":2 ,X}'),
        (b'{"target_label":"Mine"}', b"{X}"),
        (b'{"log":"a"}', b'{"log":"a",X}'),
    ],
)
def test_relabel_replaces_what_the_record_brought(record: bytes, expected: bytes) -> None:
    codec = JsonCodec(FieldPlan(FieldSettings(relabel=True)))
    assert labelled(record, codec) == expected.replace(b"X", SUFFIX)


def test_a_name_that_the_record_uses_for_itself_is_left_to_it() -> None:
    out = labelled(b'{"log":"a","label_tier":"gold"}')
    assert (
        out
        == b'{"log":"a","label_tier":"gold","target_label":"Error","label_confidence":0.75,"label_rule":"m@1"}'
    )


@pytest.mark.parametrize(
    ("record", "is_added"),
    [
        (b'{"log":"a"}', True),
        (b'{"log":"a","severity":"High"}', False),
        (rb'{"log":"a","sever\u0069ty":"High"}', False),
        (b'{"log":"severity","deep":{"severity":1}}', True),
    ],
)
def test_a_rules_extra_field_never_doubles_one_of_the_record(record: bytes, is_added: bool) -> None:
    verdict = Verdict("Error", "rule", 1.0, "r", fields={"severity": "Low"})
    out = labelled(record, verdict=verdict)
    assert (b'"severity":"Low"' in out) == is_added
    assert orjson.loads(out)["target_label"] == "Error"


def test_added_fields_can_be_renamed_and_switched_off() -> None:
    settings = FieldSettings(
        label="labels.target", tier=None, confidence=None, rule=None, reason=None
    )
    codec = JsonCodec(FieldPlan(settings))
    assert labelled(b'{"log":"a"}', codec) == b'{"log":"a","labels.target":"Error"}'


def test_a_record_id_is_stable_and_tells_records_apart() -> None:
    codec = JsonCodec(FieldPlan(FieldSettings(record_id="_id")))

    def ids(tag: str) -> list[str]:
        batch = codec.decode(b'[{"log":"a"},{"log":"b"}]', tag=tag)
        return [orjson.loads(text)["_id"] for text in codec.split(batch, [VERDICT] * 2)]

    assert ids("t") == ids("t")
    assert len({*ids("t"), *ids("u")}) == 4


def test_paths_reach_into_records_and_dots_can_be_escaped() -> None:
    settings = FieldSettings(
        message=("event.original", "event"), source=(r"kubernetes.labels.app\.name", "a.b.c")
    )
    codec = JsonCodec(FieldPlan(settings))
    body = (
        b'[{"event":{"original":"deep"},"kubernetes":{"labels":{"app.name":"crm"}}},'
        b'{"event":"flat","a":{"b":{"c":"far"}}},{"event":{"other":1}}]'
    )
    batch = codec.decode(body)
    assert batch.messages == ["deep", "flat", None]
    assert batch.sources == ["crm", "far", ""]


def test_a_message_that_is_json_itself_is_read_through_when_asked() -> None:
    body = json.dumps(
        [{"log": '{"msg":"inner","service":"s"}'}, {"log": "{broken", "source": "own"}]
    ).encode()
    assert (
        Wire(FieldPlan(FieldSettings())).decode(body)[1].messages[0]
        == '{"msg":"inner","service":"s"}'
    )
    _, batch = Wire(FieldPlan(FieldSettings(parse_nested=True))).decode(body)
    assert (batch.messages, batch.sources) == (["inner", "{broken"], ["s", "own"])


def test_split_gives_each_record_alone() -> None:
    batch: Batch = CODEC.decode(b'[{"log":"a"}, 5 ,{}]')
    records = CODEC.split(batch, [VERDICT] * 3)
    assert records == [b'{"log":"a",' + SUFFIX + b"}", b"5", b"{" + SUFFIX + b"}"]


@pytest.mark.parametrize("space", [b"\v", b"\f", b"\v \f"])
def test_white_space_that_json_does_not_know_costs_its_line(space: bytes) -> None:
    for body in (
        b'{"log":"a"}\n%b\n{"log":"b"}\n' % space,
        b'[{"log":"a"},\n%b\n{"log":"b"}\n' % space,
    ):
        batch = CODEC.decode(body)
        assert [message for message in batch.messages if message] == ["a", "b"]


def test_a_broken_array_in_a_stream_of_lines_costs_its_line() -> None:
    batch = CODEC.decode(b'{"log":"a"}\n["\n[{"a":[\n{"log":"b"}\n')
    assert [message for message in batch.messages if message] == ["a", "b"]


def test_an_array_of_lines_that_never_end_is_read_once() -> None:
    batch = CODEC.decode(b"[1,\n" + b'{"a":[\n' * 200_000)
    assert len(batch.starts) == 200_001


@pytest.mark.parametrize(
    "between",
    [
        b"\x00",
        b"\x1e",
        b"\n\x1e",
        b"\r\n\x00",
        b"\xef\xbb\xbf",
        b"\n\xef\xbb\xbf ",
        b"\x00\x00",
        b"\x1a",
    ],
)
def test_what_stands_between_records_is_no_record(between: bytes) -> None:
    records = [b'{"log":"a","n":1}', b'{"log":"b"}', b'{"log":"c","target_label":"X"}']
    body = between + between.join(records) + between
    batch = CODEC.decode(body)
    assert batch.messages == ["a", "b", None]
    assert [batch.specials[i].reason for i in batch.specials if i < 2] in ([], [None, None])
    first, second, _ = CODEC.split(batch, [VERDICT] * 3)
    assert first == records[0][:-1] + b"," + SUFFIX + b"}"
    assert second == records[1][:-1] + b"," + SUFFIX + b"}"
    assert CODEC.splice(batch, [VERDICT] * 3).replace(b"," + SUFFIX, b"") == body


@pytest.mark.parametrize(
    "line",
    [
        b'{"index":{}}',
        b'{"index":{"_index":"logs","_id":"1"}}',
        b'{ "create" : { "_index" : "logs" } }',
        b'{"update":{"_id":"1","retry_on_conflict":3}}',
        b'{"delete":{"_id":"1"}}',
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_action_line_passes_between_records(line: bytes, end: bytes) -> None:
    body = line + end + b'{"log":"a"}' + end + line + end + b'{"log":"b"}' + end
    codec, batch = Wire(FieldPlan(FieldSettings())).decode(body)
    assert batch.messages == [None, "a", None, "b"]
    assert [batch.specials[i].reason for i in (0, 2)] == ["action_line"] * 2
    out = codec.splice(batch, [Verdict("Error", "rule")] * 4)
    assert out.count(line) == 2
    assert out.count(b"target_label") == 2


@pytest.mark.parametrize(
    "line", [b'{"index":5}', b'{"index":{"a":{}}}', b'{"index":{},"n":1}', b'{"n":{}}']
)
def test_what_only_looks_like_an_action_line_is_a_record(line: bytes) -> None:
    _, batch = Wire(FieldPlan(FieldSettings())).decode(line)
    assert batch.specials[0].reason == "no_message"

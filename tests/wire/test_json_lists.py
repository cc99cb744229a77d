"""Lists within a list of JSON, and what stands between records."""

from __future__ import annotations

import pytest

from tests.wire.test_json import CODEC, SUFFIX, labelled, reasons


@pytest.mark.parametrize(
    "marks",
    [b"|", b" || ", b";", b";\n", b",,", b"\n,", b"\x1f", b"\x03", b"\x0b", b"\x0c", b"=>", b"\\n", b"$",
     "\u0085".encode(), "\u2028".encode(), "\u00a0".encode(), " \u2014 ".encode()],
)  # fmt: skip
@pytest.mark.parametrize("frame", [b"%b", b"[%b]", b"[%b,]", b"%b;\n", b";%b"])
def test_marks_between_records_are_of_none(marks: bytes, frame: bytes) -> None:
    one = b'{"log":"a"}'
    body = frame % (one + marks + one)
    batch = CODEC.decode(body)
    assert batch.messages == ["a", "a"]
    assert labelled(body).replace(b"," + SUFFIX, b"") == body


@pytest.mark.parametrize("between", [b"-5", b"1", b"x", b'"x"', b"null", b"//x"])
def test_what_may_be_a_value_is_no_mark(between: bytes) -> None:
    batch = CODEC.decode(b'[{"log":"a"},' + between + b',{"log":"b"}]')
    assert batch.messages == ["a", None, "b"]


@pytest.mark.parametrize(
    "body",
    [
        b'[[{"log":"a"}],[{"log":"b"}]]',
        b'[[{"log":"a"},{"log":"b"}]]',
        b'[ [ [ {"log":"a"} ] ] , [], {"log":"b"} ]',
        b'[[{"log":"a"}]][[{"log":"b"}]]',
        b'{"log":"a"}\n[[{"log":"b"}]]',
    ],
)
def test_lists_within_a_list_hold_records(body: bytes) -> None:
    batch = CODEC.decode(body)
    assert [message for message in batch.messages if message] == ["a", "b"]
    assert labelled(body).replace(b"," + SUFFIX, b"") == body


@pytest.mark.parametrize("body", [b'["x",{"log":"a"}]', b"[1,2]", b"[[[[[[1]]]]]]"])
def test_other_lists_are_no_records(body: bytes) -> None:
    outer = b'[{"log":"x"},' + body + b"]"
    assert reasons(outer) == {1: "not_an_object"}
    assert labelled(outer).count(SUFFIX) == 1

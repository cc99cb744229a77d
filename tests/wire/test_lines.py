"""Plain text and logfmt, a record a line, and records in a frame."""

from __future__ import annotations

import bz2
import json
import lzma
import struct
import zlib

import orjson
import pytest

from waybill.core.batch import Batch
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Codec, FieldPlan, Wire
from waybill.wire.lines import as_ndjson, behind_head, pairs_of

VERDICT = Verdict("Error", "rule", 1.0, "r")
RECORD = b'{"log":"a"}'
FRAME = struct.pack(">I", len(RECORD)) + RECORD


def opened(body: bytes, content_type: str = "", records: str | None = None) -> tuple[Codec, Batch]:
    return Wire(FieldPlan(FieldSettings(records=records))).decode(body, content_type)


def lines(body: bytes, content_type: str = "text/plain") -> list[dict[str, object]]:
    codec, batch = opened(body, content_type)
    text = codec.splice(batch, [VERDICT] * len(batch))
    found = [json.loads(line) for line in text.splitlines()]
    assert {record["target_label"] for record in found} == {"Error"}
    return found


#: Python has codecs of these names; two of them take a minute for a MB.
NO_CHARSETS = ("punycode", "idna", "undefined", "unicode_escape", "zlib", "rot13", "\0")


def test_each_line_of_text_is_a_record() -> None:
    body = b'disk full\r\n\n  at x\n12\n[a] b\n\x00\n\x1b[0m\n"c"\nM\xfcller\xe2\x80\xa8\x0c!\nend\r\n\x1a'
    assert [record["log"] for record in lines(body)] == [
        "disk full", "  at x", "12", "[a] b", '"c"', "Müllerâ\x80¨\x0c!".replace("\x80", "€"), "end",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8", "text/plain; charset=UTF-8"),
        ("cp1252", "text/plain"),
        ("koi8-r", 'text/plain; charset="koi8-r"'),
        ("utf-16", "text/plain"),
        ("utf-8-sig", "text/plain; charset=nonsense"),
        ("utf-8", "text/plain; charset=ascii"),
        ("shift_jis", "text/plain; charset=Shift-JIS"),
        *(("utf-8", f"text/plain; charset={name}") for name in NO_CHARSETS),
    ],
)
def test_text_is_read_in_its_encoding(encoding: str, content_type: str) -> None:
    text = "Müller" if encoding == "cp1252" else "Ошибка"
    assert lines(f"{text}\nb\n".encode(encoding), content_type)[0]["log"] == text


def test_json_that_is_sent_as_text_is_json() -> None:
    for body in (b'[{"log":"a","n":1e2}]', b'{"log":"a",\n"n":1e2}\n', b'\n{"log":"a", "n":1e2}'):
        _, batch = opened(body, "text/plain")
        assert batch.body == body
        assert batch.messages == ["a"]
    first, second = lines(b'plain\n {"log":"a","n":1e2} \n')
    assert (first["log"], second["log"], second["n"]) == ("plain", "a", 100)


@pytest.mark.parametrize("content_type", ["", "application/logfmt", "text/plain"])
def test_of_logfmt_the_pairs_are_read(content_type: str) -> None:
    body = b'level=error msg="disk \\"a\\" is\\nfull" service=billing\n\nmessage=ok host=h n=\n'
    _, batch = opened(body, content_type)
    assert batch.messages == ['disk "a" is\nfull', "ok"]
    assert batch.sources == ["billing", "h"]
    assert [record["log"] for record in lines(body, content_type)][1] == "message=ok host=h n="


@pytest.mark.parametrize(
    "line", ["plain text", "failed: msg=x", "a=b c", '"quoted"=x', 'a="open', "=", "a==", ""]
)
def test_what_is_no_logfmt_is_text(line: str) -> None:
    assert pairs_of(line) is None or line == "a=="


CRI = "2026-01-01T00:00:00.123456789Z stdout F "


@pytest.mark.parametrize(
    "head",
    [
        CRI,
        "2026-01-01T02:00:00+02:00 stderr F ",
        "2026-01-01T00:00:00.5-03:30 stderr P ",
        "\ufeff2026-01-01T00:00:00Z stdout F:a ",
        "[pod/web-7d9f-x2/app] ",
        "[pod/web-7d9f-x2/app] 2026-01-01T00:00:00.123456789Z ",
        "web-1  | ",
        "my_shop_web_12 | ",
        "\x1b[36mweb-1     | \x1b[0m",
    ],
)
@pytest.mark.parametrize(
    ("text", "message", "source"),
    [
        ("disk full", "disk full", ""),
        ("  at x", "  at x", ""),
        ('{"message":"disk full","service":"nas"}', "disk full", "nas"),
        ('{"n":1}', '{"n":1}', ""),
        ("{disk} full", "{disk} full", ""),
        ('msg="disk full" service=nas', "disk full", "nas"),
        ("", "", ""),
    ],
)
def test_what_a_runtime_puts_in_front_is_no_message(
    head: str, text: str, message: str, source: str
) -> None:
    body = f"{head}{text}\n".encode()
    _, batch = opened(body, "text/plain")
    assert (batch.messages, batch.sources) == ([message], [source])
    assert [record["log"] for record in lines(body)] == [f"{head}{text}".lstrip("\ufeff")]


@pytest.mark.parametrize(
    "line",
    [
        "<34>1 2026-01-01T00:00:00Z h sshd 1 - - disk full",
        "Oct 11 22:14:15 h sshd[1]: disk full",
        "2026-01-01T00:00:00Z disk full",
        "2026-01-01T00:00:00Z stdout disk full",
        "2026-01-01T00:00:00Z stdout Full disk",
        "at 2026-01-01T00:00:00Z stdout F disk full",
        "2026-01-01T00:00:00Z stdin F disk full",
        "2026-01-01T00:00:00Z {disk} full",
        "[pod web/app] disk full",
        "[svc/web/app] disk full",
        "web | disk full",
        "disk-1 full | 5",
        "10.0.0.1 | disk full",
    ],
)
def test_any_other_head_is_part_of_the_message(line: str) -> None:
    assert opened(line.encode(), "text/plain")[1].messages == [line]


def test_behind_a_time_an_object_is_read() -> None:
    """As docker logs --timestamps shows what writes JSON."""
    body = b'2026-01-01T00:00:00.123456789Z {"message":"disk full","service":"nas"}\n'
    _, batch = opened(body, "text/plain")
    assert (batch.messages, batch.sources) == (["disk full"], ["nas"])


def test_a_record_is_as_its_shipper_made_it() -> None:
    """The text in a record's field stays whole: who parses heads does so before."""
    assert opened(b'{"log":"%s x"}' % CRI.encode())[1].messages == [f"{CRI} x"]


def test_a_long_line_costs_no_more_than_its_length() -> None:
    assert pairs_of("a=b " * 16_000 + "c") is None
    assert pairs_of('a="' + "\\" * 60_000) is None
    for long in ("a-" * 100_000, "a-1" * 100_000, "a_1 " + " " * 200_000, "[pod/" + "a" * 200_000):
        assert behind_head(long) == long


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (FRAME * 2, "", "framing.method: newline_delimited"),
        (FRAME, "application/json", "framing.method: newline_delimited"),
        (b"source,log\n1,2\n", "text/csv", "/v1/classify/csv"),
        (b"1\t2\n", "text/tab-separated-values", "/v1/classify/csv"),
        (b"disk full", "application/octet-stream", "Content-Type: text/plain"),
        (b"msg=x", "application/json", "Content-Type: text/plain"),
        (b"{disk} is full", "", "Content-Type: text/plain"),
        (b"<34>Oct 11 22:14:15 h sshd[1]: disk full", "", "Content-Type: text/plain"),
        (b"{'log': 'disk full'}", "", "json.dumps"),
        (b'{"log":"disk\nfull"}', "", "(byte 12); a line end within a text"),
        (b'\n{"log" "disk full"}', "application/json", "expected ':' (byte 8)"),
        (b'{"log":"disk full', "", "a quote or bracket is missing"),
        (b'{"a":' * 100_000, "", "a quote or bracket is missing"),
        (b"[\n {log: 'disk full'}]", "application/json", "json.dumps"),
        (b"some words", "", "Content-Type: text/plain"),
        (b"\x1f\x8b\x08", "", "Content-Encoding: gzip"),
        (b"\x28\xb5\x2f\xfd", "", "Content-Encoding: zstd"),
        (b"<html>", "", "XML"),
        (zlib.compress(b"{}"), "", "Content-Encoding: deflate"),
        (bz2.compress(b"{}"), "", "bzip2"),
        (lzma.compress(b"{}"), "application/json", "xz"),
        (b"\xff\x06\x00\x00sNaPpY", "", "Content-Encoding: snappy"),
        ("Grüße".encode(), "", "Content-Type: text/plain"),
        (b"\x1f\x8b\x08" + bytes(9), "text/plain", "Content-Encoding: gzip"),
        (b"\x28\xb5\x2f\xfd\x20", "text/plain", "Content-Encoding: zstd"),
        (b"PK\x03\x04", "text/plain", "zip archive"),
        ("disk full".encode("utf-16"), "application/json", "Content-Type: text/plain"),
        ('{"log"'.encode("utf-16-le"), "", "a quote or bracket is missing"),
        ('[{"log":'.encode("utf-16-be"), "application/json", "a quote or bracket"),
    ],
)
def test_a_refusal_says_what_to_send(body: bytes, content_type: str, words: str) -> None:
    with pytest.raises(MalformedError, match="not_json") as error:
        opened(body, content_type)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("body", "path", "messages"),
    [
        (b'{"n": 1, "logs": [{"log":"a"} , {"log":"b", "source":"s"}], "m": []}', "logs", ["a", "b"]),
        (b'{"a":{"b":[{"log":"x"}]}}', "a.b", ["x"]),
        (b'{"log":{"message":"a"}}\nbanner\n{"log":{"message":"b"}}\n', "log", ["a", None, "b"]),
        (b'[{"log":{"message":"a"}},{"log":{"message":"b"}}]', "log", ["a", "b"]),
        (b'{"log":"without a frame"}', "logs", ["without a frame"]),
        (b'{"logs":"no frame"}', "logs", [None]),
        (b'{"logs":[{"log":"a"}, 5, nonsense, {"log":"b"}]}', "logs", ["a", None, None, "b"]),
        (b'{"logs":[]}', "logs", []),
        (b'{"logs":[{"log":"a"}],"logs":[{"log":"b"}]}', "logs", ["b"]),
        (b'{"logs":[{"log":"\\ud800"},{"log":NaN}]}', "logs", ["\ufffd", None]),
    ],
)  # fmt: skip
def test_records_in_a_frame_get_their_labels(
    body: bytes, path: str, messages: list[str | None]
) -> None:
    codec, batch = opened(body, records=path)
    assert [message and message.replace("?", "\ufffd") for message in batch.messages] == messages
    out = codec.splice(batch, [VERDICT] * len(batch))
    for added in codec.split(batch, [VERDICT] * len(batch)):
        assert added in out
    assert (
        out.replace(
            b',"target_label":"Error","label_tier":"rule","label_confidence":1.0,"label_rule":"r"',
            b"",
        )
        == body
    )


def test_a_frame_that_is_cut_off_is_refused() -> None:
    with pytest.raises(MalformedError, match="not_json"):
        opened(b'{"logs":[{"log":"a"}, {"log":', records="logs")


def test_bytes_that_are_no_text_are_not_taken_for_lines() -> None:
    with pytest.raises(MalformedError) as caught:
        opened(b"\x7fELF\x02\x01\x01\x00\x00", "")
    assert "text/plain" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"log":"a"}', b' [{"log":"a"}]', b'{"log":"a"}\n{"log":"b"}'])
def test_json_that_is_said_to_be_msgpack_is_json(body: bytes) -> None:
    codec, batch = opened(body, "application/msgpack")
    assert codec.encoding == "json"
    assert batch.messages[0] == "a"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("utf-8", 'Ошибка 錯誤 "quoted"\t'), ("cp1252", "gelöscht € "), ("latin-1", "\x81é ")],
)
def test_a_line_of_any_length_is_written_in_pieces(encoding: str, text: str) -> None:
    long = text * (9_000_000 // len(text.encode(encoding)))
    found = as_ndjson(f"a\n{long}\r\n{{\n".encode(encoding), "text/plain")
    assert found == as_ndjson(b"a", "") + orjson.dumps({"log": long}) + b'\n{"log":"{"}\n'


def test_a_long_line_that_is_an_object_stays_one() -> None:
    record = b' {"log": "%b", "n": 1.0}' % (b"x" * 9_000_000)
    assert as_ndjson(record + b"\r\n", "text/plain") == record + b"\n"
    broken = record[:-1]
    assert orjson.loads(as_ndjson(broken, "text/plain")) == {"log": broken.decode()}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a\x01\x02" * 400_000, "text/plain"),
        (b"a\x01\x02\n" * 200_000, "text/plain"),
        (b"\x01" * 9_000_000, "text/plain"),
        (b"\xb1" * 1_000_000, "text/plain; charset=shift_jis"),
        (b"\xff\xfe" + "錯".encode("utf-16-le") * 500_000, "text/plain"),
    ],
)
def test_text_becomes_no_more_than_it_may(body: bytes, kind: str) -> None:
    most = len(body) * 5 // 4
    assert Wire(FieldPlan(FieldSettings()), text_bytes=most).decode(b"disk full\n" * 1000, kind)
    with pytest.raises(MalformedError, match="too_large"):
        Wire(FieldPlan(FieldSettings()), text_bytes=most).decode(body, kind)


@pytest.mark.parametrize("around", [b"", b"\x00", b"\x00" * (3 << 20), b"\r"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nb\n"])
def test_what_is_around_a_long_line_is_not_of_it(around: bytes, end: bytes) -> None:
    long = b"x" * 9_000_000
    found = as_ndjson(b"a\n" + around + long + around + end, "text/plain")
    after = b'{"log":"b"}\n' if b"b" in end else b""
    assert found == b'{"log":"a"}\n{"log":"' + long + b'"}\n' + after


@pytest.mark.parametrize("blank", [b"\x00", b"\r\x00"])
def test_a_long_line_of_nothing_is_left_out(blank: bytes) -> None:
    body = blank * 9_000_000 + b"\nb"
    assert as_ndjson(body, "text/plain") == b'{"log":"b"}\n'

"""What is fuzzed: each decoder as a function of bytes.

A decoder may raise `MalformedError` and nothing else; what it reads must come out again as it went
in. A new decoder is one more line in ``TARGETS``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.input.crossing import cross
from tests.wire.rendering import json_records, msgpack_entries
from waybill.core.correction import decode_correction, encode_correction, settle
from waybill.core.errors import ConfigError, CorrectionsError, MalformedError, RuleError
from waybill.core.pattern import decode, encode
from waybill.core.records import Verdict
from waybill.labelling.corrections.files import parse_history
from waybill.labelling.corrections.table import make_table
from waybill.labelling.llm.errors import BadAnswer
from waybill.labelling.llm.prompt import Question
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.schema import parse_file
from waybill.ops.tokens import tokens_in
from waybill.patterns.query import Query
from waybill.settings.schema import FieldSettings
from waybill.settings.yaml_file import mapping_in
from waybill.wire import FieldPlan, JsonCodec, MsgpackCodec, Wire
from waybill.wire.compression import ENCODINGS, decompress
from waybill.wire.forward import AnswerReader, FrameReader, is_ack, is_pong, ping, pong
from waybill.wire.inputs import as_utf8, form_of, pieces
from waybill.wire.table.columns import DEFAULT
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

_LIMIT = 1 << 20
#: YAML is read slowly, and nested deeper than this its quick reader ends the process.
_MOST_YAML, _MOST_NESTED = 4096, 500
_FIELDS = FieldSettings(relabel=False, parse_nested=True)
_WIRE = Wire(FieldPlan(_FIELDS))
_RELABEL = FieldPlan(FieldSettings(relabel=True, record_id="id"))
_VERDICT = Verdict("Error", "rule", 1.0, "fuzz")
_TEXTS = ("text/plain", "text/plain; charset=utf-16", "application/logfmt", "application/json", "")


def _label(body: bytes, content_type: str) -> None:
    codec, batch = _WIRE.decode(body, content_type)
    assert len(batch.starts) == len(batch.ends) == len(batch.messages) == len(batch.sources)
    verdicts = [_VERDICT] * len(batch)
    spliced = codec.splice(batch, verdicts)
    if content_type != "application/x-protobuf":  # there a length may be written with zeros ahead
        # batch.body: JSON in UTF-16 is answered in UTF-8, which may be shorter
        assert len(spliced) >= len(batch.body)
    elif spliced:
        again = codec.decode(spliced)
        assert len(again) == len(batch)
        assert again.sources == batch.sources
    assert len(codec.split(batch, verdicts)) == len(batch)
    json_records(codec, batch, verdicts)
    msgpack_entries(codec, batch, verdicts, lambda: 0.0)


def fuzz_json(data: bytes) -> None:
    """JSON bodies: ranges, the tolerant scanner, splicing, the way to msgpack."""
    _label(data, "application/json")
    again = JsonCodec(_RELABEL)
    batch = again.decode(data)
    again.splice(batch, [_VERDICT] * len(batch))


def fuzz_msgpack(data: bytes) -> None:
    """Msgpack event streams: ranges, splicing, the way to JSON."""
    _label(data, "application/msgpack")
    again = MsgpackCodec(_RELABEL)
    batch = again.decode(data)
    again.splice(batch, [_VERDICT] * len(batch))


def fuzz_crossing(data: bytes) -> None:
    """One record between two good ones, by every way through: settings, fields, forms.

    The first byte chooses the encoding, what the settings and the verdict say; the rest is the
    record.
    """
    if data:
        cross(data[0], data[1:])


def fuzz_otlp(data: bytes) -> None:
    """OTLP requests: the first byte chooses protobuf or JSON; splicing, the way to the others."""
    _label(data[1:], "application/x-protobuf" if data[:1] < b"\x80" else "application/otlp+json")


def fuzz_lines(data: bytes) -> None:
    """Plain text and logfmt, named by the first byte or not at all; and what a file of it is."""
    if data:
        codec, batch = _WIRE.decode(data[1:], _TEXTS[data[0] % len(_TEXTS)])
        assert len(codec.split(batch, [_VERDICT] * len(batch))) == len(batch)
        whole = b"".join(pieces(iter((data[1:9], data[9:]))))
        form_of(whole, "a.csv", ("log", "message"))
        b"".join(as_utf8(whole, iter((whole,)))[1])


def fuzz_corrections(data: bytes) -> None:
    """Files of corrections, and what stands of them."""
    with contextlib.suppress(CorrectionsError):
        history = parse_history(data, "fuzz").corrections
        make_table(history)
        for one in settle(history):
            line = one.correction
            assert decode_correction(encode_correction(line)) == line


def fuzz_patterns(data: bytes) -> None:
    """What a sidecar answers a workbench, one pattern a line; and where a page begins."""
    for line in data.splitlines():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            found = encode(decode(line))
            assert encode(decode(found)) == found
    Query(after=data.decode("latin-1")).start()


def fuzz_frames(data: bytes) -> None:
    """Forward messages, in one piece and in two; the first byte says where the second begins."""
    whole, parts = FrameReader(_LIMIT), FrameReader(_LIMIT)
    found = list(filter(None, whole.feed(data)))
    cut = data[0] if data else 0
    assert [*parts.feed(data[:cut]), *parts.feed(data[cut:])] == found
    for message in found:
        message.chunk is None or message.ack  # noqa: B018 - it must be computable


def fuzz_answers(data: bytes) -> None:
    """Handshake messages and acknowledgements."""
    for step in (
        lambda: AnswerReader().feed(data),
        lambda: ping(data, "host", b"key"),
        lambda: pong(data, b"nonce", "host", b"key"),
        lambda: is_pong(data, b"salt\0nonce", b"key"),
    ):
        with contextlib.suppress(ValueError):
            step()
    is_ack(data, b"\xa1x")


def fuzz_inflate(data: bytes) -> None:
    """Compressed bodies; the first byte chooses one or two encodings."""
    if not data:
        return
    first, second = data[0] % 4, data[0] // 4 % 5
    names = [ENCODINGS[first], *ENCODINGS[second : second + 1]]
    assert len(decompress(data[1:], names, _LIMIT)) <= _LIMIT


def fuzz_csv(data: bytes) -> None:
    """CSV, in one piece and byte by byte at its start."""
    rows: list[Row] = []
    with contextlib.suppress(MalformedError):
        table = Table(_FIELDS, DEFAULT, _LIMIT)
        rows += table.feed(b"source,log\n")
        for i in range(8):
            rows += table.feed(data[i : i + 1])
        rows += table.feed(data[8:], is_last=True)
        table.labelled(rows, [_VERDICT] * len(rows))
        if all(row.fault is None for row in rows):
            out = b"".join(table.plain(row) for row in rows)
            assert b"source,log\n" + out + table.rest() == b"source,log\n" + data


def fuzz_settings(data: bytes) -> None:
    """A file of settings, as far as YAML goes."""
    with contextlib.suppress(ConfigError):
        mapping_in(data[:_MOST_YAML], Path("waybill.yaml"))


def fuzz_rules(data: bytes) -> None:
    """A file of rules; deep nesting ends the child process in which it is read."""
    data = data[:_MOST_YAML]
    if sum(map(data.count, (b"[", b"{", b"-", b"?"))) < _MOST_NESTED:
        faults: list[RuleError] = []
        parse_file(RuleFile("a.yaml", data), ("Error", "Warning"), faults)
        list(map(str, faults))


def fuzz_tokens(data: bytes) -> None:
    """A file of tokens: none is blank, or has blanks around it."""
    with contextlib.suppress(ConfigError):
        for token in tokens_in(data):
            assert token == token.strip() != ""


def fuzz_verdicts(data: bytes) -> None:
    """What an LLM answers: a label of the set for each line, or nothing."""
    asked = Question("", "", ("Error", "Warning"), (1, 2, 3), {2: "Error"})
    with contextlib.suppress(BadAnswer):
        found = asked.judge(data.decode("utf-8", "replace"))
        assert len(found) == 2
        assert set(found) <= {"Error", "Warning", None}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": fuzz_json,
    "msgpack": fuzz_msgpack,
    "crossing": fuzz_crossing,
    "otlp": fuzz_otlp,
    "lines": fuzz_lines,
    "corrections": fuzz_corrections,
    "patterns": fuzz_patterns,
    "frames": fuzz_frames,
    "answers": fuzz_answers,
    "inflate": fuzz_inflate,
    "csv": fuzz_csv,
    "settings": fuzz_settings,
    "rules": fuzz_rules,
    "tokens": fuzz_tokens,
    "verdicts": fuzz_verdicts,
}


def run_target(name: str, data: bytes) -> None:
    """Give ``data`` to one target. Raises what no decoder may raise."""
    with contextlib.suppress(MalformedError):
        TARGETS[name](data)


if __name__ == "__main__":
    print(*TARGETS)

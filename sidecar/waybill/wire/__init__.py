"""Bytes to batches and back: the encodings, and how to tell them apart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from json import detect_encoding

from waybill.core.batch import UNBOUNDED, Batch, ScanBudget
from waybill.core.errors import MalformedError
from waybill.core.prepare import is_blank, prepare
from waybill.core.text import transcoded
from waybill.wire.codec import Codec, Encoding
from waybill.wire.fields import FieldPlan, Path
from waybill.wire.hints import hint, is_length_delimited, is_table, no_text_hint
from waybill.wire.json.codec import JsonCodec
from waybill.wire.lines import as_ndjson, behind_head, is_logfmt, is_text, pairs_of
from waybill.wire.msgpack.codec import MsgpackCodec
from waybill.wire.otlp import OTLP_JSON, OtlpCodec, OtlpJsonCodec

__all__ = [
    "Codec",
    "Encoding",
    "FieldPlan",
    "JsonCodec",
    "MsgpackCodec",
    "OtlpCodec",
    "OtlpJsonCodec",
    "Wire",
]

#: In front of a nested object may stand a byte order mark, blanks or a colour.
_NESTED_WITHIN = 16
#: How a request of OTLP in JSON begins, and no record does.
_OTLP = re.compile(rb"\s{0,64}\{\s{0,64}\"resource(?:L|_l)ogs\"\s{0,64}:\s{0,64}\[")
#: How JSON of records begins: as numbers of msgpack, which are no entries.
_OBJECTS = re.compile(rb"\s{0,64}(?:\[\s{0,64})?\{\s{0,64}[\"}]")
#: How msgpack begins, and no JSON: an entry, a record whose first key is a text, a list of them.
_MSGPACK = re.compile(
    rb"[\x92\xdc\xdd]|(?:[\x81-\x8f]|\xde[\x00-\x7f].)[\xa1-\xbf\xd9]|[\x91-\x9f][\x81-\x9f\xde]",
    re.DOTALL,
)


class Wire:
    """The codecs of one `FieldPlan`, chosen by what the body is rather than by what it claims."""

    def __init__(self, plan: FieldPlan, *, text_bytes: float = math.inf) -> None:
        """Lines of text have ``text_bytes`` at most as the JSON that becomes of them."""
        self.plan = plan
        self._text_bytes = text_bytes
        self.json = JsonCodec(plan)
        self.msgpack = MsgpackCodec(plan)
        self.otlp = OtlpCodec(plan)
        self.otlp_json = OtlpJsonCodec(plan)

    def decode(
        self,
        body: bytes,
        content_type: str = "",
        tag: str = "",
        *,
        budget: ScanBudget = UNBOUNDED,
    ) -> tuple[Codec, Batch]:
        """The codec that reads ``body``, and its records.

        Raises:
            MalformedError: ``not_json``, ``not_msgpack`` or ``not_otlp``.
            SlowToReadError: reading costs more than ``budget``.
        """
        codec = self.codec_of(body, content_type)
        if codec is self.otlp_json and not content_type.startswith(OTLP_JSON):
            codec, batch = self._decode_unnamed_otlp(body, content_type, tag, budget)
        elif codec is not self.json:
            batch = codec.decode(body, tag=tag, budget=budget)
        elif is_text(content_type):
            batch = self._decode_text(body, content_type, tag, budget)
        else:
            batch = self._decode_json(body, content_type, tag, budget)
        if self.plan.settings.parse_nested:
            self._read_nested(batch)
        return codec, batch

    def codec_of(self, body: bytes, content_type: str) -> Codec:
        """The codec for ``body``.

        Shippers send JSON under several names, and that of msgpack may be one of them; without it
        the first byte tells. OTLP in protobuf looks like neither, so it must be named; in JSON its
        first key tells.
        """
        if "protobuf" in content_type:
            return self.otlp
        if content_type.startswith(OTLP_JSON) or _OTLP.match(body):
            return self.otlp_json
        if is_text(content_type):
            return self.json
        if _MSGPACK.match(body):
            return self.msgpack
        if "msgpack" in content_type and not _OBJECTS.match(body):
            return self.msgpack
        return self.json

    def _decode_unnamed_otlp(
        self, body: bytes, content_type: str, tag: str, budget: ScanBudget
    ) -> tuple[Codec, Batch]:
        """What begins like a request of OTLP in JSON; several of them are read as any JSON."""
        try:
            return self.otlp_json, self.otlp_json.decode(body, tag=tag, budget=budget)
        except MalformedError as error:
            if error.code != "not_otlp":
                raise
            return self.json, self._decode_json(body, content_type, tag, budget)

    def _decode_json(self, body: bytes, content_type: str, tag: str, budget: ScanBudget) -> Batch:
        """What claims to be JSON or claims nothing; lines of logfmt come without a name."""
        if body[:1] == b"\0" and is_length_delimited(body):
            raise MalformedError("not_json", hint(body, content_type))
        try:
            batch = self.json.decode(body, tag=tag, budget=budget)
        except MalformedError as error:
            if error.code != "not_json":
                raise
            if not content_type and is_logfmt(body):
                return self.decode_lines(body, tag=tag, budget=budget)
            wide = self._as_utf8(body, budget)
            if wide is not None:
                return self._decode_json(wide, content_type, tag, budget)
            raise MalformedError("not_json", hint(body, content_type)) from None
        if is_table(content_type) and batch.has_foreign():
            raise MalformedError("not_json", hint(body, content_type))
        return batch

    def _as_utf8(self, body: bytes, budget: ScanBudget) -> bytes | None:
        """JSON in UTF-16 or UTF-32 as UTF-8; None where it is neither. Raises as `decode`."""
        encoding = detect_encoding(body)
        if encoding.startswith("utf-8"):
            return None
        budget.take(len(body))
        try:
            text = transcoded(body, encoding, most_bytes=self._text_bytes)
        except UnicodeError:
            return None
        return text if detect_encoding(text) == "utf-8" else None

    def _decode_text(self, body: bytes, content_type: str, tag: str, budget: ScanBudget) -> Batch:
        """Plain text by its lines; JSON that is sent as text is JSON all the same."""
        told = no_text_hint(body)
        if told is not None:
            raise MalformedError("not_json", told)
        try:
            batch = self.json.decode(body, tag=tag, budget=budget)
        except MalformedError as error:
            if error.code != "not_json":
                raise
        else:
            if not batch.has_foreign():
                return batch
        return self.decode_lines(body, content_type, tag, budget=budget)

    def decode_lines(
        self,
        body: bytes,
        content_type: str = "",
        tag: str = "",
        *,
        budget: ScanBudget = UNBOUNDED,
    ) -> Batch:
        """The lines of plain text as JSON records with a ``log``; read by `Wire.json`.

        Raises as `decode`.
        """
        budget.take(len(body))
        lines = as_ndjson(body, content_type, self._text_bytes)
        batch = self.json.decode(lines, tag=tag, budget=budget)
        self._read_lines(batch)
        return batch

    def _read_lines(self, batch: Batch) -> None:
        """Take messages from behind the runtime's heads, and from logfmt and JSON there."""
        for i, line in enumerate(batch.messages):
            if line is None:
                continue
            message = batch.messages[i] = behind_head(line)
            pairs = pairs_of(message)
            if pairs is not None:
                batch.messages[i] = _first(pairs, self.plan.message) or message
                if not batch.sources[i]:
                    batch.sources[i] = _first(pairs, self.plan.source) or ""
            elif message is not line:
                self._read_object(batch, i, message)

    def codecs(self) -> tuple[Codec, ...]:
        """All of them."""
        return self.json, self.msgpack, self.otlp, self.otlp_json

    def _read_nested(self, batch: Batch) -> None:
        """Where a message is itself a JSON object, take message and source from within it."""
        for i, message in enumerate(batch.messages):
            if message is not None:
                self._read_object(batch, i, message)

    def _read_object(self, batch: Batch, i: int, text: str) -> None:
        """Take message and source of record ``i`` from ``text`` where it is a JSON object."""
        if "{" in text[:_NESTED_WITHIN]:
            nested, source = self.json.read_nested(prepare(text))
            batch.messages[i] = nested or text
            batch.sources[i] = batch.sources[i] or source


def _first(pairs: Mapping[str, str], paths: Iterable[Path]) -> str | None:
    """The first of ``paths`` that names a pair whose value is not blank."""
    for path in paths:
        value = pairs.get(path[0]) if len(path) == 1 else None
        if value and not is_blank(value):
            return value
    return None

"""Work grows no faster than what comes in, large records included: what copies the rest of a body
for each of them shows where each has many bytes.

Every decoder is here: a test finds those that are forgotten. Measured as in
`tests.input.test_growth`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import msgpack
import pytest

from tests.contract.encodings import KINDS
from tests.input.targets import TARGETS
from tests.input.test_growth import WIRE, decode, feed, inflate, must_grow_evenly
from waybill.core.correction import encode_correction, new_correction
from waybill.core.errors import CorrectionsError, MalformedError
from waybill.core.pattern import Pattern, encode
from waybill.core.records import Verdict
from waybill.labelling.corrections.files import parse_history
from waybill.ops.answers import Lines
from waybill.settings.sources import load_settings
from waybill.wire.compression import ENCODINGS, compress
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.forward import AnswerReader
from waybill.wire.inputs import as_utf8, pieces
from waybill.wire.rendered import Form, render
from waybill.wire.rescue import spliced_body
from waybill.wire.table.columns import DEFAULT
from waybill.wire.table.table import Table

Work = Callable[[bytes], None]
Case = tuple[Work, Callable[[int], bytes]]
FIELDS = load_settings(environ={}).fields
VERDICT = Verdict("Error", "rule", 1.0, "r")
FORMS: tuple[Form, ...] = (JsonForm(lines=True), EntryForm(), OtlpForm())
TEXT = "x" * 16_000
#: Records of 16 kilobytes: from 50 to 800.
SIZE = 200
#: Memory that is touched for the first time costs several times as much as what a small body reuses.
#: To copy the rest of 13 MB for each of 800 records takes half a second.
FLOOR_SECS = 0.15
#: What is fed at once, as it comes from a network.
PIECE = 16 << 10


def cut(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def spliced(content_type: str) -> Work:
    def work(body: bytes) -> None:
        codec, batch = WIRE.decode(body, content_type)
        spliced_body(codec, batch, [VERDICT] * len(batch))

    return work


def converted(content_type: str, form: Form) -> Work:
    """Read, written in another form, and sent in parts of ten records."""

    def work(body: bytes) -> None:
        codec, batch = WIRE.decode(body, content_type)
        rendered = render(codec, batch, [VERDICT] * len(batch), form, lambda: 0.0)
        for start in range(0, len(rendered.sizes), 10):
            rendered.encode(start, min(start + 10, len(rendered.sizes)))

    return work


def tabled(data: bytes) -> None:
    table = Table(FIELDS, DEFAULT, 1 << 30)
    for piece in cut(data):
        rows = table.feed(piece)
        table.labelled(rows, [VERDICT] * len(rows))
    table.feed(b"", is_last=True)


def told(data: bytes) -> None:
    lines = Lines(1 << 30, 1 << 20)
    for piece in cut(data):
        list(lines.feed(piece))


def corrected(data: bytes) -> None:
    with contextlib.suppress(CorrectionsError):
        parse_history(data, "a.ndjson")


def answered(data: bytes) -> None:
    reader = AnswerReader()
    with contextlib.suppress(ValueError):
        for piece in cut(data):
            reader.feed(piece)


def lined(data: bytes) -> None:
    WIRE.decode(data, "text/plain")
    whole = b"".join(pieces(iter(cut(data))))
    b"".join(as_utf8(whole[:PIECE], iter(cut(data)))[1])


def noise(n: int) -> bytes:
    return random.Random(1).randbytes(16_000 * n)


def corrections(n: int) -> bytes:
    lines = [new_correction("a " + TEXT, "Error", by="ann", note=str(i)) for i in range(n)]
    return b"".join(map(encode_correction, lines))


def patterns(n: int) -> bytes:
    mask = "a " + TEXT
    return b"".join(encode(Pattern(id=f"{i:016x}", mask=mask, count=1)) + b"\n" for i in range(n))


def cases() -> dict[str, Case]:
    """By the name of what is fuzzed, and what is special of it behind a colon."""
    found: dict[str, Case] = {
        "corrections": (corrected, corrections),
        "patterns": (told, patterns),
        "answers": (
            answered,
            lambda n: b"\x92\xa4HELO\x81\xa5nonce\xdb\x7f\xff\xff\xff" + noise(n),
        ),
        "lines": (lined, lambda n: f"{TEXT}\n".encode() * n),
        "csv": (tabled, lambda n: b"log\n" + f"{TEXT}\n".encode() * n),
        "csv: quoted": (tabled, lambda n: b"log\n" + f'"{TEXT}\n"\n'.encode() * n),
        "frames": (feed, lambda n: msgpack.packb(["t", [[1, {"log": TEXT}]] * n, {"chunk": "c"}])),
        "frames: many": (feed, lambda n: msgpack.packb(["t", 1, {"log": TEXT}, {}]) * n),
        "frames: packed": (feed, lambda n: msgpack.packb(["t", noise(n), {}])),
        "frames: one": (feed, lambda n: msgpack.packb(["t", 1, {"log": TEXT * n}, {}])),
        "crossing": (
            converted("application/json", EntryForm()),
            lambda n: b'{"log":"%b","a":NaN,"a":"\xff"}\n' % TEXT.encode() * n,
        ),
        "msgpack: broken": (
            lambda b: decode("application/msgpack", b),
            lambda n: msgpack.packb([1, {"log": TEXT}])[:-9] * n,
        ),
    }
    forms = {
        "lines": b'{"log":"%b","source":"a"}\n',
        "lines without source": b'{"log":"%b"}\n',
        "joined": b'{"log":"%b"}',
        "with blanks": b'{"log":"%b"} ',
        "broken lines": b'{"log":"%b",}\n',
        "labelled": b'{"log":"%b","target_label":"Error"}\n',
        "without message": b'{"txt":"%b"}\n',
        "no text": b'{"log":"\xff%b"}\n',
    }
    for what, form in forms.items():
        found[f"json: {what}"] = (
            spliced("application/json"),
            lambda n, form=form: form % TEXT.encode() * n,  # type: ignore[misc]
        )
    for what, end in {"array": b"]", "broken array": b",]", "open array": b""}.items():
        found[f"json: {what}"] = (
            spliced("application/json"),
            lambda n, end=end: (  # type: ignore[misc]
                b"[" + b",".join([b'{"log":"%b"}' % TEXT.encode()] * n) + end
            ),
        )
    for kind in KINDS:
        name = kind.encoding.value.replace("otlp_json", "otlp")
        make = lambda n, kind=kind: kind.pack([{"log": TEXT, "id": i} for i in range(n)])  # noqa: E731
        found[f"{name}: {kind.encoding} splice"] = (spliced(kind.content_type), make)
        for form_out in FORMS:
            what = f"{name}: {kind.encoding} to {type(form_out).__name__}"
            found[what] = (converted(kind.content_type, form_out), make)
    for encoding in ENCODINGS:
        found[f"inflate: {encoding}"] = (
            lambda b, encoding=encoding: inflate(encoding, b),  # type: ignore[misc]
            lambda n, encoding=encoding: compress(noise(n), encoding),  # type: ignore[misc]
        )
    return found


CASES = cases()
#: What operators write and providers answer has a bound of its own, and is no door for records.
SMALL = {"settings", "rules", "tokens", "verdicts"}


@pytest.mark.parametrize("name", CASES)
def test_large_records_take_no_more_than_their_share(name: str) -> None:
    work, make = CASES[name]
    with contextlib.suppress(MalformedError):
        must_grow_evenly(work, make, SIZE, FLOOR_SECS)


def test_every_decoder_is_measured() -> None:
    assert {name.partition(":")[0] for name in CASES} == set(TARGETS) - SMALL
    assert {kind.encoding for kind in KINDS} == {codec.encoding for codec in WIRE.codecs()}

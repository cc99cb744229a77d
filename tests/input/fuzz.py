"""``python -m tests.input.fuzz TARGET SECS``: fuzz one decoder (needs the extra ``fuzz``).

What is found is written below ``tests/input/findings``, from where a test replays it for ever.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

import atheris
import cramjam

with atheris.instrument_imports(
    include=["waybill.wire", "waybill.labelling", "waybill.patterns", "waybill.settings"]
):
    from tests.input.targets import run_target

from tests.input.cases import all_cases
from waybill.core.correction import encode_correction, new_correction
from waybill.core.pattern import Pattern, encode
from waybill.wire.compression import ENCODINGS, compress

FINDINGS = Path(__file__).parent / "findings"
_MAX_BYTES, _RSS_MB, _HANG_SECS = 4096, 512, 60

_OTLP = [
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"it failed"}}]}]}]}',
    b"\x0a\x0f\x12\x0d\x12\x0b\x2a\x09\x0a\x07it fell",
]
_CORRECTION = encode_correction(
    new_correction("an error <id>", "Error", by="ann", at="2026-11-20T10:00:00Z")
)
_RULES = b"""rules:
- {id: a, label: Error, pattern: 'x \\d+', sources: [b], fields: {severity: high}, matches: [x 1]}
disable:
- {id: c, reason: d}
"""
_VERDICTS = (
    b'{"answers":[{"index":1,"label":"Error"},{"index":2,"label":"Error"},{"index":3,"label":"x"}]}'
)


def _seeds(name: str) -> list[bytes]:
    """Something of the right form to begin with."""
    texts = [case.text for case in all_cases() if len(case.text) < _MAX_BYTES]
    entry = b"\x92\xce\x00\x00\x00\x01\x81\xa3log\xa5hello"
    match name:
        case "json":
            return texts
        case "crossing":
            return [bytes([choice]) + text for choice in range(64) for text in texts[::7]]
        case "otlp":
            return [bytes([choice]) + text for choice in (0, 255) for text in [*texts[::7], *_OTLP]]
        case "lines":
            lines = [b'level=error msg="disk full"\na=b\n', "\ufeffgrün\n".encode("utf-16")]
            return [bytes([choice]) + text for choice in range(5) for text in [*texts[::7], *lines]]
        case "corrections":
            return [_CORRECTION, _CORRECTION.replace(b"error", b"crash") * 2, gzip.compress(b"{}")]
        case "patterns":
            return [encode(Pattern(id="0" * 16, mask="a <id>", count=3)), b"0_-3_" + b"0" * 16]
        case "inflate":
            return [
                bytes([i]) + compress(compress(b"a" * 50, encoding), encoding)
                for i in range(16)
                for encoding in ENCODINGS
            ] + [b"\x03" + bytes(cramjam.snappy.compress(b"a" * size)) for size in (0, 50, 9000)]
        case "csv":
            return [b"log,source\na,b\n", b'"a\n""b",c\r\n', b"\xef\xbb\xbflog\n"]
        case "settings" | "rules":
            files = [
                b"log: {level: info}\nhttp:\n  listen: ':9880'\n",
                _RULES,
                b"a: &a [1]\nb: *a\n",
            ]
            return [*files, _RULES.decode().encode("utf-16")]
        case "tokens":
            return [b"# a\nship abc\n\ndef\n", b"Bearer x", "\ufeffabc\r\n".encode("utf-16")]
        case "verdicts":
            return [_VERDICTS, b"<think>{</think>```json\n" + _VERDICTS + b"\n```"]
        case _:
            gzipped = gzip.compress(entry)
            return [
                b"\x93\xa3tag\xc4%c" % len(gzipped) + gzipped + b"\x81\xaacompressed\xa4gzip",
                b"\x94\xa3tag\x01\x81\xa3log\xa1x\x82\xa8metadata\x80\xadfluent_signal\x00",
                b"\xdc\x00\x02\xda\x00\x03tag\xdd\x00\x00\x00\x01" + entry,
                b"\x92\xa3tag\x91\x92\x01\x81\xa3log" + b"\x91" * 700 + b"\xc0",
                entry,
                b"\x93\xa3tag\xce\x00\x00\x00\x01\x81\xa3log\xa5hello",
                b"\x92\xa3tag\x91" + entry,
                b"\x93\xa3tag\xc4\x10" + entry[:16] + b"\x81\xa5chunk\xa1x",
                b"\x95\xa4PONG\xc3\xa0\xa4host\xa1d",
                b"\x92\xa4HELO\x82\xa5nonce\xa1n\xa4auth\xa0",
                b"\x96\xa4PING\xa1h\xa1s\xa1d\xa0\xa0",
                b"\x81\xa3ack\xa1x",
            ]


def main(name: str, secs: int) -> None:
    """Fuzz ``name`` for ``secs`` seconds; the process ends with it, non-zero after a finding."""
    folder = FINDINGS / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="waybill-fuzz-") as corpus:
        for i, seed in enumerate(_seeds(name)):
            (Path(corpus) / str(i)).write_bytes(seed)
        options = [
            f"-max_total_time={secs}",
            f"-max_len={_MAX_BYTES}",
            f"-rss_limit_mb={_RSS_MB}",
            f"-timeout={_HANG_SECS}",
            f"-report_slow_units={_HANG_SECS}",
            f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], lambda data: run_target(name, bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

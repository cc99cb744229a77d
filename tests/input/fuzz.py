"""``python -m tests.input.fuzz TARGET SECS``: fuzz one decoder (needs the extra ``fuzz``).

What is found is written below ``tests/input/findings``, from where a test replays it for ever.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["waybill.wire"]):
    from tests.input.targets import run_target

from tests.input.cases import all_cases
from waybill.wire.compression import ENCODINGS, compress

FINDINGS = Path(__file__).parent / "findings"
_MAX_BYTES, _RSS_MB, _HANG_SECS = 4096, 512, 10


def _seeds(name: str) -> list[bytes]:
    """Something of the right form to begin with."""
    texts = [case.text for case in all_cases() if len(case.text) < _MAX_BYTES]
    entry = b"\x92\xce\x00\x00\x00\x01\x81\xa3log\xa5hello"
    match name:
        case "json":
            return texts
        case "crossing":
            return [bytes([choice]) + text for choice in range(64) for text in texts[::7]]
        case "inflate":
            return [
                bytes([i]) + compress(compress(b"a" * 50, encoding), encoding)
                for i in range(16)
                for encoding in ENCODINGS
            ]
        case "csv":
            return [b"log,source\na,b\n", b'"a\n""b",c\r\n', b"\xef\xbb\xbflog\n"]
        case _:
            return [
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
            f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], lambda data: run_target(name, bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""What fuzzing has found, replayed; and a quick random look at each decoder without the fuzzer."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from tests.contract.encodings import KINDS, Kind
from tests.input.cases import all_cases
from tests.input.crossing import cross, odd_record
from tests.input.targets import TARGETS, run_target
from waybill.core.errors import MalformedError

FINDINGS = sorted(
    path for path in (Path(__file__).parent / "findings").glob("*/*") if path.is_file()
)


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name[:20]}")
def test_a_finding_stays_fixed(path: Path) -> None:
    run_target(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_raises_nothing_but_what_is_its_own(name: str) -> None:
    random_bytes = random.Random(len(name))
    for case in all_cases():
        if name == "crossing" and len(case.text) > 2000:
            continue  # each takes all ways: what is large is for the decoders alone
        run_target(name, case.text)
        data = bytearray(case.text[:2000])
        for _ in range(min(3, len(data))):
            data[random_bytes.randrange(len(data))] = random_bytes.randrange(256)
        run_target(name, bytes(data))


@pytest.mark.parametrize("kind", KINDS, ids=[kind.encoding.value for kind in KINDS])
def test_no_odd_record_leaves_its_record(kind: Kind) -> None:
    """Settings x extra fields x encodings x conversions, each with records that few would write."""
    chance = random.Random(kind.encoding.value)
    for turn in range(320):
        data = odd_record(kind.encoding, chance)
        if turn % 3 == 0:
            at = chance.randrange(len(data))
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        with contextlib.suppress(MalformedError):  # a broken frame breaks the body
            cross(KINDS.index(kind) + 4 * (turn % 16), data)

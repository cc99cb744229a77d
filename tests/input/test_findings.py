"""What fuzzing has found, replayed; and a quick random look at each decoder without the fuzzer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.input.cases import all_cases
from tests.input.targets import TARGETS, run_target

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
        run_target(name, case.text)
        data = bytearray(case.text[:2000])
        for _ in range(min(3, len(data))):
            data[random_bytes.randrange(len(data))] = random_bytes.randrange(256)
        run_target(name, bytes(data))

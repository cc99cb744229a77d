"""Every hostile JSON text between two good records, in every place and encoding, through real HTTP."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from tests.conftest import Sidecar, running
from tests.input.cases import Case, all_cases
from waybill.wire.compression import compress

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
FIRST, LAST = (
    b'{"log":"User User1 logged in.", "n":1e2}',
    b'{"n":"\\u00e9" ,"log":"User User2 logged out."}',
)
CASES = all_cases()
#: What we add to a record; what an empty object gets begins without a comma.
STRAY = re.compile(rb",(\s*\}\s*)\Z")
ADDED = re.compile(
    rb',?"target_label":"[^"]*","label_tier":"[^"]*"(,"label_confidence":[^,}]*)?(,"label_rule":"[^"]*")?'
    rb'(,"label_reason":"[^"]*")?(?=})'
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="sidecar")
async def _sidecar() -> AsyncIterator[Sidecar]:
    async with running("model.path=null") as sidecar:
        yield sidecar


def accepts(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def labelled(record: bytes) -> bytes:
    """The pattern of ``record`` with a rule's verdict behind its last member."""
    return re.escape(record[:-1]) + rb',"target_label":"User Action","label_tier":"rule"[^}]*}'


async def test_there_are_enough_cases_and_a_strict_parser_agrees_with_them() -> None:
    assert len(CASES) >= 318
    assert len({case.name for case in CASES}) == len(CASES)
    assert [
        case.name for case in CASES if case.kind != "i" and accepts(case.text) != (case.kind == "y")
    ] == []


@pytest.mark.parametrize("encoding", ["none", "gzip", "zstd", "snappy"])
@pytest.mark.parametrize("place", ["array", "line", "body"])
async def test_neighbours_of_a_hostile_text_come_back_whole(
    sidecar: Sidecar, place: str, encoding: str
) -> None:
    wrong: list[str] = []
    # What was compressed is read by the same reader: an eighth of them shows that it comes whole.
    for case in CASES if encoding == "none" else CASES[::8]:
        body = place_of(case, place)
        headers = {} if encoding == "none" else {"Content_Encoding": encoding}
        sent = body if encoding == "none" else compress(body, encoding)
        status, answer, _ = await sidecar.post(sent, **headers)
        if fault := fault_of(case, place, body, status, answer):
            wrong.append(f"{case.name} {case.text[:40]!r}: {fault}")
    assert not wrong, "\n".join(wrong)


def place_of(case: Case, place: str) -> bytes:
    if place == "array":
        return b"[" + FIRST + b"," + case.text + b"," + LAST + b"]"
    return b"\n".join((FIRST, case.text, LAST, b"")) if place == "line" else case.text


def fault_of(case: Case, place: str, body: bytes, status: int, answer: bytes) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if place == "body" and status == 400:
        return (
            "" if case.kind != "y" or case.text[:1] not in b"{[" else "a valid record was refused"
        )
    if status != 200:
        return f"answer {status}"
    with contextlib.suppress(UnicodeError):
        if place == "body" and b"\0" in case.text:  # in UTF-16 or UTF-32: answered in UTF-8
            body = body.decode(json.detect_encoding(body)).encode()
    # What stands behind a comma that should not be there uses it.
    without = body.replace(case.text, STRAY.sub(rb"\1", case.text))
    if ADDED.sub(b"", answer) not in (body, without):
        return f"bytes changed: {answer[-300:]!r}"
    if place == "body":
        return ""
    if not re.search(labelled(FIRST), answer):
        return "the record before it has no label"
    if (place == "line" or case.kind == "y") and not re.search(labelled(LAST), answer):
        return "the record behind it has no label"
    return ""

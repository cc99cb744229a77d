"""The audit log on a disk that is full, in the place of something else, and from many sides."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.patience import patience
from waybill.labelling.llm.audit import Audit
from waybill.labelling.llm.errors import AuditError
from waybill.labelling.llm.prompt import Question


def question(text: str) -> Question:
    return Question("system", text, ("Error",), (7,), {})


async def test_a_line_that_has_no_room_leaves_nothing_and_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes the beginning of a line and says so by a number only."""
    file, whole = tmp_path / "audit.jsonl", os.write
    audit = Audit(file, 10_000)
    await audit.write("model", "text", question("first"))
    monkeypatch.setattr(os, "write", lambda number, data: whole(number, data[:20]))
    with pytest.raises(AuditError):
        await audit.write("model", "text", question("second"))
    monkeypatch.setattr(os, "write", whole)
    await audit.write("model", "text", question("third"))
    told = [json.loads(line)["user"] for line in file.read_text().splitlines()]
    assert told == ["first", "third"]


async def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit")
    async with patience():
        with pytest.raises(AuditError):
            await Audit(tmp_path / "audit", 1000).write("model", "text", question("first"))


async def test_processes_that_write_side_by_side_lose_no_line(tmp_path: Path) -> None:
    """Two that found the file full moved it after each other: the second one over the first."""
    file = tmp_path / "audit.jsonl"
    audits = [Audit(file, 6_000) for _ in range(4)]
    for one in range(30):
        told = [question(f"{one}-{place}") for place in range(4)]
        await asyncio.gather(
            *(audit.write("m", "text", asked) for audit, asked in zip(audits, told, strict=True))
        )
        kept = [path for path in (file, tmp_path / "audit.jsonl.1") if path.exists()]
        lines = [json.loads(line) for path in kept for line in path.read_text().splitlines()]
        assert {line["user"] for line in lines} >= {asked.user for asked in told}
        if len(kept) == 2:
            assert kept[1].stat().st_size > 5_000

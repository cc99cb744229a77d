"""`waybill top` and `waybill patterns`: against a running sidecar, and where there is none."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from waybill.cli.main import main
from waybill.cli.pattern_rows import row_of
from waybill.core.errors import WaybillError
from waybill.core.pattern import Guess, Pattern, VerdictShare, decode, encode
from waybill.patterns.files import is_address, read_patterns

PATTERNS = [
    Pattern(
        id=f"{number:016x}",
        mask=mask,
        count=10 * number,
        sources={"shop": 10 * number},
        verdicts=(VerdictShare(label=label, tier="rule", rule="r", count=10 * number),),
        examples=(mask,),
    )
    for number, (mask, label) in enumerate(
        [("disk full", "Resource Usage"), ("\x1b[31mred\u202e", "Error"), ("hello", "Error")], 1
    )
]
UNDECIDED = Pattern(
    id="f" * 16,
    mask="what is this",
    count=1,
    verdicts=(VerdictShare(label="Unclassified", tier="none", reason="unknown", count=1),),
    guess=Guess("Error", 0.4),
)
NO_EVENT = Pattern(
    id="e" * 16,
    mask="glorp 0 wizzled",
    count=7,
    verdicts=(VerdictShare(label="Unclassified", tier="model", reason="none_of_these", count=7),),
)


class Stand:
    """Answers as a sidecar does, two patterns a page."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.headers = {"Waybill-Workers": "1/1"}
        self.status = 200
        self.is_all_decided = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        found = [UNDECIDED, *PATTERNS]
        if self.is_all_decided:
            found = [NO_EVENT, *PATTERNS] if "undecided" not in request.query else []
        start = int(request.query.get("after", "0"))
        page = found[start : start + 2]
        headers = dict(self.headers)
        if start + 2 < len(found):
            headers["Waybill-Cursor"] = str(start + 2)
        if request.query.get("labelling") == "x":
            return web.json_response(
                {"reason": "fields", "detail": "there is severity"}, status=400
            )
        body = b"".join(map(encode, page))
        return web.Response(body=body, headers=headers, status=self.status)

    async def explain(self, request: web.Request) -> web.Response:
        return web.json_response({"label": "Error", **await request.json()})


@pytest.fixture(name="stand")
async def _stand() -> AsyncIterator[Stand]:
    stand = Stand()
    app = web.Application()
    app.router.add_get("/v1/patterns", stand.answer)
    app.router.add_post("/v1/explain", stand.explain)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stand.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stand
    await runner.cleanup()


async def run(*words: str) -> int:
    """The command on a thread, where it has an event loop of its own."""
    return await asyncio.to_thread(main, list(words))


async def test_top_prints_one_table_without_a_terminal(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("top", stand.url) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["a", "minute", "records"]
    assert "Unclassified (Error?)" in first


async def test_patterns_are_saved_as_they_are(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "patterns.ndjson"
    assert await run("patterns", "--undecided", "-o", str(path), stand.url) == 0
    assert "4 patterns" in capsys.readouterr().out
    assert list(read_patterns(str(path))) == [UNDECIDED, *PATTERNS]
    assert stand.asked[0] == {"order": "id", "limit": "1000", "undecided": "1"}


async def test_what_is_no_event_is_told_where_only_the_undecided_are_asked_for(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("patterns", "--undecided", stand.url) == 0
    assert "no event" not in capsys.readouterr().out
    stand.is_all_decided = True
    assert await run("patterns", "--undecided", stand.url) == 0
    told = capsys.readouterr().out
    assert "none of the 2 patterns that come most often is such a one" in told
    assert "1 of the patterns, 7 records; --label Unclassified shows them" in told


async def test_each_labelling_is_asked_for_by_name(stand: Stand) -> None:
    assert await run("patterns", "--labelling", "severity", stand.url) == 0
    assert await run("patterns", "--labelling=severity", "-o", "/dev/null", stand.url) == 0
    assert await run("top", "--labelling", "severity", stand.url) == 0
    assert [asked["labelling"] for asked in stand.asked] == ["severity"] * 4


async def test_a_labelling_that_is_not_there_is_said_in_words(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("patterns", "--labelling", "x", stand.url) == 1
    assert "answers 400: there is severity\n" in capsys.readouterr().err


async def test_tools_read_patterns_of_a_sidecar(stand: Stand) -> None:
    found = await asyncio.to_thread(lambda: list(read_patterns(stand.url)))
    assert found == [UNDECIDED, *PATTERNS]
    stand.headers = {"Waybill-Workers": "1/2"}
    with pytest.raises(WaybillError, match="1/2 workers"):
        await asyncio.to_thread(lambda: list(read_patterns(stand.url)))


@pytest.mark.parametrize(
    ("status", "words"), [(401, "--token-file"), (404, "patterns.enabled"), (503, "503")]
)
async def test_a_refusal_is_said_in_words(
    stand: Stand, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.status = status
    assert await run("patterns", stand.url) == 1
    assert words in capsys.readouterr().err


def test_nobody_there_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "127.0.0.1:1"]) == 1
    assert "no sidecar answers at http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["top", "patterns"])
def test_a_file_is_not_asked_for_its_patterns(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "patterns.ndjson"
    file.touch()
    for path in (tmp_path, file):
        assert main([command, str(path)]) == 2
        assert "expected the address of a running sidecar" in capsys.readouterr().err


def test_a_line_that_is_no_pattern_is_named(tmp_path: Path) -> None:
    path = tmp_path / "patterns.ndjson"
    path.write_bytes(encode(PATTERNS[0]) + b"\n" + b"{}\n")
    with pytest.raises(WaybillError, match=r"patterns\.ndjson:3: no pattern"):
        list(read_patterns(str(path)))


def test_addresses_are_told_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("sidecar:9880", "http://x", "https://x/y", "[::1]:9880", "10.0.0.1:80"):
        assert is_address(text)
    Path("host:1").touch()
    for text in ("host:1", "patterns.ndjson", "a/b:9", "-"):
        assert not is_address(text)


def test_a_row_holds_nothing_that_does_something_to_a_terminal() -> None:
    row = row_of(PATTERNS[1])
    assert all(cell.isprintable() for cell in row)
    assert "red" in row.message


@pytest.mark.skipif(
    importlib.util.find_spec("textual") is None, reason="needs waybill-sidecar[top]"
)
async def test_the_live_table_filters_and_explains(stand: Stand) -> None:
    from textual.widgets import DataTable, Static

    from waybill.cli.top_screen import TopApp

    app = TopApp(stand.url, "", 60.0)
    async with app.run_test(size=(160, 40)) as pilot:
        table = app.query_one(DataTable)
        assert [key.value for key in table.rows] == [UNDECIDED.id, PATTERNS[0].id]
        await pilot.press("u")
        assert [key.value for key in table.rows] == [UNDECIDED.id]
        await pilot.press("u")
        await pilot.press("slash", *"disk", "enter")
        assert [key.value for key in table.rows] == [PATTERNS[0].id]
        await pilot.press("enter")
        await pilot.pause()
        shown = str(app.screen.query_one(Static).render())
        assert "example: disk full" in shown
        assert "label: Error" in shown
        await pilot.press("escape", "escape")
        assert len(table.rows) == 2
        stand.status = 503
        await app.look()
        assert "503" in str(app.query_one("#state", Static).render())
        assert len(table.rows) == 2
        for columns in (160, 120, 80):
            await pilot.resize_terminal(columns, 40)
            assert table.virtual_size.width <= columns
        assert [str(one.label) for one in table.ordered_columns][2:4] == ["label", "message"]
        await pilot.press("q")


async def test_a_page_that_comes_again_ends_with_a_word(stand: Stand) -> None:
    stand.headers = {"Waybill-Workers": "1/1", "Waybill-Cursor": "0"}
    with pytest.raises(WaybillError, match="again"):
        await asyncio.to_thread(lambda: list(read_patterns(stand.url)))


def test_a_pattern_is_a_line_of_json() -> None:
    assert json.loads(encode(UNDECIDED))["guess"] == {"label": "Error", "score": 0.4}
    assert decode(encode(UNDECIDED)) == UNDECIDED

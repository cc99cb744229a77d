"""Texts of strangers on every page, in every dialog and in every export, in a real browser."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from tests.web.conftest import Client, opened, pattern, settings_for, share
from tests.web.test_browser import browsing, pytestmark
from tests.web.test_files import send, until
from waybill.core.correction import decode_correction
from waybill.core.pattern import pattern_id
from waybill.labelling.masking import mask
from waybill.settings.schema import Settings
from waybill.web.routes import routes
from waybill.web.store.nodes import NodeState, note_node

__all__ = ["pytestmark"]

RUN = "window.broken=1"
TEXTS = (
    f"</script></textarea></title><script>{RUN}</script>",
    f'" onfocus={RUN} autofocus x=\'"><img src=x onerror={RUN}><svg onload={RUN}>',
    f'<a href="javascript:{RUN}">go</a> {{{{7*7}}}} {{% raw %}} ${{{{x}}}}',
    "".join(map(chr, range(1, 32))) + "".join(map(chr, range(127, 160))),
    "user \u202etxt.exe\u202c \u2066hidden\u2069 zero\u200bwidth \u061c\ufeff tags\U000e0041",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \x1b]0;title\x07",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\u200d\u2620 Z\u0351\u036b\u0343 \u0928\u0940",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 <id> 0",
    "M" * 8000,
)
#: A word of 1 MiB, as an example and as a line of a file.
WORD = "W" * (1 << 20)
MASKS = tuple(map(mask, TEXTS))
FIRST = pattern_id(MASKS[0])
#: What moves a terminal or turns a text must not reach a page as it is.
RAW = r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200b\ufeff]"
LOOK = f"""() => ({{
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    heads: document.querySelectorAll("h1").length,
    raw: new RegExp("{RAW.replace(chr(92), chr(92) * 2)}").test(document.body.innerText + document.title),
    broken: window.broken,
    foreign: [...document.querySelectorAll("a[href]")].filter((one) => !one.href.startsWith(location.origin)).length,
}})"""
MOST_BYTES = 1_500_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def own_rules_in(place: Path) -> Settings:
    """Settings of a workbench that writes rules and corrections."""
    settings = settings_for(place)
    own = place / "own"
    own.mkdir()
    mine = replace(
        settings.workbench, folder=str(own), apply="folder", corrections_file=str(place / "said")
    )
    return replace(settings, workbench=mine)


async def fill(client: Client) -> tuple[str, str]:
    """The texts wherever a text may stand; the job of a file, and the number of a draft."""
    now = time.time()
    for number, text in enumerate(TEXTS):
        more: dict[str, Any] = {"sources": {text: 40}, "examples": (text, *[WORD][number:])}
        verdicts = (share("Error", 40, rule=text),) if number % 2 else ()
        await client.put(pattern(mask(text), *verdicts, at=now, count=40, **more), node=text[:200])
    for text in TEXTS:
        state = NodeState(text[:200], text, now, fault=text, head=text)
        await client.running.bench.database.write(functools.partial(_noted, state))
    fields = {"label": "User Action", "note": TEXTS[0]}
    await client.send(f"/patterns/{FIRST}/correct", fields)
    await client.send("/corrections/apply", {"note": TEXTS[1]})
    words = json.dumps(TEXTS[0])
    rules = f"rules:\n- {{id: r, label: Error, pattern: 'xyzzy', description: {words}}}\n"
    _, made = await client.send("/drafts", {"file": "10-own.yaml", "text": rules, "base": ""})
    lines = [json.dumps({"log": text, "source": text}) for text in (*TEXTS, WORD)]
    job = await send(client, TEXTS[1] + ".ndjson", "\n".join(lines).encode())
    await client.send(f"{job}/run", {})
    told = await until(client, job, "finished", "failed")
    assert told["state"] == "finished", told["failure"]
    return job, str(json.loads(made)["draft"])


def _noted(state: NodeState, store: Any) -> None:
    note_node(store, state)


def pages(job: str, draft: str) -> list[str]:
    """Every page, with numbers and ids that are there."""
    found = []
    for route in routes(""):
        path = route.path.replace("{id:[0-9a-f]{16}}", FIRST)
        path = path.replace("{job:[0-9a-f]{16}}", job.rpartition("/")[2])
        path = path.replace("/drafts/{number:[0-9]{1,9}}", f"/drafts/{draft}")
        path = path.replace("{number:[0-9]{1,9}}", "1")
        if (
            route.method == "GET"
            and "{" not in path
            and not re.search(r"\.\w+$|/result|/v1/|/p/", path)
        ):
            found.append(path)
    return found


async def test_no_text_runs_turns_or_stretches_a_page(tmp_path: Path) -> None:
    async with opened(own_rules_in(tmp_path)) as client:
        job, draft = await fill(client)
        where = client.running.address
        seen = [*pages(job, draft), f"/rules/edit?from={FIRST}", f"{job}?change=1"]
        seen += [f"/patterns/{pattern_id(one)}" for one in (MASKS[3], MASKS[4], MASKS[-1])]
        seen += ["/review?queue=unsure", f"/patterns?said={TEXTS[1]}&fault={TEXTS[2]}"]
        seen += [f"/patterns?sel={pattern_id(one)}&{quote(TEXTS[0])}=1" for one in MASKS[:2]]
        seen.append(f"/models/compare?a={quote(TEXTS[0])}&b={quote(TEXTS[1])}")
        # What is not there, or no page, is a fault in the console of a browser.
        seen = [path for path in seen if "<h1" in (await client.get(path))[1]]
        assert len(seen) > 25
        wanted = {"wide": 0, "heads": 1, "raw": False, "foreign": 0, "broken": None}
        wrong = []
        async with browsing(client, viewport={"width": 1280, "height": 800}) as page:
            for path in seen:
                reply = await page.goto(where + path)
                told = await page.evaluate(LOOK)
                told["wide"] = max(0, told["wide"])
                size = len(await reply.body())
                if told != wanted or size > MOST_BYTES or reply.status >= 500:
                    wrong.append((path, reply.status, size, told))
            assert wrong == []
            await page.goto(f"{where}/patterns")
            await page.keyboard.press("*")
            await page.keyboard.press("j")
            await page.keyboard.press("w")
            assert await page.locator("[data-bulk]").is_visible()
            await page.locator('[data-bulk] [data-key="1"]').click()
            await page.locator("[data-bulk] [data-send]").click()
            await page.get_by_role("status").filter(has_text=re.compile(r"Corrected \d")).wait_for()
            assert (await page.evaluate(LOOK))["broken"] is None
        await exports(client, job)


async def exports(client: Client, job: str) -> None:
    """What is taken away can be read, and no spreadsheet runs it."""
    _, text = await client.get("/patterns.csv")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == len(set(MASKS)) + 1
    assert [cell for row in rows for cell in row if cell.startswith(FORMULA)] == []
    _, text = await client.get("/patterns.json")
    assert text
    json.loads(text)
    _, text = await client.get("/corrections.ndjson")
    assert decode_correction(text.splitlines()[0].encode()).note == TEXTS[0][:300]
    _, text = await client.get("/changes/1.patch")
    assert text.isprintable() or "\x1b" not in text
    _, text = await client.get(f"{job}/result")
    assert len([json.loads(line) for line in text.splitlines()]) == len(TEXTS) + 1

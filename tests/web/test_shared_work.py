"""Several tabs, several people, and places that cannot be written: nobody overwrites anybody, and
nothing that was typed is lost.
"""

from __future__ import annotations

import errno
import html
import json
import os
import re
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from yarl import URL

from tests.web.conftest import Client, opened, settings_for
from tests.web.test_browser import browsing
from tests.web.test_browser import pytestmark as in_browser
from waybill.web import ways
from waybill.web.trials import Trial

OWN = "rules:\n- {id: own, label: Error, pattern: 'rejected'}\n"
MINE = OWN + "- {id: mine, label: Error, pattern: 'mine'}\n"
THEIRS = OWN + "- {id: theirs, label: Error, pattern: 'theirs'}\n"
NAME = "10-own.yaml"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / NAME).write_text(OWN)
    return folder


def opened_with(folder: Path, tmp_path: Path) -> AbstractAsyncContextManager[Client]:
    settings = settings_for(tmp_path, folder=str(folder), apply="folder")
    rules = msgspec.structs.replace(settings.rules, extra_paths=(str(folder),))
    return opened(msgspec.structs.replace(settings, rules=rules))


async def base_of(client: Client) -> str:
    _, text = await client.get(f"/rules/edit?file={NAME}")
    found = re.search('name="base" value="([^"]*)"', text)
    assert found is not None
    return found[1]


async def save(client: Client, text: str, **more: object) -> dict[str, object]:
    fields = {"file": NAME, "text": text, "base": "x", **{k: str(v) for k, v in more.items()}}
    told: dict[str, object] = json.loads((await client.send("/drafts", fields))[1])
    return told


async def test_two_tabs_with_one_draft_keep_both_texts(browser: Client) -> None:
    first = await save(browser, OWN)
    mine = await save(browser, MINE, **first)
    assert mine["draft"] == first["draft"]
    # The other tab has still the draft as it was first.
    theirs = await save(browser, THEIRS, **first)
    assert theirs["draft"] != mine["draft"]
    assert html.escape("id: mine") in (await browser.get(f"/drafts/{mine['draft']}"))[1]
    assert html.escape("id: theirs") in (await browser.get(f"/drafts/{theirs['draft']}"))[1]
    again = await save(browser, MINE + "\n", **mine)
    assert again["draft"] == mine["draft"]


@pytest.mark.parametrize("other", [NAME, "20-other.yaml"])
async def test_who_applies_meanwhile_is_not_overwritten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    async with opened_with(folder, tmp_path) as client:
        base = await base_of(client)

        async def slow_trial(*_: object) -> Trial:
            (folder / other).write_text(THEIRS)
            return Trial(None, 0.0)

        monkeypatch.setattr(client.running.bench.trials, "attempt", slow_trial)
        form = {"file": NAME, "text": MINE, "base": base, "shown": "0", "do": "apply"}
        status, text = await client.send("/rules/edit", form)
        assert status == 409
        assert "Not applied" in text
        assert "id: mine" in text
        assert (folder / other).read_text() == THEIRS
        assert (folder / NAME).read_text() != MINE


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "look at the folder's rights"),
        (errno.EACCES, "look at the folder's rights"),
        (errno.ENOSPC, "make room and try again"),
        (errno.EIO, "nothing changed"),
    ],
)
async def test_a_folder_that_cannot_be_written_says_so_and_keeps_the_draft(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(_: str) -> None:
        raise OSError(number, os.strerror(number))

    async with opened_with(folder, tmp_path) as client:
        base = await base_of(client)
        draft = await save(client, MINE)
        monkeypatch.setattr(ways, "writing", refuse)
        form = {"file": NAME, "text": MINE, "base": base, "do": "apply"}
        status, text = await client.send("/rules/edit", {**form, "draft": str(draft["draft"])})
        assert status == 200
        assert words in html.unescape(text)
        assert os.strerror(number) in text
        assert f"draft {draft['draft']}" in text
        assert "id: mine" in text
        assert (folder / NAME).read_text() == OWN
        monkeypatch.undo()
        await client.send("/rules/edit", form)
        assert (folder / NAME).read_text() == MINE


async def test_a_copy_that_cannot_be_written_keeps_no_change_from_travelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    async with opened(settings_for(tmp_path, apply="follow")) as client:
        base = await base_of(client)
        monkeypatch.setattr(ways, "_mirror", refuse)
        form = {"file": NAME, "text": OWN, "base": base, "do": "apply"}
        status, text = await client.send("/rules/edit", form)
        assert (status, "Recorded." in text) == (200, True)
        await client.running.bench.collector.collect()
        monkeypatch.undo()
        await client.running.bench.collector.collect()
        assert client.running.bench.rulebook.files() == {NAME: OWN}


async def logged_in(client: Client, token: str) -> None:
    where = f"{client.running.address}/login"
    async with client.session.post(where, data={"token": token}) as reply:
        assert reply.status == 200


async def test_a_form_from_before_a_new_login_is_kept(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann review s3cret\nbob review 0ther\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as client:
        await logged_in(client, "s3cret")
        old = await client.token()
        await logged_in(client, "0ther")
        sent = {"file": NAME, "text": MINE, "form_token": old, "do": "try"}
        where = client.running.address + "/rules/edit"
        async with client.session.post(where, data=sent, headers={"Accept": "text/html"}) as reply:
            assert reply.status == 403
            text = await reply.text()
        assert "This form is from before you logged in" in text
        kept = dict(re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)"', text))
        assert html.unescape(kept["text"]) == MINE
        assert kept["form_token"] != old
        async with client.session.post(where, data=sent) as reply:  # a script
            assert (reply.status, "send it once more" in await reply.text()) == (403, True)


async def log_in(page: Any, where: str) -> None:
    await page.goto(f"{where}/login")
    await page.locator("input[name=token]").fill("s3cret")
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("link", name="Overview").wait_for()


@pytest.mark.skipif(in_browser[2].args[0], reason="no chromium")
@pytest.mark.timeout(180)
async def test_what_is_typed_outlives_a_login_that_ends(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann apply s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as client:
        where = client.running.address
        async with browsing(client, "the server responded with a status of 40") as page:
            await log_in(page, where)
            await page.goto(f"{where}/rules/edit")
            await page.locator(".cm-content").click()
            await page.keyboard.type("# one ")
            await page.get_by_text(re.compile(r"draft \d+ saved")).wait_for()
            await page.context.clear_cookies()
            await page.locator(".cm-content").click()
            await page.keyboard.type("# two ")
            await page.get_by_text("You are logged out since").wait_for()
            other = await page.context.new_page()
            await log_in(other, where)
            await other.close()
            await page.get_by_text(re.compile(r"draft \d+ saved")).wait_for()
            assert not await page.locator("#silent").is_visible()
            await page.reload()
            assert "# two" in await page.locator("#text").input_value()


LIST = "/patterns?state=undecided&source=shop&sort=-seen"
PAGE = {"Accept": "text/html"}


async def test_a_link_survives_the_login(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as client:
        where = client.running.address
        async with client.session.get(where + LIST, headers=PAGE) as reply:
            assert reply.url.path == "/login"
            text = await reply.text()
        kept = re.search('name="to" value="([^"]*)"', text)
        assert kept is not None
        assert html.unescape(kept[1]) == LIST
        for token in ("wrong", "s3cret"):
            fields = {"token": token, "to": LIST}
            async with client.session.post(f"{where}/login", data=fields) as reply:
                assert (str(reply.url) == where + LIST) == (token == "s3cret")
        for elsewhere in (
            "https://evil/",
            "//evil/",
            "/\\evil",
            "javascript:1",
            "/a b",
            "/a\r\nb: c",
        ):
            fields = {"token": "s3cret", "to": elsewhere}
            async with client.session.post(f"{where}/login", data=fields) as reply:
                assert str(reply.url) == f"{where}/"


async def test_a_link_of_another_site_leads_on_with_the_cookie(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read s3cret\n")
    linked = {**PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as client:
        where = client.running.address
        async with client.session.get(where + LIST, headers=linked) as reply:
            assert reply.status == 200
            assert reply.headers["Refresh"] == f"0; url={LIST}"
            assert html.escape(LIST) in await reply.text()
        for odd in ("//evil/", "/%0d%0ab:c", "/\\evil"):
            url = URL(where + odd, encoded=True)
            async with client.session.get(url, headers=linked) as reply:
                assert "Refresh" not in reply.headers


@pytest.mark.skipif(in_browser[2].args[0], reason="no chromium")
@pytest.mark.timeout(180)
async def test_whoever_is_logged_in_follows_a_link_of_another_site(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as client:
        where = client.running.address
        async with browsing(client) as page:
            await log_in(page, where)
            link = f'<a href="{where}{LIST}">look</a>'
            await page.goto(f"data:text/html,{quote(link)}")
            await page.get_by_text("look").click()
            await page.get_by_text("of 0 patterns").wait_for()
            assert page.url == where + LIST


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "-1", "x"])
async def test_a_number_that_is_none_is_as_if_it_were_not_there(
    browser: Client, number: str
) -> None:
    odd = quote(number)
    for path in ("/-/trials/none?draft=", "/review?confirm=", "/review?started=", "/rules?from="):
        assert (await browser.get(path + odd))[0] == 200
    told = await save(browser, OWN, draft=number)
    assert told["draft"]

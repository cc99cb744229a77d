"""Who may do what, and what a page of somebody else's cannot do."""

from __future__ import annotations

import asyncio
import html
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.web.conftest import Client, opened, pattern, settings_for
from waybill.core.errors import ConfigError
from waybill.core.pattern import pattern_id
from waybill.web.app import running_workbench
from waybill.web.auth import User
from waybill.web.kept_forms import KeptForm, keep_form, read_kept
from waybill.web.store.corrections import export
from waybill.web.views import patterns

MASK = "order <id> rejected"
CORRECT = f"/patterns/{pattern_id(MASK)}/correct"


async def test_every_answer_forbids_scripts_of_others(browser: Client) -> None:
    for path in ("/", "/nowhere", "/static/app.js", "/patterns/xyz"):
        async with browser.session.get(browser.running.address + path) as reply:
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe-inline" not in policy
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            text = await reply.text()
            assert " style=" not in text
            assert " onclick=" not in text


async def test_a_name_of_somebody_elses_is_refused(browser: Client) -> None:
    status, _ = await browser.get("/", Host="evil.example")
    assert status == 421


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["origin", "fetch"],
)
async def test_a_form_of_another_site_is_refused(browser: Client, headers: dict[str, str]) -> None:
    await browser.put(pattern(MASK))
    status, _ = await browser.send(CORRECT, {"label": "Error"}, **headers)
    assert status == 403
    status, _ = await browser.send(CORRECT, {"label": "Error", "form_token": "0" * 64})
    assert status == 403
    assert await browser.running.bench.database.read(export) == b""


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_a_page_that_fails_says_so_and_why_is_in_the_log(
    browser: Client,
    accept: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the disk of the page is wobbly")

    monkeypatch.setattr(patterns, "_read", broken)
    status, text = await browser.get("/patterns?q=s3cret", Accept=accept)
    assert (status, "its log says where" in text) == (500, True)
    assert ("Something failed here" in text) is (accept == "text/html")
    (record,) = [one for one in caplog.records if one.exc_info]
    assert "wobbly" in str(record.exc_info)
    assert record.__dict__["path"] == "/patterns"
    assert "s3cret" not in caplog.text
    _, told = await browser.get("/metrics")
    assert "waybill_workbench_requests_failed_total 1.0" in told


async def test_a_token_lets_in_as_far_as_its_scope(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may what\nann review s3cret\nbob read other\n")
    settings = settings_for(tmp_path, tokens_file=str(tokens))
    async with opened(settings) as browser:
        await browser.put(pattern(MASK))
        status, text = await browser.get("/patterns", Accept="text/html")
        assert "Log in" in text
        status, _ = await browser.get("/patterns.json")
        assert status == 401
        status, _ = await browser.get("/patterns.json", Authorization="Bearer wrong")
        assert status == 401
        status, _ = await browser.get("/patterns.json", Authorization="Bearer other")
        assert status == 200
        bench = browser.running.address + CORRECT
        for token, expected in (("other", 403), ("s3cret", 200)):
            headers = {"Authorization": f"Bearer {token}"}
            async with browser.session.post(bench, data={"label": "Error"}, headers=headers) as one:
                assert one.status == expected
        assert b'"by":"ann"' in await browser.running.bench.database.read(export)


async def test_a_code_logs_in_once(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann apply s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        link = browser.running.login_link()
        async with browser.session.get(link) as reply:
            assert reply.url.path == "/"
        browser.session.cookie_jar.clear()
        async with browser.session.get(link) as reply:
            assert "This login link works once" in await reply.text()


def test_a_cookie_of_another_key_is_nobodys(tmp_path: Path) -> None:
    from waybill.web.auth import Door

    tokens = tmp_path / "tokens"
    tokens.write_text("ann apply s3cret\n")
    settings = settings_for(tmp_path, tokens_file=str(tokens)).workbench
    cookie = Door(settings, b"a" * 32).cookie_for(User("ann", "apply"))
    assert Door(settings, b"a" * 32)._user_in(cookie) == User("ann", "apply")
    assert Door(settings, b"b" * 32)._user_in(cookie) is None
    assert Door(settings, b"a" * 32)._user_in(cookie.replace("apply", "read")) is None
    assert Door(settings, b"a" * 32)._user_in("nonsense") is None
    # Whoever loses their token loses what it opened.
    tokens.write_text("ann apply another\n")
    assert Door(settings, b"a" * 32)._user_in(cookie) is None


@pytest.mark.parametrize("line", ["ann s3cret", "ann admin s3cret", "", "# only this"])
def test_a_file_of_tokens_that_says_nothing_clear_is_refused(tmp_path: Path, line: str) -> None:
    from waybill.web.auth import Door

    tokens = tmp_path / "tokens"
    tokens.write_text(line + "\n")
    with pytest.raises(ConfigError, match=r"workbench\.tokens_file"):
        Door(settings_for(tmp_path, tokens_file=str(tokens)).workbench, b"a" * 32)


async def test_other_machines_need_a_token(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, listen="0.0.0.0:0")
    with pytest.raises(ConfigError, match="reached by other machines"):
        async with running_workbench(settings):
            pass


async def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_for(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConfigError, match=r"workbench\.listen: .*take another port"):
            async with running_workbench(settings):
                pass


async def test_a_chosen_theme_stays_on_every_page(browser: Client) -> None:
    _, text = await browser.get("/keys", Cookie="waybill_theme=dark")
    assert 'data-theme="dark"' in text
    _, text = await browser.get("/keys", Cookie='waybill_theme="><script>')
    assert "data-theme=" not in text.partition("<body>")[0]


async def test_tokens_are_read_as_editors_write_them(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_bytes(b"\xef\xbb\xbfann apply s3cret\r\n\r\n# bob is gone\r\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        status, _ = await browser.get("/patterns.json", Authorization="Bearer s3cret")
        assert status == 200


async def test_a_form_outlives_an_expired_login(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann review s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        await browser.put(pattern(MASK))
        asks = {"Accept": "text/html"}
        where = browser.running.address
        sent = {"label": "Error", "note": 'a "note" <b>', "form_token": "0" * 64}
        async with browser.session.post(where + CORRECT, data=sent, headers=asks) as reply:
            assert reply.status == 401
            text = await reply.text()
        assert "what you sent is kept" in text
        found = re.search('name="kept" value="([^"]*)"', text)
        assert found is not None
        fields = {"token": "s3cret", "kept": html.unescape(found[1])}
        async with browser.session.post(f"{where}/login", data=fields) as reply:
            text = await reply.text()
        assert f'action="{CORRECT}"' in text
        assert await browser.running.bench.database.read(export) == b""
        again = {}
        for name, value in re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)"', text):
            again[name] = html.unescape(value)
        assert again["note"] == sent["note"]
        async with browser.session.post(where + CORRECT, data=again) as reply:
            assert reply.status == 200
        assert b'"label":"Error"' in await browser.running.bench.database.read(export)


async def test_what_is_kept_is_ours_and_bounded(tmp_path: Path) -> None:
    for to in ("//evil", "https://evil/", "/\\evil", "javascript:1", "/a b", "/a\n"):
        assert keep_form(to, []) is None
        assert read_kept(KeptForm(to, ()).written()) is None
    assert keep_form("/a?b=c%20d", [("form_token", "x")]) == KeptForm("/a?b=c%20d", ())
    assert keep_form("/a", [("text", "x" * 300_000)]) is None
    assert read_kept("nonsense") is None
    assert read_kept("") is None
    tokens = tmp_path / "tokens"
    tokens.write_text("ann review s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        for headers in ({}, {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}):
            where = browser.running.address + CORRECT
            async with browser.session.post(where, data={"a": "b"}, headers=headers) as reply:
                assert reply.status in (401, 403)
                assert "kept" not in await reply.text()


async def test_pages_and_their_files_come_compressed_to_who_takes_it(browser: Client) -> None:
    await browser.put(*(pattern(f"message {'x' * n} of <id>") for n in range(60)))
    where = browser.running.address
    _, text = await browser.get("/patterns")
    asset = re.search(r'src="([^"]*app-[^"]*\.js|[^"]*app\.js[^"]*)"', text)
    assert asset is not None
    sizes: dict[tuple[str, str], int] = {}
    whole: dict[tuple[str, str], bytes] = {}
    for path in ("/patterns", asset[1]):
        for accepted in ("identity", "gzip, br"):
            headers = {"Accept-Encoding": accepted}
            async with browser.session.get(where + path, headers=headers) as reply:
                assert reply.headers["Vary"] == "Accept-Encoding"
                whole[path, accepted] = await reply.read()
                sizes[path, accepted] = int(reply.headers["Content-Length"])
                assert reply.headers.get("Content-Encoding", "identity") in accepted
    assert whole[asset[1], "identity"] == whole[asset[1], "gzip, br"]
    for path in ("/patterns", asset[1]):
        assert 2 * sizes[path, "gzip, br"] < sizes[path, "identity"]


async def test_who_leaves_amid_a_form_leaves_no_traceback(
    browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(browser.running.address)
    head = f"POST /login HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 900\r\n"
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(f"{head}Content-Type: {kind}\r\n\r\n--b\r\ntoken=".encode())
        await writer.drain()
        assert (await browser.get("/healthz"))[0] == 200  # so it has been read
        writer.close()
        assert (await browser.get("/healthz"))[0] == 200
    assert not [one for one in caplog.records if one.exc_info]

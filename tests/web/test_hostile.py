"""What strangers, lying sidecars and hostile files can do to the workbench: nothing."""

from __future__ import annotations

import asyncio
import functools
import io
import re
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.input.test_server import SPOILT
from tests.patience import patience, until
from tests.web.conftest import Client, opened, pattern, settings_for, share
from waybill.core.pattern import pattern_id
from waybill.web.form_room import FormRoom
from waybill.web.guesses import Guesses
from waybill.web.routes import routes
from waybill.web.store.nodes import NodeState, note_node
from waybill.web.views import forms
from waybill.web.views.forms import MAX_FORM_BYTES

MASK = "order <id> rejected"
ID = pattern_id(MASK)
HEADERS = (
    b"Host: [",
    b"Host: evil.example",
    b"Cookie: waybill_session=\xff.\xff",
    b"Cookie: waybill_session=form.a.b",
    b"Origin: http://[",
    b"Authorization: Bearer \xff",
    b"Sec-Fetch-Site: \xff",
    b"Expect: \xff",
    b"Content-Type: multipart/form-data",
    b"Content-Type: multipart/form-data; boundary=\xff",
    b"Content-Type: application/x-www-form-urlencoded; charset=nope",
    b"Content-Encoding: gzip",
    b"Waybill-Form-Token: \xc3\xa9",
)
ODD_PATHS = (
    "/static/%00",
    "/static/" + "a" * 5000,
    "/static/..%2fapp.py",
    "/patterns?after=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5&sort=%00&state=%ff&q=%00",
    "/patterns?" + "&".join(["label=a"] * 2000),
    "/find?message=%ed%a0%80%00",
    "/rules/edit?file=../../etc/passwd&message=%00",
    "/review?queue=%ff&skipped=%ff",
    f"/patterns/{ID}?in=%00&said=%ff",
)


def paths() -> list[tuple[str, str]]:
    """Every address, with its method."""
    found = []
    for route in routes(""):
        path = route.path.replace("{id:[0-9a-f]{16}}", ID).replace("{number:[0-9]{1,9}}", "1")
        path = path.replace("{job:[0-9a-f]{16}}", "0" * 16).replace("{name:.+}", "app.js")
        found.append((route.method, path))
    return found


async def status(browser: Client, method: str, path: str, *lines: bytes, body: bytes = b"") -> int:
    url = urlsplit(browser.running.address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    if not any(line.startswith(b"Host") for line in lines):
        lines = (b"Host: 127.0.0.1", *lines)
    head = [f"{method} {path} HTTP/1.1".encode(), *lines, b"Connection: close"]
    head.append(b"Content-Length: %d" % len(body))
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
    try:
        async with patience():
            answer = await reader.read(64)
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1])


async def test_nothing_that_is_sent_is_a_fault_of_ours(browser: Client) -> None:
    await browser.put(pattern(MASK))
    for line in HEADERS:
        for method, path in (("GET", "/patterns"), ("POST", "/login"), ("POST", "/csv")):
            found = await status(browser, method, path, line, body=b"token=%ff")
            assert found < 500, (method, path, line)
    for path in ODD_PATHS:
        assert await status(browser, "GET", path) < 500, path


async def test_no_way_to_write_an_address_needs_no_token(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        await browser.put(pattern(MASK))
        free = ("/login", "/healthz", "/static/")
        for method, path in paths():
            if path.startswith(free):
                continue
            assert await status(browser, method, path) == 401, path
        for path in ("/patterns.json", f"/patterns/{ID}", "/corrections.ndjson"):
            for way in (
                path.upper(),
                f"{path}/",
                f"/{path}",
                f"/login/..{path}",
                f"/static/%2e%2e{path}",
                f"/static/..%2f{path[1:]}",
                f"{path};/login",
                f"{path}?/login",
                f"http://127.0.0.1/login/..{path}",
            ):
                assert await status(browser, "GET", way) in (401, 404), way


async def test_a_form_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read s3cret\n")
    async with opened(settings_for(tmp_path, tokens_file=str(tokens))) as browser:
        address = f"{browser.running.address}/login"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"token=" + b"x" * (MAX_FORM_BYTES + 1)
        async with browser.session.post(address, data=io.BytesIO(body), headers=kind) as reply:
            assert reply.status == 413
        async with browser.session.post(address, data=b"a=b&" * 5000, headers=kind) as reply:
            assert reply.status == 400
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        async with browser.session.post(address, data=b"--b--", headers=kind) as reply:
            assert reply.status == 415


@pytest.mark.parametrize("name", SPOILT)
async def test_a_cookie_in_what_is_no_http_is_not_told_again(browser: Client, name: str) -> None:
    url = urlsplit(browser.running.address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(SPOILT[name])
    async with patience():
        answer = await reader.read()
    writer.close()
    assert re.match(rb"HTTP/1\.[01] 400 ", answer), answer
    assert b"hidden" not in answer
    assert b"aiohttp" not in answer


def test_guessing_tokens_is_slow_and_locks_nobody_out() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    assert guesses.passed("proxy", "ann") == "ann"
    for _ in range(100):
        assert guesses.passed("proxy", None) is None
    assert guesses.passed("proxy", "bob") is None, "a right guess behind many wrong ones"
    assert guesses.passed("proxy", "ann") == "ann"
    assert guesses.passed("elsewhere", "bob") == "bob"
    now[0] += 2
    assert guesses.passed("proxy", "bob") == "bob"
    for i in range(100):
        guesses.passed(f"2001:db8::{i:x}", None)
    assert guesses.passed("2001:db8::ffff", "ann") is None, "one has all addresses beside"
    assert guesses.passed("2001:db8:0:1::1", "ann") == "ann"
    for i in range(10_000):
        guesses.passed(str(i), None)
    assert len(guesses._left) <= 4096


def test_forms_of_strangers_have_so_many_bytes_together() -> None:
    room = FormRoom(100)
    with room.counted() as one, room.counted() as other:
        assert one(4096 + 60)
        assert one(4096 + 90)
        assert not other(4096 + 20), "together they are more"
        assert other(4096), "a token gets in"
        assert other(4096 + 10)
    assert room.held_bytes == 0


async def test_a_form_that_is_refused_leaves_nothing_to_the_collector(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytearray] = []
    read = forms._read

    async def noted(request: web.Request, body: bytearray, grow: Callable[[int], bool]) -> None:
        seen.append(body)
        await read(request, body, grow)

    monkeypatch.setattr(forms, "_read", noted)
    data = io.BytesIO(b"token=" + b"x" * MAX_FORM_BYTES)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    address = f"{browser.running.address}/login"
    async with browser.session.post(address, data=data, headers=kind) as reply:
        assert reply.status == 413
    assert [len(one) for one in seen] == [0]


class Planted(HTMLParser):
    """Finds what a text brought into a page that is more than text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if tag == "xss" or any(name.startswith("on") or name == "xss" for name in names):
            self.found.append(self.get_starttag_text() or tag)
        for name, value in attrs:
            if name in ("href", "src", "action") and (value or "").startswith(("javascript", "//")):
                self.found.append(f"{name}={value}")


def _noted(state: NodeState, store: sqlite3.Connection) -> None:
    note_node(store, state)


EVIL = "\"'><xss onload=1 xss=2>`</script><!--{{7*7}}\u202e\x00\x1b[2J<id>"


async def test_no_text_of_others_becomes_a_part_of_a_page(browser: Client) -> None:
    evil = pattern(
        EVIL,
        share(EVIL, 60, rule=EVIL),
        share("Unclassified", 40),
        sources={EVIL: 100},
        examples=(EVIL,),
    )
    mild = pattern(MASK, examples=(EVIL,))
    await browser.put(evil, mild, node=EVIL)
    database = browser.running.bench.database
    edition = '{"rules": {"version": "<xss>", "refused": {"detail": "<xss onload=1>"}}}'
    states = [
        NodeState(EVIL, EVIL, 1.0, fault=EVIL, head=EVIL),
        NodeState("<xss>", EVIL, 1.0, edition=edition),
    ]
    for state in states:
        await database.write(functools.partial(_noted, state))
    await browser.send(f"/patterns/{ID}/correct", {"label": "Error", "note": EVIL})
    form = aiohttp.FormData()
    form.add_field("form_token", await browser.token())
    form.add_field("file", b"log\n" + EVIL.encode() + b"\n", filename='x"><xss onload=1>.csv')
    async with browser.session.post(f"{browser.running.address}/csv", data=form) as reply:
        assert reply.status == 200
        job = reply.url.path
    quoted = "%22%27%3E%3Cxss%20onload%3D1%3E"
    seen = [path for method, path in paths() if method == "GET" and not path.startswith("/static")]
    seen += [job, f"/patterns/{pattern_id(EVIL)}", f"/-/patterns/{pattern_id(EVIL)}/why"]
    seen += [f"/patterns?q={quoted}&label={quoted}&state={quoted}&sort={quoted}"]
    seen += [f"/patterns/{ID}?in={quoted}&said={quoted}&fault={quoted}", f"/try?line={quoted}"]
    seen += [f"/rules/edit?file={quoted}", f"/find?message={quoted}", f"/review?queue={quoted}"]
    seen += [f"/csv?fault={quoted}", f"/corrections?said={quoted}", "/patterns?state=mixed"]
    for path in seen:
        async with browser.session.get(browser.running.address + path) as reply:
            assert reply.status < 500, path
            if reply.content_type != "text/html":
                continue
            text = await reply.text()
        page = Planted()
        page.feed(text)
        assert not page.found, (path, page.found)
        assert "\u202e" not in text, path


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/evil.yaml", "a/b.yaml", ".evil.yaml", "x"])
async def test_no_rule_file_is_written_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "own"
    settings = settings_for(tmp_path, apply="folder", folder=str(folder))
    async with opened(settings) as browser:
        base = browser.running.bench.rulebook.edition()
        fields = {"file": name, "text": "rules: []\n", "base": base}
        for do in ("apply", "try"):
            status, _ = await browser.send("/rules/edit", {**fields, "do": do})
            assert status < 500
    assert not list(folder.rglob("*"))
    assert {file.name for file in tmp_path.rglob("*.yaml")} == {"a.yaml"}


async def test_a_picture_of_another_site_is_none_of_ours(browser: Client) -> None:
    used = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    found, _ = await browser.get("/patterns.json", **used)
    assert found == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    found, _ = await browser.get(f"/p/{ID}", **link)
    assert found == 200


async def test_a_file_that_breaks_off_leaves_nothing(browser: Client) -> None:
    token = (await browser.token()).encode()
    head = b'--b\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n' + token
    head += b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nlog\n'
    url = urlsplit(browser.running.address)
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    cookie = "; ".join(f"{one.key}={one.value}" for one in browser.session.cookie_jar)
    lines = (
        f"POST /csv HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Length: 99999\r\n"
    )
    lines += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    writer.write(lines.encode() + head)
    await writer.drain()
    jobs = browser.running.bench.jobs
    await until(lambda: jobs._known)
    writer.close()
    await until(lambda: not jobs._known)
    assert not list(jobs._folder.iterdir())

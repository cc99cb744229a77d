"""Forms and addresses that are larger than any that a page of ours makes."""

from __future__ import annotations

import io
import subprocess
import tracemalloc
from pathlib import Path
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.effort import allowed
from tests.gaps import gaps
from tests.web.conftest import Client, opened, pattern, settings_for
from waybill.core.yaml_text import read_yaml
from waybill.web import difference as difference_module
from waybill.web import ruletext
from waybill.web.difference import difference
from waybill.web.form_fields import fields_of
from waybill.web.store.filters import MEMBERS

MASK = "order <id> rejected"
#: Of each some megabytes: what takes long to read of a form.
HARD = {
    "escapes": b"%41" * 600_000,
    "escapes between letters": b"%41a" * 450_000,
    "characters": b"%C3%A9" * 300_000,
    "no escapes": b"%zz" * 600_000,
    "blanks": b"+" * 1_900_000,
}


@given(st.text(alphabet="a&=+%4f1c3\xe9 ;\x00", max_size=60))
def test_a_form_is_read_as_the_library_reads_it(text: str) -> None:
    known = parse_qsl(text, keep_blank_values=True, errors="replace")
    assert fields_of(text.encode(), most=100) == known


@pytest.mark.parametrize("name", HARD)
def test_a_form_takes_little_more_memory_than_it_has_bytes(name: str) -> None:
    tracemalloc.start()
    fields_of(HARD[name], most=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * len(HARD[name])


async def test_no_form_holds_the_others_up(browser: Client) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    address = f"{browser.running.address}/login"
    for name, text in HARD.items():
        data = io.BytesIO(b"token=" + text)
        async with (
            gaps() as found,
            browser.session.post(address, data=data, headers=kind) as reply,
        ):
            assert reply.status == 403
        assert found.worst < allowed(0.05), name


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/patterns/bulk", "query"),
        ("/patterns/undo", "query"),
        ("/review/answer", "skipped"),
        ("/review/answer", "confirm"),
        ("/review/undo", "queue"),
    ],
)
async def test_no_form_leads_to_an_address_that_nobody_reads(
    browser: Client, path: str, field: str
) -> None:
    status, text = await browser.send(path, {field: "x" * 5000, "skip": "1"})
    assert status == 400
    assert field in text


async def test_a_name_that_nothing_has_is_left_out_and_named(browser: Client) -> None:
    await browser.put(pattern(MASK))
    for member in MEMBERS:
        for value in ("x" * 2000, "[" * 2000, "*" * 2000):
            status, text = await browser.get(f"/patterns?{member}={quote(value)}")
            assert status == 200
            assert f"a {member} of 2,000 characters is not known" in text
            query = f"{member}={value}"
            fields = {"all": "on", "label": "Error", "expected": "1", "query": query}
            status, _ = await browser.send("/patterns/bulk", fields)
            assert status == 200


async def test_a_cursor_that_nobody_gave_out_is_not_repeated_in_each_link(browser: Client) -> None:
    await browser.put(*[pattern(f"order <id> rejected by {name}") for name in "abcdefghij" * 3])
    address = URL(f"{browser.running.address}/patterns?after={'a' * 30_000}", encoded=True)
    async with browser.session.get(address) as reply:
        assert reply.status == 200
        assert len(await reply.text()) < 200_000


async def test_of_many_lines_and_of_a_long_source_so_much_is_tried(browser: Client) -> None:
    form = b"form_token=%s&lines=%s&source=%s"
    body = form % ((await browser.token()).encode(), b"\n" * 900_000, b"s\n" * 400_000)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    address = f"{browser.running.address}/try"
    async with (
        gaps() as found,
        browser.session.post(address, data=io.BytesIO(body), headers=kind) as reply,
    ):
        assert reply.status == 200
        assert len(await reply.read()) < 1_000_000
    assert found.worst < allowed(0.05)
    _, text = await browser.send("/try", {"lines": "\r\n\r\none logged in\r\n \r\ntwo\r\n"})
    assert "2 lines in" in text


# ------------------------------------------------------------------------- texts of rules


def rules_called(name: str, count: int) -> str:
    return "rules:\n" + "".join(
        f"- id: {name}-{i}\n  label: Error\n  pattern: 'zzq {i}'\n" for i in range(count)
    )


@pytest.mark.parametrize("change", ["modes", "shadow"])
def test_modes_of_many_rules_take_no_longer_than_their_text_is(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Each by itself, 300 rules took a minute; an address names as many, a form far more."""
    reads = []

    def counted(text: str) -> object:
        reads.append(len(text))
        return read_yaml(text)

    monkeypatch.setattr(ruletext, "read_yaml", counted)
    text = rules_called("own", 200)
    if change == "modes":
        rules = [f"own-{i}" for i in range(200)]
        name, changed, fault = ruletext.with_modes({"a.yaml": text}, [*rules, *rules], "shadow")
        assert name == "a.yaml"
    else:
        changed, fault = ruletext.in_shadow("", text)
    assert (fault, changed.count("mode: shadow")) == ("", 200)
    assert len(reads) < 5


async def test_texts_of_rules_are_read_beside_the_event_loop(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.yaml").write_text(rules_called("own", 1500))
    settings = settings_for(tmp_path, folder=str(tmp_path / "own"))
    async with opened(settings) as client, gaps() as found:
        status, _ = await client.get("/rules/edit?mode=shadow&rule=own-3&rule=nobody")
        assert status == 200
        form = {"file": "b.yaml", "text": rules_called("own", 1500), "do": "shadow"}
        status, text = await client.send("/rules/edit", form)
        assert status == 200
        assert "own-0" in text
    assert found.worst < allowed(0.05)


def test_a_difference_takes_no_longer_than_its_texts_are() -> None:
    """Where each third of 24,000 lines is another one, the library's takes ten seconds."""
    before, after = rules_called("own", 8000), rules_called("new", 8000)
    lines = difference(before, after, "a.yaml")
    assert lines[3:5] == ["-- id: own-0", "-  label: Error"]
    assert len(lines) == 3 + 2 * (3 * 8000 - 2)  # not the lines behind the last that differs


@pytest.mark.parametrize("most", [0, 3, 8000])
@given(
    before=st.lists(st.sampled_from("abc"), max_size=12),
    after=st.lists(st.sampled_from("abcd"), max_size=12),
)
def test_a_difference_leads_from_one_text_to_the_other(
    tmp_path_factory: pytest.TempPathFactory, most: int, before: list[str], after: list[str]
) -> None:
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(difference_module, "_MOST_LINES", most)
        lines = difference(old, new, "a.yaml")
    folder = tmp_path_factory.mktemp("patched")
    (folder / "a.yaml").write_text(old)
    if lines:
        told = "".join(f"{line}\n" for line in lines).encode()
        words = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(words, input=told, cwd=folder, check=True, capture_output=True)
    assert (folder / "a.yaml").read_text() == new

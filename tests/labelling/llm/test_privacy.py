"""What leaves: no planted secret, by any way, whole or in part."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import allowed
from tests.labelling.llm.conftest import Opening
from tests.labelling.llm.standin import Standin
from tests.taxonomies import TEN
from waybill.labelling.llm.errors import PrivacyError
from waybill.labelling.llm.known_secrets import hide_keys, hide_known
from waybill.labelling.llm.named_secrets import hide_named
from waybill.labelling.llm.privacy import MAX_CHARS, Privacy
from waybill.labelling.llm.secret_names import STRONG, WEAK, may_name
from waybill.labelling.llm.signed_secrets import hide_held, hide_signed
from waybill.labelling.llm.spelled_signs import plain_quotes
from waybill.labelling.masking import mask
from waybill.learn.corpus.entries import load_corpus
from waybill.learn.corpus.generate import generate

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "llm"
CORPUS = [
    (row["line"].replace("¦", ""), [secret.replace("¦", "") for secret in row["secrets"]])
    for row in yaml.safe_load((DATA / "privacy.yaml").read_text())
]
SHAPES = yaml.safe_load((DATA / "shapes.yaml").read_text())


def traces(secret: str) -> set[str]:
    """A secret, what the pipeline's mask makes of it, and each of its longer parts."""
    forms = {secret, re.sub("<[a-z]+>", " ", mask(secret)).strip()}
    parts = {part for form in forms for part in re.findall(r"[^\W_]{8,}", form)}
    return {
        trace
        for trace in forms | parts
        if len(trace) > 3 and re.search(r"[^\W\d_]{2}|[1-9]", trace)
    }


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 80


@pytest.mark.parametrize(("line", "secrets"), CORPUS, ids=[line[:40] for line, _ in CORPUS])
@pytest.mark.parametrize("prepare", [str, mask], ids=["raw", "masked"])
def test_no_planted_secret_is_left(line: str, secrets: list[str], prepare: type[str]) -> None:
    cleaned = Privacy().clean(prepare(line))
    leaked = [trace for secret in secrets for trace in traces(secret) if trace in cleaned]
    assert leaked == [], cleaned


def leaks(row: dict[str, object]) -> bool:
    """Whether a shape's secret leaves by the way that lines take: masked, then cleaned."""
    cleaned = Privacy().clean(mask(str(row["line"]).replace("¦", "")))
    secrets = row["secrets"]
    assert isinstance(secrets, list)
    return any(trace in cleaned for secret in secrets for trace in traces(secret))


def test_secrets_of_every_covered_shape_stay() -> None:
    covered = [row for row in SHAPES if "excluded" not in row]
    assert len(covered) >= 200
    assert [row["line"] for row in covered if leaks(row)] == []


def test_what_is_not_covered_is_said() -> None:
    (said,) = re.findall(r"Not covered: (.*?)\n\n", (ROOT / "docs/llm.md").read_text(), re.DOTALL)
    for row in SHAPES:
        assert row.get("excluded", "") in " ".join(said.split())


@pytest.mark.parametrize(
    "name", ["password", "dbPassword", "api_key", "client-secret", "PGPASSWORD"]
)
@pytest.mark.parametrize("value", ["tulpenFELD", "Tulpe#9feld", "'drei nelken'", "zwiebelkuchen"])
@pytest.mark.parametrize(
    "form",
    ["{n}={v}", "{n}: {v}", "x {n} := {v} y", "--{n} {v}", "--{n}={v}", "?{n}={v}&a=1", "<{n}>{v}</{n}>",
     "<a:{n} b='c'>{v}</a:{n}>", "the {n} is {v}", "{{'{n}': {v}}}", "Config({n}={v}, a=1)", "({n}={v})",
     "pre{{{n}:{v}}}", "{n}%3D{v}", "{n} for mira: {v}", "['--{n}', {v}]"],
)  # fmt: skip
def test_named_secrets_stay_in_every_dialect(form: str, name: str, value: str) -> None:
    quoted = value if not form.startswith("<") else value.strip("'")
    line = f"loaded {form.format(n=name, v=quoted)}"
    for prepared in (line, mask(line)):
        cleaned = Privacy().clean(prepared)
        assert not re.search("tulpen|feld|nelken|zwiebel", cleaned, re.IGNORECASE), cleaned


def test_ordinary_lines_are_seldom_taken_for_secrets() -> None:
    """The lines that models are trained on; addresses of persons in them are none of this."""
    broad = ROOT / "sidecar/waybill/learn/corpus/broad"
    examples = generate(load_corpus(TEN, extra=[broad]), per_label=150)[::3]
    taken = []
    for example in examples:
        line = mask(example.text)
        cleaned = Privacy().clean(line)
        if _placeholders(cleaned) > _placeholders(line):
            taken.append((line, cleaned))
    assert len(examples) > 1000
    assert len(taken) <= 0.01 * len(examples), taken


def _placeholders(text: str) -> int:
    return len(re.findall("<(?:secret|card|iban|phone|mac)>", text))


@pytest.mark.parametrize(
    "piece",
    ["password=", "token ", "a", "A0", "aA0", "x=y&", "<pass a=b ", "-p", "'", '\\"', "$1$", "insert into (",
     "BEGIN KEY-----", "://a", "@", "%3D", ":0", "0-", "aa-", "a.b@c.", "/reset/", "Bearer ", "eyJ", "DE00 0",
     "key a!", "token a!b!", '["pin","', 'name="pin"\\r\\n', "\\\\u0", "&amp;", "pin=&", "s:1:", "secret(value=", "hmac('", "login a/"],
)  # fmt: skip
@pytest.mark.parametrize(
    "hide", [hide_named, hide_known, hide_keys, hide_held, hide_signed, plain_quotes]
)
def test_hiding_takes_time_in_proportion(piece: str, hide: Callable[[str], str]) -> None:
    def secs(chars: int) -> float:
        text = (piece * chars)[:chars]
        best = math.inf
        for _ in range(3):
            begin = time.process_time()
            hide(text)
            best = min(best, time.process_time() - begin)
        return best

    # Four times the text; a square would be sixteen times the time. What is quick cannot be told.
    few, many = secs(3000), secs(12_000)
    assert many < allowed(0.01) or many < 8 * few


@settings(max_examples=2000)
@given(st.from_regex(re.compile(rf"(?:{STRONG}|{WEAK})", re.IGNORECASE), fullmatch=True))
def test_whatever_names_a_secret_is_looked_for(name: str) -> None:
    assert may_name(name)


async def test_no_planted_secret_reaches_the_stand_in(opening: Opening, standin: Standin) -> None:
    async with opening(queue_messages=10_000) as bench:
        await bench.label(*(line for line, _ in CORPUS))
        # At other places of a line, and cut by the length limit.
        await bench.label(*(f"worker ready, {line} (again)" for line, _ in CORPUS))
        await bench.label(
            *("x" * cut + " " + line for line, _ in CORPUS for cut in (470, 480, 490, 495))
        )
        await bench.label(
            *("x " * 700 + "y" * cut + " " + line for line, _ in CORPUS for cut in (100, 110, 120))
        )
    sent = "".join(standin.raw)
    assert len(standin.calls) > 10
    assert [
        trace
        for _, secrets in CORPUS
        for secret in secrets
        for trace in traces(secret)
        if trace in sent
    ] == []


@pytest.mark.parametrize(
    "line",
    [
        "Case escalation for ticket ID 7324 failed because the assigned support agent is no longer active.",
        "The 'BulkEmailSender' feature is no longer supported. Use 'EmailCampaignManager' for improved functionality.",
        "token expired, password is incorrect, please pass it to the author",
        "started com.example.billing.InvoiceServiceImpl in 3.217 seconds on port 8080 with basic checks",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6 not found",
        "2026-11-20 22:23:01 order 4111111111111112 shipped, total 1,234.56",
        "compass: north, spin to win, bypass is on",
        "login: ntdll!RtlUserThreadStart called User#authenticate of Auth$Inner for order#17",
        "key nick!user@host left, bar!baz stays, token count: 17, a secret!",
    ],
)
def test_ordinary_lines_stay_as_they_are(line: str) -> None:
    assert Privacy().clean(line) == line


def test_own_patterns_come_first_and_are_bounded_in_time() -> None:
    assert (
        Privacy([r"customer \d+", r"\bK-\w+"]).clean("customer 42 of K-x9 failed")
        == "<private> of <private> failed"
    )
    with pytest.raises(PrivacyError):
        Privacy([r"(?:a|aa|(?:a)+)+$"]).clean("a" * 400 + "c d")
    with pytest.raises(ValueError):
        Privacy(["("])


async def test_a_text_that_cannot_be_cleaned_in_time_does_not_leave(
    opening: Opening, standin: Standin
) -> None:
    async with opening(private_patterns=[r"(?:a|aa|(?:a)+)+$"]) as bench:
        assert (await bench.label("a" * 400 + "c d"))[0][2] == "llm_private"
    assert standin.calls == []


@given(st.text(max_size=700) | st.text(alphabet="pas=:-_ 0aZ@./+\"'\\<>%1", max_size=520))
def test_what_leaves_is_one_bounded_line_of_visible_text(text: str) -> None:
    cleaned = Privacy().clean(text)
    assert len(cleaned) <= MAX_CHARS
    assert all(char.isprintable() or char == " " for char in cleaned), ascii(cleaned)
    assert "  " not in cleaned


@pytest.mark.parametrize(
    "line",
    [
        '"GET /logo.gif HTTP/1.0" 200 51234',
        "GET /api/v1/orders HTTP/1.1 404 512",
        "GET / HTTP/2 500 51234 12",
        "POST /orders 503 1234",
    ],
)
def test_status_and_size_of_a_request_are_no_phone(line: str) -> None:
    assert Privacy().clean(line) == line


@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005",
                                  "3782 822463 10005", "4111111111111111"])  # fmt: skip
@pytest.mark.parametrize("line", ["paid {} now", "200 {}", "HTTP/1.1 200 {}", "order 17 {} 3 of 4"])
def test_a_card_is_masked_whatever_figures_stand_beside(line: str, card: str) -> None:
    assert Privacy().clean(line.format(card)) == line.format("<card>")


@pytest.mark.parametrize("phone", ["0171 2345678", "+49 171 2345678", "212 5551234", "1 212 5551234",
                                   "(212) 555-1234", "212-555-1234"])  # fmt: skip
def test_no_digit_of_a_phone_number_stays(phone: str) -> None:
    cleaned = Privacy().clean(f"call {phone} back")
    assert not re.search(r"\d", cleaned), cleaned

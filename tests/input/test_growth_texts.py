"""Work grows no faster than what comes in: tables, lines, corrections, secrets, and what pages show.

Measured as in `tests.input.test_growth`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.input.test_growth import must_grow_evenly
from waybill.core.correction import encode_correction, new_correction, withdrawal
from waybill.core.errors import CorrectionsError, MalformedError
from waybill.labelling.corrections import redraw
from waybill.labelling.corrections.files import parse_history
from waybill.labelling.corrections.table import make_table
from waybill.labelling.llm import known_secrets
from waybill.labelling.llm.privacy import Privacy
from waybill.settings.sources import load_settings
from waybill.web.text import harmless, log_text, mask_text
from waybill.wire.lines import as_ndjson
from waybill.wire.table.columns import DEFAULT
from waybill.wire.table.rows import MOST_LINES
from waybill.wire.table.table import Table

Work = Callable[[bytes], object]
FIELDS = load_settings(environ={}).fields
PRIVACY = Privacy()


def tabled(data: bytes) -> int:
    """The most rows that come at once of a table that comes as it does over the network."""
    table = Table(FIELDS, DEFAULT, 1 << 30)
    most = 0
    with contextlib.suppress(MalformedError):
        for at in range(0, len(data), 1 << 12):
            most = max(most, len(table.feed(data[at : at + (1 << 12)])))
        most = max(most, len(table.feed(b"", is_last=True)))
    return most


def corrected(data: bytes) -> None:
    with contextlib.suppress(CorrectionsError):
        make_table(parse_history(data, "a.ndjson").corrections)


def varied(data: bytes) -> None:
    text = data.decode()
    list(redraw._values_of([text], text))


def hide_keys_in(data: bytes) -> None:
    known_secrets.hide_keys(data.decode())


def random_in(data: bytes) -> None:
    known_secrets._WORDS.findall(data.decode() + "/")


def lined(data: bytes) -> None:
    as_ndjson(data, "text/plain")


def shown(data: bytes) -> None:
    text = data.decode()
    log_text(text)
    mask_text(text)
    harmless(text)


def cleaned(data: bytes) -> None:
    PRIVACY.clean(data.decode())


def said(n: int, masks: int) -> bytes:
    """``n`` corrections of ``masks`` masks, by turns with two labels."""
    lines = []
    for i in range(n):
        label = ("Error", "Resource Usage")[i // masks % 2]
        lines.append(new_correction(f"m {i % masks}", label, by="ann", note=str(i)))
    return b"".join(map(encode_correction, lines))


def withdrawn(n: int) -> bytes:
    """A correction, and each line takes back the one before."""
    lines = [new_correction("m", "Error", by="ann")]
    for _ in range(n):
        lines.append(withdrawal(lines[-1], by="ann"))
    return b"".join(map(encode_correction, lines))


CASES: dict[str, tuple[Work, Callable[[int], bytes], int]] = {
    "table: rows": (tabled, lambda n: b"log\n" + b"x\n" * n, 4_000),
    "table: an open quote": (
        tabled,
        lambda n: b'log\n"' + b"\n" * n,
        MOST_LINES // 4,  # beyond the most, other work is done: see below
    ),
    "table: quotes": (tabled, lambda n: b"log\n" + b'"' * n, 100_000),
    "table: quoted quotes": (
        tabled,
        lambda n: b'log\n"' + b'""\n' * n,
        MOST_LINES // 4,  # beyond the most, other work is done: see below
    ),
    "table: three quotes": (
        tabled,
        lambda n: b"log\n" + b'"""\n' * n,
        4_000,
    ),
    "table: open": (
        tabled,
        lambda n: b'log\n"' + b"a" * n,
        100_000,
    ),
    "table: no head": (tabled, lambda n: b"a" * n, 100_000),
    "table: blank lines": (tabled, lambda n: b"\n" * n, 20_000),
    "table: cells": (tabled, lambda n: b"log\n" + b"," * n, 100_000),
    "table: names": (tabled, lambda n: b"log," * n + b"\n", 20_000),
    "lines": (lined, lambda n: b"x\n" * n, 10_000),
    "lines: pairs": (lined, lambda n: b"a=b " * n, 4_000),
    "lines: quotes": (lined, lambda n: b'a="\\"' * n, 10_000),
    "lines: opened": (lined, lambda n: b"{\n" * n, 10_000),
    "corrections of one mask": (corrected, lambda n: said(n, 1), 300),
    "corrections of many": (corrected, lambda n: said(n, n), 300),
    "corrections taken back": (corrected, withdrawn, 300),
    "corrections: blanks": (corrected, lambda n: b" \n" * n, 10_000),
    "corrections: values": (varied, lambda n: b"a-" * n, 500),
    "corrections: ids": (varied, lambda n: b"abcdef-1 " * n, 500),
    "keys: dashes": (hide_keys_in, lambda n: b"BEGIN" + b"-" * n, 1_000),
    "keys: words": (random_in, lambda n: b"AaaaA1" + b"A" * n, 500),
    "page: escapes": (shown, lambda n: b"\x1b[" * n, 20_000),
    "page: titles": (shown, lambda n: b"\x1b]" * n, 20_000),
    "page: marks": (shown, lambda n: "\u202e\x00<id>0 ".encode() * n, 4_000),
    "secrets: words": (cleaned, lambda n: b"password " * n, 500),
    "secrets: pairs": (cleaned, lambda n: b"token=a " * n, 500),
    "secrets: addresses": (cleaned, lambda n: b"a@b." * n, 1_000),
    "secrets: one word": (cleaned, lambda n: b"aB3-" * n, 1_000),
    "secrets: quotes": (cleaned, lambda n: b'"key":"' * n, 500),
}


@pytest.mark.parametrize("name", CASES)
def test_work_grows_no_faster_than_the_input(name: str) -> None:
    must_grow_evenly(*CASES[name])


@pytest.mark.parametrize("start", [b'log\n"', b'log\nx,"'])
def test_an_open_quote_is_bounded_in_lines(start: bytes) -> None:
    """Each line that turns out to be a row takes hundreds of bytes: 64 MB of them took 20 GB."""
    assert tabled(start + b"\n" * (4 * MOST_LINES)) <= 2 * MOST_LINES + (1 << 12)

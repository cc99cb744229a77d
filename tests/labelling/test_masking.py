"""Shape and mask: pure, bounded, and blind to what varies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.labelling.masking import MASK_CHARS, mask, shape, shapes

ANY_TEXT = st.text(st.characters(exclude_categories=()))
LOG_TEXT = st.text("0123456789abcdefxT:.-/[] +<>()=_*ZIEWF\t\n", max_size=300)


@given(ANY_TEXT | LOG_TEXT)
def test_shape_replaces_every_ascii_digit_and_nothing_else(text: str) -> None:
    assert shape(text) == "".join("0" if char in "123456789" else char for char in text)


@given(ANY_TEXT | LOG_TEXT)
def test_mask_is_a_function_of_the_shape(text: str) -> None:
    assert mask(text) == mask(shape(text))


@given(ANY_TEXT | LOG_TEXT)
def test_mask_is_bounded_and_folded(text: str) -> None:
    masked = mask(text)
    assert len(masked) <= MASK_CHARS
    assert masked == masked.strip()
    assert not set("123456789\t\n") & set(masked)


@given(LOG_TEXT)
def test_mask_does_not_see_surrounding_whitespace(text: str) -> None:
    assert mask(f" \n {text} \t") == mask(text)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("2026-11-20 22:23:01,117 ERROR [pool-3] refused", "ERROR [pool-0] refused"),
        ("2026-11-20T22:23:01.117Z ready", "ready"),
        ("[20/Nov/2026:22:23:01 +0000] ready", "ready"),
        ("Nov 20 22:23:01 web-01 sshd[221]: bye", "sshd[0]: bye"),
        ("E1120 22:23:01.123456    1234 a.go:55] gone", "ERROR a.go:0] gone"),
        ("from 10.0.0.7:5432 to 192.168.1.0/24", "from <ip> to <ip>"),
        ("peer 2001:db8::8:800 mac 00:1b:44:11:3a:b7", "peer <ip> mac <ip>"),
        ("req b9718cd8-f65e-49cc-8349-6cf7122af137 done", "req <id> done"),
        ("at 0xdeadbeef in 4f9a8c77d1e0", "at <id> in <id>"),
        ("epoch 1732142581 of 3,000,123", "epoch 0 of 0"),
        ("facade decade 100%", "facade decade 0%"),
        ("a..........b", "a...b"),
        ("master@10.10.34.11:48069 up", "master@<ip> up"),
        ("2005-06-14-10.37.26.925212 up", "up"),
        ("<134>1 2026-11-20T22:23:01Z web-01 billing 12 - - late", "billing: late"),
        ("2026-11-20T22:23:01Z INFO billing: late", "INFO billing: late"),
        ("2026-11-20T22:23:01.117Z stdout F late", "late"),
        ("- 1118770646 R27-M1-N4-C:J14-U11 RAS KERNEL late", "RAS KERNEL late"),
        ('{"ts":17.2,"level":"warn","n":3,"msg":"a \\"b\\""}', 'warn a "b" n=0'),
        ('time=2026-11-20T22:23:01Z level=warn n=3 msg="is late"', "warn is late n=0"),
        ('{"log":"{\\"level\\":\\"warn\\",\\"msg\\":\\"late\\"}\\n"}', "warn late"),
        ('{ "level" : "warn", "n" : 3, "msg" : "late" }', "warn late n=0"),
        ("<134>gate: closed", "gate: closed"),
        ("", ""),
        ("12", "0"),
    ],
)
def test_mask_collapses_what_varies(message: str, expected: str) -> None:
    assert mask(message) == expected


@pytest.mark.parametrize(
    "unit", ["0", "0.", ":", "0a", "00:", "a", "[00", "0000-00-00 ", "0:", "-", "0x"]
)
def test_mask_of_a_repeated_unit_is_bounded(unit: str) -> None:
    """Patterns are linear; what could hang a backtracking matcher comes back at all."""
    assert len(mask(unit * 100_000)) <= MASK_CHARS


def test_a_lone_surrogate_survives() -> None:
    assert shape("\ud800 17") == "\ud800 00"


@given(st.lists(st.text(alphabet="a0123456789\0 \u00e9\ud800", max_size=6), max_size=6))
def test_shapes_are_the_shape_of_each(texts: list[str]) -> None:
    assert shapes(texts) == list(map(shape, texts))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "CEF:0|acme|gate|1.2|7|locked out|3|cat=Alert act=User locked out msg=too many tries",
            'CEF:0|acme|gate|0|0|locked out|0| too many tries cat=Alert act="User locked out"',
        ),
        (
            "conn=12 op=0 RESULT err=1 text=TLS already started",
            'TLS already started conn=0 op="0 RESULT" err=0',
        ),
        ('gate closed: level=warn msg="is late" by=jane', "gate closed: warn is late by=jane"),
        ('level=warn msg="is late", and more', "warn is late, and more"),
        (
            '<134>1 2026-11-20T22:23:01Z web-01 billing 12 - [pay@1 sev="high" msg="card refused"]',
            "billing: card refused sev=high",
        ),
        (
            '<134>1 2026-11-20T22:23:01Z web-01 billing 12 - [a@1 b="x\\]y z"][c@1 d="e"]',
            'billing: b="x\\]y z" d=e',
        ),
        (
            '<134>1 2026-11-20T22:23:01Z web-01 billing 12 - [pay@1 sev="high"] late',
            "billing: late",
        ),
    ],
)
def test_no_word_of_a_structured_line_is_lost(message: str, expected: str) -> None:
    assert mask(message) == expected


@pytest.mark.parametrize(
    "unit", ["a=", "a=b ", 'a="', "msg=a ", "<134>1 ", '[a b="', "{ ", '{ "a"']
)
def test_members_without_end_are_bounded(unit: str) -> None:
    for start in ("msg=", '{"', "<134>1 2026-11-20T22:23:01Z h a 1 - ["):
        assert len(mask(start + unit * 50_000)) <= MASK_CHARS

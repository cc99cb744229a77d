"""Tokens follow their file, and a file that cannot be meant does not lock anyone out."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from waybill.core.errors import ConfigError
from waybill.ops.tokens import Tokens, TokenScope, token_to_send
from waybill.ops.watched import WatchedFile

_stamps = itertools.count(1_700_000_000)


class Rig:
    """A token file, the tokens that follow it, and a clock."""

    def __init__(self, folder: Path, content: bytes = b"one-token\ntwo-token\n") -> None:
        self.file = folder / "tokens"
        self.now = 0.0
        self.said: list[tuple[int, str]] = []
        self.write(content, wait_secs=0)
        watched = WatchedFile(self.file, lambda: self.now)
        self.tokens = Tokens(watched, lambda *state: self.said.append(state), lambda: self.now)

    def write(self, content: bytes, wait_secs: float = 2.0) -> None:
        self.file.write_bytes(content)
        stamp = next(_stamps)
        os.utime(self.file, (stamp, stamp))
        self.now += wait_secs

    def valid(self, *names: str) -> list[bool]:
        return [self.scope(name) is not None for name in names]

    def scope(self, name: str) -> TokenScope | None:
        return self.tokens.scope_of(f"Bearer {name}")


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"# no token\n", bytes(40), b"one-\x00", b"\xff\xfeo\x00n\x00", b"one-to"],
    ids=["empty", "blank", "comments", "zeros", "NUL", "UTF-16", "cut in a token"],
)
def test_a_file_that_holds_no_whole_token_leaves_those_before_it_valid(
    rig: Rig, content: bytes
) -> None:
    rig.write(content)
    for _ in range(5):
        assert rig.valid("one-token", "two-token", "one-to") == [True, True, False]
        rig.now += 2
    count, problem = rig.said[-1]
    assert (count, bool(problem)) == (2, True)
    rig.write(b"three-token\n")
    assert rig.valid("one-token", "three-token") == [False, True]
    assert rig.said[-1] == (1, "")


def test_what_may_be_half_written_takes_nothing_away_until_it_has_settled(rig: Rig) -> None:
    rig.write(b"one-token\n")
    assert rig.valid("one-token", "two-token") == [True, True]
    rig.now += 4
    assert rig.valid("one-token", "two-token") == [True, False]


def test_a_last_line_without_an_end_is_believed_when_it_has_settled(rig: Rig) -> None:
    rig.write(b"three-token\nfour-tok")
    assert rig.valid("one-token", "three-token", "four-tok") == [True, True, False]
    rig.write(b"three-token\nfour-token\n")
    assert rig.valid("one-token", "three-token", "four-token") == [False, True, True]
    rig.write(b"five-token")
    rig.tokens.refresh()
    rig.now += 4
    assert rig.valid("four-token", "five-token") == [False, True]


def test_what_comes_back_as_it_was_is_no_trouble_any_more(rig: Rig) -> None:
    content = rig.file.read_bytes()
    rig.write(b"")
    assert rig.valid("one-token") == [True]
    assert "empty" in rig.said[-1][1]
    rig.write(content)
    assert rig.valid("one-token") == [True]
    assert rig.said[-1] == (2, "")


def test_a_file_without_a_token_is_a_fault_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http\.tokens_file: .* holds no token"):
        Rig(tmp_path, b"# later\n")


def test_a_line_says_that_its_token_only_ships(rig: Rig) -> None:
    rig.write(b"\xef\xbb\xbfship one-token\n  ship\tBearer three-token\n# ship x\ntwo-token\n")
    scopes = [rig.scope(name) for name in ("one-token", "three-token", "two-token", "ship", "x")]
    assert scopes == ["ship", "ship", "all", None, None]
    rig.write(b"one-token\nship two-token\n")
    assert [rig.scope(name) for name in ("one-token", "two-token")] == ["all", "ship"]
    rig.write(b"ship one-token\none-token\nship two-token\n")
    assert [rig.scope(name) for name in ("one-token", "two-token")] == ["all", "ship"]


@pytest.mark.parametrize("cut", [b"s", b"shi", b"ship", b"ship ", b"ship tw", b"ship  ship\n\0"])
def test_a_line_that_is_cut_opens_nothing_more(rig: Rig, cut: bytes) -> None:
    rig.write(b"one-token\nship two-token\n")
    assert rig.scope("two-token") == "ship"
    rig.write(b"one-token\n" + cut)
    for _ in range(4):
        found = [rig.scope(name) for name in ("one-token", "two-token", "s", "shi", "ship", "tw")]
        assert found == ["all", "ship", None, None, None, None]
        rig.now += 2
    assert rig.said[-1][1]


def test_a_scope_without_a_token_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http.tokens_file: line 3: expected a token behind"):
        Rig(tmp_path, b"# shippers\n\nship\n")


@pytest.mark.parametrize(
    ("scope", "content", "token"),
    [
        ("ship", b"# shippers\nship one-token\ntwo-token\n", "one-token"),
        ("all", b"\xef\xbb\xbfship one-token\r\n\r\nBearer two-token\r\nthree\r\n", "two-token"),
        ("all", b"two-token", "two-token"),
    ],
)
def test_who_asks_takes_a_token_that_opens_enough(
    scope: TokenScope, content: bytes, token: str
) -> None:
    assert token_to_send(content, "--token-file t", scope) == token


@pytest.mark.parametrize(
    ("content", "words"), [(b"# none\n", "holds no token"), (b"ship one-token\n", "only ship")]
)
def test_a_file_without_such_a_token_is_named(content: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=f"--token-file t: .*{words}"):
        token_to_send(content, "--token-file t", "all")

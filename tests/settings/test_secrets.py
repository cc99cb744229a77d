"""Every secret is read by one grammar: what stands around it goes, what no secret can have is said."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from waybill.core.errors import ConfigError
from waybill.settings.catalogue import catalogue
from waybill.settings.schema import Secret
from waybill.settings.secrets import (
    clean_secret,
    environment_secret,
    read_secret,
    secret_in,
    secrets_in,
)
from waybill.settings.sources import read_settings

AROUND = ["{}", "{}\n", "{}\r\n", " {}\t", "\ufeff{}", "\ufeff{}\r\n\r\n"]
NO_TOKENS = ["a b", "a\x00b", "a\x07b", "gsk_\u00fc", "a\u200bb", "a\x85b", "a\nb"]


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_around_a_secret_goes(tmp_path: Path, around: str) -> None:
    file = tmp_path / "secret"
    file.write_text(around.format("gsk_abc"), "utf-8", newline="")
    assert clean_secret(around.format("gsk_abc"), "KEY") == "gsk_abc"
    assert read_secret(file, "llm.api_key_file") == "gsk_abc"
    assert environment_secret(["KEY"], {"KEY": around.format("gsk_abc")}) == "gsk_abc"
    assert environment_secret(["KEY"], {"KEY_FILE": str(file)}) == "gsk_abc"


@pytest.mark.parametrize("text", NO_TOKENS)
def test_what_cannot_be_sent_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clean_secret(text, "GROQ_API_KEY")
    (problem,) = caught.value.problems
    assert problem.startswith("GROQ_API_KEY: character ")
    assert text not in problem


@pytest.mark.parametrize("text", ["key with blanks", "Schl\u00fcssel"])
def test_a_shared_key_is_any_line_of_printable_text(text: str) -> None:
    assert secret_in(f"{text}\n".encode(), "x", is_header=False) == text
    for odd in ("a\x00b", "a\tb\x7f"):
        with pytest.raises(ConfigError, match="control character"):
            secret_in(odd.encode(), "x", is_header=False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "holds no secret"),
        (b"\n \n", "holds no secret"),
        (b"# only a comment\n", "holds no secret"),
        (b"one\ntwo\n", "holds 2 secrets"),
        (b"\xff", "line 1: not UTF-8"),
        (b"a\n\xff\xfe", "line 2: not UTF-8"),
        (b"a\x00", "line 1: character 2"),
    ],
)
def test_a_file_that_holds_not_one_secret_is_refused(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=expected) as caught:
        read_secret(file, "return.token_file")
    assert caught.value.problems[0].startswith(f"return.token_file: {file}: ")


def test_comments_and_blank_lines_stand_beside_secrets() -> None:
    assert secrets_in(b"# old\n\none\r\n  # new\ntwo", "x") == ["one", "two"]
    assert secret_in(b"\xef\xbb\xbf# the token\r\nabc\r\n", "x") == "abc"


def test_a_file_that_cannot_be_read_is_said_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"HF_TOKEN_FILE: cannot read .*: No such file"):
        environment_secret(["HF_TOKEN"], {"HF_TOKEN_FILE": str(tmp_path / "nope")})
    big = tmp_path / "big"
    big.write_bytes(b"a" * 2_000_000)
    with pytest.raises(ConfigError, match="larger than"):
        read_secret(big, "x")


def test_a_variable_that_is_set_to_nothing_is_not_set() -> None:
    for empty in ("", " ", "\n"):
        assert environment_secret(["A", "B"], {"A": empty, "A_FILE": empty, "B": "b"}) == "b"
        assert environment_secret(["A"], {"A": empty}) is None


def test_a_secret_knows_where_it_comes_from_and_survives_copies() -> None:
    secret = environment_secret(["A", "B"], {"B": "b"})
    assert secret is not None
    assert secret.origin == "B"
    for other in (copy.copy(secret), copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
        assert (other, other.origin, repr(other)) == ("b", "B", "'***'")


@pytest.mark.parametrize("name", ["WAYBILL_LLM_API_KEY", "GROQ_API_KEY"])
def test_a_key_in_the_environment_is_cleaned_or_refused(name: str) -> None:
    loaded = read_settings(None, ["llm.provider=groq"], {name: "gsk_abc\r\n"})
    assert (loaded.settings.llm.api_key, loaded.problems) == ("gsk_abc", ())
    loaded = read_settings(None, ["llm.provider=groq"], {name: "gsk\x00abc"})
    assert [problem.path for problem in loaded.problems] == [name]
    # What no provider asks for stops nobody.
    assert read_settings(None, [], {name: "gsk\x00abc"}).problems == ()


ROLES = {path: one.role for path, one in catalogue().items() if one.role}


@pytest.mark.parametrize("path", [path for path, role in ROLES.items() if role != "file"])
def test_every_file_of_secrets_is_looked_at_before_it_is_used(tmp_path: Path, path: str) -> None:
    file = tmp_path / "secret"

    def said(content: bytes) -> list[str]:
        file.write_bytes(content)
        loaded = read_settings(None, [f"{path}={file}"], {})
        return [str(problem) for problem in loaded.problems]

    assert said(b"# mine\r\nabc\r\n") == []
    for bad in (b"a\x00b\n", b"\xff\n"):
        (problem,) = said(bad)
        assert problem.startswith(f"{path}: {file}: ")
    empty = said(b"\n")
    assert empty == [] if ROLES[path] == "late token" else empty[0].startswith(path)
    two = said(b"one\ntwo\n")
    assert two == [] if ROLES[path] == "tokens" else "2 secrets" in two[0]


def test_only_a_key_that_may_come_late_may_be_missing(tmp_path: Path) -> None:
    missing = tmp_path / "nope"
    for path, role in ROLES.items():
        problems = read_settings(None, [f"{path}={missing}"], {}).problems
        assert any("cannot read" in str(problem) for problem in problems) == (role != "late token")


def test_settings_that_hold_a_secret_have_a_role_or_come_from_the_environment() -> None:
    for path in catalogue():
        if path.endswith(("token_file", "tokens_file", "key_file", "ca_file", "cert_file")):
            assert path in ROLES, path
    assert isinstance(Secret("x"), str)


@pytest.mark.parametrize(
    "around",
    [
        "'{}'", '"{}"', "GROQ_API_KEY={}", 'export GROQ_API_KEY="{}"\r\n', "GROQ_API_KEY = {}",
        "Bearer {}", "Authorization: Bearer {}", "\u00a0{}\u00a0", "{}\u200b",
    ],
)  # fmt: skip
def test_of_a_copied_line_only_the_secret_is_taken(tmp_path: Path, around: str) -> None:
    for secret in ("gsk_abc", "QUJD_RA==", "a=b"):
        text = around.format(secret)
        assert clean_secret(text, "KEY") == secret
        (tmp_path / "secret").write_text(text, "utf-8", newline="")
        assert read_secret(tmp_path / "secret", "llm.api_key_file") == secret
    assert clean_secret("AB_CD==", "KEY") == "AB_CD=="
    assert clean_secret("AB_CD=", "KEY") == "AB_CD="
    assert clean_secret("'it''s'", "KEY", is_header=False) == "'it''s'"


def test_a_file_that_powershell_wrote_is_read() -> None:
    assert secret_in("gsk\r\n".encode("utf-16"), "x") == "gsk"

"""A secret follows its file, and what is no secret leaves the one before."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.ops.test_ops import Clock, rewrite
from waybill.core.errors import ConfigError
from waybill.ops.secret_file import LateSecret, SecretFile
from waybill.settings.schema import Secret


def test_a_secret_follows_its_file(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", Clock()
    file.write_text("\ufeff# for the receiver\none\r\n", "utf-8")
    secret = SecretFile(str(file), "return.token_file", clock=clock)
    assert secret() == "one"
    rewrite(file, "two\n")
    assert secret() == "one"
    clock.now += 2
    assert secret() == "two"


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo\n", "t\x00wo\n", "two two\n", "# two\n"])
def test_what_is_no_secret_leaves_the_one_before(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "token", Clock()
    file.write_text("one")
    secret = SecretFile(str(file), "return.token_file", clock=clock)
    rewrite(file, content)
    clock.now += 2
    with caplog.at_level(logging.WARNING):
        assert secret() == "one"
    assert caplog.records
    with pytest.raises(ConfigError, match=r"return\.token_file"):
        SecretFile(str(file), "return.token_file")
    rewrite(file, "three")
    clock.now += 2
    assert secret() == "three"


def test_a_file_that_is_not_there_is_said_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"return\.token_file: cannot read .*nope"):
        SecretFile(str(tmp_path / "nope"), "return.token_file")


def test_a_late_secret_may_come_later(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = LateSecret(str(file), "llm.api_key_file", Secret("fallback"))
    assert key() == "fallback"
    file.write_text("\n")
    assert key() == "fallback"
    file.write_text("one\r\n")
    assert key() == "one"
    assert LateSecret(None, "llm.api_key_file")() is None
    assert LateSecret(None, "llm.api_key_file", Secret("fallback"))() == "fallback"

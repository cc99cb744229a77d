"""Compiled rules on disk: read back as they were, and only where nobody else can have written."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from waybill.labelling.rules import cache as module
from waybill.labelling.rules import loading
from waybill.labelling.rules.artefact import Artefact, CompileRequest
from waybill.labelling.rules.cache import RuleCache
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.ruleset import RuleSet
from waybill.service.reading_rules import rule_cache
from waybill.settings.sources import load_settings

_MARK = b"m" * 32
_LABELS = ("Error", "Unclassified")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "some" / "rules"


def _only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def _request(pattern: str = "boom") -> CompileRequest:
    text = f"rules: [{{id: one, label: Error, pattern: {pattern}}}]"
    return CompileRequest((RuleFile("a.yaml", text.encode()),), _LABELS, 10, 1 << 30, 65_536)


def test_what_was_kept_is_read_back(folder: Path) -> None:
    kept = RuleCache(folder)
    assert kept.read(_MARK) is kept.read_newest() is None
    assert not folder.exists()
    kept.write(_MARK, b"compiled")
    assert kept.read(_MARK) == b"compiled"
    assert kept.read(b"n" * 32) is None
    assert kept.read_newest() == b"compiled"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert _only(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [0, 10, 32, -1])
def test_a_file_that_is_cut_or_changed_is_not_there(folder: Path, cut: int) -> None:
    kept = RuleCache(folder)
    kept.write(_MARK, b"compiled")
    file = _only(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    assert kept.read(_MARK) is None
    file.write_bytes(whole[:cut] + b"x" + whole[cut:][1:])
    assert kept.read(_MARK) is None
    file.write_bytes(whole)
    assert kept.read(_MARK) == b"compiled"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_trusted(folder: Path, mode: int) -> None:
    kept = RuleCache(folder)
    kept.write(_MARK, b"compiled")
    _only(folder).chmod(mode)
    assert kept.read(_MARK) is None


def test_a_folder_that_others_can_write_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    kept = RuleCache(folder)
    kept.write(_MARK, b"compiled")
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    kept.write(_MARK, b"compiled")
    folder.chmod(0o777)
    assert kept.read(_MARK) is None


def test_a_file_of_somebody_else_is_not_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = RuleCache(folder)
    kept.write(_MARK, b"compiled")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert kept.read(_MARK) is None


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(folder: Path) -> None:
    kept = RuleCache(folder)
    kept.write(_MARK, b"compiled")
    file = _only(folder)
    file.unlink()
    os.mkfifo(file, 0o600)
    assert kept.read(_MARK) is None


def test_that_nothing_can_be_kept_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = RuleCache(tmp_path / "file" / "rules")
    kept.write(_MARK, b"compiled")
    assert kept.read(_MARK) is None


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    RuleCache(folder).write(_MARK, b"compiled")
    assert list(folder.iterdir()) == []


def test_those_that_were_not_asked_for_longest_go(folder: Path) -> None:
    kept = RuleCache(folder)
    marks = [bytes([number]) * 32 for number in range(module._MOST_FILES + 1)]
    for age, mark in enumerate(marks[:-1]):
        kept.write(mark, mark)
        newest = max(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, (age, age))
    assert kept.read(marks[0]) == marks[0]
    kept.write(marks[-1], marks[-1])
    held = [kept.read(mark) is not None for mark in marks]
    assert held == [True, False, *[True] * (len(marks) - 2)]


def test_another_processor_or_code_has_files_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RuleCache(folder).write(_MARK, b"compiled")
    monkeypatch.setattr(module, "_made_by", lambda: "0123456789abcdef")
    assert RuleCache(folder).read(_MARK) is None
    assert RuleCache(folder).read_newest() is None


async def test_the_next_process_reads_what_this_one_compiled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_compiled", {})
    first = await loading.compile_artefact(_request(), RuleCache(folder))
    monkeypatch.setattr(loading, "_compiled", {})  # as in a new process

    async def none_needed(*_: object, **__: object) -> Artefact:
        raise AssertionError("a child was started")

    monkeypatch.setattr(loading, "_run_compiler", none_needed)
    again = await loading.compile_artefact(_request(), RuleCache(folder))
    assert again == first
    assert [rule.id for rule in RuleSet(again).matching("it went boom")] == ["one"]


async def test_drafts_beside_known_rules_are_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_compiled", {})
    known = (await loading.compile_artefact(_request())).known()
    beside = _request("boom}, {id: two, label: Error, pattern: bang")
    request = msgspec.structs.replace(beside, known=known)
    assert (await loading.compile_artefact(request, RuleCache(folder))).known_rules == (0,)
    assert not folder.exists()


async def test_what_was_kept_last_is_known_to_rules_that_are_mostly_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_compiled", {})
    kept = RuleCache(folder)
    assert loading.known_from(kept) is loading.known_from(None) is None
    await loading.compile_artefact(_request(), kept)
    known = loading.known_from(kept)
    assert known is not None
    assert known.expressions == ("boom",)
    others = msgspec.structs.replace(_request("other"), known=known)
    artefact = await loading.compile_artefact(others, kept)
    assert artefact.known_rules == ()
    assert len(list(folder.iterdir())) == 2  # other rules stand for themselves


def test_the_settings_turn_it_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = rule_cache(load_settings())
    assert cache is not None
    cache.write(_MARK, b"compiled")
    assert (tmp_path / "waybill" / "rules").is_dir()
    assert rule_cache(load_settings(overrides=["rules.keep_compiled=false"])) is None

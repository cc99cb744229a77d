"""Environment variables that are no settings: one reader, each on the settings page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from waybill.settings import environment
from waybill.settings.environment import (
    VARIABLES,
    cache_folder,
    gemini_base_url,
    hub_endpoint,
    state_folder,
)
from waybill.settings.sources import ALIASES, KEY_NAMES

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "sidecar" / "waybill"


def test_a_variable_that_is_set_to_nothing_is_not_set() -> None:
    assert gemini_base_url({"GEMINI_BASE_URL": " "}) is None
    assert gemini_base_url({"GEMINI_BASE_URL": "http://h/"}) == "http://h/"
    assert hub_endpoint({"HF_ENDPOINT": ""}) is None
    assert hub_endpoint({"HF_ENDPOINT": "http://h/"}) == "http://h/"
    assert state_folder({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/s"}) == Path("/s/waybill")


def test_folders_are_those_of_the_service_or_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_folder({"STATE_DIRECTORY": "/var/lib/waybill:/x"}) == Path("/var/lib/waybill")
    assert cache_folder({"CACHE_DIRECTORY": "/var/cache/waybill"}) == Path("/var/cache/waybill")
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/waybill")
    assert cache_folder({"XDG_CACHE_HOME": "c"}) == cache_folder({})  # says the standard
    assert cache_folder({}) == Path.home() / ".cache" / "waybill"

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert state_folder({}) is cache_folder({}) is None


def test_every_variable_that_is_read_stands_on_the_settings_page() -> None:
    read = set(re.findall(r'"([A-Z][A-Z_]+)"', Path(environment.__file__).read_text("utf-8")))
    keys = {name for names in KEY_NAMES.values() for name in names}
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in read | keys | set(ALIASES) | {variable.name for variable in VARIABLES}:
        assert f"`{name}`" in page, name


def test_nobody_else_reads_the_environment() -> None:
    """What others do with it: hand it on to a child, or set what a library reads."""
    known = {
        "core/child.py": "the environment of a child",
        "__init__.py": "what asks libraries to tell their makers nothing",
        "labelling/model/encoders/tokens.py": "TOKENIZERS_PARALLELISM, which tokenizers reads",
        "cli/main.py": "OPENBLAS_NUM_THREADS, which numpy reads",
        "web/run_settings.py": "the environment of a child",
        "service/workers.py": "PROMETHEUS_MULTIPROC_DIR, which the metrics library reads",
    }
    readers = set()
    for file in SOURCES.rglob("*.py"):
        text = file.read_text("utf-8")
        if "env" not in text:
            continue
        names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        if names & {"environ", "getenv"} and "settings" not in file.relative_to(SOURCES).parts:
            readers.add(file.relative_to(SOURCES).as_posix())
    assert readers == set(known)

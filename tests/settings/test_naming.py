"""Secrets are named, with where they come from, and never shown."""

from __future__ import annotations

from pathlib import Path

from waybill.settings.naming import missing_secrets, name_secrets
from waybill.settings.sources import load_settings


def test_secrets_are_named_with_where_they_come_from(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("t0ken\n")
    settings = load_settings(
        overrides=["llm.provider=gemini", f"http.tokens_file={tokens}", "llm.api_key_file=/later"],
        environ={"GOOGLE_API_KEY": "g-secret"},
    )
    named = name_secrets(settings)
    assert named == [
        f"http.tokens_file from {tokens}",
        "llm.api_key from GOOGLE_API_KEY",
        "llm.api_key_file from /later",
    ]
    assert "t0ken" not in str(named)
    assert "g-secret" not in str(named)
    assert name_secrets(load_settings(environ={})) == []


def test_a_provider_without_a_key_is_said_with_what_to_set(tmp_path: Path) -> None:
    groq = ["llm.provider=groq"]
    (missing,) = missing_secrets(load_settings(overrides=groq, environ={"GEMINI_API_KEY": "g"}))
    assert missing.startswith("llm.provider: groq has no key")
    assert "WAYBILL_LLM_API_KEY or GROQ_API_KEY" in missing
    file = tmp_path / "key"
    late = [*groq, f"llm.api_key_file={file}"]
    (missing,) = missing_secrets(load_settings(overrides=late, environ={}))
    assert f"{file} is missing or empty" in missing
    file.write_text("k\n")
    assert list(missing_secrets(load_settings(overrides=late, environ={}))) == []
    assert list(missing_secrets(load_settings(overrides=groq, environ={"GROQ_API_KEY": "k"}))) == []
    assert list(missing_secrets(load_settings(environ={}))) == []

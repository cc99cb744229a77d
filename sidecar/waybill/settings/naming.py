"""Which secrets are set, and where each comes from; what they are is never said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waybill.settings.catalogue import catalogue
from waybill.settings.path_checks import value_at
from waybill.settings.schema import Secret, Settings
from waybill.settings.sources import KEY_NAMES

_ROLES = frozenset({"token", "late token", "key", "tokens"})


def name_secrets(settings: Settings) -> list[str]:
    """``llm.api_key from GROQ_API_KEY``, ``http.tokens_file from /etc/tokens``, one for each."""
    named: list[str] = []
    for path, setting in catalogue().items():
        value = value_at(settings, path)
        if isinstance(value, Secret):
            named.append(f"{path} from {value.origin}")
        elif isinstance(value, str) and setting.role in _ROLES:
            named.append(f"{path} from {value}")
    return named


def missing_secrets(settings: Settings) -> Iterator[str]:
    """What is configured and will not work without a secret, with what to set."""
    llm = settings.llm
    if llm.provider is None or llm.api_key is not None:
        return
    if llm.api_key_file is not None and _holds_something(Path(llm.api_key_file)):
        return
    wanted = " or ".join(KEY_NAMES[llm.provider])
    hint = f"set {wanted} in the environment, or llm.api_key_file"
    if llm.api_key_file is not None:
        hint = f"{llm.api_key_file} is missing or empty; write the key to it, or set {wanted}"
    yield f"llm.provider: {llm.provider} has no key, so no record gets a label from it; {hint}"


def closed_doors(settings: Settings) -> Iterator[str]:
    """Which paths take nothing as things are set, and what to set for it."""
    if settings.return_.type == "body":
        yield (
            "return.type: with body, POST /v1/logs (OTLP) answers 503 to every request, because an "
            "OTLP answer has no room for records; to take OTLP there set return.type to otlp, http "
            "or forward, or post to /v1/label, which answers with the labelled request. Fluent Bit "
            "and Vector read no answer: without return.type their labelled records are lost"
        )


def _holds_something(file: Path) -> bool:
    try:
        return bool(file.read_bytes().strip())
    except OSError:
        return False

"""Environment variables that are no settings, read here only.

Each is documented by its entry in `VARIABLES`, from which ``docs/settings.md`` is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from waybill.settings.addresses import bracketed


class Variable(msgspec.Struct, frozen=True):
    """A variable and what it does."""

    name: str
    description: str


VARIABLES = (
    Variable("WAYBILL_CONFIG", "Settings file, when there is no `--config`."),
    Variable("GEMINI_API_KEY", "Key for Gemini: of the language model and of a Gemini encoder."),
    Variable(
        "GEMINI_API_KEY_FILE",
        "File with that key, for an encoder; it stands before `GEMINI_API_KEY`.",
    ),
    Variable("GOOGLE_API_KEY", "Key for Gemini as a language model, without `GEMINI_API_KEY`."),
    Variable("GEMINI_BASE_URL", "Another server that speaks the API of a Gemini encoder."),
    Variable("HF_TOKEN", "Token for the model repository (`model.follow`, `waybill model pull`)."),
    Variable("HF_TOKEN_FILE", "File with that token; it stands before `HF_TOKEN`."),
    Variable(
        "ORT_DISABLE_TELEMETRY",
        "Waybill sets `1`, and onnxruntime tells its maker nothing, unless another value is given.",
    ),
    Variable("HF_ENDPOINT", "Server of `waybill model push`, `pull` and `versions`."),
    Variable(
        "STATE_DIRECTORY",
        "Folder that systemd gives a service; the LLM's verdicts are kept there (`llm.store`).",
    ),
    Variable("XDG_STATE_HOME", "The user's folder for state, without `STATE_DIRECTORY`."),
    Variable(
        "KUBERNETES_SERVICE_HOST",
        "Host of the Kubernetes API, and `KUBERNETES_SERVICE_PORT`, in every pod.",
    ),
    Variable(
        "CACHE_DIRECTORY",
        "Folder that systemd gives a service for what can be made again: compiled rules, and the "
        "embeddings of a training.",
    ),
    Variable("XDG_CACHE_HOME", "The user's folder for caches, without `CACHE_DIRECTORY`."),
)


def config_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """The file of settings that the environment names, which may stand in quotes."""
    named = (_get("WAYBILL_CONFIG", environ) or "").strip("\"'")
    return Path(named) if named else None


def gemini_base_url(environ: Mapping[str, str] | None = None) -> str | None:
    """``GEMINI_BASE_URL``; None when it is not set, or set to nothing."""
    return _get("GEMINI_BASE_URL", environ)


def hub_endpoint(environ: Mapping[str, str] | None = None) -> str | None:
    """``HF_ENDPOINT``; None when it is not set, or set to nothing."""
    return _get("HF_ENDPOINT", environ)


def kubernetes_server(environ: Mapping[str, str] | None = None) -> str | None:
    """The API of the cluster of this pod, as a URL; None outside a cluster."""
    host = _get("KUBERNETES_SERVICE_HOST", environ)
    port = _get("KUBERNETES_SERVICE_PORT", environ) or "443"
    if host is None:
        return None
    return f"https://{bracketed(host)}:{port}"


def state_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where state is kept; None when the user has no home.

    That is the first folder that systemd names, else ``waybill`` in the user's folder for state.
    """
    below_home = Path(".local", "state")
    return _folder("STATE_DIRECTORY", "XDG_STATE_HOME", below_home, environ)


def cache_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where caches are kept, named as `state_folder`; None when the user has no home."""
    return _folder("CACHE_DIRECTORY", "XDG_CACHE_HOME", Path(".cache"), environ)


def _folder(
    of_service: str, of_user: str, below_home: Path, environ: Mapping[str, str] | None
) -> Path | None:
    given = _get(of_service, environ)
    if given is not None:
        return Path(given.split(":")[0])
    given = _get(of_user, environ)
    if given is not None and Path(given).is_absolute():  # others do not count, says the standard
        return Path(given) / "waybill"
    try:
        return Path.home() / below_home / "waybill"
    except RuntimeError:  # a user without a home
        return None


def _get(name: str, environ: Mapping[str, str] | None) -> str | None:
    variables = os.environ if environ is None else environ
    return variables.get(name, "").strip() or None

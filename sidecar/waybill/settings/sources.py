"""Settings from their sources: a file overrides the defaults, the environment the file, flags all.

Every problem is collected, and said with its dotted path; unknown keys are refused. A value that
cannot be used leaves its default, so that what depends on the others can still be looked at.

    >>> load_settings(overrides=["http.listen=127.0.0.1:9999"]).http.listen
    '127.0.0.1:9999'
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from waybill.core.errors import ConfigError
from waybill.core.sent import sent
from waybill.settings.catalogue import catalogue
from waybill.settings.checks import cross_check
from waybill.settings.environment import config_file
from waybill.settings.problems import Findings, Problem, suggest
from waybill.settings.schema import Secret, Settings
from waybill.settings.secrets import clean_secret
from waybill.settings.strange_keys import plain_key
from waybill.settings.taxonomy import with_fitting_routes
from waybill.settings.text import parse
from waybill.settings.tree import Tree, read_tree
from waybill.settings.yaml_file import read_written

#: Names that earlier systems of this kind use, and where they lead.
ALIASES: Mapping[str, str] = {
    "LOG_LEVEL": "log.level",
    "BATCH_SIZE": "model.batch_size",
    "MODEL_PATH": "model.path",
    "CONFIDENCE_THRESHOLD": "model.threshold",
    "GROQ_API_KEY": "llm.api_key",
}
#: Where the key of a provider may come from; a provider never gets one that is meant for another.
KEY_NAMES: Mapping[str, tuple[str, ...]] = {
    "groq": ("WAYBILL_LLM_API_KEY", "GROQ_API_KEY"),
    "gemini": ("WAYBILL_LLM_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
#: Keys that hold a secret: taken from the environment, never from a file or a flag.
SECRET_KEYS = frozenset({"llm.api_key"})
#: Where the chart and the unit of systemd have the settings of a service.
USUAL_FILES = (Path("/etc/waybill/config/waybill.yaml"), Path("/etc/waybill/waybill.yaml"))
_NOT_SETTINGS = frozenset({"WAYBILL_CONFIG"})
#: What Kubernetes puts into every container of a namespace for a Service that is called `waybill`
#: or `waybill-...`.
_SERVICE_LINK = re.compile(
    r"WAYBILL_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and what is wrong with their sources."""

    settings: Settings
    findings: Findings

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, in the order in which they were found."""
        return tuple(self.findings.problems)


def said_of(file: Path | None, environ: Mapping[str, str] | None = None) -> str:
    """A sentence on which settings a tool reads, for somebody beside a service that has its own;
    nothing where there is no file of settings.
    """
    environ = os.environ if environ is None else environ
    if file is not None:
        return f"settings of {file}"
    named = config_file(environ)
    if named is not None:
        return f"settings of {named} (WAYBILL_CONFIG)"
    for usual in USUAL_FILES:
        if usual.exists():
            return f"built-in settings, though there is a {usual}: --config {usual} takes it"
    return ""


def load_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """`read_settings`, but any problem is an error.

    Raises:
        ConfigError: with every problem found, each led by its dotted path.
    """
    loaded = read_settings(file, overrides, environ)
    if loaded.problems:
        raise ConfigError([str(problem) for problem in loaded.problems])
    return loaded.settings


def read_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Settings from ``file`` (YAML, or None for the defaults), ``environ`` and ``overrides``.

    ``overrides`` are ``dotted.key=value`` texts. ``WAYBILL_CONFIG`` in the environment names the
    file when ``file`` is None; ``environ`` is that of the process when it is None.
    """
    environ = os.environ if environ is None else environ
    tree = Tree()
    _read_file(tree, file, environ)
    _read_environment(tree, environ)
    _read_overrides(tree, overrides)
    settings = with_fitting_routes(read_tree(tree))
    settings = _with_key(settings, environ, tree.findings)
    cross_check(settings, tree.findings)
    tree.findings.problems[:] = map(tree.placed, tree.findings.problems)
    return Loaded(settings, tree.findings)


def _read_file(tree: Tree, file: Path | None, environ: Mapping[str, str]) -> None:
    origin = "--config"
    if file is None:
        file = config_file(environ)
        origin = "WAYBILL_CONFIG"
    if file is None:
        return
    if not file.exists():
        tree.findings.add_unreadable(
            Problem(
                origin,
                f"{file}: no such file; looked for {file.absolute()}. Name a settings file, or "
                "leave it out to serve with the defaults",
            )
        )
        return
    try:
        written = read_written(file)
    except ConfigError as error:
        path, _, text = error.problems[0].partition(": ")
        tree.findings.add_unreadable(Problem(path, text))
        return
    if {"apiVersion", "kind"} <= written.values.keys():
        told = "a manifest of Kubernetes; name a file with what stands in it below data"
        tree.findings.add_unreadable(Problem(str(file), told))
        return
    tree.values = written.values
    tree.origins.update(written.places)
    for path in SECRET_KEYS:
        if tree.take(path) is not None:
            tree.findings.add(
                Problem(path, f"a secret does not belong in {file}; set it in the environment")
            )


def _read_environment(tree: Tree, environ: Mapping[str, str]) -> None:
    for name, path in ALIASES.items():
        if name in environ and path not in SECRET_KEYS:
            _set_from_environment(tree, path, environ[name], name)
    known = {setting.environment: path for path, setting in catalogue().items()}
    for name in sorted(environ):
        # In small letters it may be anybody's, unless it is a setting of ours but for that.
        is_ours = name.startswith("WAYBILL_") or name.upper() in known
        if not is_ours or name in _NOT_SETTINGS:
            continue
        if name not in known:
            _refuse_name(tree, name, known)
        elif known[name] not in SECRET_KEYS:
            _set_from_environment(tree, known[name], environ[name], name)


def _refuse_name(tree: Tree, name: str, known: Mapping[str, str]) -> None:
    if not _SERVICE_LINK.fullmatch(name):
        meant = suggest(name.upper(), (*known, *_NOT_SETTINGS))
        paths = [known.get(word, word) for word in meant.words]
        tree.findings.add(Problem(name, f"no such setting{meant}"), *paths)


def _set_from_environment(tree: Tree, path: str, text: str, name: str) -> None:
    setting = catalogue()[path]
    may_be_empty = setting.form == "text" and setting.min_length == 0 and not setting.is_nullable
    # An emptied variable is one that is not set, but for a text that may be empty.
    if text.strip() or may_be_empty:
        tree.put(path, parse(setting, text), origin=name)


def _read_overrides(tree: Tree, overrides: Sequence[str]) -> None:
    known = catalogue()
    for item in overrides:
        path, separator, text = item.partition("=")
        if not separator:
            tree.findings.add(Problem(f"--set {item}", "expected KEY=VALUE"))
        elif path in SECRET_KEYS:
            tree.findings.add(
                Problem(
                    path, "a secret does not belong on a command line; set it in the environment"
                )
            )
        elif path not in known:
            meant = suggest(_as_path(path), known)
            told = f"no such setting{meant}"
            below = next((other for other in known if other.startswith(f"{path}.")), None)
            if below is not None:
                told = f"a section, and no setting; name one of its keys, as in {below}"
            tree.findings.add(Problem(f"--set {path}", told), *meant.words)
        else:
            tree.put(path, parse(known[path], text), origin=f"--set {path}")


def _as_path(given: str) -> str:
    """What somebody calls a setting, its variable for example, in the letters of a path."""
    return plain_key(given).removeprefix("waybill_")


def _with_key(settings: Settings, environ: Mapping[str, str], findings: Findings) -> Settings:
    """The settings with the key of their provider; without a provider with that for groq."""
    try:
        key = _find_key(KEY_NAMES[settings.llm.provider or "groq"], environ)
    except ConfigError as error:
        # A key that nobody asks for is no reason to stop.
        if settings.llm.provider is not None:
            path, _, text = error.problems[0].partition(": ")
            findings.add(Problem(path, text), "llm.api_key")
        return settings
    if key is None:
        return settings
    return msgspec.structs.replace(settings, llm=msgspec.structs.replace(settings.llm, api_key=key))


def _find_key(names: Sequence[str], environ: Mapping[str, str]) -> Secret | None:
    for name in names:
        key = clean_secret(environ.get(name, ""), name)
        if key is not None:
            sent(key)
            return key
    return None

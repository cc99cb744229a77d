"""Checks of what paths lead to: what must be there, and files that must hold a secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from waybill.core.errors import ConfigError
from waybill.settings.addresses import is_address
from waybill.settings.catalogue import Setting, catalogue
from waybill.settings.check import Check
from waybill.settings.problems import Problem
from waybill.settings.resources import looked_for, resolve_path
from waybill.settings.schema import Settings
from waybill.settings.secrets import read_content, secret_in, secrets_in

_Look = Callable[[Path, str], None]


def path_checks() -> Iterator[Check]:
    """One check for each setting whose path must lead to something."""
    yield Check(("rules.path",), check_rules_path)
    yield Check(("rules.extra_paths",), check_extra_paths)
    yield Check(("corrections.path",), check_corrections_path)
    yield Check(("corrections.follow",), check_corrections_follow)
    yield Check(("llm.prompt", "llm.provider"), check_prompt)
    for setting in catalogue().values():
        if setting.role:
            yield Check((setting.path,), _check_file(setting))


def check_labels_path(settings: Settings) -> Iterator[Problem]:
    """The file of labels is there."""
    yield from _check_there("labels.path", settings.labels.path, "file")


def check_rules_path(settings: Settings) -> Iterator[Problem]:
    """The folder of rules is there."""
    if settings.rules.path is not None:
        yield from _check_there("rules.path", settings.rules.path, "folder")
    yield from _check_folder("rules.path", settings.rules.path)


def check_extra_paths(settings: Settings) -> Iterator[Problem]:
    """The further folders of rules are there."""
    for path in settings.rules.extra_paths:
        place = Path(path)
        if not place.exists():
            yield Problem("rules.extra_paths", f"no such folder: {path}{looked_for(path)}")
        yield from _check_folder("rules.extra_paths", path)


def _check_folder(setting: str, path: str | None) -> Iterator[Problem]:
    """What is there is a folder."""
    place = Path(path or "")
    if place.exists() and not place.is_dir():
        told = f"{path} is not a folder: name the folder that it lies in, {place.absolute().parent}"
        yield Problem(setting, told)


def check_corrections_path(settings: Settings) -> Iterator[Problem]:
    """Corrections lie in a folder that is there; a file may come later."""
    path = settings.corrections.path
    if path is None or Path(path).exists():
        return
    place = Path(path)
    if not place.name.endswith((".ndjson", ".jsonl")):
        yield Problem(
            "corrections.path",
            f"no such folder: {path}{looked_for(path)}; a file that is to be made has a name that "
            "ends in .ndjson",
        )
    elif not place.parent.is_dir():
        yield Problem("corrections.path", f"no such folder: {place.parent}{looked_for(path)}")


def check_corrections_follow(settings: Settings) -> Iterator[Problem]:
    """What is followed is the address of a server, or a folder that is there."""
    follow = settings.corrections.follow
    if follow is None:
        return
    if not is_address(follow):
        if not Path(follow).is_dir():
            text = f"no such folder: {follow}{looked_for(follow)}; a server begins with http://"
            yield Problem("corrections.follow", text)
        return
    parts = urlsplit(follow)
    if not parts.hostname:
        yield Problem("corrections.follow", f"expected http://host:port; got {follow}")
    elif parts.username or parts.password:
        text = (
            "holds a password; put a token into a file and name it in corrections.follow_token_file"
        )
        yield Problem("corrections.follow", text)


def check_prompt(settings: Settings) -> Iterator[Problem]:
    """The prompt is there, when there is somebody to ask."""
    if settings.llm.provider is not None:
        yield from _check_there("llm.prompt", settings.llm.prompt, "file")


def _check_there(path: str, given: str, noun: str) -> Iterator[Problem]:
    found, _ = resolve_path(given)
    if not found.exists():
        yield Problem(path, f"no such {noun}: {given}{looked_for(given)}")


def _check_file(setting: Setting) -> Callable[[Settings], Iterator[Problem]]:
    def check(settings: Settings) -> Iterator[Problem]:
        file = value_at(settings, setting.path)
        if not isinstance(file, str):
            return
        if not os.access(file, os.R_OK):
            if setting.role != "late token":
                yield Problem(setting.path, f"cannot read {file}{looked_for(file)}")
            return
        try:
            _LOOKS[setting.role](Path(file), setting.path)
        except ConfigError as error:
            path, _, text = error.problems[0].partition(": ")
            yield Problem(path, text)

    return check


def value_at(settings: Settings, path: str) -> object:
    """The value of a setting by its dotted path."""
    value: object = settings
    for key in path.split("."):
        value = getattr(value, "return_" if key == "return" else key)
    return value


def _look_at_file(file: Path, path: str) -> None:
    """It can be read, which is all that is asked of it here."""


def _look_at_token(file: Path, path: str) -> None:
    secret_in(read_content(file, path), f"{path}: {file}")


def _look_at_late_token(file: Path, path: str) -> None:
    """It may still be empty."""
    content = read_content(file, path)
    if content.strip():
        secret_in(content, f"{path}: {file}")


def _look_at_key(file: Path, path: str) -> None:
    secret_in(read_content(file, path), f"{path}: {file}", is_header=False)


def _look_at_tokens(file: Path, path: str) -> None:
    if not secrets_in(read_content(file, path), f"{path}: {file}", is_header=False):
        raise ConfigError([f"{path}: {file} holds no token; expected one a line"])


#: What is looked at, by the role of a setting.
_LOOKS: Mapping[str, _Look] = {
    "file": _look_at_file,
    "token": _look_at_token,
    "late token": _look_at_late_token,
    "key": _look_at_key,
    "tokens": _look_at_tokens,
}

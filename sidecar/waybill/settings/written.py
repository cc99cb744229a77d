"""What seems to be cut in the YAML files that settings name; their rules say it of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waybill.core.files import read_small
from waybill.core.text import text_of_file
from waybill.core.yaml_cuts import cuts_in
from waybill.settings.environment import config_file
from waybill.settings.labellings import each_labelling
from waybill.settings.resources import comes_along, resolve_path
from waybill.settings.schema import Settings

__all__ = ["cut_texts"]

_MOST_BYTES = 1 << 20


def cut_texts(settings: Settings, config: Path | None = None) -> list[str]:
    """A sentence for each text of a file of settings, labels or prompt that YAML seems to have cut.

    ``config`` is the settings' own file; None: the one that the environment names, if any.
    """
    return [f"{file}:{told}" for file in _files(settings, config) for told in _cuts(file)]


def _files(settings: Settings, config: Path | None) -> list[Path]:
    """Those that people wrote, each once."""
    named = config or config_file()
    paths = [one.labels.path for one in each_labelling(settings)]
    if settings.llm.provider is not None:
        paths.append(settings.llm.prompt)
    own = [resolve_path(path)[0] for path in paths if not comes_along(path)]
    return list(dict.fromkeys([*([named] if named else []), *own]))


def _cuts(file: Path) -> Iterator[str]:
    try:
        text = text_of_file(read_small(file, _MOST_BYTES))
    except (OSError, UnicodeDecodeError):
        return  # who reads it for good says so
    yield from cuts_in(text)

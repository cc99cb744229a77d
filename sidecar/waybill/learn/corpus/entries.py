"""A folder of templates in readable YAML: software -> label -> templates.

``slots.yaml`` has the lists that templates choose from, ``balance.yaml`` says how much of each
label is wanted. Software ``none`` is what is no event at all: the fallback label.

Further folders add templates and slots of their own; the balance is that of the first folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import msgspec
import yaml

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.core.yaml_text import VALUE_ERRORS
from waybill.learn.plan import CORPUS

__all__ = [
    "Balance",
    "Corpus",
    "CorpusEntry",
    "Slots",
    "balance_hash",
    "corpus_hash",
    "load_corpus",
]

#: Named lists that templates choose from.
Slots: TypeAlias = Mapping[str, Sequence[str]]
#: What a template file holds.
Software: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]

#: libyaml's is ten times faster; both are safe loaders.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Files of a corpus folder that hold no templates.
_SLOTS, _BALANCE = "slots.yaml", "balance.yaml"


class Balance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a corpus wants of one label: a multiple of the lines per label, and its level words."""

    share: float = 1.0
    levels: str = "INFO INFO DEBUG NOTICE WARN ERROR"


class CorpusEntry(NamedTuple):
    """One template of the corpus; ``group`` (software, label and number) must not be torn apart.

    ``folder`` counts the folders that a corpus is of, from 0.
    """

    label: str
    text: str
    group: str
    software: str
    folder: int = 0


class Corpus(NamedTuple):
    """A folder of templates; ``fallback`` is the label of what is no event, ``balance`` is by
    label.
    """

    entries: list[CorpusEntry]
    slots: Slots
    balance: Mapping[str, Balance]
    fallback: str

    def balance_of(self, label: str) -> Balance:
        """What is wanted of ``label``."""
        return self.balance.get(label, Balance())


def load_corpus(taxonomy: Taxonomy, folder: Path = CORPUS, extra: Sequence[Path] = ()) -> Corpus:
    """Templates of every YAML file of ``folder`` and of the folders ``extra``, slots and balance.

    Raises:
        WaybillError: a file cannot be read or names a label that is not of ``taxonomy``, or two
            folders have a slot of the same name.
    """
    slots = dict(cast("Slots", _read(folder / _SLOTS)))
    for more in extra:
        _add_slots(slots, more)
    balance: dict[str, Balance] = {}
    if (folder / _BALANCE).exists():
        balance = _balance(folder / _BALANCE, taxonomy)
    entries: list[CorpusEntry] = []
    for number, place in enumerate((folder, *extra)):
        for file in _template_files(place):
            entries += _entries_of(file, taxonomy, number)
    return Corpus(entries, slots, balance, taxonomy.fallback)


def _add_slots(slots: dict[str, Sequence[str]], folder: Path) -> None:
    file = folder / _SLOTS
    if not file.exists():
        return
    found = cast("Slots", _read(file))
    twice = sorted(found.keys() & slots.keys())
    if twice:
        raise WaybillError(f"{file}: slot {twice[0]!r} is there already; give it another name")
    slots.update(found)


def _template_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.yaml")) if file.name not in (_SLOTS, _BALANCE)]


def _entries_of(file: Path, taxonomy: Taxonomy, folder: int) -> Iterator[CorpusEntry]:
    for software, labels in cast("Software", _read(file)).items():
        _check_labels(file, labels, taxonomy)
        for label, texts in labels.items():
            for i, text in enumerate(texts):
                yield CorpusEntry(label, text, f"{software}/{label}/{i}", software, folder)


def _read(file: Path) -> object:
    try:
        return yaml.load(file.read_text("utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise WaybillError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, RecursionError, *VALUE_ERRORS) as error:
        raise WaybillError(f"{file}: {' '.join(str(error).split())}") from None


def _balance(file: Path, taxonomy: Taxonomy) -> dict[str, Balance]:
    try:
        found = msgspec.convert(_read(file), dict[str, Balance])
    except msgspec.ValidationError as error:
        raise WaybillError(f"{file}: {error}") from None
    _check_labels(file, found, taxonomy)
    return found


def _check_labels(file: Path, labels: Collection[str], taxonomy: Taxonomy) -> None:
    fault = unknown_labels(labels, taxonomy, "--labels or labels.path")
    if fault:
        raise WaybillError(f"{file}: {fault}; give --corpus a folder with templates for its labels")


def corpus_hash(folder: Path = CORPUS, extra: Sequence[Path] = ()) -> str:
    """sha256 over the names and bytes of the templates and slots, folder after folder."""
    digest = hashlib.sha256()
    for place in (folder, *extra):
        for file in _hashed_files(place):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _hashed_files(folder: Path) -> list[Path]:
    files = _template_files(folder)
    if (folder / _SLOTS).exists():
        files.append(folder / _SLOTS)
    return sorted(files)


def balance_hash(folder: Path = CORPUS) -> str | None:
    """sha256 of the balance; None without a balance."""
    file = folder / _BALANCE
    if not file.exists():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()

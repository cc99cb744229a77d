"""A folder of templates in readable YAML: software -> label -> templates.

``slots.yaml`` has the lists that templates choose from, ``balance.yaml`` says how much of each
label is wanted. Software ``none`` is what is no event at all: the fallback label.

Each template is a text: what YAML takes for something else (``- failed: x``, ``- 12``) is refused,
and so is a key given twice, of which YAML would keep the last.

Further folders add templates and slots of their own; the balance is that of the first folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.learn.corpus.reading import Written, read_written
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
    #: Texts that YAML seems to have cut, as ``FILE:LINE: SENTENCE``.
    cut: Sequence[str] = ()

    def balance_of(self, label: str) -> Balance:
        """What is wanted of ``label``."""
        return self.balance.get(label, Balance())


def load_corpus(taxonomy: Taxonomy, folder: Path = CORPUS, extra: Sequence[Path] = ()) -> Corpus:
    """Templates of every YAML file of ``folder`` and of the folders ``extra``, slots and balance.

    Raises:
        WaybillError: a file cannot be read or names a label that is not of ``taxonomy``, or two
            folders have a slot of the same name.
    """
    slots = read_written(folder / _SLOTS).slots()
    for more in extra:
        _add_slots(slots, more)
    balance: dict[str, Balance] = {}
    if (folder / _BALANCE).exists():
        balance = _balance(folder / _BALANCE, taxonomy)
    entries: list[CorpusEntry] = []
    cut: list[str] = []
    for number, place in enumerate((folder, *extra)):
        for file in _template_files(place):
            written = read_written(file)
            entries += _entries_of(written, taxonomy, number)
            cut += written.cut()
    return Corpus(entries, slots, balance, taxonomy.fallback, cut)


def _add_slots(slots: dict[str, list[str]], folder: Path) -> None:
    file = folder / _SLOTS
    if not file.exists():
        return
    found = read_written(file).slots()
    twice = sorted(found.keys() & slots.keys())
    if twice:
        raise WaybillError(f"{file}: slot {twice[0]!r} is there already; give it another name")
    slots.update(found)


def _template_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.yaml")) if file.name not in (_SLOTS, _BALANCE)]


def _entries_of(written: Written, taxonomy: Taxonomy, folder: int) -> Iterator[CorpusEntry]:
    for software, below in written.members():
        labels = dict(written.members(below))
        _check_labels(written.file, labels, taxonomy)
        for label, texts in labels.items():
            for i, text in enumerate(written.texts(texts)):
                yield CorpusEntry(label, text, f"{software}/{label}/{i}", software, folder)


def _balance(file: Path, taxonomy: Taxonomy) -> dict[str, Balance]:
    try:
        found = msgspec.convert(read_written(file).value(), dict[str, Balance])
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

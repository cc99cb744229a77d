"""The taxonomy: which labels there are, what they mean, and which one says "we do not know".

It is read from a YAML file (``labels.path``, by default the packaged ``config/labels.yaml``) and
handed down to all that need it; there is no global set of labels.

    fallback: Unclassified
    labels:
      - {name: Error, description: a technical failure of one operation or component}
      - {name: Unclassified, description: none of the other labels fits}
"""

from __future__ import annotations

import errno
import functools
import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import yaml

from waybill.core.errors import ConfigError
from waybill.core.files import read_small
from waybill.core.names import DecidedBy
from waybill.core.near import meant
from waybill.core.reasons import RECORD_REASONS, Reason, RecordReason
from waybill.core.records import Verdict
from waybill.core.text import not_utf8, text_of_file
from waybill.core.yaml_advice import yaml_advice

#: Bounds of a file that people write; the ten labels that come with Waybill need 1.5 KB.
MAX_FILE_BYTES = 64 << 10
#: A label is an index label in stores, where each value is a stream of its own.
MAX_LABELS = 200
MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 500
#: Collections within collections; a file of labels has three.
_MAX_DEPTH = 8
_STR = "tag:yaml.org,2002:str"
_EXAMPLE = "for example [{name: Error, description: a failure of one operation}]"


class Label(msgspec.Struct, frozen=True):
    """One class of records; the description tells people and language models what belongs in it."""

    name: str
    description: str


class Taxonomy(msgspec.Struct, frozen=True, dict=True):
    """The labels in the order in which they are tried: the first that fits a record wins.

    ``fallback`` is the label for records that no other fits, and for those that nobody decides.
    """

    labels: tuple[Label, ...]
    fallback: str

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all labels, in order."""
        return tuple(label.name for label in self.labels)

    @functools.cached_property
    def descriptions(self) -> dict[str, str]:
        """What each label stands for, by its name."""
        return {label.name: label.description for label in self.labels}

    @functools.cached_property
    def version(self) -> str:
        """12 hexadecimal digits that change with a name, a description or the fallback."""
        digest = hashlib.blake2b(msgspec.json.encode(self), digest_size=6)
        return digest.hexdigest()

    def __contains__(self, name: object) -> bool:
        return name in self.descriptions

    @functools.cached_property
    def passed(self) -> dict[RecordReason, Verdict]:
        """The verdict of a record that is not labelled, for each reason: one object each, so that
        what it adds to records is rendered once.
        """
        return {reason: self.unclassified(reason) for reason in RECORD_REASONS}

    def unclassified(
        self,
        reason: Reason,
        tier: DecidedBy = "none",
        *,
        confidence: float | None = None,
        rule: str | None = None,
    ) -> Verdict:
        """A verdict that says: we do not know, and why."""
        return Verdict(self.fallback, tier, confidence, rule, reason)

    def hint(self, name: str) -> str:
        """What to write instead of ``name``, which is not a label.

        >>> taxonomy.hint("Eror")          # doctest: +SKIP
        ' (did you mean Error?)'
        """
        return meant(name, self.names) or f" (one of: {', '.join(self.names)})"


def unknown_labels(names: Collection[str], taxonomy: Taxonomy, file: str = "labels.path") -> str:
    """A sentence for people about the ``names`` that are not labels; empty when all are.

    ``file`` says where the labels come from.
    """
    unknown = sorted({name for name in names if name not in taxonomy})
    if not unknown:
        return ""
    hint = meant(unknown[0], taxonomy.names) if len(unknown) == 1 else ""
    return (
        f"no such label: {', '.join(unknown)}{hint}; the labels are {', '.join(taxonomy.names)}. "
        "To use labels of your own, name them in a file (as config/labels.yaml) and set "
        f"{file} to it"
    )


def read_taxonomy(path: Path) -> Taxonomy:
    """The taxonomy in the YAML file ``path``.

    Raises:
        ConfigError: with every fault found, each as ``file:line: what is wrong and what is
            expected``.
    """
    return _parsed(path, _read_text(path))


@functools.lru_cache(maxsize=8)
def _parsed(path: Path, text: str) -> Taxonomy:
    """What is checked at a start and then used is parsed once. Raises ConfigError."""
    try:
        _check_depth(text)
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        told = f"{error.problem or 'no YAML'}{yaml_advice(error.problem)}"
        raise ConfigError([f"{path}:{line}: {told}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: nested too deeply; expected a list of labels"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: {' '.join(str(error).split())}"]) from None
    reader = _Reader(path)
    taxonomy = reader.taxonomy(root)
    if reader.problems:
        raise ConfigError(reader.problems)
    return taxonomy


def _check_depth(text: str) -> None:
    """Stop at a file that is nested too deeply before all of it is read. Raises RecursionError."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise RecursionError


def _read_text(path: Path) -> str:
    try:
        data = read_small(path, MAX_FILE_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ConfigError(
                [f"{path}: larger than {MAX_FILE_BYTES} bytes; expected a list of labels"]
            ) from None
        raise ConfigError([f"labels.path: cannot read {path}: {error.strerror}"]) from None
    try:
        return text_of_file(data)
    except UnicodeDecodeError as error:
        line, text = not_utf8(error)
        raise ConfigError([f"{path}:{line}: {text}"]) from None


class _Reader:
    """Reads the nodes of one file and notes what is wrong with them.

    It looks at three levels of nodes and never follows an alias deeper, so no file of few bytes can
    make it work for long.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []

    def _fault(self, node: yaml.Node | None, text: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 1
        self.problems.append(f"{self._path}:{line}: {text}")

    def taxonomy(self, root: yaml.Node | None) -> Taxonomy:
        """The taxonomy below ``root``; to be used only when there are no problems."""
        top = self._mapping(root, ("fallback", "labels"), "the file")
        labels: tuple[Label, ...] = ()
        before = len(self.problems)
        if "labels" in top:
            labels = tuple(self._labels(top["labels"]))
        are_known = bool(labels) and len(self.problems) == before
        fallback = ""
        if "fallback" in top:
            fallback = self._text(top["fallback"], "fallback", MAX_NAME_CHARS)
            if fallback and are_known and fallback not in {label.name for label in labels}:
                names = ", ".join(label.name for label in labels)
                self._fault(
                    top["fallback"], f"fallback: {fallback!r} is not one of the labels: {names}"
                )
        return Taxonomy(labels, fallback)

    def _labels(self, node: yaml.Node) -> Iterator[Label]:
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, f"labels: expected a list of labels, {_EXAMPLE}")
            return
        if not 2 <= len(node.value) <= MAX_LABELS:
            self._fault(
                node, f"labels: expected 2 to {MAX_LABELS} of them, found {len(node.value)}"
            )
            return
        lines: dict[str, int] = {}
        for item in node.value:
            label = self._label(item)
            if label is None:
                continue
            # In capitals or not: nobody who reads a record or writes a rule tells the two apart.
            name = label.name.casefold()
            if name in lines:
                first = lines[name]
                self._fault(item, f"label {label.name!r} is given twice, first in line {first}")
                continue
            lines[name] = item.start_mark.line + 1
            yield label

    def _label(self, node: yaml.Node) -> Label | None:
        before = len(self.problems)
        entries = self._mapping(node, ("name", "description"), "a label")
        if len(self.problems) > before:
            return None
        name = self._text(entries["name"], "name", MAX_NAME_CHARS)
        description = self._text(
            entries["description"], f"description of {name!r}", MAX_DESCRIPTION_CHARS
        )
        if len(self.problems) > before:
            return None
        return Label(name, description)

    def _mapping(
        self, node: yaml.Node | None, keys: Sequence[str], what: str
    ) -> dict[str, yaml.Node]:
        """The members of a mapping that must have exactly these ``keys``."""
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{what}: expected a mapping with {' and '.join(keys)}")
            return {}
        entries: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value)
            if key not in keys:
                self._fault(key_node, f"unknown key {key!r}; expected {' and '.join(keys)}")
            elif key in entries:
                self._fault(key_node, f"key {key!r} is given twice")
            else:
                entries[key] = value
        for key in keys:
            if key not in entries:
                self._fault(node, f"{what}: {key} is missing")
        return entries

    def _text(self, node: yaml.Node, what: str, most_chars: int) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{what}: expected a text")
            return ""
        if node.tag != _STR:
            self._fault(node, f"{what}: YAML takes {node.value!r} for no text; put it in quotes")
            return ""
        text = str(node.value)
        if not text.strip() or text != text.strip() or not text.isprintable():
            self._fault(node, f"{what}: expected one line of printable text, found {text!r}")
        elif len(text) > most_chars:
            self._fault(node, f"{what}: longer than {most_chars} characters")
        return text

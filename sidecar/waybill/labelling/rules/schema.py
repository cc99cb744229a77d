"""Rule files: what may stand in them, and every fault with its file and line.

YAML is read as nodes, not as values, for two reasons: nodes know their line, and they still know
how a scalar was written. YAML would turn ``id: 010`` into 8 and ``label: no`` into False; here a
text that YAML takes for something else is refused with the advice to quote it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import yaml

from waybill.core.errors import RuleError
from waybill.core.near import meant
from waybill.core.text import not_utf8, text_of_file
from waybill.core.yaml_advice import yaml_advice
from waybill.core.yaml_cuts import cuts
from waybill.labelling.rules.field_values import FieldValue, check_field_name, field_value
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.nodes import NodeReader

_KEYS = (
    "id",
    "label",
    "pattern",
    "where",
    "fields",
    "mode",
    "override",
    "match",
    "no_match",
    "description",
)
#: What a rule writes into each record that it decides.
_MOST_ID_CHARS = 200
_MOST_FIELD_CHARS = 2_048
#: The JSON schema of a list of texts.
_TEXTS: dict[str, object] = {"type": "array", "items": {"type": "string"}}


class Disabling(msgspec.Struct, frozen=True):
    """That rules of other files are to be left out: an id, or a pattern of ids (`fnmatch`).

    ``line`` is None where the settings say so.
    """

    pattern: str
    file: str
    line: int | None = None


class RuleSource(msgspec.Struct, frozen=True):
    """One rule as written. ``override``: it takes the place of another one with its id.

    ``layer`` is that of its file (`waybill.labelling.rules.files.RuleFile`).
    """

    id: str
    label: str
    pattern: str
    file: str
    line: int
    sources: tuple[str, ...] | None = None
    fields: dict[str, FieldValue] | None = None
    mode: str = "enforce"
    match: tuple[str, ...] = ()
    no_match: tuple[str, ...] = ()
    override: bool = False
    layer: int = 0
    #: Where the pattern begins.
    pattern_line: int = 0
    #: Texts that YAML has cut: the line of each, and what to say of it.
    cut: tuple[tuple[int, str], ...] = ()


class ParsedFile(NamedTuple):
    """What one file says; of ``faulty`` rules patterns and samples are tried all the same."""

    rules: Sequence[RuleSource] = ()
    disable: Sequence[Disabling] = ()
    faulty: Sequence[RuleSource] = ()


def parse_file(
    file: RuleFile,
    labels: Collection[str],
    faults: list[RuleError],
    reserved: Sequence[str] = (),
) -> ParsedFile:
    """The rules of one file; what is wrong with it is appended to ``faults``.

    ``reserved`` are names that no rule may give to a field of its own.
    ``yaml.CSafeLoader`` crashes the process on deep nesting: call this only in a child process.
    """
    name = file.name
    try:
        text = text_of_file(file.data)
    except UnicodeDecodeError as error:
        line, told = not_utf8(error)
        faults.append(RuleError("yaml", told, file=name, line=line))
        return ParsedFile()
    if not text.strip():
        # What an editor that writes in place leaves for a moment; a pack that is to be off says
        # `rules: []`.
        faults.append(
            RuleError("empty", "an empty file; to have no rules in it, write: rules: []", file=name)
        )
        return ParsedFile()
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line_number = error.problem_mark.line + 1 if error.problem_mark else None
        told = f"{error.problem}{yaml_advice(error.problem)}"
        faults.append(RuleError("yaml", told, file=name, line=line_number))
        return ParsedFile()
    except yaml.YAMLError as error:
        faults.append(RuleError("yaml", " ".join(str(error).split()), file=name))
        return ParsedFile()
    return _FileReader(file, text, labels, faults, reserved).read(root)


class _FileReader(NodeReader):
    """Reads the rules of one file."""

    def __init__(
        self,
        file: RuleFile,
        text: str,
        labels: Collection[str],
        faults: list[RuleError],
        reserved: Sequence[str],
    ) -> None:
        super().__init__(file.name, faults)
        self._whole = text
        self._layer = file.layer
        self._labels = labels
        self._reserved = reserved

    def read(self, root: yaml.Node | None) -> ParsedFile:
        if root is None:
            return ParsedFile()  # nothing but comments
        top = self._mapping(root, ("rules", "disable", *_private_keys(root)), "the file")
        if not {"rules", "disable"} & top.keys():
            self._fault(root, "expected `rules:` with a list of rules")
        rules: list[RuleSource] = []
        faulty: list[RuleSource] = []
        disable: list[Disabling] = []
        if "rules" in top:
            rules = list(self._rules(top["rules"], faulty))
        if "disable" in top:
            self._rule_id = None
            disable = list(self._disabled(top["disable"]))
        return ParsedFile(rules, disable, faulty)

    def _disabled(self, nodes: yaml.Node) -> Iterator[Disabling]:
        for node in self._list(nodes, "disable"):
            pattern = self._text(node, "an id in disable")
            if pattern:
                yield Disabling(pattern, self._name, node.start_mark.line + 1)
            elif isinstance(node, yaml.ScalarNode):
                self._fault(node, "an empty id in disable")

    def _rules(self, nodes: yaml.Node, faulty: list[RuleSource]) -> Iterator[RuleSource]:
        for node in self._list(nodes, "rules"):
            self._rule_id = None
            before = len(self._faults)
            rule = self._rule(node)
            if rule is None:
                continue
            if len(self._faults) == before:
                yield rule
            elif rule.id and rule.pattern.strip("\r\n"):
                faulty.append(rule)

    def _rule(self, node: yaml.Node) -> RuleSource | None:
        self._rule_id = _id_of(node)
        entries = self._mapping(node, _KEYS, "a rule")
        missing = [key for key in ("id", "label", "pattern") if key not in entries]
        if missing:
            self._fault(node, f"{', '.join(missing)} missing")
            return None
        label = self._text(entries["label"], "label")
        if label and label not in self._labels:
            hint = meant(label, self._labels) or f" (one of: {', '.join(self._labels)})"
            self._fault(entries["label"], f"no such label {label!r}{hint}", "label")
        mode = self._text(entries["mode"], "mode") if "mode" in entries else "enforce"
        if mode not in ("enforce", "shadow"):
            self._fault(entries["mode"], f"mode is enforce or shadow, not {mode!r}")
        return RuleSource(
            id=self._id(entries["id"]),
            label=label,
            pattern=self._pattern(entries["pattern"]),
            file=self._name,
            line=node.start_mark.line + 1,
            sources=self._sources(entries.get("where")),
            fields=self._fields(entries.get("fields")),
            mode=mode,
            match=self._texts(entries.get("match"), "match"),
            no_match=self._texts(entries.get("no_match"), "no_match"),
            override=self._is_true(entries.get("override"), "override"),
            layer=self._layer,
            pattern_line=entries["pattern"].start_mark.line + 1,
            cut=tuple(cuts(self._whole, node)),
        )

    def _id(self, node: yaml.Node) -> str:
        name = self._text(node, "id")
        if len(name) > _MOST_ID_CHARS:
            told = f"an id has at most {_MOST_ID_CHARS} characters: it is written into records"
            self._fault(node, told)
        return name

    def _pattern(self, node: yaml.Node) -> str:
        pattern = self._text(node, "pattern")
        if isinstance(node, yaml.ScalarNode) and not pattern.strip("\r\n"):
            self._fault(node, "an empty pattern would take every message", "pattern")
        return pattern

    def _sources(self, node: yaml.Node | None) -> tuple[str, ...] | None:
        if node is None:
            return None
        entries = self._mapping(node, ("source",), "where")
        return self._texts(entries["source"], "where.source") if "source" in entries else None

    def _fields(self, node: yaml.Node | None) -> dict[str, FieldValue] | None:
        if node is None:
            return None
        fields: dict[str, FieldValue] = {}
        for key, value in self._mapping(node, None, "fields").items():
            try:
                check_field_name(key, self._reserved)
                fields[key] = field_value(value)
            except ValueError as error:
                self._fault(value, f"fields.{key}: {error}")
        if sum(len(key) + len(str(value)) for key, value in fields.items()) > _MOST_FIELD_CHARS:
            told = f"at most {_MOST_FIELD_CHARS:,} characters: they are written into every record"
            self._fault(node, f"fields: {told} that the rule decides")
        return fields or None


def _private_keys(root: yaml.Node) -> list[str]:
    """Keys such as ``x-base`` at the top of a file: a place for what rules take over by ``<<``."""
    if not isinstance(root, yaml.MappingNode):
        return []
    keys = [str(key.value) for key, _ in root.value if isinstance(key, yaml.ScalarNode)]
    return [key for key in keys if key.startswith("x-")]


def _id_of(node: yaml.Node) -> str | None:
    """The id of a rule that may be faulty otherwise, so that its faults can name it."""
    if not isinstance(node, yaml.MappingNode):
        return None
    found = [
        value.value
        for key, value in node.value
        if key.value == "id" and isinstance(value, yaml.ScalarNode)
    ]
    return str(found[0])[:_MOST_ID_CHARS] if found else None


def json_schema(labels: Collection[str]) -> dict[str, Any]:
    """The JSON schema of a rule file, for editors."""
    ids = {"description": "ids of rules of other files; * and ? are allowed"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Waybill rules",
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x-": {}},
        "anyOf": [{"required": ["rules"]}, {"required": ["disable"]}],
        "properties": {
            "rules": {"type": "array", "items": _rule_schema(labels)},
            "disable": _TEXTS | ids,
        },
    }


def _rule_schema(labels: Collection[str]) -> dict[str, Any]:
    overrides = "take the place of the rule with this id in another file"
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "label", "pattern"],
        "properties": {
            "id": {
                "type": "string",
                "maxLength": _MOST_ID_CHARS,
                "description": "unique over all files",
            },
            "label": {"enum": list(labels)},
            "pattern": {
                "type": "string",
                "minLength": 1,
                "description": "a Python regular expression, searched (re.ASCII)",
            },
            "where": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"source": _TEXTS},
            },
            "fields": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "mode": {"enum": ["enforce", "shadow"]},
            "override": {"type": "boolean", "description": overrides},
            "match": _TEXTS | {"description": "must match, checked at every load"},
            "no_match": _TEXTS | {"description": "must not match, checked at every load"},
            "description": {"type": "string"},
        },
    }

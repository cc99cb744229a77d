"""Rule files: what may stand in them, and every fault with its file and line.

YAML is read as nodes, not as values, for two reasons: nodes know their line, and they still know
how a scalar was written. YAML would turn ``id: 010`` into 8 and ``label: no`` into False; here a
text that YAML takes for something else is refused with the advice to quote it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any

import msgspec
import yaml

from waybill.core.errors import RuleError
from waybill.core.reasons import RuleCode

_STR = "tag:yaml.org,2002:str"
_KEYS = ("id", "label", "pattern", "where", "fields", "mode", "match", "no_match", "description")


class RuleSource(msgspec.Struct, frozen=True):
    """One rule as written."""

    id: str
    label: str
    pattern: str
    file: str
    line: int
    sources: tuple[str, ...] | None = None
    fields: dict[str, str | int | float | bool] | None = None
    mode: str = "enforce"
    match: tuple[str, ...] = ()
    no_match: tuple[str, ...] = ()


def parse_file(
    name: str, data: bytes, labels: Collection[str], faults: list[RuleError]
) -> list[RuleSource]:
    """The rules of one file; what is wrong with it is appended to ``faults``.

    ``yaml.CSafeLoader`` crashes the process on deep nesting: call this only in a child process.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        faults.append(RuleError("yaml", f"not UTF-8: {error.reason}", file=name, line=line))
        return []
    if not text.strip():
        # What an editor that writes in place leaves for a moment; a pack that is to be off says
        # `rules: []`.
        faults.append(
            RuleError("empty", "an empty file; to have no rules in it, write: rules: []", file=name)
        )
        return []
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line_number = error.problem_mark.line + 1 if error.problem_mark else None
        faults.append(RuleError("yaml", str(error.problem), file=name, line=line_number))
        return []
    except yaml.YAMLError as error:
        faults.append(RuleError("yaml", " ".join(str(error).split()), file=name))
        return []
    return list(_FileReader(name, labels, faults).rules(root))


class _FileReader:
    """Reads the nodes of one file."""

    def __init__(self, name: str, labels: Collection[str], faults: list[RuleError]) -> None:
        self._name, self._labels, self._faults = name, labels, faults
        self._rule_id: str | None = None

    def _fault(self, node: yaml.Node, detail: str, code: RuleCode = "schema") -> None:
        line = node.start_mark.line + 1
        self._faults.append(
            RuleError(code, detail, file=self._name, line=line, rule_id=self._rule_id)
        )

    def rules(self, root: yaml.Node | None) -> Iterator[RuleSource]:
        if root is None:
            return  # an empty file holds no rules
        top = self._mapping(root, ("rules",), "the file")
        nodes = top.get("rules")
        if nodes is None:
            self._fault(root, "expected `rules:` with a list of rules")
            return
        for node in self._list(nodes, "rules"):
            self._rule_id = None
            before = len(self._faults)
            rule = self._rule(node)
            if rule is not None and len(self._faults) == before:
                yield rule

    def _rule(self, node: yaml.Node) -> RuleSource | None:
        self._rule_id = _id_of(node)
        entries = self._mapping(node, _KEYS, "a rule")
        missing = [key for key in ("id", "label", "pattern") if key not in entries]
        if missing:
            self._fault(node, f"{', '.join(missing)} missing")
            return None
        label = self._text(entries["label"], "label")
        if label and label not in self._labels:
            close = difflib.get_close_matches(label, self._labels, n=1)
            hint = (
                f" (did you mean {close[0]}?)" if close else f" (one of: {', '.join(self._labels)})"
            )
            self._fault(entries["label"], f"no such label {label!r}{hint}", "label")
        mode = self._text(entries["mode"], "mode") if "mode" in entries else "enforce"
        if mode not in ("enforce", "shadow"):
            self._fault(entries["mode"], f"mode is enforce or shadow, not {mode!r}")
        return RuleSource(
            id=self._text(entries["id"], "id"),
            label=label,
            pattern=self._text(entries["pattern"], "pattern"),
            file=self._name,
            line=node.start_mark.line + 1,
            sources=self._sources(entries.get("where")),
            fields=self._fields(entries.get("fields")),
            mode=mode,
            match=self._texts(entries.get("match"), "match"),
            no_match=self._texts(entries.get("no_match"), "no_match"),
        )

    def _sources(self, node: yaml.Node | None) -> tuple[str, ...] | None:
        if node is None:
            return None
        entries = self._mapping(node, ("source",), "where")
        return self._texts(entries["source"], "where.source") if "source" in entries else None

    def _fields(self, node: yaml.Node | None) -> dict[str, str | int | float | bool] | None:
        if node is None:
            return None
        fields: dict[str, str | int | float | bool] = {}
        for key, value in self._mapping(node, None, "fields").items():
            scalar = (
                yaml.CSafeLoader("").construct_object(value)
                if isinstance(value, yaml.ScalarNode)
                else None
            )
            if isinstance(scalar, str | int | float | bool):
                fields[key] = scalar
            else:
                self._fault(value, f"fields.{key}: expected a text, number or boolean")
        return fields or None

    def _mapping(
        self, node: yaml.Node, keys: tuple[str, ...] | None, what: str
    ) -> dict[str, yaml.Node]:
        """The members of a mapping; unknown and repeated keys are faults."""
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{what}: expected a mapping")
            return {}
        entries: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node, f"a key of {what}")
            if keys is not None and key not in keys:
                close = difflib.get_close_matches(key, keys, n=1)
                self._fault(
                    key_node,
                    f"unknown key {key!r}" + (f" (did you mean {close[0]}?)" if close else ""),
                )
            elif key in entries:
                self._fault(key_node, f"key {key!r} given twice")
            else:
                entries[key] = value
        return entries

    def _list(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._fault(node, f"{what}: expected a list")
        return []

    def _texts(self, node: yaml.Node | None, what: str) -> tuple[str, ...]:
        return (
            tuple(self._text(item, what) for item in self._list(node, what))
            if node is not None
            else ()
        )

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{what}: expected a text")
            return ""
        if node.tag != _STR:
            self._fault(node, f"{what}: YAML takes {node.value!r} for no text; put it in quotes")
        return str(node.value)


def _id_of(node: yaml.Node) -> str | None:
    """The id of a rule that may be faulty otherwise, so that its faults can name it."""
    if not isinstance(node, yaml.MappingNode):
        return None
    found = [
        value.value
        for key, value in node.value
        if key.value == "id" and isinstance(value, yaml.ScalarNode)
    ]
    return str(found[0]) if found else None


def json_schema(labels: Collection[str]) -> dict[str, Any]:
    """The JSON schema of a rule file, for editors."""
    texts = {"type": "array", "items": {"type": "string"}}
    rule = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "label", "pattern"],
        "properties": {
            "id": {"type": "string", "description": "unique over all files"},
            "label": {"enum": list(labels)},
            "pattern": {
                "type": "string",
                "description": "a Python regular expression, searched (re.ASCII)",
            },
            "where": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"source": texts},
            },
            "fields": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "mode": {"enum": ["enforce", "shadow"]},
            "match": texts | {"description": "must match, checked at every load"},
            "no_match": texts | {"description": "must not match, checked at every load"},
            "description": {"type": "string"},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Waybill rules",
        "type": "object",
        "additionalProperties": False,
        "required": ["rules"],
        "properties": {"rules": {"type": "array", "items": rule}},
    }

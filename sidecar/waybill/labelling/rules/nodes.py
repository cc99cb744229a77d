"""Reading YAML nodes of a rule file: every fault with its line, and merge keys.

``<<: *base`` takes over the keys of another mapping that the rule does not have itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from waybill.core.errors import RuleError
from waybill.core.near import meant
from waybill.core.reasons import RuleCode

_STR = "tag:yaml.org,2002:str"
_BOOL = "tag:yaml.org,2002:bool"
_MERGE = "tag:yaml.org,2002:merge"
#: Keys of a mapping, each with its node and its value's.
Entries = dict[str, tuple[yaml.Node, yaml.Node]]


class NodeReader:
    """Reads the nodes of one file; what is wrong is appended to ``faults``."""

    def __init__(self, name: str, faults: list[RuleError]) -> None:
        self._name = name
        self._faults = faults
        self._rule_id: str | None = None
        #: What mappings hold with what they merge, by the node; None while it is being found out.
        self._merged: dict[int, Entries | None] = {}

    def _fault(self, node: yaml.Node, detail: str, code: RuleCode = "schema") -> None:
        line = node.start_mark.line + 1
        self._faults.append(
            RuleError(code, detail, file=self._name, line=line, rule_id=self._rule_id)
        )

    def _mapping(
        self, node: yaml.Node, keys: tuple[str, ...] | None, what: str
    ) -> dict[str, yaml.Node]:
        """The members of a mapping; unknown and repeated keys are faults."""
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{what}: expected a mapping")
            return {}
        members: dict[str, yaml.Node] = {}
        for key, (key_node, value) in self._entries(node, what).items():
            if keys is None or key in keys:
                members[key] = value
            else:
                hint = meant(key, keys) or f"; expected one of {', '.join(keys)}"
                self._fault(key_node, f"unknown key {key!r}{hint}")
        return members

    def _entries(self, node: yaml.MappingNode, what: str) -> Entries:
        """Own keys, then those of the mappings that ``<<`` names, the first one winning."""
        if id(node) in self._merged:
            known = self._merged[id(node)]
            if known is None:
                self._fault(node, f"{what}: << leads back to the mapping itself")
            return known or {}
        self._merged[id(node)] = None
        own: Entries = {}
        bases: list[yaml.Node] = []
        for key_node, value in node.value:
            if key_node.tag == _MERGE:
                bases.append(value)
                continue
            key = self._text(key_node, f"a key of {what}")
            if key in own:
                self._fault(key_node, f"key {key!r} given twice")
            else:
                own[key] = (key_node, value)
        inherited: Entries = {}
        for base in reversed(bases):
            for one in self._bases(base):
                inherited |= self._entries(one, what)
        self._merged[id(node)] = inherited | own
        return inherited | own

    def _bases(self, node: yaml.Node) -> Iterable[yaml.MappingNode]:
        """The mappings behind ``<<``, the last one first: what stands first wins."""
        nodes = list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
        for one in reversed(nodes):
            if isinstance(one, yaml.MappingNode):
                yield one
            else:
                self._fault(one, "<<: expected a mapping, or a list of mappings")

    def _list(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        example = f", for example {what}: [...]"
        if isinstance(node, yaml.MappingNode):
            example = "; let each of its entries begin with - and a blank"
        self._fault(node, f"{what}: expected a list{example}")
        return []

    def _texts(self, node: yaml.Node | None, what: str) -> tuple[str, ...]:
        if node is None:
            return ()
        return tuple(self._text(item, what) for item in self._list(node, what))

    def _is_true(self, node: yaml.Node | None, what: str) -> bool:
        if node is None:
            return False
        is_bool = isinstance(node, yaml.ScalarNode) and node.tag == _BOOL
        if not is_bool or str(node.value).lower() not in ("true", "false"):
            self._fault(node, f"{what}: expected true or false")
        return is_bool and str(node.value).lower() == "true"

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{what}: expected a text; put what begins with [ or {{ into quotes")
            return ""
        if node.tag != _STR:
            tag = f"{node.tag} " if node.tag.startswith("!") else ""
            shown = f"{tag}{node.value}"
            self._fault(node, f"{what}: YAML takes {shown!r} for no text; put it in quotes")
        return str(node.value)

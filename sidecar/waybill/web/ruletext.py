"""Small changes of a rule file's text that keep everything else in it as people wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import yaml

from waybill.core.yaml_text import compose_yaml, read_yaml

#: What a new file begins with: a rule without faults is easier to change than none is to write.
EXAMPLE = """\
rules:
- id: own-example
  label: {label}
  pattern: 'words of the line \\d+'
  match: ["here stand words of the line 17"]
"""
#: Characters of a mask that a drafted pattern is made of.
_MASK_CHARS = 160
#: What stands for a value in a mask, with what may stand there in a message.
_VALUES = {"<ip>": r"[0-9A-Fa-f.:]+", "<id>": r"\S+?"}
_VALUE = re.compile(r"<i[dp]>|0+")
_PATTERN = re.compile(r"^(\s*pattern:).*$", re.MULTILINE)
_ITEM = re.compile(r"^(\s*)-\s")


def rule_ids(text: str) -> list[str]:
    """The ids of the rules of a text, in order; none where the text is not a rule file."""
    return list(rules_of(text))


def rules_of(text: str) -> dict[str, dict[str, object]]:
    """The rules of a text by their ids, in order; none where the text is not a rule file."""
    try:
        told = read_yaml(text)
    except yaml.YAMLError:
        return {}
    rules = told.get("rules") if isinstance(told, dict) else None
    found: dict[str, dict[str, object]] = {}
    if not isinstance(rules, list):
        return found
    for rule in rules:
        if _id_of(rule):
            found[_id_of(rule)] = rule
    return found


def _id_of(rule: object) -> str:
    name = rule.get("id") if isinstance(rule, dict) else ""
    return name if isinstance(name, str) else ""


def pattern_of_mask(mask: str, examples: Sequence[str]) -> str:
    r"""A pattern with the words of a mask and a class for each value; empty: it misses an example.

    >>> pattern_of_mask("order 0 for <id> held", ["order 12 for 9f2c held"])
    'order\\s+\\d+\\s+for\\s+\\S+?\\s+held'
    """
    words = []
    for word in mask[:_MASK_CHARS].split():
        parts, last = [], 0
        for found in _VALUE.finditer(word):
            parts.append(re.escape(word[last : found.start()]))
            parts.append(_VALUES.get(found[0], r"\d+"))
            last = found.end()
        words.append("".join([*parts, re.escape(word[last:])]))
    pattern = r"\s+".join(words)
    if not examples or not all(re.search(pattern, one) for one in examples):
        return ""
    return pattern


def appended(text: str, drafted: str) -> str:
    """The rule of ``drafted`` behind those of ``text``."""
    rule = drafted.partition("rules:\n")[2]
    if not text.strip() or text.strip() == "rules: []":
        return drafted
    return text.rstrip("\n") + "\n" + rule


def with_pattern(text: str, pattern: str) -> str:
    """The text of one rule with another pattern."""
    quoted = "'" + pattern.replace("'", "''") + "'"
    return _PATTERN.sub(lambda found: f"{found[1]} {quoted}", text, count=1)


def with_mode(text: str, rules: Sequence[str], mode: str) -> tuple[str, str]:
    r"""The text with ``mode`` in the rules of these ids; empty: without one, which is enforce.

    With it the first of them that has a form that cannot be changed here, or is not there; then the
    text is as it was.

    >>> with_mode("rules: [{id: a, label: Error}]", ["a"], "shadow")
    ('rules: [{mode: shadow, id: a, label: Error}]', '')
    >>> with_mode("rules: []", ["a"], "shadow")
    ('rules: []', 'a')
    """
    nodes = _nodes_of(text)
    edits: list[tuple[int, int, str]] = []
    for rule in rules:
        if rule not in nodes:
            return text, rule
        edits += _edits(text, nodes[rule], mode)
    pieces: list[str] = []
    at = 0
    for begin, end, new in sorted(set(edits)):
        pieces += text[at:begin], new
        at = end
    changed = "".join(pieces) + text[at:]
    told = rules_of(changed)
    for rule in rules:
        if told.get(rule, {}).get("mode", "enforce") != (mode or "enforce"):
            return text, rule
    return changed, ""


def _edits(text: str, node: yaml.MappingNode, mode: str) -> list[tuple[int, int, str]]:
    """What is to be put between which places, so that a rule has ``mode``."""
    present = [(key, value) for key, value in node.value if key.value == "mode"]
    if present:
        return [_edit_of_value(text, node, present[0], mode)]
    if not mode:
        return []
    if node.flow_style:
        place = node.start_mark.index + 1
        return [(place, place, f"mode: {mode}, ")]
    key, _ = node.value[1] if len(node.value) > 1 else node.value[0]
    place, indent = key.start_mark.index, " " * key.start_mark.column
    return [(place, place, f"mode: {mode}\n{indent}")]


def _edit_of_value(
    text: str, node: yaml.MappingNode, present: tuple[yaml.Node, yaml.Node], mode: str
) -> tuple[int, int, str]:
    """Another value of a key; its line goes where ``mode`` is empty and it has one of its own."""
    key, value = present
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    is_alone = not node.flow_style and not text[begin : key.start_mark.index].strip()
    if not mode and is_alone:
        return begin, text.find("\n", value.end_mark.index) + 1 or len(text), ""
    return value.start_mark.index, value.end_mark.index, mode or "enforce"


def _nodes_of(text: str) -> dict[str, yaml.MappingNode]:
    """Where the rules of a text stand, by their ids."""
    found: dict[str, yaml.MappingNode] = {}
    try:
        whole = compose_yaml(text)
    except yaml.YAMLError:
        return found
    if not isinstance(whole, yaml.MappingNode):
        return found
    listed = next((value for key, value in whole.value if key.value == "rules"), None)
    if not isinstance(listed, yaml.SequenceNode):
        return found
    for one in listed.value:
        if isinstance(one, yaml.MappingNode):
            for name in _ids_in(one):
                found.setdefault(name, one)
    return found


def _ids_in(node: yaml.MappingNode) -> list[str]:
    """What stands as the id of a rule: one text, where it is in order."""
    return [str(value.value) for key, value in node.value if key.value == "id"]


def _is_yaml(text: str) -> bool:
    try:
        read_yaml(text)
    except yaml.YAMLError:
        return False
    return True


def with_modes(files: Mapping[str, str], rules: Sequence[str], mode: str) -> tuple[str, str, str]:
    """The one file that has these rules, its text with their ``mode`` (enforce, shadow), and why it
    cannot be, in a sentence.
    """
    file_of: dict[str, str] = {}
    for name, text in files.items():
        for rule in rules_of(text):
            file_of.setdefault(rule, name)
    names = {file_of.get(rule, "") for rule in rules}
    if not names or "" in names:
        return "", "", "Choose rules of your own files: others cannot be changed here."
    if len(names) > 1:
        return "", "", f"Choose rules of one file: these are in {' and '.join(sorted(names))}."
    name = names.pop()
    changed, odd = with_mode(files[name], rules, "" if mode == "enforce" else mode)
    fault = f"Rule {odd} has a form that cannot be changed here: edit its text." if odd else ""
    return name, changed, fault


def in_shadow(before: str, after: str) -> tuple[str, str]:
    """The second text with its new rules in shadow mode; or why they cannot be, in a sentence.

    What is in force already would change at once: that is no shadow.
    """
    old, new = rules_of(before), rules_of(after)
    if not new and old and not _is_yaml(after):
        return after, ""  # the compiler says what is wrong with it
    moved = [name for name, rule in old.items() if new.get(name) != rule]
    fresh = [name for name in new if name not in old]
    if moved:
        return after, (
            f"Not applied: rule {moved[0]} is in force and is changed here too, which shadow mode "
            "would not hold back. Put it back, or press Apply."
        )
    if not fresh:
        return after, "Not applied: shadow mode is for new rules, and this text has none."
    changed, odd = with_mode(after, fresh, "shadow")
    if odd:
        return after, f"Not applied: write “mode: shadow” into rule {odd}, and press Apply."
    return changed, ""


def with_sample(text: str, rule: str, member: str, sample: str) -> str | None:
    r"""The text with ``sample`` among ``member`` of a rule; None: the rule is written in a way that
    this cannot change.

    >>> print(with_sample("rules:\n- id: a\n  label: Error\n", "a", "no_match", "it's"), end="")
    rules:
    - id: a
      label: Error
      no_match:
      - "it's"
    """
    lines = text.split("\n")
    place = _lines_of(lines, rule)
    if place is None:
        return None
    first, last, indent = place
    while last > first and not lines[last - 1].strip():
        last -= 1
    quoted = json.dumps(sample, ensure_ascii=False)
    key = re.compile(rf"^{indent}{member}:\s*(?:#.*)?$")
    at = next((i for i in range(first, last) if key.match(lines[i])), None)
    if at is None:
        lines[last:last] = [f"{indent}{member}:", f"{indent}- {quoted}"]
    else:
        item = _ITEM.match(lines[at + 1]) if at + 1 < last else None
        lines.insert(at + 1, f"{item[1] if item is not None else indent}- {quoted}")
    changed = "\n".join(lines)
    return changed if sample in _samples(changed, rule, member) else None


def _samples(text: str, rule: str, member: str) -> list[object]:
    """What a rule of a text has under ``member``; nothing where the text is not a rule file."""
    try:
        told = read_yaml(text)
    except yaml.YAMLError:
        return []
    for one in told.get("rules") or [] if isinstance(told, dict) else []:
        if _id_of(one) == rule and isinstance(one.get(member), list):
            return list(one[member])
    return []


def _lines_of(lines: list[str], rule: str) -> tuple[int, int, str] | None:
    """First and last line (excluded) of a rule whose first key is its id, and its indent."""
    begins = re.compile(rf"^(\s*)-(\s+)id:\s*['\"]?{re.escape(rule)}['\"]?\s*(?:#.*)?$")
    for first, line in enumerate(lines):
        found = begins.match(line)
        if found is None:
            continue
        last = first + 1
        while last < len(lines) and not _is_end(lines[last], len(found[1])):
            last += 1
        return first, last, f"{found[1]} {found[2]}"
    return None


def _is_end(line: str, indent: int) -> bool:
    """Whether a line is not part of a rule whose dash stands at ``indent``."""
    item = _ITEM.match(line)
    if item is not None and len(item[1]) <= indent:
        return True
    return bool(line.strip()) and len(line) - len(line.lstrip()) < indent

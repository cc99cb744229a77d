"""Small changes of a rule file's text that keep everything else in it as people wrote it."""

from __future__ import annotations

import re

import yaml

_ITEM = re.compile(r"^(\s*)-\s")
_MODE = re.compile(r"^(\s*(?:-\s+)?)mode:.*$")


def rule_ids(text: str) -> list[str]:
    """The ids of the rules of a text, in order; none where it is no rule file."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    rules = told.get("rules") if isinstance(told, dict) else None
    ids = map(_id_of, rules if isinstance(rules, list) else [])
    return list(filter(None, ids))


def _id_of(rule: object) -> str:
    name = rule.get("id") if isinstance(rule, dict) else ""
    return name if isinstance(name, str) else ""


def new_rules(before: str, after: str) -> list[str]:
    """Ids that only the second text has."""
    known = set(rule_ids(before))
    return [one for one in rule_ids(after) if one not in known]


def with_mode(text: str, rule: str, mode: str) -> str:
    r"""The text with ``mode`` in the rule of this id; empty: without one, which is enforce.

    >>> print(with_mode("rules:\n- id: a\n  mode: shadow\n  label: Error\n", "a", ""), end="")
    rules:
    - id: a
      label: Error
    """
    lines = text.split("\n")
    place = _lines_of(lines, rule)
    if place is None:
        return text
    first, last, indent = place
    block = [line for line in lines[first:last] if not _MODE.match(line)]
    if mode:
        block.insert(1, f"{indent}mode: {mode}")
    return "\n".join([*lines[:first], *block, *lines[last:]])


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
    """Whether a line is no part of a rule whose dash stands at ``indent``."""
    item = _ITEM.match(line)
    if item is not None and len(item[1]) <= indent:
        return True
    return bool(line.strip()) and len(line) - len(line.lstrip()) < indent

"""What YAML takes for a comment, a name or a tag though it looks like a part of the text beside it.

``pattern: order #12`` is read as ``order``, without a word: a blank and ``#`` begin a comment in a
text without quotes. A comment is believed that has a blank behind its ``#``; in a pattern or a
message, which may hold anything, only if it has two blanks before it, too.

>>> text = "description: see ticket #12  # of the old desk"
>>> for line, told in cuts(text, compose_yaml(text)): print(line, told)
1 description: YAML reads 'see ticket' and takes '#12  # of the old desk' behind it for a comment; \
if it belongs to the text, put the whole into single quotes; if not, write two blanks before its # \
and one behind
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from waybill.core.yaml_text import compose_yaml

__all__ = ["cuts", "cuts_in"]

_STR = "tag:yaml.org,2002:str"
_REST = re.compile(r"(?<![ \t])[ \t]++(#[^\s#].*)")
_REST_OF_LINE = re.compile(r"(?<![ \t])[ \t]++(#[^\s#].*)|[ \t](#.*)")
#: An anchor, with its name, or the tag that says nothing.
_BEFORE = re.compile(r"&([^\s,\[\]{}]+)[ \t]+(?=\S)|![ \t]+(?=\S)")
#: Keys of what holds messages, or patterns of them.
_LINES = frozenset({"pattern", "match", "no_match", "line"})
_SHOWN_CHARS = 80


def cuts_in(text: str) -> list[str]:
    """`cuts` of a whole file, as ``LINE: SENTENCE``; none where the file is not YAML."""
    try:
        root = compose_yaml(text)
    except yaml.YAMLError:
        return []
    return [f"{line}: {told}" for line, told in cuts(text, root)]


def cuts(
    text: str, root: yaml.Node | None, *, are_lines: bool = False
) -> Iterator[tuple[int, str]]:
    """The line of each text below ``root`` that seems to be cut, and what to say of it.

    ``are_lines``: all of it are messages.
    """
    for key, node in _scalars(root):
        if node.tag != _STR or node.style:
            continue
        rest = _REST_OF_LINE if are_lines or key in _LINES else _REST
        behind = rest.match(text, node.end_mark.index)
        before = _BEFORE.match(text, node.start_mark.index)
        said = ""
        if behind is not None:
            said = _told(node.value, behind[0].strip())
        elif before is not None and not (before[1] and f"*{before[1]}" in text):
            said = _told_before(node.value, before[0].strip())
        if said:
            yield node.start_mark.line + 1, f"{key}: {said}" if key else said


def _scalars(root: yaml.Node | None) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Every value below ``root``, once, with the key that it stands under."""
    left = [("", root)] if root is not None else []
    seen: set[int] = set()
    while left:
        key, node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield key, node
        elif isinstance(node, yaml.MappingNode):
            left += [(str(name.value), value) for name, value in reversed(node.value)]
        else:
            left += [(key, item) for item in reversed(node.value)]


def _told(kept: str, left_out: str) -> str:
    return (
        f"YAML reads {_short(kept)!r} and takes {_short(left_out)!r} behind it for a comment; if "
        "it belongs to the text, put the whole into single quotes; if not, write two blanks before "
        "its # and one behind"
    )


def _told_before(kept: str, left_out: str) -> str:
    return (
        f"YAML reads {_short(kept)!r} and leaves out {left_out!r} before it, which nothing in the "
        "file refers to; if it belongs to the text, put the whole into single quotes"
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."

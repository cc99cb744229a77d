r"""A rule drafted from one message, for a person who puts the label and widens the pattern.

The pattern is made of the prepared message, which is what rules read: its words as they stand,
``\s+`` between them, and what varies (numbers, addresses, ids) as a class. It therefore matches its
own sample; that a draft can be loaded is tried with the service's own compiler all the same.

>>> pattern_of("zxqv  17 blorp")
'zxqv\\s+\\d+\\s+blorp'
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from waybill.core.errors import RuleSetError
from waybill.core.prepare import prepare
from waybill.labelling.masking import DAY, MONTH
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules

__all__ = ["draft", "pattern_of", "to_yaml"]

#: Characters of the message that the pattern is made of, and that stand as its sample.
_PATTERN_CHARS, _SAMPLE_CHARS = 100, 500
#: What the label is called until a person puts one.
_LABEL = "YOUR LABEL"
_BLANKS = re.compile(r"[ \t\n]+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
#: Letters that stand for a value which is kept; behind them comes one more that tells which.
_STAND = "\ue000kept"
_ESCAPED = r"\\\g<0>"
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
#: What varies within a word, the first that fits, and the class that stands for it.
_VARYING = (
    (
        r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        r"[0-9A-Fa-f-]{36}",
    ),
    (r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}", r"[^\s@]+@[^\s@]+"),
    (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])", r"\d+(?:\.\d+){3}"),
    (r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,8}[0-9a-fA-F]{1,4}(?![\w:])", r"[0-9A-Fa-f:]+"),
    (r"\b0[xX][0-9a-fA-F]+\b", r"0[xX][0-9A-Fa-f]+"),
    (r"\b(?=\d*[a-fA-F])(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b", r"[0-9A-Fa-f]+"),
    (r"\d+", r"\d+"),
)
_ANY_VARYING = re.compile("|".join(f"({varies})" for varies, _ in _VARYING), re.ASCII)


#: Names of months and days within dates, and what stands for them until the pattern is made.
_DATED = re.compile(
    rf"(?<=\d[/ -]){MONTH}(?=[/ -]\d{{2,4}})|\b{MONTH}(?= {{1,2}}\d{{1,2}}(?:,? |$))"
    rf"|\b{DAY}(?=,? (?:{MONTH} |\d{{1,2}} {MONTH}))"
)
_NAME_STAND = "\ue001"
_NAME_CLASS = "[A-Z][a-z]{2}"


class _Quoted(str):
    """A text that is written in quotes, so that a person can edit it without knowing YAML."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `_Quoted` in single quotes where YAML can, in double quotes where it must."""


def _quoted(dumper: yaml.SafeDumper, text: _Quoted) -> yaml.ScalarNode:
    style = "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(_Quoted, _quoted)


async def draft(
    message: str,
    labels: Sequence[str],
    *,
    label: str = _LABEL,
    keep: Sequence[tuple[int, str]] = (),
) -> str | None:
    """A rule file for ``message``; None where none can be drafted.

    ``labels`` are those of the taxonomy: the draft is compiled, and tried on its sample, with one
    of them. ``label`` is what it says, left open by default. ``keep`` are values of the prepared
    message that the pattern asks for as they stand, each with its place.
    """
    text = prepare(message)[:_SAMPLE_CHARS]
    pattern = _keeping(text, keep) if keep else pattern_of(text)
    if pattern is None:
        return None
    tried = RuleFile("draft.yaml", to_yaml(pattern, text, labels[0]).encode(errors="replace"))
    try:
        await compile_rules([tried], labels=labels)
    except RuleSetError:
        return None
    return to_yaml(pattern, text, label)


def _keeping(text: str, keep: Sequence[tuple[int, str]]) -> str | None:
    """`pattern_of`, with the values of ``keep`` as they stand, by way of words that no text has."""
    stands: dict[str, str] = {}
    for number, (at, value) in enumerate(sorted(keep, reverse=True)):
        stand = f"{_STAND}{chr(ord('a') + number)}"
        stands[stand] = value
        text = f"{text[:at]}{stand}{text[at + len(value) :]}"
    pattern = pattern_of(text)
    if pattern is None:
        return None
    for stand, value in stands.items():
        if stand not in pattern:
            return None  # beyond what a pattern is made of
        pattern = pattern.replace(stand, rf"\b{_SPECIAL.sub(_ESCAPED, value)}\b")
    return pattern


def pattern_of(text: str) -> str | None:
    """A pattern that matches the prepared ``text``; None for one without anything to read.

    A text without a word (``4711``) is asked for as a whole, or its rule would take too much.
    """
    begin = _first_word(text)
    told = text[begin or 0 :].strip()
    words = _BLANKS.split(_DATED.sub(_NAME_STAND, told[:_PATTERN_CHARS].strip()))
    pattern = r"\s+".join(map(_word, words)).replace(_NAME_STAND, _NAME_CLASS)
    if not pattern:
        return None
    if begin is not None:
        return pattern
    end = "$" if len(told) <= _PATTERN_CHARS else ""
    return f"^{pattern}{end}"


def to_yaml(pattern: str, sample: str, label: str) -> str:
    """A rule file of one rule."""
    rule = {
        "id": "my-rule",
        "label": label,
        "pattern": _Quoted(pattern),
        "match": [_Quoted(sample)],
    }
    return yaml.dump(
        {"rules": [rule]}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )


def _first_word(text: str) -> int | None:
    """Where the first word with two letters begins: a clock in front of it tells nothing."""
    for word in re.finditer(r"[^ \t\n]+", text):
        if _LETTERS.search(word[0]):
            return word.start()
    return None


def _word(word: str) -> str:
    """A word as a pattern: what varies in it as a class, the rest as it stands."""
    parts: list[str] = []
    end = 0
    for found in _ANY_VARYING.finditer(word):
        parts.append(_SPECIAL.sub(_ESCAPED, word[end : found.start()]))
        assert found.lastindex is not None
        parts.append(_VARYING[found.lastindex - 1][1])
        end = found.end()
    parts.append(_SPECIAL.sub(_ESCAPED, word[end:]))
    return "".join(parts)

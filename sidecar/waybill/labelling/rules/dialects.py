r"""Finds patterns that are valid here and mean something else in the dialect they come from.

Each finding is a sentence for people. What a ``match`` sample proves to work is not doubted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_GROK = re.compile(r"%\{[A-Z][A-Z0-9_]*(?::[^}]{0,200})?\}")
_LUA = re.compile(r"%[adlpsuwx](?=[+*?-]|$|%|\s)")
_SLASHES = re.compile(r"/(?P<inner>.+)/(?P<flags>[dgimsuvxy]*)", re.DOTALL)
_POSIX = re.compile(
    r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word"
    r"|xdigit):\]"
)
#: ``[ERROR]``: a set of single characters, where the word in brackets was meant.
_WORD_IN_BRACKETS = re.compile(r"(?<!\\)\[[A-Za-z]{3,}\](?![*+?{])")
#: ``(95%)``: a group for no reason, where parentheses were meant.
_TEXT_IN_PARENTHESES = re.compile(r"(?<!\\)\([^()\\|?*+.\[\]^$]+\)(?![*+?{])")
#: Escapes that YAML reads before the pattern is one, by what becomes of them.
_YAML_ESCAPES = {
    "\x07": r"\a",
    "\x08": r"\b",
    "\x0b": r"\v",
    "\x0c": r"\f",
    "\x1b": r"\e",
    "\x00": r"\0",
    "\x85": r"\N",
    "\xa0": r"\_",
    "\u2028": r"\L",
    "\u2029": r"\P",
}
#: Characters that look like one of the keyboard.
_LOOKALIKES = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\u2009": "a blank",
    "\u202f": "a blank",
    "\u200b": "nothing",
    "\u200d": "nothing",
    "\u2060": "nothing",
    "\ufeff": "nothing",
}


#: How a fault of syntax begins, and what to write where a pattern comes from elsewhere.
_REMEDIES = (
    ("unknown extension ?<", "a named group is written (?P<name>...)"),
    ("unknown extension ?|", "write (?:...) with the branches in it"),
    ("bad escape \\p", "for letters write [^\\W\\d_], for all else \\W"),
    ("bad escape \\P", "for letters write [^\\W\\d_], for all else \\W"),
    ("bad escape \\Q", "write a backslash in front of each special character"),
    ("bad escape \\h", "for blanks write [ \\t]"),
    ("bad escape \\R", "for line ends write \\r?\\n"),
    ("bad escape \\z", "the end of the text is \\Z"),
    ("bad escape \\K", "the part that is matched changes nothing: leave \\K out"),
    ("bad escape (end", "a backslash as text is written \\\\"),
    ("nothing to repeat", "any text is .* here; to have * + or ? as text write \\* \\+ or \\?"),
    ("multiple repeat", "to have * + or ? as text write \\* \\+ or \\?"),
    ("unterminated character set", "to have [ as text write \\["),
    ("Possible nested set", "write [A-Za-z], [0-9], \\s or \\w for sets with a name"),
    ("missing ), unterminated sub", "to have ( as text write \\("),
    ("unbalanced parenthesis", "to have ) as text write \\)"),
    ("bad character range", "to have - in a set put it at its end"),
    ("look-behind requires", "give each length a branch of its own: (?<=a)|(?<=aa)"),
)


def with_remedy(fault: str) -> str:
    """What is wrong with the syntax of a pattern, and what to write, where that is known.

    >>> with_remedy("unknown extension ?| at position 1")
    'unknown extension ?| at position 1; write (?:...) with the branches in it'
    """
    for beginning, remedy in _REMEDIES:
        if fault.startswith(beginning):
            return f"{fault}; {remedy}"
    return fault


def doubts(pattern: str, *, is_proven: bool) -> Iterator[str]:
    """What is doubtful about ``pattern``; ``is_proven``: a sample shows that it matches."""
    yield from _control_characters(pattern)
    found = _POSIX.search(pattern)
    if found:
        yield f"{found[0]} is a set of these characters here; write [0-9], [A-Za-z], \\s or \\w"
    if is_proven:
        return
    yield from _line_ends(pattern)
    yield from _other_languages(pattern)
    yield from _text_as_pattern(pattern)
    yield from _lookalikes(pattern)


def _control_characters(pattern: str) -> Iterator[str]:
    for character in sorted(set(pattern)):
        escape = _YAML_ESCAPES.get(character)
        if escape is not None:
            yield (
                f'holds the character U+{ord(character):04X}, which YAML makes of "{escape}" in '
                "double quotes; write the pattern in single quotes"
            )
        elif unicodedata.category(character) == "Cc" and character not in "\t\n\r":
            yield f"holds the control character U+{ord(character):04X}, which no message has"


def _line_ends(pattern: str) -> Iterator[str]:
    if "(?x" in pattern:
        return
    if pattern.endswith(("\n", "\r")):
        yield (
            "ends in a line end, which messages do not have at their end; write |- for the block, "
            "or the pattern in single quotes"
        )
    elif "\n" in pattern:
        yield "holds a line end of its own, so it matches only across lines; write it in one line"


def _other_languages(pattern: str) -> Iterator[str]:
    grok = _GROK.search(pattern)
    lua = _LUA.search(pattern)
    slashes = _SLASHES.fullmatch(pattern)
    if grok:
        yield f"{grok[0]} is Grok, which is text here; write a regular expression"
    elif lua:
        yield f"{lua[0]} looks like a Lua pattern, which is text here; write \\d, \\w or \\s"
    if slashes and (slashes["flags"] or "/" not in slashes["inner"]):
        flags = "(?i)" if "i" in slashes["flags"] else ""
        yield (
            f"the slashes of /.../{slashes['flags']} are text here; "
            f"write {flags}{slashes['inner']!r} without them"
        )


def _text_as_pattern(pattern: str) -> Iterator[str]:
    word = _WORD_IN_BRACKETS.search(pattern)
    text = _TEXT_IN_PARENTHESES.search(pattern)
    if word:
        yield (
            f"{word[0]} matches one of these letters; to have the word in brackets write "
            f"\\{word[0][:-1]}\\]"
        )
    if text:
        yield (
            f"{text[0]} is a group, without the parentheses; to have them write \\{text[0][:-1]}\\)"
        )


def _lookalikes(pattern: str) -> Iterator[str]:
    for character in sorted(set(pattern)):
        meant = _LOOKALIKES.get(character)
        if meant is not None:
            yield f"holds U+{ord(character):04X}, which is not {meant} though it looks like it"
    for word in re.findall(r"[^\W\d_]+", pattern):
        scripts = {_script(letter) for letter in word}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK"}:
            yield f"{word!r} mixes letters of two scripts that look alike"


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]

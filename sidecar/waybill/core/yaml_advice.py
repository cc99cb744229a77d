"""What to do about a fault of YAML, which its readers name in words for those who know YAML.

>>> yaml_advice("found unknown escape character")
'; write the text in single quotes, where a backslash is nothing but itself'
>>> yaml_advice("the stream ends")
''
"""

from __future__ import annotations

__all__ = ["yaml_advice"]

_COLUMNS = "let the entries of a list or mapping begin in one column"
_QUOTES = "and put a text that begins with a quote, a bracket or a sign into quotes as a whole"
_TEMPLATE = "fill in what stands in {{ }} before, as helm template does, or put it into quotes"
#: What a reader says of a fault, in part, and what to do; both of PyYAML's readers are known.
_ADVICE = {
    "unknown escape character": (
        "write the text in single quotes, where a backslash is nothing but itself"
    ),
    "mapping values are not allowed": f"put a text with ': ' in it into quotes, and {_COLUMNS}",
    "cannot start any token": f"indent with blanks, not tabs, {_QUOTES}",
    "undefined alias": "put a text that begins with * into quotes",
    "alphabetic or numeric character": "put a text that begins with * or & into quotes",
    "constructor for the tag": "put a text that begins with ! into quotes",
    "end of stream": "a quote is not closed",
    "expected <block end>": f"{_COLUMNS}, {_QUOTES}",
    "expected key": f"{_COLUMNS}, {_QUOTES}",
    "expected '-' indicator": _COLUMNS,
    "sequence entries are not allowed": "put a text that begins with - and a blank into quotes",
    "mapping keys are not allowed": "put a text that begins with ? and a blank into quotes",
    "comment or": "put a text that begins with > or | into quotes",
    "',' or ']'": "close the list with ], or put a text that begins with [ into quotes",
    "',' or '}'": "close the mapping with }, or put a text that begins with { into quotes",
    "could not find expected ':'": "expected KEY: VALUE, with a blank behind the colon (no U+00A0)",
    "another document": "keep one document: no further line ---",
    "expected node content": _TEMPLATE,
    "node content, but found '-'": _TEMPLATE,
    "unhashable key": _TEMPLATE,
    "<document start>": "expected KEY: VALUE on each line",
}


def yaml_advice(problem: str | None) -> str:
    """What to do about ``problem``, to be put behind it; "" where nothing is known."""
    for part, advice in _ADVICE.items():
        if part in (problem or ""):
            return f"; {advice}"
    return ""

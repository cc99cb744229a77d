"""Why a record has no label: the table of ``docs/labels.md`` and a schema of ``openapi.json``."""

from __future__ import annotations

import json
import re

from waybill.core.reason_words import REASONS

_TABLE = re.compile(r"(?<=<!-- reasons -->\n).*?(?=<!-- end of reasons -->)", re.DOTALL)
_CODE = re.compile(r"\b\w+(?:\[\])?\.\w+(?:\.\w+)*\b|\bwaybill \w+ \w+|\bPOST /\S+\w")


def labels_page(text: str) -> str:
    """``text`` with the table of reasons between its two marks."""
    rows = "".join(
        f"| `{code}` | {told.words} | {_quoted(told.advice)} |\n" for code, told in REASONS.items()
    )
    table = f"| reason | meaning | what to do |\n| --- | --- | --- |\n{rows}"
    return _TABLE.sub(lambda _: table, text)


def _quoted(advice: str) -> str:
    """``advice`` with its settings, commands and paths as code."""
    return _CODE.sub(r"`\g<0>`", advice)


def api_description(text: str) -> str:
    """``text``, an OpenAPI description, with each reason and its words as the schema ``Reason``."""
    described = json.loads(text)
    described["components"]["schemas"]["Reason"] = {
        "description": "Why a record is Unclassified; later versions may know more reasons",
        "oneOf": [{"const": code, "description": told.words} for code, told in REASONS.items()],
    }
    return json.dumps(described, indent=1) + "\n"

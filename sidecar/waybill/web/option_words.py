"""What the command says about a file, as its page says it: without options of a command line."""

from __future__ import annotations

import re

#: A remark in brackets that ends with an option.
_REMARK = re.compile(r"; --[^;()]*(?=\))")
#: The file as the workbench keeps it, and the option that a sentence is about.
_ABOUT = re.compile(r"^(?:\S*/in(?:\.\w+)*: )?(?:--[a-z-]+: )?")
_CODE = re.compile(r" \[\w+\]$")
_OPTION = re.compile(r"(?<![\w-])--[a-z]")
_MARK = re.compile(r"[;:.(]")
_HINT = "Choose it under “How it is read”."


def on_page(words: str) -> str:
    """``words`` without options and places on disk.

    >>> on_page("this is not text; --format text takes it line by line [unsupported_encoding]")
    'this is not text. Choose it under “How it is read”. [unsupported_encoding]'
    >>> on_page("the text is not utf-16; name its encoding (--encoding)")
    'the text is not utf-16; name its encoding. Choose it under “How it is read”.'
    >>> on_page("cp1252 (a guess, since it is not UTF-8; --encoding names another), ';'")
    "cp1252 (a guess, since it is not UTF-8), ';'"
    """
    told = _REMARK.sub("", _ABOUT.sub("", words))
    option = _OPTION.search(told)
    if option is None:
        return told
    before = told[: option.start()]
    last = max((found.start() for found in _MARK.finditer(before)), default=len(before))
    code = _CODE.search(told)
    return f"{told[:last].rstrip()}. {_HINT}{code[0] if code is not None else ''}"

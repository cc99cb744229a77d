"""Secrets that stand farther from their name than a sign: in an object, in a call, in a sentence.

Every pattern repeats disjoint character classes or counts with a bound, so each takes linear time.

>>> hide_signed("the password of eve has been reset to Sand!dorn")
'the password of eve has been reset to <secret>'
"""

from __future__ import annotations

import re

from waybill.labelling.llm.secret_names import HIDDEN, STRONG, VALUE, may_name

__all__ = ["hide_held", "hide_signed"]

#: ``"password": {"value": "..."}``, ``Password(value=...)``.
_HELD = re.compile(
    rf"((?:{STRONG})\w{{0,20}}[\\\"']{{0,4}}\s?[:=]?\s?[({{\[]\s?[\\\"']{{0,4}}"
    r"(?:value|val|text|plain\w{0,8}|data)[\\\"']{0,4}\s?[:=]\s?)"
    rf"(?!{HIDDEN})(?:{VALUE})",
    re.IGNORECASE,
)
#: Keys of databases, and what is ciphered with them.
_KEY = re.compile(
    r"(\b(?:pragma\s+\w{0,6}key|\bas\s+\w{1,40}\s+key)\s*=?\s*)(?:'[^']*'?|\"[^\"]*\"?)",
    re.IGNORECASE,
)
_CIPHER = re.compile(
    r"(\b(?:pgp_\w{4,24}|[ad]es_(?:en|de)crypt|crypt|hmac)\s?\([^()']{0,120})"
    r"(?:'[^']*'[,\s]{0,3})+",
    re.IGNORECASE,
)
#: A line that is about logging in, or about a secret ...
_ABOUT = re.compile(
    rf"{STRONG}|\b(?:auth\w{{0,12}}|log(?:in|on|ging in)|sign-?in|kinit|bind\w{{0,3}}"
    r"|key|psk|pw|pin|puk|pass[ _-]?phrase|clé|chiave|sleutel|ключ)\b|schlüssel|s?ftp",
    re.IGNORECASE,
)
#: ... where a word has a sign within that words have not.
_SIGNED = re.compile(
    r"(?<![\w!#$^./\\&<@-])(?P<user>[\w.-]{1,40} ?/ ?)?"
    r"(?P<word>(?:[\w-]{1,40}[!#$^]){1,4}[\w-]{1,40}[!#$^]?)(?![\w/(.<])"
)
#: Names in programs have one, too: ``ntdll!RtlUserThreadStart``, ``User#find``, ``Outer$Inner``,
#: ``order#17``, ``nick!user``.
_NAME = re.compile(
    r"[a-z0-9_]+![A-Z]\w*|[a-z]+!(?:[a-z]+|\d+)|(?:[\w-]+[#$])+(?:[A-Z][\w-]*|[A-Za-z_-]*|\d*)"
)


def hide_held(text: str) -> str:
    """``text`` with secrets in objects and calls under their name replaced by ``<secret>``."""
    if any(sign in text for sign in "({[") and may_name(text):
        text = _HELD.sub(r"\1<secret>", text)
    if "'" in text or '"' in text:
        text = _CIPHER.sub(r"\1<secret>", _KEY.sub(r"\1<secret>", text))
    return text


def hide_signed(text: str) -> str:
    """``text`` with what looks like a password, on a line about one, replaced by ``<secret>``."""
    has_sign = any(sign in text for sign in "!#$^")
    return _SIGNED.sub(_password, text) if has_sign and _ABOUT.search(text) else text


def _password(match: re.Match[str]) -> str:
    word = match["word"]
    is_short = len(word) < 6 or word.upper() == word.lower()
    is_word = is_short or _NAME.fullmatch(word) is not None
    return match[0] if is_word else f"{match['user'] or ''}<secret>"

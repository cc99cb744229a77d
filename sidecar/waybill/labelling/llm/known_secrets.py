"""Secrets that are known by their own looks: tokens of vendors, keys, hashes, random words.

Every pattern repeats disjoint character classes or counts with a bound, so each takes linear time.

>>> hide_known("using figd_abcdefghijklmnop to read the file")
'using <secret> to read the file'
"""

from __future__ import annotations

import re

__all__ = ["hide_known"]

_PEM = re.compile(
    r"(?<!-)-{2,}BEGIN [A-Z0-9 ]{0,40}?KEY(?: BLOCK)?-{2,}.*?(?:-{2,}END [A-Z0-9 ]{0,40}-{2,}|\Z)",
    re.DOTALL,
)
#: Digits may have been replaced by a single 0, and parts by placeholders.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{5,}(?:\.[\w-]*){0,4}"  # JSON web tokens, whole or cut
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ABSK)[A-Z0-9]{6,}|amzn\.mws\.[\w-]{8,}"  # AWS
    r"|gh[pousr]_\w{8,}|github_pat_\w{8,}"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas|imt|agent)-[\w-]{8,}|gl[cs]a?_[\w-]{8,}"
    r"|xox[a-z](?:-[\w<>]+)+|xapp-[\w-]{8,}"
    r"|(?:sk|rk|pk|whsec)[_-](?:(?:live|test|proj|ant|or)[\w-]*[_-])?[\w-]{8,}|gsk_\w{8,}"
    r"|sk-ant-[\w-]{5,}|r0_\w{16,}|r8_\w{16,}|pplx-\w{16,}|xai-\w{16,}|tvly-[\w-]{12,}"
    r"|AIza[\w-]{10,}|ya\d{1,2}\.[\w-]{8,}|GOCSPX-[\w-]{8,}|0//[\w-]{10,}|\d*//0[\w-]{10,}"
    r"|SG\.[\w-]{8,}(?:\.[\w-]+)?|(?:AC|SK)[0-9a-f<>]{12,}|key-[0-9a-z<>]{8,}"
    r"|(?:xkeysib|xsmtpsib|EZAK|EZTK|PMAK|CFPAT|CCIPAT|pul|tskey|fio-u|FLWSECK\w{0,8})[_-][\w-]{8,}"
    r"|npm_\w{8,}|pypi-[\w-]{8,}|rubygems_\w{8,}|nuget_\w{8,}|hf_\w{8,}|do[opr]_v\d+_\w{8,}"
    r"|dckr_(?:pat|oat)_[\w-]{8,}|lin_(?:api|oauth)_\w{8,}|rdme_\w{8,}|sbp_\w{8,}|figd_[\w-]{8,}"
    r"|ntn_\w{8,}|secret_[A-Za-z0-9]{24,}|hv[sbr]\.[\w-]{8,}|s\.[A-Za-z0-9]{20,}"
    r"|shp(?:at|ca|pa|ss)_\w{8,}|shippo_(?:live|test)_\w{8,}|sntry[su]_[\w=+/-]{8,}|nfp_\w{12,}"
    r"|dp\.(?:st|pt|ct|sa|scim|audit)\.[\w.-]{8,}|pscale_(?:tkn|oauth|pw)_[\w.-]{8,}"
    r"|dt\d[a-z]\d{1,2}\.[\w.-]{8,}|\w{8,20}\.atlasv\d\.[\w-]{8,}|AT(?:ATT|CTT|BB)[\w=-]{10,}"
    r"|ph[cx]_\w{16,}|lsv\d_(?:pt|sk)_\w{8,}|bkua_\w{8,}|ops_eyJ[\w-]{8,}"
    r"|A\d-(?:[A-Z0-9]{5,6}-){3,}"
    r"[A-Z0-9]{5,6}"
    r"|EAA[A-Za-z0-9]{16,}|dapi[0-9a-f<>]{8,}"
    r"|(?:LTAI|AKID)[A-Za-z0-9]{12,}|pat(?:\w{14}|\.\w{16,})\.[\w.<>]{8,}"
    r"|pat-[a-z]{2,4}\d-[\w<>-]{8,}|t\d\.[\w-]{20,}(?:\.[\w-]*)?"
    r"|API-[A-Z0-9]{20,}|access-(?:sandbox|development|production)-[\w<>-]{8,}"
    r"|(?:sdk|api|mob)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{12,}|re_\w{6,12}_\w{12,}"
    r"|(?:live|test)_[0-9a-f]{12,}|AAAA[\w-]{5,9}:APA\d{1,2}b[\w-]{8,}|\d{1,2}D\w{12,15}![\w.]{8,}"
    r"|access_token\$\w{4,12}\$[\w$]{8,}|(?:HRKU|dnkey|nvapi|csk|ico)-[\w<>-]{8,}|sl\.[\w-]{30,}"
    r"|(?:api_org|pnu|sgp|waka|zpka|esecret|napi|pcsk|rnd|fo\d|fm\d|ddp|tfp|aio)_[\w<>-]{12,}"
    r"|rzp_(?:live|test)_\w{8,}|(?:WPL_AP\d|mlsn)\.[\w.]{8,}={0,2}|sha\d{1,3}~[\w-]{16,}"
    r"|AGE-SECRET-KEY-\w{8,}|sq0(?:atp|csp|idp)-[\w-]{8,}|NR(?:AK|II|JS|RA)-\w{8,}"
    r"|(?:bot)?\d{1,12}:AA[\w-]{15,}"  # Telegram
    r"|(?:M[DTjz]|N[DTjz]|O[DT])[\w-]{10,30}\.[\w-]{5,7}\.[\w-]{16,}"  # Discord
    r"|[\w.~-]{2,8}Q~[\w.~-]{16,}"  # Azure
    r"|\$(?:\d[a-z]?|argon\d?\w{0,3}|scrypt|y|pbkdf\d\S{0,20})\$\S{8,}"  # password hashes
    r")"
)
#: A word that mixes cases and digits like no word does; path segments and dotted names are judged
#: one by one.
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9])(?=[\w+-]{0,80}[a-z])(?=[\w+-]{0,80}[A-Z])(?=[\w+-]{0,80}\d)"
    r"[A-Za-z0-9_+-]{20,}={0,2}"
)
#: Parts of a name made of words: ``HttpClientPool``, ``ESB-worker``.
_WORDS = re.compile(r"[A-Z]?[a-z]{3,}|(?<![A-Z])[A-Z]{2,}(?=[A-Z][a-z]|[_+-]|\d|$)")
#: So much of a word's letters are in such parts where it is a name.
_NAME_SHARE = 0.85
#: Letters of one case, and digits here and there among them.
_SPRINKLED = re.compile(r"(?<![A-Za-z0-9])(?:[a-z0-9]{20,}|[A-Z0-9]{26,})(?![A-Za-z0-9])")
_TURNS = re.compile(r"[A-Za-z]+")
_MOST_TURNS = 4
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9/])(?=[\w+/]{0,80}[A-Z])(?=[\w+/]{0,80}[a-z])(?=[\w+/]{0,80}[\d+])"
    r"[A-Za-z0-9+/]{32,}={0,2}(?![A-Za-z0-9])"
)
#: The end of a key that was cut into lines shows by its padding.
_PADDED = re.compile(
    r"(?<![\w/+])(?:[A-Za-z0-9+/]{14,}==|(?=[\w/]{0,80}\+)[A-Za-z0-9+/]{14,}=)(?![\w=])"
)
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:[0-9a-f]{24,}|[0-9A-F]{24,})(?![A-Za-z0-9])")


def hide_known(text: str) -> str:
    """``text`` with what looks like a secret replaced by ``<secret>``."""
    text = _TOKEN.sub("<secret>", text)
    text = _RANDOM.sub(_random, text)
    text = _SPRINKLED.sub(_sprinkled, text)
    for pattern in (_BASE64, _PADDED, _HEX):
        text = pattern.sub("<secret>", text)
    return text


def _random(match: re.Match[str]) -> str:
    word = match[0]
    letters = sum(map(str.isalpha, word))
    named = sum(map(len, _WORDS.findall(word)))
    return word if named >= _NAME_SHARE * letters else "<secret>"


def _sprinkled(match: re.Match[str]) -> str:
    return match[0] if len(_TURNS.findall(match[0])) <= _MOST_TURNS else "<secret>"


def hide_keys(text: str) -> str:
    """``text`` with PEM keys, whole or cut, replaced by ``<secret>``."""
    return _PEM.sub("<secret>", text) if "BEGIN" in text else text

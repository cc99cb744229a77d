"""What may leave the node: text without secrets, personal data and control characters.

The cleaned text is what is sent *and* what is stored, so nothing else can leave by either way. It
is made for recall: a placeholder too many costs the model a word, one too few costs a secret. Names
of persons are not recognised; keep sources that log them off the LLM's routes or name own patterns.

>>> Privacy().clean("login of eve@example.com with password=hunter2 from 10.1.2.3")
'login of <email> with password=<secret> from <ip>'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import regex

from waybill.labelling.llm.errors import PrivacyError

#: Characters of a message that are looked at, and that can leave.
MAX_CHARS = 512
#: What one own pattern may take on one text before the text is held back.
_OWN_PATTERN_SECS = 0.05

#: Names of secrets that count wherever they occur (``PGPASSWORD``, ``clientSecret``,
#: ``x-api-key-2``) ...
_STRONG = (
    r"passw(?:or)?d|pwd|passcode|secret|token|credential|"
    r"api[ _-]?key|access[ _-]?key|account[ _-]?key|"
    r"private[ _-]?key|encryption[ _-]?key|signing[ _-]?key|license[ _-]?key|"
    r"passwort|kennwort|contraseña|senha|wachtwoord|пароль|密码|パスワード"
)
#: ... and those that count only as words of their own.
_WEAK = (
    r"pass|pw|auth|\w{0,12}sess(?:ion)?[ _-]?id|session|sess|sid|csrf\w{0,8}|"
    r"sig|signature|otp|pin|cvv|cvc|ssn"
)
#: After these everything to the end of the line may belong to the secret.
_REST = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|pass[ _-]?phrase|mnemonic"
    r"|(?:seed|recovery)[ _-](?:phrase|codes?))"
    r"([\"']?\s*(?:[:=]|\bis\b)\s*).+",
    re.IGNORECASE,
)
#: A quoted value, one in quotes that are escaped themselves (JSON inside JSON), or all up to a
#: blank.
_VALUE = (
    r"""\\+"(?:[^"\\]|\\[^"])*|\\+'(?:[^'\\]|\\[^'])*"""
    r"""|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s&]+"""
)
_PAIR = re.compile(
    rf"(?P<name>(?:{_STRONG}|(?<![A-Za-z0-9])(?:{_WEAK})(?![A-Za-z]))[\w-]{{0,20}}[\\\"'\])]{{0,3}}"
    rf"\s*(?::=|[=-]>|[:=]|\bis\b|\bwas\b|\bto\b)\s*)(?!<secret>)(?P<value>{_VALUE})",
    re.IGNORECASE,
)
#: What follows "password is" in messages that tell no password.
_NO_SECRET = frozenset(
    ("a", "an", "and", "any", "be", "been", "changed", "empty", "expired", "expiring",
     "failed", "failure", "for", "from", "has", "have", "incorrect", "in", "invalid", "is",
     "it", "locked", "missing", "near", "no", "none", "not", "null", "ok", "on", "or", "out",
     "required", "reset", "revoked", "set", "short", "that", "the", "this", "to", "too",
     "undefined", "unknown", "unset", "user", "valid", "was", "weak", "will", "wrong")
)  # fmt: skip
_XML = re.compile(rf"(<[\w:.-]{{0,30}}(?:{_STRONG})[\w:.-]{{0,20}}>)[^<]+", re.IGNORECASE)
_PEM = re.compile(
    r"-{2,}BEGIN [A-Z0-9 ]{0,40}?KEY(?: BLOCK)?-{2,}.*?(?:-{2,}END [A-Z0-9 ]{0,40}-{2,}|\Z)",
    re.DOTALL,
)
_URL_USER = re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s\"'<>]{1,300}@(?=[^\s@])", re.IGNORECASE)
_HEADER = re.compile(
    r"\b(Bearer|Basic|Digest|Negotiate|ApiKey|Token)\s+(?!<)([\w.~+/=<>:-]{6,})", re.IGNORECASE
)
_FLAG = re.compile(
    rf"((?<!\S)--?(?:[\w-]{{0,20}}(?:{_STRONG})|{_WEAK}|u|user|p)[= ])(?!<secret>)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s-]\S*)",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(\b(?:mysql\w*|mariadb\w*|sshpass)\b.{0,80}? -p)[^\s<]\S*")
_SQL = re.compile(
    r"(\bidentified\s+(?:with\s+\w+\s+)?by\s+|\bpassword\s+)('[^']*'?|\"[^\"]*\"?)", re.IGNORECASE
)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{5,}(?:\.[\w-]*){0,4}"  # JSON web tokens, whole or cut
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{6,}"  # AWS key ids
    r"|gh[pousr]_\w{8,}|github_pat_\w{8,}|gl(?:pat|dt|rt|cbt|ptt)-[\w-]{8,}"
    r"|xox[a-z](?:-[\w<>]+)+|xapp-[\w-]{8,}"
    r"|(?:sk|rk|pk|whsec)[_-](?:(?:live|test|proj|ant|or)[\w-]*[_-])?[\w-]{8,}|gsk_\w{8,}"
    r"|AIza[\w-]{10,}|ya29\.[\w-]{8,}|GOCSPX-[\w-]{8,}|0//[\w-]{10,}|\d*//0[\w-]{10,}"
    r"|SG\.[\w-]{8,}(?:\.[\w-]+)?|(?:AC|SK)[0-9a-f<>]{12,}|key-[0-9a-f<>]{8,}"
    r"|npm_\w{8,}|pypi-[\w-]{8,}|hf_\w{8,}|do[opr]_v\d+_\w{8,}|dckr_pat_[\w-]{8,}|lin_api_\w{8,}"
    r"|ntn_\w{8,}|hv[sbr]\.[\w-]{8,}|s\.[A-Za-z0-9]{20,}|shp(?:at|ca|pa|ss)_\w{8,}"
    r"|EAA[A-Za-z0-9]{16,}|dapi[0-9a-f<>]{8,}"
    r"|glsa_\w{8,}|AGE-SECRET-KEY-\w{8,}|sq0(?:atp|csp|idp)-[\w-]{8,}|NRAK-\w{8,}"
    r"|(?:bot)?\d{1,12}:AA[\w-]{15,}"  # Telegram
    r"|\$(?:\d[a-z]?|argon\d?\w{0,3}|scrypt|y|pbkdf\d\S{0,20})\$\S{8,}"  # password hashes
    r"|hooks\.slack\.com/\S+|discord(?:app)?\.com/api/webhooks/\S+"
    r")"
)
#: A word that mixes cases and digits like no word does; path segments and dotted names are judged
#: one by one.
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9])(?=[\w+=-]{0,80}[a-z])(?=[\w+=-]{0,80}[A-Z])(?=[\w+=-]{0,80}\d)"
    r"[A-Za-z0-9_+=-]{20,}"
)
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9/])(?=[\w+/]{0,80}[A-Z])(?=[\w+/]{0,80}[a-z])(?=[\w+/]{0,80}[\d+])"
    r"[A-Za-z0-9+/]{32,}={0,2}(?![A-Za-z0-9])"
)
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:[0-9a-f]{24,}|[0-9A-F]{24,})(?![A-Za-z0-9])")
_EMAIL = re.compile(
    r"[^\s@<>\"'(),:;=\[\]{}|]{1,64}@(?:[^\s@<>\"'(),:;=\[\]{}|.]{1,63}\.){1,8}[^\W\d_]{2,24}"
)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])(?::\d{1,5}|/\d{1,2})?")
_COLONS = re.compile(
    r"(?<![\w:.])(?:(?=[0-9a-fA-F:]{0,39}::)(?:[0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}"
    r"|(?:[0-9a-fA-F]{1,4}:){5,7}[0-9a-fA-F]{1,4})(?:%\w{1,15})?(?:/\d{1,3})?(?![\w:])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_DATE = re.compile(r"(?:19|20)\d\d([-/.])[01]\d\1[0-3]\d(?!\d)")
_DIGITS = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,3}\d){6,22}(?![\w])")

_PLACEHOLDER = re.compile(r"<[a-z]+>")
#: Tokens by which chat templates mark turns; a sloppy server would read them inside a line as its
#: own.
_TURN = re.compile(r"<\|+|\|+>|\[/?INST\]|</?s>|<</?SYS>>|<(?:start|end)_of_turn>", re.IGNORECASE)


class Privacy:
    """Cleans texts.

    ``own`` are the operator's patterns (`regex` syntax); each match becomes ``<private>``.

    Raises ValueError for a pattern that does not compile.
    """

    def __init__(self, own: Sequence[str] = ()) -> None:
        self._own = [_compile(pattern) for pattern in own]

    def clean(self, text: str) -> str:
        """``text`` as it may leave: at most `MAX_CHARS` characters on one line.

        Raises PrivacyError.
        """
        text = _plain(text)
        try:
            for pattern in self._own:
                text = pattern.sub("<private>", text, timeout=_OWN_PATTERN_SECS)
        except TimeoutError:
            raise PrivacyError from None
        text = _redact(text)
        return _TURN.sub("", text)[:MAX_CHARS].strip()


def has_words(text: str) -> bool:
    """Whether a cleaned text holds anything to read beside placeholders and digits."""
    return any(char.isalpha() for char in _PLACEHOLDER.sub("", text))


def _compile(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"{pattern!r}: {error}") from None


def _plain(text: str) -> str:
    """One line of printable text in compatibility form: full-width letters, invisible ones and
    direction marks would hide a secret from the patterns and an instruction from the reader.
    """
    # The cut may go through a secret, and half of one is no longer recognised: then the word goes.
    is_cut = len(text) >= MAX_CHARS
    text = text[:MAX_CHARS]
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKC", text)
        text = "".join(" " if char.isspace() else char for char in text if _is_visible(char))
    return " ".join((text.rpartition(" ")[0] if is_cut else text).split())


def _is_visible(char: str) -> bool:
    category = unicodedata.category(char)
    # Cc control, Cf format (bidi, zero width, tags), Cs surrogates, Co private use, Cn unassigned.
    return category[0] != "C" or char.isspace()


def _redact(text: str) -> str:
    """Secrets first, by what surrounds them and by their looks; then what points to a person."""
    if "<" in text:
        text = _XML.sub(
            r"\1<secret>", text
        )  # first: it would take our own placeholders for elements
    if "BEGIN" in text:
        text = _PEM.sub("<secret>", text)
    if "://" in text:
        text = _URL_USER.sub(r"\1<secret>@", text)
    text = _REST.sub(r"\1\2<secret>", text)
    text = _HEADER.sub(_secret_header, text)
    if "-" in text:
        text = _FLAG.sub(r"\1<secret>", text)
        text = _GLUED.sub(r"\1<secret>", text)
    text = _SQL.sub(r"\1<secret>", text)
    text = _PAIR.sub(_secret_pair, text)
    for pattern in (_KNOWN, _RANDOM, _BASE64, _HEX):
        text = pattern.sub("<secret>", text)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    if ":" in text:
        text = _COLONS.sub("<ip>", text)
    text = _IPV4.sub("<ip>", text)
    text = _IBAN.sub(_checked_iban, text)
    return _DIGITS.sub(_digits, text)


def _secret_pair(match: re.Match[str]) -> str:
    if match["value"].strip(".,;:!)").lower() in _NO_SECRET:
        return match[0]
    return f"{match['name']}<secret>"


def _secret_header(match: re.Match[str]) -> str:
    """In "Basic checks" and "token expired" a word follows.

    What looks like no word is a credential.
    """
    scheme, credential = match.groups()
    is_word = credential.isalpha() and credential.islower()
    return match[0] if is_word else f"{scheme} <secret>"


def _checked_iban(match: re.Match[str]) -> str:
    compact = re.sub(r"[ -]", "", match[0])
    # The pattern is greedy and may have taken a word that follows: the longest valid head counts.
    for end in range(len(compact), 14, -1):
        moved = compact[4:end] + compact[:4]
        if int("".join(str(int(char, 36)) for char in moved)) % 97 == 1:
            taken = 0
            for position, char in enumerate(match[0]):
                taken += char not in " -"
                if taken == end:
                    return "<iban>" + match[0][position + 1 :]
    return match[0]


def _digits(match: re.Match[str]) -> str:
    """A long number in groups.

    A card if its check digit is right, a phone if it is written like one.
    """
    digits = re.sub(r"\D", "", match[0])
    if 12 <= len(digits) <= 19 and _luhn(digits):
        return "<card>"
    is_grouped = not match[0].isdigit() and not _DATE.match(match[0])
    return "<phone>" if is_grouped and 7 <= len(digits) <= 15 else match[0]


def _luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2])
    total += sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0

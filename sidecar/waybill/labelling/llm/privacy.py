"""Cleans text before it leaves the node: no secrets, personal data or control characters.

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
from waybill.labelling.llm.known_secrets import hide_keys, hide_known
from waybill.labelling.llm.named_secrets import hide_named
from waybill.labelling.llm.signed_secrets import hide_held, hide_signed
from waybill.labelling.llm.spelled_signs import plain_quotes

#: Characters of a message that are looked at, and that can leave.
MAX_CHARS = 512
#: What one own pattern may take on one text before the text is held back.
_OWN_PATTERN_SECS = 0.05

_EMAIL = re.compile(
    r"(?:\"[^\"@]{1,64}\"|[^\s@<>\"'(),:;=\[\]{}|]{1,64})"
    r"@(?:(?:[^\s@<>\"'(),:;=\[\]{}|.]{1,63}\.){1,8}[^\W\d_]{2,24}|localhost\b)"
)
#: Addresses in URLs (the digits of %40 may be masked), and for people's eyes only.
_SPELLED_EMAIL = re.compile(
    r"[\w.+-]{1,64}(?:%(?:25|0)?(?:40|0)| ?[\[({] ?at ?[\])}] ?)[\w-]{1,63}"
    r"(?:(?:\.| ?[\[({] ?dot ?[\])}] ?)[\w-]{1,63}){1,6}",
    re.IGNORECASE,
)
_MAC = re.compile(
    r"(?<![\w.-])(?:(?:[0-9a-fA-F]{2}-){5}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4})"
    r"(?![\w-]|\.\w)"
)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])(?::\d{1,5}|/\d{1,2})?")
_COLONS = re.compile(
    r"(?<![\w:.])(?:(?=[0-9a-fA-F:]{0,39}::)(?:[0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}"
    r"|(?:[0-9a-fA-F]{1,4}:){5,7}[0-9a-fA-F]{1,4})(?:%\w{1,15})?(?:/\d{1,3})?(?![\w:])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_DATE = re.compile(r"(?:19|20)\d\d([-/.])[01]\d\1[0-3]\d(?!\d)")
#: As cards are written, whatever figures stand beside.
_CARD = re.compile(
    r"(?<![\w.])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w])"
)
_DIGITS = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,3}\d){6,22}(?![\w])")
_VERSION_AND_STATUS = re.compile(r"\d(?:\.\d)? [1-5]\d\d(?: \d{1,9}){0,3}")
_STATUS_AND_SIZE = re.compile(r"[1-5]\d\d \d{1,6}")

#: Letters of other scripts that look Latin: within a Latin word they hide what it says.
_LOOK_ALIKES = str.maketrans(
    "авеһіјкмнорсѕтухԁԛԝԍАВЕІЈКМНОРСЅТУХαενικορτυχ",
    "abehijkmhopcstyxdqwgABEIJKMHOPCSTYXaevikoptux",
)
_MIXED_WORD = re.compile(r"(?=\w{0,63}[A-Za-z])(?=\w{0,63}[\u0370-\u052f])\w{1,64}")
_PLACEHOLDER = re.compile(r"<[a-z]+>")
#: Tokens by which chat templates mark turns; a sloppy server would read them inside a line as its
#: own.
_TURN = re.compile(
    r"<\|+|(?<!\|)\|+>|\[/?INST\]|</?s>|<</?SYS>>|<(?:start|end)_of_turn>", re.IGNORECASE
)


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
        text = _MIXED_WORD.sub(_latin, text)
    return " ".join((text.rpartition(" ")[0] if is_cut else text).split())


def _latin(match: re.Match[str]) -> str:
    """A word of Latin letters and their look-alikes in Latin letters only."""
    return match[0].translate(_LOOK_ALIKES)


def _is_visible(char: str) -> bool:
    category = unicodedata.category(char)
    # Cc control, Cf format (bidi, zero width, tags), Cs surrogates, Co private use, Cn unassigned.
    return category[0] != "C" or char.isspace()


def _redact(text: str) -> str:
    """Secrets first, by what surrounds them and by their looks; then what points to a person."""
    text = plain_quotes(text)
    for hide in (hide_keys, hide_held, hide_named, hide_signed, hide_known):
        text = hide(text)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    text = _SPELLED_EMAIL.sub("<email>", text)
    text = _MAC.sub("<mac>", text)
    if ":" in text:
        text = _COLONS.sub("<ip>", text)
    text = _IPV4.sub("<ip>", text)
    text = _IBAN.sub(_checked_iban, text)
    return _DIGITS.sub(_digits, _CARD.sub(_checked_card, text))


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


def _checked_card(match: re.Match[str]) -> str:
    return "<card>" if _luhn(re.sub(r"\D", "", match[0])) else match[0]


def _digits(match: re.Match[str]) -> str:
    """A long number in groups.

    A card if its check digit is right, a phone if it is written like one.
    """
    if _is_of_request(match):
        return match[0]
    digits = re.sub(r"\D", "", match[0])
    if 12 <= len(digits) <= 19 and _luhn(digits):
        return "<card>"
    is_grouped = not match[0].isdigit() and not _DATE.match(match[0]) and not _is_tally(match[0])
    return "<phone>" if is_grouped and 7 <= len(digits) <= 15 else match[0]


def _is_of_request(match: re.Match[str]) -> bool:
    """Whether it is what a web server tells of a request: version, status, sizes and times."""
    if match.string.endswith("HTTP/", 0, match.start()):
        return _VERSION_AND_STATUS.fullmatch(match[0]) is not None
    return _STATUS_AND_SIZE.fullmatch(match[0]) is not None


def _is_tally(text: str) -> bool:
    """Whether these are figures of a proxy's line, as in ``0/0/0/1/1 200 0 0``."""
    return text.count("/") > 1 or not re.search(r"\d\d", text)


def _luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2])
    total += sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0

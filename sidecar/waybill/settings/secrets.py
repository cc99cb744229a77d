r"""Secrets from the environment and from files: one grammar, no matter who uses them.

Around a secret, a byte order mark, blanks and line ends are left out: ``echo KEY > FILE`` and
editors put them there. So are, round what is sent in a header, quotes, ``NAME=`` and ``Bearer`` in
front: ``docker run --env-file`` keeps quotes, and people copy whole lines. A file may hold comments
(``#``) and blank lines beside its one secret. What could never be sent is refused here, with the
place of the character and not the secret.

    >>> clean_secret("gsk_abc\n", "GROQ_API_KEY") == "gsk_abc"
    True
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from waybill.core.errors import ConfigError
from waybill.core.sent import sent
from waybill.core.text import not_utf8, text_of_file
from waybill.settings.problems import Problem
from waybill.settings.sections.base import Secret

_BOM = "\ufeff"
#: Blanks, the one that does not break and those without a width among them.
_AROUND = " \t\r\n\v\f\u00a0\u200b\u2060"
#: No key or token begins like this; base64 ends with its ``=``.
_IN_FRONT = re.compile(
    r"(?:export\s+|set\s+)?\b[A-Z][A-Z0-9]{0,64}_[A-Z0-9_]{1,64}\s{0,64}=\s*(?=[^=\s])"
    r"|(?:Authorization:\s*)?Bearer\s+",
    re.ASCII,
)
#: A secret is read whole; what is larger is some other file.
_MAX_BYTES = 1_048_576


def clean_secret(text: str, origin: str, *, is_header: bool = True) -> Secret | None:
    """``text`` without what stands around it; None when nothing is left.

    ``origin`` is the variable, setting or file that it comes from. ``is_header`` says that it is
    sent in an HTTP header, which takes visible ASCII characters only; any other secret is one line
    of printable text.

    Raises:
        ConfigError: a character that such a secret cannot have, named by its place.
    """
    text = text.strip(_AROUND + _BOM)
    if is_header:
        text = _bare(text)
    for at, character in enumerate(text, 1):
        if is_header and not "!" <= character <= "~":
            what = "a control character" if not character.isprintable() else "no visible ASCII"
            what = "blank" if character == " " else what
            raise _fault(origin, f"character {at} of the secret is {what}; expected one line of it")
        if not character.isprintable():
            raise _fault(origin, f"character {at} of the secret is a control character")
    return Secret(text, origin) if text else None


def _bare(text: str) -> str:
    """``text`` without what a line of a shell or of HTTP has around the value."""
    text = _IN_FRONT.sub("", text, count=1) if _IN_FRONT.match(text) else text
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip(_AROUND)
    return text


def secrets_in(content: bytes, origin: str, *, is_header: bool = True) -> list[Secret]:
    """The secrets in a file, one a line; blank lines and lines that begin with # are skipped.

    Raises:
        ConfigError: the file is not UTF-8, or a line holds what no secret can have.
    """
    try:
        text = text_of_file(content)
    except UnicodeDecodeError as error:
        raise _fault(origin, "line {}: {}".format(*not_utf8(error))) from None
    found: list[Secret] = []
    # Not splitlines(): that takes control characters within a secret for line ends.
    for number, line in enumerate(text.replace("\r", "\n").split("\n"), 1):
        if line.strip(_AROUND).startswith("#"):
            continue
        secret = clean_secret(line, f"{origin}: line {number}", is_header=is_header)
        if secret is not None:
            found.append(Secret(secret, origin))
    return found


def secret_in(content: bytes, origin: str, *, is_header: bool = True) -> Secret:
    """The one secret in a file.

    Raises:
        ConfigError: the file holds none, or more than one, or what no secret can have.
    """
    found = secrets_in(content, origin, is_header=is_header)
    if not found:
        raise _fault(origin, "the file holds no secret; expected one line with it")
    if len(found) > 1:
        raise _fault(origin, f"the file holds {len(found)} secrets; expected one line")
    sent(found[0])
    return found[0]


def read_secret(path: Path, origin: str, *, is_header: bool = True) -> Secret:
    """The one secret in the file at ``path``.

    Raises:
        ConfigError: as `secret_in`, or the file cannot be read.
    """
    return secret_in(read_content(path, origin), f"{origin}: {path}", is_header=is_header)


def read_content(path: Path, origin: str) -> bytes:
    """What a file of secrets holds.

    Raises:
        ConfigError: it cannot be read, or is too large for a secret.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _fault(origin, f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise _fault(origin, f"{path} is larger than {_MAX_BYTES} bytes; expected a secret")
    return content


def environment_secret(
    names: Sequence[str], environ: Mapping[str, str] | None = None
) -> Secret | None:
    """The first secret of these variables; before each, the file that ``NAME_FILE`` names.

    A variable that is set to nothing is not set.

    Raises:
        ConfigError: a variable or its file holds what no secret can have.
    """
    variables = os.environ if environ is None else environ
    for name in names:
        file = variables.get(f"{name}_FILE", "").strip()
        if file:
            return read_secret(Path(file), f"{name}_FILE")
        secret = clean_secret(variables.get(name, ""), name)
        if secret is not None:
            sent(secret)
            return secret
    return None


def _fault(origin: str, text: str) -> ConfigError:
    return ConfigError([str(Problem(origin, text))])

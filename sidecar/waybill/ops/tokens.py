"""Bearer tokens in a file, one per line, that may change while the service runs.

A line is a token that opens everything, or ``ship`` and one that batches can be posted with.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from waybill.core.errors import ConfigError
from waybill.core.sent import sent
from waybill.ops.watched import WatchedFile
from waybill.settings.secrets import secrets_in
from waybill.settings.sections.base import Secret

log = logging.getLogger(__name__)
_ORIGIN = "http.tokens_file"
#: What a token opens: batches alone, or everything.
TokenScope: TypeAlias = Literal["ship", "all"]
_SHIP = b"ship"
#: What a scope is in other files, and here the beginning of a token that nobody has.
_SHIP_MISSPELT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t]*ship[ \t]*[:=,]", re.IGNORECASE)
_SHIP_LINE = re.compile(rb"(?:\xef\xbb\xbf)?[ \t]*ship[ \t]+(?=[^ \t#])")
#: What looks half written is believed once it has stood unchanged for so long.
_SETTLE_SECS = 3.0


class Tokens:
    """The valid tokens; several at once, so that a rotation loses nothing.

    A file that holds no token, or that is cut off in the middle of one, is not taken: a shipper
    that is refused deletes its batch. What may be half written (its last line has no end, or it is
    the beginning of what was there before) counts at once for what it adds, and for what it takes
    away when it has stood for a while. ``on_change`` is told of every change: the number of tokens
    in force and why the file is not taken (empty when it is).

    Raises:
        ConfigError: the file holds no token at the start.
    """

    def __init__(
        self,
        file: WatchedFile,
        on_change: Callable[[int, str], None] = lambda _count, _problem: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._on_change = on_change
        self._clock = clock
        self._problem = ""
        self._reported: tuple[int, str] | None = None
        self._pending_since: float | None = None
        self._content = file.content
        self._digests = _digests(tokens_in(file.content))
        if not self._digests:
            raise ConfigError([f"{_ORIGIN}: {file.path} holds no token; expected one on each line"])
        self._report_change()

    def scope_of(self, header: str | None) -> TokenScope | None:
        """What the token in ``Authorization: Bearer <token>`` opens; None: it is not valid.

        The time that it takes tells nothing.
        """
        self.refresh()
        kind, _, token = (header or "").partition(" ")
        given = _digest(token.strip().encode("utf-8", "surrogateescape"))
        found: TokenScope | None = None
        for digest, scope in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = scope
        return found if kind.lower() == "bearer" else None

    def refresh(self) -> None:
        """Look at the file, at most once a second."""
        if self._file.refresh():
            self._consider(self._file.content)
        elif self._has_settled():
            self._settle(self._file.content)
        self._report_change()

    def _has_settled(self) -> bool:
        if self._pending_since is None:
            return False
        return self._clock() - self._pending_since >= _SETTLE_SECS

    def _consider(self, content: bytes) -> None:
        """New content: take it, or wait whether more comes."""
        self._pending_since = None
        try:
            found = tokens_in(content)
        except ConfigError as error:
            self._problem = f"cannot be used: {error}"
            return
        if not found:
            self._problem = "holds no token"
            return
        if content.endswith(b"\n") and not self._content.startswith(content):
            self._take(content)
            return
        self._problem = ""
        self._pending_since = self._clock()
        if not content.endswith(b"\n"):
            found = tokens_in(content[: content.rfind(b"\n") + 1])
        both = _digests(tokens_in(self._content))
        for digest, scope in _digests(found).items():
            if both.get(digest) != "all":
                both[digest] = scope
        self._digests = both

    def _settle(self, content: bytes) -> None:
        """Content that looked half written has stood for a while."""
        self._pending_since = None
        last = content[content.rfind(b"\n") + 1 :].strip()
        if self._is_cut(last):
            self._problem = "ends in the middle of a token"
            return
        self._take(content)

    def _is_cut(self, last: bytes) -> bool:
        """Whether a line may be the beginning of one that is to come, or that was there before."""
        if _SHIP.startswith(last):
            return bool(last)
        for begun in tokens_in(last):
            for token in tokens_in(self._content):
                if token != begun and token.startswith(begun):
                    return True
        return False

    def _take(self, content: bytes) -> None:
        self._problem = ""
        self._content = content
        self._digests = _digests(tokens_in(content))

    def _report_change(self) -> None:
        """Log and count each change once."""
        problem = self._file.problem or self._problem
        state = (len(self._digests), problem)
        if state == self._reported:
            return
        self._reported = state
        if problem:
            message = "a token file was refused; the tokens before it stay valid"
            log.error(message, extra={"file": str(self._file.path), "detail": problem})
        self._on_change(*state)


def token_to_send(content: bytes, origin: str, scope: TokenScope) -> Secret:
    """The first token of a file like that of ``http.tokens_file`` that opens what ``scope`` does.

    Raises:
        ConfigError: the file holds none, or a line holds what no token can have.
    """
    found = tokens_in(content, origin)
    for token, opens in found.items():
        if opens == "all" or scope == "ship":
            sent(token)
            return token
    if found:
        problem = "its tokens only ship; expected a line with one that opens everything"
    else:
        problem = "holds no token; expected one a line"
    raise ConfigError([f"{origin}: {problem}"])


def tokens_in(content: bytes, origin: str = _ORIGIN) -> Mapping[Secret, TokenScope]:
    """The tokens of a file: its lines but for blank ones and comments (``#``).

    Raises:
        ConfigError: a line holds what no token can have.
    """
    whole: list[bytes] = []
    ship: list[bytes] = []
    for number, line in enumerate(content.replace(b"\r", b"\n").split(b"\n"), 1):
        found = _SHIP_LINE.match(line)
        if line.strip() == _SHIP:
            where = f"{origin}: line {number}"
            raise ConfigError([f"{where}: expected a token behind `ship`, found none"])
        if _SHIP_MISSPELT.match(line):
            where = f"{origin}: line {number}"
            raise ConfigError([f"{where}: a token that only ships is written: ship TOKEN"])
        # A blank line in the place of each of the others, so that faults name the right one.
        whole.append(line if found is None else b"")
        ship.append(line[found.end() :] if found is not None else b"")
    tokens: dict[Secret, TokenScope] = {}
    for token in secrets_in(b"\n".join(ship), origin):
        tokens[token] = "ship"
    for token in secrets_in(b"\n".join(whole), origin):
        tokens[token] = "all"
    return tokens


def _digests(tokens: Mapping[Secret, TokenScope]) -> dict[bytes, TokenScope]:
    return {_digest(token.encode()): scope for token, scope in tokens.items()}


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()

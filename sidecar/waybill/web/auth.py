"""Users, tokens and sessions of the workbench: who asks, and what they may do.

Without tokens, and without a proxy that names users, anyone who reaches the address may do
everything: it is a loopback address then. Tokens stand in a file, one a line: name, scope, token.
A browser swaps a token, or the one-time code that ``waybill demo`` prints, for a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from aiohttp import web

from waybill.core.errors import ConfigError
from waybill.settings.secrets import secrets_in
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.guesses import Guesses

Scope = Literal["read", "review", "apply"]
#: Each scope holds those before it.
SCOPES: tuple[Scope, ...] = ("read", "review", "apply")
COOKIE = "waybill_session"
_ORIGIN = "workbench.tokens_file"
#: How long a browser stays logged in, in seconds.
SESSION_SECS = 12 * 3600
#: How long a one-time code is good for.
_CODE_SECS = 600


class User(NamedTuple):
    """A person or a script: the name that stands in corrections, and what they may do."""

    name: str
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Whether they may do what ``scope`` covers."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class _Known(NamedTuple):
    user: User
    digest: bytes


class Door:
    """Tells who asks.

    ``key`` signs cookies; it lives as long as the store, so that a restart logs nobody out.

    Raises:
        ConfigError: a line of the file of tokens is not a name, a scope and a token.
    """

    def __init__(self, settings: WorkbenchSettings, key: bytes) -> None:
        self._key = key
        self._known: list[_Known] = []
        if settings.tokens_file:
            self._known = read_tokens(Path(settings.tokens_file))
        self._header = settings.user_header
        self._proxies = []
        for network in settings.trusted_proxies:
            self._proxies.append(ipaddress.ip_network(network, strict=False))
        self._codes: dict[str, float] = {}
        self._guesses = Guesses()

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not self._known and self._header is None

    def user_of(self, request: web.Request) -> User | None:
        """Who asks; None when they have to log in."""
        if self.is_open:
            return User("local", "apply")
        if self._header and self._is_proxy(request.remote):
            names = request.headers.getall(self._header, [])
            # Two: one of them may be what a stranger wrote and the proxy did not take away.
            if len(names) == 1 and names[0].strip():
                return User(names[0].strip()[:64], "apply")
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.user_with(token.strip(), request.remote)
        return self._user_in(request.cookies.get(COOKIE, ""))

    def user_with(self, token: str, remote: str | None) -> User | None:
        """The user whose token this is; the time that it takes tells nothing.

        After many wrong tokens from the address ``remote`` only those count for a while that came
        from there before.
        """
        given = _digest(token)
        found = None
        for known in self._known:
            if hmac.compare_digest(given, known.digest):
                found = known.user
        return self._guesses.passed(remote or "", found)

    def is_secret(self, request: web.Request) -> bool:
        """Whether the browser of a request speaks TLS: with us, or with a proxy that says so.

        The proxy's word (``X-Forwarded-Proto``, or ``Forwarded`` as of RFC 7239) counts from
        ``workbench.trusted_proxies`` only. Of several proxies the first spoke with the browser.
        """
        if request.secure:
            return True
        if not self._is_proxy(request.remote):
            return False
        told = request.headers.get("X-Forwarded-Proto", "").partition(",")[0]
        if not told and request.forwarded:
            told = request.forwarded[0].get("proto", "")
        return told.strip().lower() == "https"

    def cookie_for(self, user: User) -> str:
        """What the browser of ``user`` brings along from now on."""
        end = int(time.time()) + SESSION_SECS
        name = user.name.encode("utf-8", "replace").hex()
        text = f"{user.scope}.{end}.{name}.{self._mark_of(user)}"
        return f"{text}.{self._sign('session', text)}"

    def new_code(self) -> str:
        """A code that logs in once, with every right."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = time.monotonic() + _CODE_SECS
        return code

    def user_for_code(self, code: str) -> User | None:
        """The user of a code, which is used up with that."""
        end = self._codes.pop(code, 0.0)
        return User("local", "apply") if end > time.monotonic() else None

    def form_token(self, request: web.Request, cookie: str = "") -> str:
        """What a form brings along, so that no other site can send it in a browser's name.

        ``cookie`` is what the browser will have then, where that is another one than now.
        """
        return self._sign("form", cookie or request.cookies.get(COOKIE, "anonymous"))

    def is_form_token(self, request: web.Request, token: str) -> bool:
        """Whether ``token`` is that of `form_token`."""
        return _are_alike(self.form_token(request), token)

    def _user_in(self, cookie: str) -> User | None:
        text, _, signature = cookie.rpartition(".")
        if not _are_alike(self._sign("session", text), signature):
            return None
        # Nobody else has signed it, so it has these parts.
        scope, end, name, mark = text.split(".")
        for known in SCOPES:
            user = User(bytes.fromhex(name).decode(), known)
            if known == scope and int(end) >= time.time() and mark == self._mark_of(user):
                return user
        return None

    def _mark_of(self, user: User) -> str:
        """Changes with the tokens of ``user``: one that is taken away ends what it opened."""
        digests = sorted(known.digest for known in self._known if known.user == user)
        return self._sign("tokens", b"".join(digests).hex())[:16]

    def _is_proxy(self, remote: str | None) -> bool:
        if remote is None:
            return False
        address = ipaddress.ip_address(remote)
        return any(address in network for network in self._proxies)

    def _sign(self, what: str, text: str) -> str:
        """A signature that is good for ``what`` alone."""
        data = f"{what}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()


def read_tokens(path: Path) -> list[_Known]:
    """Who may come in, by the lines of a file.

    Raises:
        ConfigError: a line is not a name, a scope and a token, or there is no line.
    """
    try:
        lines = secrets_in(path.read_bytes(), f"{_ORIGIN}: {path}", is_header=False)
    except OSError as error:
        raise ConfigError([f"{_ORIGIN}: {path} cannot be read: {error.strerror}"]) from None
    found: list[_Known] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        scopes = [scope for scope in SCOPES if len(words) == 3 and scope == words[1]]
        if not scopes:
            why = f"expected a name, a scope ({_one_of(SCOPES)}) and a token, with blanks between"
            raise ConfigError([f"{_ORIGIN}: {path}: token {number}: {why}"])
        found.append(_Known(User(words[0][:64], scopes[0]), _digest(words[2])))
    if not found:
        raise ConfigError([f"{_ORIGIN}: {path} holds no token"])
    return found


def _one_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _are_alike(one: str, other: str) -> bool:
    """Whether they are the same text; the time that it takes tells nothing."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in (one, other)]
    return hmac.compare_digest(*encoded)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

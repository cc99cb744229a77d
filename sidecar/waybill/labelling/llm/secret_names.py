"""What secrets are called, and how a value stands behind its name: parts of regular expressions."""

from __future__ import annotations

__all__ = ["BETWEEN", "HIDDEN", "SOFT", "STRONG", "VALUE", "WEAK", "may_name"]

#: Names of secrets that count wherever they occur (``PGPASSWORD``, ``clientSecret``,
#: ``x-api-key-2``) ...
STRONG = (
    r"passw(?:or)?d|pwd|pass[ _]?code|secret|token|credential|"
    r"api[ _-]?key|access[ _-]?key|account[ _-]?key|shared[ _-]?key|"
    r"private[ _-]?key|encryption[ _-]?key|signing[ _-]?key|license[ _-]?key|"
    r"auth[ _-]?key|requirepass|masterauth|keyphrase|authtok|"
    r"passwort|kennwort|contraseña|contrasenya|mot[ _-]de[ _-]passe|senha|wachtwoord|lösenord|"
    r"adgangskode|hasło|şifre|passord|salasana|jelszó|slaptažod|lozink|geslo|parool|parolă|"
    r"kata[ _]sandi|mật[ _]khẩu|пароль|парола|лозинка|κωδικός|סיסמה|كلمة (?:المرور|السر)|"
    r"पासवर्ड|รหัสผ่าน|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호"
)
#: ... and those that count only as words of their own.
WEAK = (
    r"(?:\w{0,12}[_-]|user|db|root|admin|my|ssh|ftp|smtp|ldap|http|proxy|mail|store|sudo|login"
    r"|bind)?(?:pass|pw)|\w{0,12}sess(?:ion)?[ _-]?id|csrf\w{0,8}|(?:wpa[_-]?)?psk|"
    r"(?:user|device|verification|activation|pairing|one[ -]time)[ _-]?code|"
    r"(?:(?:totp|mfa|otp|hotp)[ _-]?)(?:seed|code|key)|unlock[ _-]?code|puk|"
    r"remember[_-]?me\w{0,10}|\w{0,12}[_-]?crumb|wordpress_\w{1,40}|"
    r"otp|pin|cvv|cvc|ssn|mdp|clave|parola|heslo"
)
#: Of these, also names of programs and parts of sentences: with a blank behind the sign, only what
#: is no word is a secret.
SOFT = r"auth|session|sess|sid|sig|signature|community"
WEAK = f"{WEAK}|{SOFT}"
#: A quoted value, one in quotes that are escaped themselves (JSON inside JSON), or all up to a
#: blank.
VALUE = (
    r"""\\+"(?:[^"\\]|\\[^"])*|\\+'(?:[^'\\]|\\[^'])*"""
    r"""|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
    # A value may have a sign in it that separates it from what follows.
    r"|[^\s&]+(?:&(?![\w.%\[\]-]{1,40}=)[^\s&]*)*"
)
#: Between name and value: signs, PHP's lengths, escapes of signs in URLs and JSON (digits may be
#: masked), verbs.
BETWEEN = (
    r":=|[=-]>|[:=]|;s:\d{1,6}:|\.{3,}"
    r"|(?:%(?:25)?(?:22|27|0)){0,2}%(?:25|0)?[03]?[DA]|\\u0{1,3}[03]?[da]"
    r"|\b(?:is|was|to|equals|lautet|ist|war|est|es|è|é|je|jest|är|er|là)\b|[是为為は]"
)
#: A value that is hidden already.
HIDDEN = r"[\"'\\]{0,2}<(?:secret|id|ip)>(?:[\"'\\]{0,2}(?:[\s,;&)\]}]|$))"

#: Each name of the above has one of these in it, in small letters.
_STEMS = (
    "pass", "pwd", "pw", "secret", "token", "credential", "key", "masterauth", "auth", "kennwort",
    "contrasenya", "mot de", "mot-de", "senha", "wachtwoord", "adgangskode", "salasana",
    "jelsz", "lozink", "geslo", "paro", "kata", "sess", "sid", "sig", "community", "csrf",
    "psk", "code", "seed", "puk", "remember", "crumb", "wordpress_", "otp", "pin", "cvv", "cvc",
    "ssn", "mdp", "clave", "heslo",
)  # fmt: skip


def may_name(text: str) -> bool:
    """Whether ``text`` may hold a name of a secret: much quicker than to look for the names."""
    if not text.isascii():
        return True
    small = text.lower()
    return any(stem in small for stem in _STEMS)

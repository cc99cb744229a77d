"""Secrets that are known by what stands beside them: a name, an option, a header, a statement.

Every pattern repeats disjoint character classes or counts with a bound, so each takes linear time.

>>> hide_named("config userpass=hunter2, --db-password 'two words' loaded")
'config userpass=<secret> --db-password <secret> loaded'
"""

from __future__ import annotations

import re

from waybill.labelling.llm.secret_names import BETWEEN, HIDDEN, SOFT, STRONG, VALUE, WEAK, may_name

__all__ = ["hide_named"]

#: After these everything to the end of the line may belong to the secret.
_REST = re.compile(
    r"(?<![A-Za-z])((?:proxy-)?authorization|(?:set-)?cookie|pass[ _-]?phrase|mnemonic"
    r"|(?:seed|recovery|backup)[ _-](?:phrase|words?|codes?)|recovery[ _-]keys?(?=\s?[:=]))"
    r"([\"']?\s*(?:[:=]|\b(?:is|are|was)\b)\s*).+",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"(?P<name>(?:{STRONG}|(?:(?<![A-Za-z0-9])|(?<=%\w\w)|(?<=%25\w\w)|(?<=%0))(?:{WEAK})"
    r"(?![A-Za-z]))[\w-]{0,20}(?:[\\\"'\])]{0,12}|%(?:25|0)?5D)"
    # In YAML a tag may stand before the value, or how its lines are joined.
    rf"\s*(?:{BETWEEN})\s*(?:[>|][+-]?\s|!!?\w{{1,12}}\s)?)(?!{HIDDEN})(?P<value>{VALUE})",
    re.IGNORECASE,
)
#: The name of a pair that may as well be a part of a sentence.
_SENTENCE = re.compile(
    rf"^(?!auth[ _-]?key)(?:{SOFT})(?![A-Za-z]).*(?:\s|\bis\b)|\)[\"']?:\s", re.IGNORECASE
)
#: Words only, to the end of the line: a pass phrase, where a password's first word was one.
_PHRASE = re.compile(
    r"(\bpass(?:word|wd)?: ?)((?:[a-z]{2,12} ){2,11}[a-z]{2,12})$",
)
#: What follows "password is" in messages that tell no password.
_NO_SECRET = frozenset(
    ("0", "a", "about", "accepted", "already", "an", "and", "any", "are", "authentication", "bad",
     "be", "been", "being", "broken", "cannot", "changed", "closed", "connection", "could",
     "created", "denied", "deprecated", "disabled", "discouraged", "empty", "enabled", "expired",
     "expiring", "failed", "failure", "false", "for", "found", "from", "generated", "has", "have",
     "in", "incorrect", "invalid", "is", "it", "locked", "malformed", "mismatch", "missing",
     "near", "no", "none", "not", "now", "null", "obsolete", "off", "ok", "old", "on", "only",
     "opened", "or", "out", "past", "permission", "provided", "refused", "rejected", "removed",
     "required", "reset", "revoked", "rotated", "scheduled", "set", "short", "still", "that",
     "the", "this", "timeout", "to", "too", "true", "unable", "undefined", "unexpected", "unknown",
     "unset", "unsupported", "used", "user", "using", "valid", "was", "weak", "will", "with",
     "wrong", "yes")
)  # fmt: skip
#: A name and a word behind it, without a sign in between: believed unless it is a plain word.
_LOOSE = re.compile(
    r"(?P<name>\b(?:\w{0,12}passw(?:or)?d|pwd|passcode|secret|token|credentials?|session|rootpw|"
    r"requirepass|masterauth|passwort|kennwort|auth|bindpw|(?:api|access)[ _-]?key|"
    r"(?:totp|mfa|otp) seed|[A-Z][A-Z0-9]{1,20}_(?:API|TOKEN|KEY|PAT|PASS|PW))"
    r"[\"']?[ (\[]{1,2}[\"']?(?:[\w.$-]{1,40}/)?)(?![<\[({])(?P<value>[^\s\"'()<>\[\]/]{4,})",
    re.IGNORECASE,
)
#: User and password as Oracle's tools take them.
_SLASHED = re.compile(
    r"(?P<name>\b(?:login|logon|connect|credentials?|sqlplus|[ie]mpdp)\s+[\w.$-]{1,40}/)"
    r"(?P<value>[^\s\"'()<>\[\]/]{4,})",
    re.IGNORECASE,
)
_OWNED = re.compile(
    rf"((?:{STRONG}|\bpin)\s+(?:for|of|für)\s+[^\s:=]{{1,64}}(?: [^\s:=]{{1,32}})?\s?[:=]\s?)"
    rf"(?!{HIDDEN})({VALUE})",
    re.IGNORECASE,
)
_SASL = re.compile(
    r"(\bAUTH(?:ENTICATE)? (?:PLAIN|LOGIN|EXTERNAL|XOAUTH\d?|OAUTHBEARER|[A-Z]{2,8}-[A-Z\d-]{2,12})"
    r" )([\w+/=]{4,})"
)
#: Addresses that are secrets as a whole, in front of the user of an address: they may hold an @.
_HOOK = re.compile(
    r"\b(?:hooks\.(?:slack|zapier)\.com|discord(?:app)?\.com/api/webhooks"
    r"|(?:[\w-]{1,60}\.)?webhook\.office(?:\d{1,3})?\.com|outlook\.office\.com/webhook)/\S+"
)
_COMMUNITY = re.compile(r"(\bcommunity string )(?P<value>\S+)", re.IGNORECASE)
#: Protocols' commands, alone on their line.
_COMMAND = re.compile(
    r"((?:(?:^|[>:] ?)|\bUSER \S{1,64} )PASS "
    r"|(?:^|[>:] ?)(?=\S{0,11}\d)\S{1,12} LOGIN \S{1,64} )([^\s/]+)$"
)
_XML = re.compile(
    rf"((?:<|&lt;)(?:[\w:.-]{{0,30}}(?:{STRONG})[\w:.-]{{0,20}}|(?:\w{{1,12}}:)?(?:{WEAK})"
    rf"|\w[^<>]{{0,60}}\b(?:name|key|id)=[\"'][\w.-]{{0,60}}(?:{STRONG}|{WEAK})[\w.-]{{0,20}}[\"'])"
    r"(?:\s[^<>]{0,120})?(?:>|&gt;)\s?(?:<(?:!\[CDATA\[|\w{1,20}>))?)[^<&]+(?:&(?!lt;)[^<&]*)*",
    re.IGNORECASE,
)
_FORM = re.compile(
    rf"(\bname=\\{{0,7}}[\"'](?:[\w-]{{0,20}}(?:{STRONG})[\w-]{{0,20}}|{WEAK})\\{{0,7}}[\"'])"
    r"(?:\s|\\{1,7}[rn])++(?:[^\s\\]|\\(?![rn]))++",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s\"'<>]{1,300}@(?=[^\s@])", re.IGNORECASE)
_ORACLE = re.compile(r"(\bjdbc:\S{1,60}?:[\w$.-]{1,40}/)[^\s@/]{1,64}(?=@)", re.IGNORECASE)
#: Parameters that are a secret when their value is long.
_QUERY = re.compile(
    r"([?&;](?:code|key|appid|k|t|tok|h|hash|nonce|ticket|jwt|assertion|samlresponse|invite"
    r"|x-amz-\w{1,30})=)[\w.~%+/=-]{8,}",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"(/(?:\w{0,12}reset\w{0,12}|verify|confirm|activate|invite|invitation|magic|unsubscribe|"
    r"webhooks?|hooks)/)[\w=%-]{16,}(?:/[\w=%-]{6,})*",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\b(Bearer:?|Basic|Digest|Negotiate|ApiKey|Token|SSWS|GenieKey|Splunk)\s+"
    r"(?!<)([\w.~+/=<>:-]{6,})",
    re.IGNORECASE,
)
#: What follows "bearer" where no token does.
_OF_BEARERS = frozenset(
    ("authentication", "authorization", "authorisation", "challenge", "credential", "credentials",
     "header", "realm", "scheme", "security", "string", "support", "tokens")
)  # fmt: skip
_FLAG = re.compile(
    rf"((?<![\w-])--?(?:[\w-]{{0,20}}(?:{STRONG}|pass-?phrase)|{WEAK}|u|user|p)"
    r"(?:[= ]|[\"'],? ?))(?!<secret>)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s-]\S*)",
    re.IGNORECASE,
)
#: Options of one letter, of programs where a secret follows them.
_PROGRAM = re.compile(
    r"(\b(?:(?:ldap\w{2,10}|vncviewer|winexe|bw)\b[^|;]{0,160}? -w"
    r"|snmp\w{2,10}\b[^|;]{0,160}? -[AXac]"
    r"|(?:redis-cli|valkey-cli)\b[^|;]{0,160}? -a|(?:ipmitool|mosquitto_\w{3}|zip|unzip|isql|bcp"
    r"|sqlcmd|osql|tsql|impacket-\w{2,16}|evil-winrm|rdesktop|nxc|crackmapexec)\b"
    r"[^|;]{0,160}? -[Pp]|(?:htpasswd)\b[^|;]{0,40}? -\w{0,6}b\w{0,6} \S{1,80} \S{1,40}"
    r"|(?:rabbitmqctl|mosquitto_passwd) (?:add_user|change_password|authenticate_user|-b \S{1,80})"
    r" \S{1,40}|net (?:use|user)\b[^|;]{0,120}?(?: /user:\S{1,60}| \w{1,20})) )(?!/|\\|-)"
    r"(\"[^\"]*\"?|'[^']*'?|\S+)",
    re.IGNORECASE,
)
#: The same where the secret is glued to the option.
_SWITCH = re.compile(
    r"(\b(?:xfreerdp|rdesktop|wfreerdp|\d{1,2}za?|rar|unrar)\b[^|;]{0,160}? (?:/p:|-p))[^\s\"',]+"
)
#: Secrets by their place in a command, and those that another program reads from it.
_PLACED = re.compile(
    r"(\b(?:radtest \S{1,60}|openssl\b[^|;]{0,120}? -[kK]|schtasks\b.{0,160}? /rp"
    r"|pre-shared-key (?:local|remote|ascii-text|hexadecimal|address \S{1,60} key)"
    r"|snmp-server community|(?:password|secret|key) \d|(?:md\d|sha\d?|auth|priv) \d) )"
    r"(?=\S{0,80}[A-Z\d])([^\s\"'<]{6,})"
)
_PIPED = re.compile(
    r"(\b(?:echo|printf)\s+(?:-\w{1,2} )?)(\"[^\"]*\"|'[^']*'|[^\s|]+)"
    r"(?=\s?\|\s?(?:\S{0,40}/)?"
    r"(?:sudo\b.{0,20}? -S|chpasswd|passwd\b|docker login|openssl|gpg|kinit))",
    re.IGNORECASE,
)
#: A user and a secret that are handed to what logs in with them.
_CALLED = re.compile(
    r"(\b(?:\w{0,24}(?:auth|credentials?|login|logon|signin)\s?[(=:]{1,2}\s?\(?\s?)"
    r"(?P<quote>\\?[\"'])[^\"'\\]{1,64}(?P=quote)\s?,\s?)\\?[\"'][^\"']*\\?[\"']?",
    re.IGNORECASE,
)
#: A name and a value, each a member of its own.
_MEMBERS = re.compile(
    r"((?:\b(?:name|key|field|param(?:eter)?|property|variable|header|attribute|k|n)"
    r"[\\\"']{0,8}\s?[:=]\s?[\\\"']{0,8})"
    rf"(?:[\w.-]{{0,40}}(?:{STRONG})|{WEAK})[\w.-]{{0,20}}[\\\"']{{0,8}}[,;\s]{{1,3}}"
    r"[\\\"']{0,8}(?:(?:string|old|new|default)?value|val)[\\\"']{0,8}\s?[:=]\s?)"
    rf"(?!{HIDDEN})(?:{VALUE})",
    re.IGNORECASE,
)
#: A name and a value, the two items of a list.
_ITEMS = re.compile(
    r"([\[(]\s?(?P<quote>\\{0,7}[\"'])"
    rf"(?:[\w.-]{{0,40}}(?:{STRONG})|{WEAK})[\w.-]{{0,20}}"
    r"(?P=quote)\s?,\s?(?P=quote))[^\"']+(?=(?P=quote)\s?[\])])",
    re.IGNORECASE,
)
#: Strings that shells make secrets of.
_SECURE = re.compile(
    r"(\bConvertTo-SecureString\s+(?:-String\s+)?)(\"[^\"]*\"?|'[^']*'?|[^\s$-]\S*)", re.IGNORECASE
)
#: User and password in front of a network and its address, as Go's drivers take them.
_DIALLED = re.compile(
    r"(\b[\w.-]{1,40}:)\S{1,80}(?=@(?:tcp6?|tcp0|udp|unix|cloudsql)\()", re.IGNORECASE
)
#: Variables that hold a key; their value is one if it is no word.
_VARIABLE = re.compile(
    r"(?P<name>\b[A-Z][A-Z0-9_]{1,40}_(?:KEY|PAT|SALT|PEPPER|SEED|DSN|CREDS?)"
    r"[\"']?\s?[=:]\s?[\"']?)"
    r"(?P<value>[\w.~+/=!@#$%^*-]{8,})"
)
#: With what is in every text that one matches.
_COMMANDS = (
    (" ", _PROGRAM),
    ("", _SWITCH),
    (" ", _PLACED),
    ("|", _PIPED),
    (",", _CALLED),
    ("-", _SECURE),
)
#: The same where a name is in the text.
_NAMED = (("", _MEMBERS), (",", _ITEMS))
_GLUED = re.compile(r"(\b(?:mysql\w*|mariadb\w*|sshpass)\b.{0,80}?[ ,\"']-p)[^\s<\"',][^\s\"',]*")
_GLUED_USER = re.compile(r"((?<![\w-])-u[^\s:/=-][^\s:/=]{0,63}:)[^\s\"']+")
_SQL = re.compile(
    r"(\bidentified\s+(?:with\s+\w+\s+)?by\s+|\bpassword\s+|\bpass[ _-]?phrase\s+)"
    r"(?!['\"]<)('[^']*'?|\"[^\"]*\"?|\$(\w{0,16})\$.*?(?:\$\3\$|$))",
    re.IGNORECASE,
)
_INSERT = re.compile(
    rf"(\binsert\s+into\b[^()]{{0,80}}\([^()]{{0,200}}?(?:{STRONG})[^()]{{0,200}}\)"
    r"\s*values\s*).+",
    re.IGNORECASE,
)
_BEHIND_NAMES = (_OWNED, _SASL, _COMMUNITY, _COMMAND)


def hide_named(text: str) -> str:
    """``text`` with the values of what names itself a secret replaced by ``<secret>``."""
    is_named = may_name(text)
    if is_named and (
        "<" in text or "&lt;" in text
    ):  # first: it would take our own placeholders for elements
        text = _XML.sub(r"\1<secret>", text)
    if "/" in text:
        text = _HOOK.sub("<secret>", text)
        text = _URL_USER.sub(r"\1<secret>@", text)
        text = _ORACLE.sub(r"\1<secret>", text)
    if "@" in text:
        text = _DIALLED.sub(r"\1<secret>", text)
    if "/" in text or "=" in text:
        text = _QUERY.sub(r"\1<secret>", text)
        text = _LINK.sub(r"\1<secret>", text)
    for sign, pattern in (*_COMMANDS, *_NAMED) if is_named else _COMMANDS:
        if sign in text:
            text = pattern.sub(r"\1<secret>", text)
    text = _REST.sub(r"\1\2<secret>", text)
    text = _HEADER.sub(_credential, text)
    if "-" in text:
        text = _FLAG.sub(r"\1<secret>", text)
        text = _GLUED.sub(r"\1<secret>", text)
        text = _GLUED_USER.sub(r"\1<secret>", text)
    text = _INSERT.sub(r"\1<secret>", text)
    text = _SQL.sub(r"\1<secret>", text)
    text = _PHRASE.sub(_phrase, text)
    if is_named:
        text = _FORM.sub(r"\1 <secret>", text)
        text = _PAIR.sub(_pair, text)
    text = _VARIABLE.sub(_loose, text)
    text = _LOOSE.sub(_loose, text)
    text = _SLASHED.sub(_loose, text)
    for pattern in _BEHIND_NAMES if is_named else (_SASL, _COMMAND):
        text = pattern.sub(_pair_behind, text)
    return text


def _is_no_secret(value: str) -> bool:
    return value.strip(".,;:!)").lower() in _NO_SECRET


def _pair(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    if _is_no_secret(value) or (_SENTENCE.search(name) and not _is_odd(value)):
        return match[0]
    if name == "PWD=" and value.startswith("/"):  # the folder in which a command ran
        return match[0]
    return f"{name}<secret>"


def _pair_behind(match: re.Match[str]) -> str:
    return match[0] if _is_no_secret(match[2]) else f"{match[1]}<secret>"


def _phrase(match: re.Match[str]) -> str:
    words = match[2].split()
    return match[0] if _NO_SECRET.intersection(words) else f"{match[1]}<secret>"


def _loose(match: re.Match[str]) -> str:
    return f"{match['name']}<secret>" if _is_odd(match["value"]) else match[0]


#: What makes a word odd: a sign; a capital within; in a word without dots, digits or many letters.
_ODD = re.compile(
    r"[!$%^&*~#+@]|[a-z]{2}[A-Z]|^[A-Za-z]*\d[A-Za-z\d]*$|^(?=.*[A-Z]).{24,}$",
)


def _is_odd(word: str) -> bool:
    """Whether ``word`` is not of a language or a program: digits, signs or capitals within."""
    word = word.strip(".,;:!?\"'\\").rstrip("=")
    if len(word) < 4 or "=" in word or word.isdigit():
        return False
    found = _ODD.search(word)
    return found is not None and ("." not in word or not found[0].isalnum())


def _credential(match: re.Match[str]) -> str:
    """In "Basic checks" and "token expired" a word follows.

    What looks like no word is a credential; behind "bearer" most words are.
    """
    scheme, credential = match.groups()
    credential = credential.rstrip(":.")
    is_word = credential.isalpha() and credential.islower()
    if is_word and scheme.lower().startswith("bearer") and len(credential) >= 8:
        is_word = credential in _OF_BEARERS
    return match[0] if is_word else f"{scheme} <secret>"

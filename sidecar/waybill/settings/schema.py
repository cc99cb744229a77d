"""Settings: one typed, frozen tree.

Defaults stand here; ``config/waybill.yaml`` shows each of them with a comment (a test compares the
two). A file overrides the defaults, ``WAYBILL_*`` environment variables the file, ``--set`` flags
everything. Every problem is collected and reported with its dotted path; unknown keys are refused.

    >>> load_settings(overrides=["http.listen=127.0.0.1:9999"]).http.listen
    '127.0.0.1:9999'
"""

from __future__ import annotations

import difflib
import ipaddress
import operator
import os
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import regex
import yaml

from waybill.core.errors import ConfigError
from waybill.core.records import LABELS

Compression = Literal["none", "gzip", "deflate", "zstd", "snappy"]
TierName = Literal["rules", "model", "llm"]


class Secret(str):
    """A string that never shows itself: ``repr``, logs and dumps print ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class _Section(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=lambda name: name.rstrip("_")
):
    """Base of every settings section."""


class TlsSettings(_Section, frozen=True):
    """Server side of TLS; the files are read again when they change."""

    cert_file: str | None = None
    key_file: str | None = None
    client_ca_file: str | None = None


class HttpSettings(_Section, frozen=True):
    """The HTTP listener."""

    listen: str = "127.0.0.1:9880"
    workers: int = 1
    allow_anonymous: bool = False
    tokens_file: str | None = None
    tls: TlsSettings = TlsSettings()
    header_timeout_secs: float = 10
    read_timeout_secs: float = 15
    keepalive_secs: float = 80
    drain_secs: float = 20


class ForwardSettings(_Section, frozen=True):
    """The Fluent Forward listener."""

    listen: str | None = None
    unix: str | None = None
    allow_anonymous: bool = False
    shared_key_file: str | None = None
    tls: TlsSettings = TlsSettings()
    hostname: str = "waybill"


class FieldSettings(_Section, frozen=True):
    """Which fields are read, and which are added."""

    message: tuple[str, ...] = ("log", "message", "log_message", "msg", "body")
    source: tuple[str, ...] = (
        "source",
        "service",
        r"kubernetes.labels.app\.kubernetes\.io/name",
        "kubernetes.container_name",
    )
    time: tuple[str, ...] = ("date", "timestamp", "@timestamp", "time")
    label: str = "target_label"
    tier: str | None = "label_tier"
    confidence: str | None = "label_confidence"
    rule: str | None = "label_rule"
    reason: str | None = "label_reason"
    record_id: str | None = None
    relabel: bool = False
    parse_nested: bool = False


class RulesSettings(_Section, frozen=True):
    """Where rules come from and what a load may cost."""

    path: str = "rules"
    extra_paths: tuple[str, ...] = ()
    poll_secs: float = 5
    compile_secs: float = 30
    compile_bytes: int = 536_870_912


class FollowSettings(_Section, frozen=True):
    """Where newer model versions come from; off while ``source`` is null."""

    source: str | None = None
    version: str | None = None
    endpoint: str | None = None
    into: str = "models/followed"
    interval_secs: float = 300


class ModelSettings(_Section, frozen=True):
    """The local classifier."""

    path: str | None = "models/default"
    threshold: float | None = None
    budget_ms: int = 2000
    over_budget: Literal["wait", "defer"] = "wait"
    batch_size: int = 32
    threads: int = 2
    queue_messages: int = 20_000
    embedding_cache_bytes: int = 16_777_216
    poll_secs: float = 5
    follow: FollowSettings = FollowSettings()


class MemoSettings(_Section, frozen=True):
    """The cache of verdicts."""

    bytes: int = 33_554_432


class LlmSettings(_Section, frozen=True):
    """The language model tier (disabled while ``provider`` is null)."""

    provider: Literal["groq", "gemini"] | None = None
    model: str | None = None
    base_url: str | None = None
    proxy: str | None = None
    api_key: Secret | None = None
    api_key_file: str | None = None
    prompt: str = "config/llm.yaml"
    poll_secs: float = 5
    sources: tuple[str, ...] | None = None
    private_patterns: tuple[str, ...] = ()
    wait_ms: int = 2000
    timeout_secs: float = 10
    calls: int = 2
    pack_messages: int = 20
    pack_chars: int = 6000
    pack_wait_ms: int = 50
    reply_tokens: int = 2048
    queue_messages: int = 1000
    store: str | None = None
    store_days: float = 30
    store_bytes: int = 67_108_864
    requests_per_minute: float = 30
    tokens_per_day: int | None = 200_000
    budget_per_day: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    nodes: int = 1
    breaker_failures: int = 5
    breaker_secs: float = 30
    audit: str | None = None
    audit_bytes: int = 104_857_600


class RouteSettings(_Section, frozen=True):
    """One route: the first whose source patterns fit decides tiers and allowed labels."""

    source: tuple[str, ...]
    tiers: tuple[TierName, ...] = ()
    labels: tuple[str, ...] | None = None


class ReturnTlsSettings(_Section, frozen=True):
    """Client side of TLS towards the receiver."""

    enabled: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True


class ReturnSettings(_Section, frozen=True):
    """How labelled records go back."""

    type: Literal["body", "http", "forward", "otlp"] = "body"
    url: str | None = None
    format: Literal["ndjson", "json"] = "ndjson"
    compression: Compression = "none"
    tag_prefix: str = "labelled."
    timeout_secs: float = 20
    connections: int = 4
    max_bytes: int = 1_900_000
    idle_secs: float = 8
    token_file: str | None = None
    shared_key_file: str | None = None
    metadata: Literal["keep", "drop"] = "keep"
    tls: ReturnTlsSettings = ReturnTlsSettings()


class LimitSettings(_Section, frozen=True):
    """Bounds on what one request and all requests together may hold."""

    body_bytes: int = 67_108_864
    inflight_bytes: int = 268_435_456
    message_bytes: int = 65_536
    connections: int = 1000
    connections_per_client: int = 500


class DeadLetterSettings(_Section, frozen=True):
    """Where bodies go that nobody can read."""

    path: str | None = None
    max_bytes: int = 1_073_741_824


class LogSettings(_Section, frozen=True):
    """Waybill's own log."""

    level: Literal["debug", "info", "warning", "error"] = "info"


DEFAULT_ROUTES = (
    RouteSettings(
        source=("LegacyCRM",), tiers=("llm",), labels=("Workflow Error", "Deprecation Warning")
    ),
    RouteSettings(source=("*",), tiers=("rules", "model")),
)


class Settings(_Section, frozen=True):
    """The whole tree."""

    http: HttpSettings = HttpSettings()
    forward: ForwardSettings = ForwardSettings()
    fields: FieldSettings = FieldSettings()
    rules: RulesSettings = RulesSettings()
    model: ModelSettings = ModelSettings()
    memo: MemoSettings = MemoSettings()
    llm: LlmSettings = LlmSettings()
    routes: tuple[RouteSettings, ...] = DEFAULT_ROUTES
    return_: ReturnSettings = ReturnSettings()
    limits: LimitSettings = LimitSettings()
    dead_letter: DeadLetterSettings = DeadLetterSettings()
    log: LogSettings = LogSettings()


#: Names that earlier systems of this kind use, and where they lead.
ALIASES: Mapping[str, str] = {
    "LOG_LEVEL": "log.level",
    "BATCH_SIZE": "model.batch_size",
    "MODEL_PATH": "model.path",
    "CONFIDENCE_THRESHOLD": "model.threshold",
    "GROQ_API_KEY": "llm.api_key",
}
#: Keys that hold a secret: taken from the environment, never from a file or a flag.
SECRET_KEYS = frozenset({"llm.api_key"})
_NOT_SETTINGS = frozenset({"WAYBILL_CONFIG"})
#: What Kubernetes puts into every container of a namespace for a Service called `waybill` or `waybill-...`.
_SERVICE_LINK = re.compile(
    r"WAYBILL_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def load_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """`read_settings`, but any problem is an error.

    Raises:
        ConfigError: with every problem found, each led by its dotted path.
    """
    settings, problems = read_settings(file, overrides, environ)
    if problems:
        raise ConfigError(problems)
    return settings


def read_settings(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings, list[str]]:
    """Settings from ``file`` (YAML, or None for the defaults), ``environ`` and ``overrides``, and what is wrong.

    ``overrides`` are ``dotted.key=YAML value`` strings. ``WAYBILL_CONFIG`` in the environment names the
    file when ``file`` is None. A value that cannot be used leaves its default, so that what depends on
    the others can still be looked at.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    if file is None and environ.get("WAYBILL_CONFIG"):
        file = Path(environ["WAYBILL_CONFIG"])
    tree = read_mapping(file, problems) if file else {}
    _refuse_secrets(tree, str(file), problems)
    _apply_environment(tree, environ, problems)
    _apply_overrides(tree, overrides, problems)
    _choose_key(tree, environ)
    settings = typing.cast("Settings", _convert(tree, Settings, "", problems))
    problems += _cross_check(settings)
    return settings, problems


def dump_settings(settings: Settings) -> dict[str, Any]:
    """The tree as plain data with every secret, and passwords in URLs, masked."""

    def mask(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
            return {key: mask(getattr(value, name)) for key, name in names}
        if isinstance(value, tuple):
            return [mask(item) for item in value]
        if isinstance(value, Secret):
            return "***"
        return re.sub(r"//[^/@]*@", "//***@", value) if isinstance(value, str) else value

    return typing.cast("dict[str, Any]", mask(settings))


def setting_keys(
    section: type[msgspec.Struct] = Settings, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every leaf key as (dotted path, type)."""
    for field in msgspec.structs.fields(section):
        path = f"{prefix}{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, _Section):
            yield from setting_keys(field.type, f"{path}.")
        else:
            yield path, field.type


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as (host, port). Raises ValueError."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError("expected host:port")
    return host.strip("[]"), int(port)


def resolve_path(path: str) -> tuple[Path, bool]:
    """Where a configured path leads: (path, is_packaged).

    A relative path that does not exist below the working directory falls back to the copy that
    travels inside the package, so that ``waybill serve`` works from any folder.
    """
    given = Path(path)
    if given.exists() or given.is_absolute():
        return given, False
    packaged = _packaged(given)
    return (packaged, True) if packaged is not None else (given, False)


def hidden_copy(path: str) -> Path | None:
    """The copy inside the package that a relative ``path`` of the working directory stands before; None for none."""
    given = Path(path)
    packaged = _packaged(given) if given.exists() and not given.is_absolute() else None
    return packaged if packaged is not None and not packaged.samefile(given) else None


def _packaged(path: Path) -> Path | None:
    package = Path(__file__).parents[1]
    # In an installed package beside the code; in a checkout at its top, two folders up.
    found = [
        root / path
        for root in (package / "_defaults", package.parents[1])
        if (root / path).exists()
    ]
    return found[0] if found else None


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (PyYAML lets the last one win)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"line {line}: key {key!r} given twice"
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_mapping(file: Path, problems: list[str]) -> dict[str, Any]:
    """The mapping in a YAML file in which no key is given twice; what is wrong is appended to ``problems``."""
    try:
        data = yaml.load(file.read_text("utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        problems.append(f"{file}: {' '.join(str(error).split())}")
        return {}
    if data is None:
        return {}
    if not isinstance(data, dict):
        problems.append(f"{file}: expected a mapping at the top")
        return {}
    return data


def _refuse_secrets(tree: Mapping[str, Any], origin: str, problems: list[str]) -> None:
    for path in SECRET_KEYS:
        section, _, key = path.partition(".")
        part = tree.get(section)
        if isinstance(part, dict) and part.get(key) is not None:
            problems.append(
                f"{path}: a secret does not belong in {origin}; set it in the environment"
            )


def _apply_environment(
    tree: dict[str, Any], environ: Mapping[str, str], problems: list[str]
) -> None:
    known = {f"WAYBILL_{path.upper().replace('.', '_')}": path for path, _ in setting_keys()}
    for name, path in ALIASES.items():
        if environ.get(name):
            _set(tree, path, environ[name], problems, name)
    for name in sorted(environ):
        if not name.startswith("WAYBILL_") or name in _NOT_SETTINGS:
            continue
        if name in known:
            _set(tree, known[name], environ[name], problems, name)
        elif not _SERVICE_LINK.fullmatch(name):
            problems.append(f"{name}: no such setting{_suggest(name, known)}")


def _choose_key(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """A provider never gets the key that was meant for another one."""
    llm = tree.get("llm")
    if isinstance(llm, dict) and llm.get("provider") == "gemini":
        names = ("WAYBILL_LLM_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
        llm["api_key"] = next((environ[name] for name in names if environ.get(name)), None)


def _apply_overrides(tree: dict[str, Any], overrides: Iterable[str], problems: list[str]) -> None:
    keys = [path for path, _ in setting_keys()]
    for item in overrides:
        path, separator, value = item.partition("=")
        if not separator:
            problems.append(f"--set {item}: expected KEY=VALUE")
        elif path in SECRET_KEYS:
            problems.append(
                f"{path}: a secret does not belong on a command line; set it in the environment"
            )
        elif path not in keys:
            problems.append(f"--set {path}: no such setting{_suggest(path, keys)}")
        else:
            _set(tree, path, value, problems, f"--set {path}")


def _set(tree: dict[str, Any], path: str, text: str, problems: list[str], origin: str) -> None:
    """Set ``path`` to ``text`` read as YAML; a key that holds strings keeps the text as written."""
    kind = dict(setting_keys())[path]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if _accepts_str(kind) and value is not None and not isinstance(value, list):
        value = text
    *sections, key = path.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            problems.append(f"{origin}: {section} is not a mapping")
            return
        tree = below
    tree[key] = value.lower() if path == "log.level" and isinstance(value, str) else value


def _accepts_str(kind: Any) -> bool:
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return any(isinstance(option, type) and issubclass(option, str) for option in options)


#: Stands for a value that was refused.
_UNUSABLE: Any = object()


def _convert(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """``value`` as ``kind``; problems are collected leaf by leaf instead of stopping at the first."""
    if not (isinstance(kind, type) and issubclass(kind, _Section)):
        return _convert_leaf(value, kind, path, problems)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        problems.append(f"{path}: expected a mapping, got {type(value).__name__}")
        value = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, Any] = {}
    for key, item in value.items():
        below = f"{path}.{key}" if path else str(key)
        if key not in fields:
            problems.append(f"{below}: no such key{_suggest(str(key), fields)}")
        elif (converted := _convert(item, fields[key].type, below, problems)) is not _UNUSABLE:
            given[fields[key].name] = converted
    missing = [name for name, field in fields.items() if field.required and name not in value]
    problems.extend(f"{path}.{name}: required" for name in missing)
    return (
        kind(**given) if all(f.name in given for f in fields.values() if f.required) else _UNUSABLE
    )


def _convert_leaf(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    if kind == tuple[RouteSettings, ...]:
        if not isinstance(value, list):
            problems.append(f"{path}: expected a list of routes")
            return _UNUSABLE
        routes = [
            _convert(item, RouteSettings, f"{path}[{i}]", problems) for i, item in enumerate(value)
        ]
        return _UNUSABLE if _UNUSABLE in routes else tuple(routes)
    if kind == Secret | None:
        return Secret(value) if value else None
    if isinstance(value, int) and not isinstance(value, bool) and kind is float:
        return float(value)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        problems.append(f"{path}: {str(error)[0].lower()}{str(error)[1:]}")
        return _UNUSABLE


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _cross_check(settings: Settings) -> Iterator[str]:
    """What a type cannot say, as messages led by the dotted path."""
    yield from _check_addresses(settings)
    yield from _check_anonymous(settings)
    yield from _check_ranges(settings)
    yield from _check_follow(settings.model)
    yield from _check_routes(settings.routes)
    yield from _check_return(settings)
    yield from _check_llm(settings.llm)
    fields = settings.fields
    if not fields.message:
        yield "fields.message: at least one path is needed"
    added = [
        fields.label,
        fields.tier,
        fields.confidence,
        fields.rule,
        fields.reason,
        fields.record_id,
    ]
    names = [name for name in added if name is not None]
    if "" in names or len(set(names)) != len(names):
        yield "fields: the names of added fields must be distinct and not empty"
    for path, tls in (("http.tls", settings.http.tls), ("forward.tls", settings.forward.tls)):
        if bool(tls.cert_file) != bool(tls.key_file):
            yield f"{path}: cert_file and key_file go together"
        elif tls.client_ca_file and not tls.cert_file:
            yield f"{path}: client_ca_file needs cert_file and key_file"
    yield from _check_files(settings)


def _check_addresses(settings: Settings) -> Iterator[str]:
    for path, address in (
        ("http.listen", settings.http.listen),
        ("forward.listen", settings.forward.listen),
    ):
        if address is not None:
            try:
                split_address(address)
            except ValueError as error:
                yield f"{path}: {error}, got {address!r}"


def _check_anonymous(settings: Settings) -> Iterator[str]:
    """Whoever reaches a listener beyond this machine could write into the log path: that must be said aloud."""
    http, forward = settings.http, settings.forward
    for path, address, secret, section in (
        ("http", http.listen, http.tokens_file, http),
        ("forward", forward.listen, forward.shared_key_file, forward),
    ):
        is_open = not (secret or section.tls.client_ca_file or section.allow_anonymous)
        if address is not None and is_open and not _is_loopback(address):
            name = "tokens_file" if path == "http" else "shared_key_file"
            yield (
                f"{path}.listen: {address} is reached from other machines; set {path}.{name}, "
                f"{path}.tls.client_ca_file or, if the network lets nobody else in, {path}.allow_anonymous"
            )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_ranges(settings: Settings) -> Iterator[str]:
    if settings.model.threshold is not None and not 0 <= settings.model.threshold <= 1:
        yield f"model.threshold: expected 0 to 1, got {settings.model.threshold}"
    positive = (
        "http.workers http.header_timeout_secs "
        "http.read_timeout_secs http.keepalive_secs http.drain_secs rules.poll_secs rules.compile_secs "
        "rules.compile_bytes model.batch_size model.threads model.queue_messages model.poll_secs "
        "model.follow.interval_secs "
        "memo.bytes return.timeout_secs return.connections return.max_bytes return.idle_secs "
        "limits.body_bytes limits.inflight_bytes limits.message_bytes "
        "limits.connections limits.connections_per_client dead_letter.max_bytes "
        "llm.poll_secs llm.timeout_secs llm.calls llm.pack_messages llm.pack_chars llm.reply_tokens "
        "llm.queue_messages llm.store_days llm.store_bytes llm.requests_per_minute llm.nodes "
        "llm.breaker_failures llm.breaker_secs llm.audit_bytes"
    )
    for path in positive.split():
        section, _, key = path.partition(".")
        value = operator.attrgetter(key)(
            getattr(settings, "return_" if section == "return" else section)
        )
        if value <= 0:
            yield f"{path}: expected a positive number, got {value}"
    for path, value in (
        ("model.budget_ms", settings.model.budget_ms),
        ("llm.wait_ms", settings.llm.wait_ms),
        ("llm.pack_wait_ms", settings.llm.pack_wait_ms),
    ):
        if value < 0:
            yield f"{path}: expected 0 or more, got {value}"
    if settings.limits.inflight_bytes < settings.limits.body_bytes:
        yield "limits.inflight_bytes: must be at least limits.body_bytes, or a full-size body never fits"
    if settings.return_.timeout_secs > 30:
        yield "return.timeout_secs: at most 30; with what comes before, shippers would give up (60 s) and send again"


def _check_llm(llm: LlmSettings) -> Iterator[str]:
    if llm.wait_ms > 5000:
        yield "llm.wait_ms: at most 5000; with what comes before and after, shippers would give up (60 s)"
    for path, amount in (
        ("tokens_per_day", llm.tokens_per_day),
        ("budget_per_day", llm.budget_per_day),
        ("price_in", llm.price_in),
        ("price_out", llm.price_out),
    ):
        if amount is not None and amount < 0:
            yield f"llm.{path}: expected 0 or more, got {amount}"
    if llm.budget_per_day is not None and (llm.price_in is None or llm.price_out is None):
        yield "llm.budget_per_day: needs llm.price_in and llm.price_out, per million tokens"
    for path, url in (("base_url", llm.base_url), ("proxy", llm.proxy)):
        if url is not None and not url.startswith(("http://", "https://")):
            yield f"llm.{path}: expected http:// or https://, got {url!r}"
    for pattern in llm.private_patterns:
        try:
            regex.compile(pattern)
        except regex.error as error:
            yield f"llm.private_patterns: {pattern!r}: {error}"


def _check_follow(model: ModelSettings) -> Iterator[str]:
    if model.follow.source is not None and model.path is None:
        yield "model.path: needed with model.follow.source; it serves until a version has come"
    if model.follow.version is not None and not re.fullmatch(
        r"v\d{1,6}\.\d{1,6}", model.follow.version
    ):
        yield f"model.follow.version: expected a version like v1.0, got {model.follow.version!r}"


def _check_routes(routes: Sequence[RouteSettings]) -> Iterator[str]:
    for i, route in enumerate(routes):
        if "rules" in route.tiers[1:]:
            yield f"routes[{i}].tiers: rules come first, what they decide is final"
        if len(set(route.tiers)) != len(route.tiers):
            yield f"routes[{i}].tiers: a tier is named twice"
        for label in route.labels or ():
            if label not in LABELS:
                yield f"routes[{i}].labels: no such label {label!r}{_suggest(label, LABELS)}"
    if not routes or "*" not in routes[-1].source:
        yield 'routes: the last route must catch every source (source: ["*"])'


def _check_return(settings: Settings) -> Iterator[str]:
    back = settings.return_
    if back.type == "body":
        if settings.forward.listen or settings.forward.unix:
            yield "return.type: Forward clients read no body; use http, forward or otlp while forward.* listens"
        return
    schemes = ("forward", "forward+unix") if back.type == "forward" else ("http", "https")
    if not back.url:
        yield f"return.url: needed for return.type {back.type}"
        return
    parts = urlsplit(back.url)
    try:
        has_host = bool(parts.hostname) and (back.type != "forward" or bool(parts.port))
    except ValueError:
        has_host = False
    if parts.scheme not in schemes or not (
        has_host or (parts.scheme == "forward+unix" and parts.path)
    ):
        yield f"return.url: expected {schemes[0]}://host:port, got {back.url!r}"
    if back.type == "forward" and back.compression not in ("none", "gzip"):
        yield "return.compression: the Forward protocol knows none and gzip"
    if back.type == "otlp" and parts.path in ("", "/"):
        yield f"return.url: expected http://host:4318/v1/logs, got {back.url!r}"
    if back.type == "otlp" and back.compression not in ("none", "gzip"):
        yield "return.compression: OTLP receivers must know none and gzip only"


def _check_files(settings: Settings) -> Iterator[str]:
    files = {
        "http.tokens_file": settings.http.tokens_file,
        "http.tls.cert_file": settings.http.tls.cert_file,
        "http.tls.key_file": settings.http.tls.key_file,
        "http.tls.client_ca_file": settings.http.tls.client_ca_file,
        "forward.shared_key_file": settings.forward.shared_key_file,
        "forward.tls.cert_file": settings.forward.tls.cert_file,
        "forward.tls.key_file": settings.forward.tls.key_file,
        "forward.tls.client_ca_file": settings.forward.tls.client_ca_file,
        "return.token_file": settings.return_.token_file,
        "return.shared_key_file": settings.return_.shared_key_file,
        "return.tls.ca_file": settings.return_.tls.ca_file,
        "return.tls.cert_file": settings.return_.tls.cert_file,
        "return.tls.key_file": settings.return_.tls.key_file,
    }
    for path, file in files.items():
        if file is not None and not os.access(file, os.R_OK):
            yield f"{path}: cannot read {file}"

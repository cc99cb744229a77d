"""Checks across settings: what no single field can say. Each is one small function.

A check names the settings that it reads. It is left out when one of them is in doubt already, so
that no fault is reported that only follows from another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import regex

from waybill.core.errors import ConfigError
from waybill.core.labels import Taxonomy
from waybill.settings.addresses import is_loopback, split_address
from waybill.settings.check import Check
from waybill.settings.deadlines import check_deadlines
from waybill.settings.labelling_checks import LABELLING_CHECKS
from waybill.settings.path_checks import check_labels_path, path_checks
from waybill.settings.problems import Findings, Problem, suggest
from waybill.settings.schema import (
    ForwardSettings,
    HttpSettings,
    RouteSettings,
    Settings,
    TlsSettings,
)
from waybill.settings.taxonomy import read_labels
from waybill.settings.text_checks import text_checks


def cross_check(settings: Settings, findings: Findings) -> None:
    """Run every check that can tell anything, and add what they find."""
    for check in (*text_checks(), *CHECKS, *path_checks()):
        if any(findings.doubts(path) for path in check.reads):
            continue
        for problem in list(check.run(settings)):
            findings.note(problem)


def check_http_address(settings: Settings) -> Iterator[Problem]:
    """``http.listen`` is host:port."""
    yield from _address("http.listen", settings.http.listen)


def check_forward_address(settings: Settings) -> Iterator[Problem]:
    """``forward.listen`` is host:port."""
    if settings.forward.listen is not None:
        yield from _address("forward.listen", settings.forward.listen)


def _address(path: str, address: str) -> Iterator[Problem]:
    try:
        split_address(address)
    except ValueError as error:
        yield Problem(path, f"{error}, for example 127.0.0.1:9880; got {address!r}")


def check_http_anonymous(settings: Settings) -> Iterator[Problem]:
    """Anyone who reaches a listener could write into the log path: that must be said aloud."""
    http = settings.http
    if not http.tokens_file:
        yield from _anonymous("http", "tokens_file", http)


def check_forward_anonymous(settings: Settings) -> Iterator[Problem]:
    """The same for the Forward listener."""
    forward = settings.forward
    if not forward.shared_key_file:
        yield from _anonymous("forward", "shared_key_file", forward)


def _anonymous(
    name: str, secret: str, section: HttpSettings | ForwardSettings
) -> Iterator[Problem]:
    if section.listen is None or is_loopback(section.listen):
        return
    if section.tls.client_ca_file or section.allow_anonymous:
        return
    yield Problem(
        f"{name}.listen",
        f"{section.listen} is reached from other machines; set {name}.{secret}, "
        f"{name}.tls.client_ca_file or, if the network lets nobody else in, {name}.allow_anonymous",
    )


def check_http_tls(settings: Settings) -> Iterator[Problem]:
    """The files of TLS go together."""
    yield from _tls("http.tls", settings.http.tls)


def check_forward_tls(settings: Settings) -> Iterator[Problem]:
    """The files of TLS go together."""
    yield from _tls("forward.tls", settings.forward.tls)


def check_workbench_tls(settings: Settings) -> Iterator[Problem]:
    """The files of TLS go together."""
    yield from _tls("workbench.tls", settings.workbench.tls)


def _tls(path: str, tls: TlsSettings) -> Iterator[Problem]:
    if bool(tls.cert_file) != bool(tls.key_file):
        yield Problem(path, "cert_file and key_file go together; set both or neither")
    elif tls.client_ca_file and not tls.cert_file:
        yield Problem(path, "client_ca_file needs cert_file and key_file")


def check_added_fields(settings: Settings) -> Iterator[Problem]:
    """No two of the added fields have one name."""
    names: dict[str, str] = {}
    for key in ("label", "tier", "confidence", "rule", "reason", "record_id", "pattern"):
        name = getattr(settings.fields, key)
        if name is None:
            continue
        if name in names:
            yield Problem(
                "fields", f"{names[name]} and {key} are both {name!r}; added fields need own names"
            )
        names.setdefault(name, key)


def check_follow(settings: Settings) -> Iterator[Problem]:
    """What serves until a version has come."""
    if settings.model.follow.source is not None and settings.model.path is None:
        yield Problem(
            "model.path", "needed with model.follow.source; it serves until a version has come"
        )


def check_inflight(settings: Settings) -> Iterator[Problem]:
    """A body of full size fits."""
    limits = settings.limits
    if limits.inflight_bytes < limits.body_bytes:
        yield Problem(
            "limits.inflight_bytes",
            f"must be at least limits.body_bytes ({limits.body_bytes}), or a full-size body never "
            f"fits; got {limits.inflight_bytes}",
        )


def check_budget(settings: Settings) -> Iterator[Problem]:
    """A budget needs prices."""
    llm = settings.llm
    if llm.budget_per_day is not None and (llm.price_in is None or llm.price_out is None):
        yield Problem(
            "llm.budget_per_day", "needs llm.price_in and llm.price_out, per million tokens"
        )


def check_private_patterns(settings: Settings) -> Iterator[Problem]:
    """Each pattern is a regular expression."""
    for pattern in settings.llm.private_patterns:
        try:
            regex.compile(pattern)
        except regex.error as error:
            yield Problem(
                "llm.private_patterns", f"{pattern!r} is not a regular expression: {error}"
            )


def check_tiers(settings: Settings) -> Iterator[Problem]:
    """Rules are asked first, and no tier twice."""
    for i, route in enumerate(settings.routes):
        if "rules" in route.tiers[1:]:
            yield Problem(f"routes[{i}].tiers", "rules come first, what they decide is final")
        if len(set(route.tiers)) != len(route.tiers):
            yield Problem(f"routes[{i}].tiers", "a tier is named twice")


def check_labels(settings: Settings) -> Iterator[Problem]:
    """The labels can be read, and routes allow labels that there are."""
    try:
        taxonomy = read_labels(settings.labels.path)
    except ConfigError as error:
        for problem in error.problems:
            path, _, text = problem.partition(": ")
            yield Problem(path, text)
        return
    for i, label in _unknown_labels(settings, taxonomy):
        known = f"the labels are {', '.join(taxonomy.names)}"
        told = f"no such label {label!r}{suggest(label, taxonomy.names)}; {known}"
        yield Problem(f"routes[{i}].labels", told)


def _unknown_labels(settings: Settings, taxonomy: Taxonomy) -> Iterator[tuple[int, str]]:
    """What routes allow and is not a label, each with the number of its route."""
    for i, route in enumerate(settings.routes):
        for label in route.labels or ():
            if label not in taxonomy:
                yield i, label


def check_last_route(settings: Settings) -> Iterator[Problem]:
    """Every record has a route."""
    last: RouteSettings = settings.routes[-1]
    if "*" not in last.source:
        yield Problem("routes", 'the last route must catch every source (source: ["*"])')


def check_body_return(settings: Settings) -> Iterator[Problem]:
    """Forward clients get no body."""
    if settings.return_.type != "body":
        return
    if settings.forward.listen or settings.forward.unix:
        yield Problem(
            "return.type",
            "Forward clients read no body; use http, forward or otlp while forward.* listens",
        )


def check_return_url(settings: Settings) -> Iterator[Problem]:
    """The receiver's URL is one for the type of return."""
    back = settings.return_
    if back.type == "body":
        return
    if not back.url:
        yield Problem(
            "return.url", f"needed for return.type {back.type}, {_url_example(back.type)}"
        )
        return
    try:
        parts = urlsplit(back.url)
        is_usable = _fits(parts, back.type)
    except ValueError:
        is_usable = False
    if not is_usable:
        yield Problem(
            "return.url",
            f"expected a URL for return.type {back.type}, {_url_example(back.type)}; "
            f"got {back.url!r}",
        )


def _url_example(kind: str) -> str:
    return {
        "forward": "for example forward://host:24224 or forward+unix:///run/forward.sock",
        "otlp": "for example http://host:4318/v1/logs",
    }.get(kind, "for example http://host:9881/")


def _fits(parts: SplitResult, kind: str) -> bool:
    if kind == "forward":
        if parts.scheme == "forward+unix":
            return bool(parts.path)
        if parts.scheme != "forward" or not parts.hostname or not parts.port:
            return False
        # Of a user, a path or a query Forward knows nothing.
        surplus = (parts.username, parts.path.strip("/"), parts.query)
        return not any(surplus) and " " not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    return kind != "otlp" or parts.path not in ("", "/")


def check_return_compression(settings: Settings) -> Iterator[Problem]:
    """Compression that the receiver's protocol knows."""
    back = settings.return_
    if back.compression in ("none", "gzip"):
        return
    if back.type == "forward":
        yield Problem("return.compression", "the Forward protocol knows none and gzip only")
    elif back.type == "otlp":
        yield Problem("return.compression", "OTLP receivers must know none and gzip only")


_FORMATS = {"http": ("ndjson", "json"), "otlp": ("protobuf", "json", "as_received")}


def check_return_format(settings: Settings) -> Iterator[Problem]:
    """A format of the type of return."""
    back = settings.return_
    formats = _FORMATS.get(back.type)
    if formats is None or back.format is None or back.format in formats:
        return
    yield Problem(
        "return.format",
        f"expected {', '.join(formats[:-1])} or {formats[-1]} for return.type {back.type}; "
        f"got {back.format}",
    )


#: In the order in which faults are reported.
CHECKS = (
    Check(("http.listen",), check_http_address),
    Check(("forward.listen",), check_forward_address),
    Check(
        ("http.listen", "http.tokens_file", "http.tls", "http.allow_anonymous"),
        check_http_anonymous,
    ),
    Check(
        ("forward.listen", "forward.shared_key_file", "forward.tls", "forward.allow_anonymous"),
        check_forward_anonymous,
    ),
    Check(("model.path", "model.follow"), check_follow),
    Check(("limits.body_bytes", "limits.inflight_bytes"), check_inflight),
    Check(
        (
            "model.path",
            "model.over_budget",
            "model.budget_ms",
            "llm.wait_ms",
            "return.timeout_secs",
        ),
        check_deadlines,
    ),
    Check(("routes",), check_tiers),
    Check(("labels.path",), check_labels_path),
    Check(("labels.path", "routes"), check_labels),
    Check(("routes",), check_last_route),
    Check(("return.type", "forward.listen", "forward.unix"), check_body_return),
    Check(("return.type", "return.url"), check_return_url),
    Check(("return.type", "return.compression"), check_return_compression),
    Check(("return.type", "return.format"), check_return_format),
    Check(("llm.budget_per_day", "llm.price_in", "llm.price_out"), check_budget),
    Check(("llm.private_patterns",), check_private_patterns),
    Check(("fields",), check_added_fields),
    *LABELLING_CHECKS,
    Check(("http.tls",), check_http_tls),
    Check(("forward.tls",), check_forward_tls),
    Check(("workbench.tls",), check_workbench_tls),
)

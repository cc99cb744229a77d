"""``return.format`` is one of its ``return.type``."""

from __future__ import annotations

import pytest

from waybill.core.errors import ConfigError
from waybill.settings.sources import load_settings

URLS = {"http": "http://h:1/", "otlp": "http://h:1/v1/logs", "forward": "forward://h:1"}


def load(kind: str, format_: str) -> str | None:
    overrides = [f"return.type={kind}", f"return.format={format_}"]
    if kind in URLS:
        overrides.append(f"return.url={URLS[kind]}")
    return load_settings(overrides=overrides, environ={}).return_.format


@pytest.mark.parametrize(
    ("kind", "format_"),
    [
        ("http", "ndjson"),
        ("http", "json"),
        ("otlp", "protobuf"),
        ("otlp", "json"),
        ("otlp", "as_received"),
        ("forward", "ndjson"),
        ("body", "ndjson"),
    ],
)
def test_a_format_of_the_type_is_taken(kind: str, format_: str) -> None:
    assert load(kind, format_) == format_


@pytest.mark.parametrize("kind", ["http", "otlp"])
def test_a_return_format_may_be_left_out(kind: str) -> None:
    assert load(kind, "null") is None


@pytest.mark.parametrize(
    ("kind", "format_", "expected"),
    [
        ("http", "protobuf", "expected ndjson or json"),
        ("http", "as_received", "expected ndjson or json"),
        ("otlp", "ndjson", "expected protobuf, json or as_received"),
    ],
)
def test_a_format_of_another_type_is_refused(kind: str, format_: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(kind, format_)
    (problem,) = caught.value.problems
    assert problem.startswith(f"return.format: {expected} for return.type {kind}; got {format_}")

"""What the shipped configuration of Vector must keep to, so that every version of Vector takes it.

`tests/e2e/test_vector.py` starts it, where there is a Vector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import ROOT
from waybill.settings.sources import load_settings

FOLDER = ROOT / "config" / "vector"
FILES = sorted(FOLDER.glob("vector*.yaml"))
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
_REFERENCE = re.compile(r"\{\{([^}]+)\}\}")
#: Switches that only some versions know.
_SWITCHES = ("dangerously_", "disable_env_var_interpolation", "suppress_type_name")
#: What every record has when it comes back; Vector warns for each record without what is named.
_IN_EVERY_RECORD = {
    "target_label",
    "label_tier",
    "kubernetes.pod_namespace",
    "kubernetes.pod_name",
    "kubernetes.container_name",
}


def parts(file: Path, kind: str) -> dict[str, dict[str, object]]:
    """The components of one kind: sources, transforms or sinks."""
    found: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(file.read_text("utf-8"))
    return found[kind]


def of_type(file: Path, kind: str, name: str) -> list[dict[str, object]]:
    return [part for part in parts(file, kind).values() if part["type"] == name]


def texts(value: object) -> Iterator[str]:
    """Every string below ``value``, keys included: Vector takes templates in keys, too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from texts(key)
            yield from texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts(below)


def templates(file: Path) -> list[str]:
    """The templates of all sinks: what is confined since 0.57."""
    return [text for text in texts(parts(file, "sinks")) if "{{" in text]


def test_configurations_of_vector_are_found() -> None:
    assert FILES


@EACH
def test_nothing_is_interpolated(file: Path) -> None:
    """0.57 replaces no variable, 0.56 replaces ``$NAME`` as well and reads ``$$`` as ``$``."""
    assert "$" not in file.read_text("utf-8")


@EACH
def test_no_switch_is_used_that_only_some_versions_know(file: Path) -> None:
    text = file.read_text("utf-8")
    assert [switch for switch in _SWITCHES if switch in text] == []


@EACH
def test_every_template_begins_with_fixed_text(file: Path) -> None:
    assert templates(file)
    for template in templates(file):
        prefix = re.split(r"\{\{|%", template)[0]
        assert prefix.strip() not in ("", "/"), template


@EACH
def test_no_template_names_what_some_records_lack(file: Path) -> None:
    for template in templates(file):
        names = {name.strip() for name in _REFERENCE.findall(template)}
        assert names <= _IN_EVERY_RECORD, template


@EACH
def test_labels_of_loki_keep_their_values(file: Path) -> None:
    """The fixed text in front is a brace of JSON and no part of a label."""
    for sink in of_type(file, "sinks", "loki"):
        for name in ("labels", "structured_metadata"):
            given = sink[name]
            assert isinstance(given, dict)
            for key, template in given.items():
                if "{{" in template:
                    assert key.endswith("*")
                    expanded = json.loads(_REFERENCE.sub("x", template))
                    assert set(expanded.values()) == {"x"}
        labels = sink["labels"]
        assert isinstance(labels, dict)
        assert "target_label" in json.loads(_REFERENCE.sub("x", labels["*"]))


@EACH
def test_what_comes_back_gets_no_foreign_fields(file: Path) -> None:
    (source,) = of_type(file, "sources", "http_server")
    assert source["log_namespace"] is True
    assert source["decoding"] == {"codec": "json"}
    assert not {"headers", "query_parameters", "host_key"} & set(source)


@EACH
def test_the_time_is_found_by_the_stores(file: Path) -> None:
    """Fields have no fixed meaning with ``log_namespace``, and a buffer on disk forgets it."""
    transforms = parts(file, "transforms")
    for kind, field in (("loki", ".timestamp"), ("elasticsearch", '."@timestamp"')):
        for sink in of_type(file, "sinks", kind):
            inputs = sink["inputs"]
            assert isinstance(inputs, list)
            name: str = inputs[0]
            program = str(transforms[name]["source"])
            assert f'set_semantic_meaning({field}, "timestamp")' in program
            assert "parse_timestamp(.timestamp" in program
            assert transforms[name]["inputs"] == ["from_waybill"]
            buffer = sink["buffer"]
            assert isinstance(buffer, dict)
            assert (buffer["type"], buffer["when_full"]) == ("memory", "block")


@EACH
def test_elasticsearch_and_opensearch_are_written_to_alike(file: Path) -> None:
    (sink,) = of_type(file, "sinks", "elasticsearch")
    assert sink["api_version"] == "v8"
    assert "OpenSearch" in file.read_text("utf-8")
    settings = load_settings(FOLDER / "waybill.yaml", environ={})
    assert sink["id_key"] == settings.fields.record_id


@EACH
def test_every_store_answers_before_waybill_does(file: Path) -> None:
    for name, sink in parts(file, "sinks").items():
        if name != "to_waybill":
            assert sink["acknowledgements"] == {"enabled": True}
    sender = parts(file, "sinks")["to_waybill"]
    assert sender["buffer"] == {"type": "disk", "max_size": 1 << 30, "when_full": "block"}


@EACH
def test_no_component_can_be_fed_by_what_it_feeds(file: Path) -> None:
    for kind in ("transforms", "sinks"):
        for part in parts(file, kind).values():
            inputs = part["inputs"]
            assert isinstance(inputs, list)
            assert not [name for name in inputs if "*" in name]

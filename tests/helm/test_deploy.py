"""What lies beside the chart: the image's recipe, Kibana's objects, Elasticsearch's template."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.taxonomies import LABELS
from waybill.settings.schema import FieldSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
FIELDS = FieldSettings()
OURS = {FIELDS.label, FIELDS.tier, FIELDS.confidence, FIELDS.rule, FIELDS.reason}


def test_kibana_objects_refer_to_each_other_and_to_our_fields() -> None:
    objects = [
        json.loads(line) for line in (DEPLOY / "kibana" / "waybill.ndjson").read_text().splitlines()
    ]
    known = {(one["type"], one["id"]) for one in objects}
    assert len(known) == len(objects)
    for one in objects:
        assert all((reference["type"], reference["id"]) in known for reference in one["references"])
    text = json.dumps(objects)
    assert set(re.findall(r"\b(?:target_label|label_[a-z]+)\b", text)) <= OURS
    queries = {json.loads(o["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
               for o in objects if o["type"] == "search"}  # fmt: skip
    assert {f'target_label: "{label}"' for label in LABELS} <= queries
    (dashboard,) = (one for one in objects if one["type"] == "dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert {panel["panelRefName"] for panel in panels} == {
        reference["name"] for reference in dashboard["references"]
    }


def test_the_index_template_maps_every_field_that_we_add() -> None:
    template = json.loads((DEPLOY / "elasticsearch" / "index-template.json").read_text())
    properties = template["template"]["mappings"]["properties"]
    assert set(properties) == OURS
    assert properties[FIELDS.label] == {"type": "keyword"}
    assert properties[FIELDS.confidence] == {"type": "float"}


def test_the_image_runs_its_own_script_and_a_numeric_user() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text()
    assert "RUN sh deploy/build-image.sh build /src /opt/waybill" in recipe
    assert "USER 10001:10001" in recipe
    assert "HEALTHCHECK" in recipe
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", recipe, re.MULTILINE)
    allowed = {
        line[1:]
        for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    lists = ("image", "retrain")  # the argument LIST of the recipe
    names = {name for line in copied for name in line.split()}
    assert {name.replace("${LIST}", one) for name in names for one in lists} <= allowed
    assert "torch" not in (DEPLOY / "build-image.sh").read_text().replace("(no torch,", "")


def test_the_image_brings_the_bytecode_that_its_containers_cannot_write() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text()
    script = (DEPLOY / "build-image.sh").read_text()
    assert "PYTHONDONTWRITEBYTECODE=1" in recipe
    assert script.rindex("__pycache__") < script.index("-m compileall")

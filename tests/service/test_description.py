"""The pages ``/`` and ``/docs``: every call is on them, and they need nothing but themselves."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources

from waybill.api.description import POLICY, front_page, operations, whole_page

DESCRIBED = json.loads(resources.files("waybill.api").joinpath("openapi.json").read_text())


def test_every_call_and_every_parameter_is_shown() -> None:
    shown = operations()
    for path, item in DESCRIBED["paths"].items():
        assert path in shown
        assert path in front_page(None)
        for operation in item.values():
            parameters = operation.get("parameters", []) if isinstance(operation, dict) else []
            for one in parameters:
                assert f"<code>{one['name']}</code>" in shown
    for name in DESCRIBED["components"]["schemas"]:
        assert f'id="{name}"' in shown


def test_nothing_is_loaded_and_no_script_runs() -> None:
    for text in (front_page("https://waybill.example.com/?a=1&b=2"), whole_page("x", operations())):
        assert "<script" not in text
        assert " style=" not in text
        assert "src=" not in text
        style = re.search("<style>(.*?)</style>", text)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in POLICY


def test_the_workbench_is_linked_where_one_is_set() -> None:
    assert 'href="https://waybill.example.com/?a=1&amp;b=2"' in front_page(
        "https://waybill.example.com/?a=1&b=2"
    )
    assert "workbench.url" in front_page(None)

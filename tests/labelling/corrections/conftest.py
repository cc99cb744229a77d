"""What the tests of corrections share."""

from __future__ import annotations

import asyncio

import pytest

from tests.taxonomies import LABELS
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet


@pytest.fixture(name="rules", scope="module")
def _rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    """The rules that the module has under the name ``RULES``."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "a.yaml").write_text(request.module.RULES)
    return asyncio.run(load_ruleset([folder], labels=LABELS))

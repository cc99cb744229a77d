"""The shipped rules, which take two seconds of processor time to compile: once for all tests."""

from __future__ import annotations

from pathlib import Path

from tests.taxonomies import LABELS
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.settings.labellings import added_fields, names_added
from waybill.settings.schema import Settings

__all__ = ["load_shipped"]


async def load_shipped() -> RuleSet:
    """As a sidecar with default settings asks for them, so that they are the same request."""
    reserved = names_added(added_fields(Settings()))
    return await load_ruleset([Path("rules")], labels=LABELS, reserved=reserved)

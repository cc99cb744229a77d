"""What is known of a setting stands at its field, and is there for every setting."""

from __future__ import annotations

import pytest

from waybill.settings.catalogue import Setting, catalogue, setting, settings_of
from waybill.settings.convert import convert
from waybill.settings.schema import RouteSettings
from waybill.settings.sources import SECRET_KEYS

EVERY = [*catalogue().values(), *settings_of(RouteSettings, "routes[].")]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.path)
def test_every_setting_is_documented_at_its_field(one: Setting) -> None:
    assert one.description.endswith(".")
    assert one.description[0].isupper() or ":" in one.description or "/" in one.description
    if one.form in ("whole", "number"):
        assert (one.at_least, one.more_than) != (None, None), "a number has a lower bound"


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.path)
def test_default_and_example_of_every_setting_are_values_it_takes(one: Setting) -> None:
    if not one.is_required:
        assert convert(one, one.default) == one.default
    if one.path not in SECRET_KEYS:
        assert one.example is not None or one.form == "switch", "a refusal needs an example"
        convert(one, one.example)


def test_units_that_a_name_ends_in_are_said() -> None:
    units = {"_secs": "seconds", "_ms": "milliseconds", "_bytes": "bytes", "_days": "days"}
    for one in EVERY:
        for ending, unit in units.items():
            if one.path.endswith(ending):
                assert one.unit == unit, one.path


def test_a_setting_knows_its_bounds_and_words() -> None:
    wait = setting("llm.wait_ms")
    assert (wait.form, wait.at_least, wait.at_most, wait.unit) == ("whole", 0, 5000, "milliseconds")
    assert setting("log.level").words == ("debug", "info", "warning", "error")
    assert setting("llm.provider").is_nullable
    assert setting("return.tls.verify").environment == "WAYBILL_RETURN_TLS_VERIFY"
    with pytest.raises(KeyError):
        setting("nothing.here")

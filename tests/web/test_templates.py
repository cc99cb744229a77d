"""The templates of the pages."""

from __future__ import annotations

import jinja2
import pytest

from waybill.web.templating import Templates


@pytest.mark.parametrize("name", ["overview.html", "patterns.html", "csv.html"])
def test_nothing_is_left_to_compile_for_the_first_who_asks(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    templates = Templates("")
    templates.compile_all()
    monkeypatch.delattr(jinja2.Environment, "compile")
    with pytest.raises(jinja2.UndefinedError):  # it is at work, and misses its values
        templates.render(name, {})

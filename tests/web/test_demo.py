"""The demo: what is applied on its pages is in force in its sidecar."""

from __future__ import annotations

import time
from pathlib import Path

from tests.conftest import Running
from tests.patience import until
from tests.web.conftest import opened, pattern, settings_for
from waybill.cli.demo.pages import shared
from waybill.core.pattern import pattern_id
from waybill.settings.sources import load_settings

MASK = "trolley 0 by door 0"


async def test_a_correction_on_its_pages_is_in_force(running: Running, tmp_path: Path) -> None:
    with shared(settings_for(tmp_path)) as settings:
        place = f"corrections.path={settings.corrections.path}"
        async with running("model.path=null", place) as sidecar, opened(settings) as client:
            await client.put(pattern(MASK, at=time.time()))
            await client.send(f"/patterns/{pattern_id(MASK)}/correct", {"label": "Error"})
            _, page = await client.send("/corrections/apply", {})
            assert "On its way." in page

            async def is_corrected() -> bool:
                _, answer, _ = await sidecar.post(b'{"log": "trolley 7 by door 2"}')
                return b'"correction"' in answer

            await until(is_corrected)
    assert not Path(str(settings.workbench.folder)).exists()


def test_where_somebody_keeps_them_they_stay() -> None:
    settings = load_settings(overrides=("corrections.path=mine.ndjson",), environ={})
    with shared(settings) as same:
        assert same is settings

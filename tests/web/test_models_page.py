"""The models page: agreement with people, how far confidence can be believed, versions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from tests.web.conftest import opened, settings_for
from waybill.core.correction import new_correction
from waybill.web.reliability import bins_of, reliability_svg
from waybill.web.store.corrections import add_correction
from waybill.web.versions import versions_in
from waybill.web.views.models import Table, step


def bundle(folder: Path, version: str, f1: float) -> None:
    folder.mkdir(parents=True)
    shipped = json.loads(Path("models/default/manifest.json").read_text())
    shipped |= {"version": version, "metrics": {"held_out_software": {"macro_f1": f1}}}
    (folder / "manifest.json").write_text(json.dumps(shipped))
    for name in shipped["sha256"]:
        (folder / name).write_bytes(b"x")


async def test_versions_are_listed_and_an_old_one_becomes_the_newest(tmp_path: Path) -> None:
    folder = tmp_path / "versions"
    bundle(folder / "v1.0", "aaaa11112222", 0.8)
    bundle(folder / "v1.1", "bbbb11112222", 0.9)
    settings = settings_for(tmp_path)
    follow = msgspec.structs.replace(settings.model.follow, source=str(folder))
    model = msgspec.structs.replace(settings.model, follow=follow)
    async with opened(msgspec.structs.replace(settings, model=model)) as client:
        line = new_correction("order <id>", "Error", by="anna")
        await client.running.bench.database.write(lambda store: add_correction(store, line))
        _, text = await client.get("/models")
        assert "0 of 1</b> corrections" in text
        assert "macro-F1 0.800" in text
        assert text.index("v1.1") < text.index("v1.0")
        _, text = await client.send("/models/promote", {"version": "v1.0"})
        assert "v1.0 is now v1.2" in text
        assert versions_in(folder)[0].fingerprint == "default@aaaa11112222"
        _, text = await client.send("/models/promote", {"version": "v9.9"})
        assert "no version v9.9" in text
        _, text = await client.get("/models/setting.yaml?version=v1.0")
        assert "version: v1.0" in text
        status, _ = await client.get("/models/setting.yaml?version=%0Aevil:")
        assert status == 404


async def test_each_row_of_the_matrix_ends_in_what_was_found(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    model = msgspec.structs.replace(settings.model, path="models/default")
    async with opened(msgspec.structs.replace(settings, model=model)) as client:
        _, page = await client.get("/models")
    scores = json.loads(Path("models/default/manifest.json").read_text())["metrics"]
    confusion = scores["held_out_software"]["confusion"]
    table = page[page.index("Right label (rows)") :]
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table[: table.index("</table>")])
    ends = [re.sub("<[^>]*>", "", re.findall(r"<td.*?</td>", row)[-1]) for row in rows]
    expected = [100 * row[at] / sum(row) for at, row in enumerate(confusion)]
    assert ends == [f"{share:.1f} %" for share in expected]


def test_bins_hold_what_was_right_and_a_matrix_what_was_said() -> None:
    bins = bins_of([(0.95, True), (0.91, False), (1.0, True), (0.05, False)])
    assert [(one.low, one.total, one.right) for one in bins] == [(0.0, 1, 0), (0.9, 3, 2)]
    assert reliability_svg(bins).count("<circle") == 2
    table = Table(["Error", "User Action"])
    table.count("Error", "User Action")
    assert (table.right, table.columns()) == (0, ["User Action"])
    assert list(table.rows()) == [("Error", [1])]
    assert [step(count, 10) for count in (0, 1, 5, 10)] == [0, 1, 2, 4]

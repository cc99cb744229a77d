"""The models page: agreement with people, how far confidence can be believed, versions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.web.conftest import opened, settings_for
from waybill.core.correction import new_correction
from waybill.labelling.model.manifest import read_manifest
from waybill.web.model_trial import ModelTrials
from waybill.web.reliability import bins_of, reliability_svg
from waybill.web.store.corrections import add_correction
from waybill.web.trials import Trial
from waybill.web.versions import scores_of, versions_in
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
        assert "0 of 1</b> active corrections" in text
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


SCORE = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "lines": 3}


@pytest.mark.parametrize(
    "held",
    [
        None,
        7,
        "<script>",
        [],
        {"macro_f1": "<b>"},
        {"macro_f1": 1e308},
        {"macro_f1": [1]},
        {"macro_f1": 0.5, "per_label": {"Error": {"f1": 1}}},
        {"per_label": {"<script>alert(1)</script>": SCORE}},
        {"per_label": {f"l{n}": SCORE for n in range(5000)}},
        {"per_label": {"x" * 5000: SCORE}},
        {"labels": ["a", "b"], "confusion": [[1, 2], [3]]},
        {"labels": ["a"], "confusion": [[1], [2]]},
        {"labels": ["a"], "confusion": [["<b>"]]},
        {"labels": ["a"], "confusion": [[-1]]},
        {"labels": [1], "confusion": 7},
    ],
    ids=lambda held: f"{held}"[:50],
)
async def test_what_bundles_say_of_themselves_breaks_no_page(
    tmp_path: Path, held: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_run(_: ModelTrials, old: str, new: str) -> Trial:
        return Trial(None, 0.0, f"{old} and {new} are no bundles")

    monkeypatch.setattr(ModelTrials, "try_models", not_run)
    folder = tmp_path / "versions"
    for name in ("v1.0", "v1.1"):
        bundle(folder / name, f"<b>{name}", 0.5)
        file = folder / name / "manifest.json"
        said = json.loads(file.read_text())
        said["metrics"] = {"held_out_software": held}
        said["made"] = {"command": ["<script>alert(1)</script>"] * 1000}
        file.write_text(json.dumps(said))
    settings = settings_for(tmp_path)
    follow = msgspec.structs.replace(settings.model.follow, source=str(folder))
    model = msgspec.structs.replace(settings.model, follow=follow)
    manifest = read_manifest(folder / "v1.0")
    assert len(str(scores_of(manifest))) < 10_000
    async with opened(msgspec.structs.replace(settings, model=model)) as client:
        for path in ("/models", "/models/compare?a=v1.1&b=v1.0", "/models/compare?a=v1.0&b=v1.0"):
            status, text = await client.get(path)
            assert status == 200, text
            assert "<script>alert" not in text
            assert "v1.0" in text


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

"""``waybill pack`` and ``waybill labels``: what is begun with them works at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Running
from waybill.cli.main import run
from waybill.core.errors import BundleError, ConfigError, WaybillError
from waybill.core.labels import read_taxonomy
from waybill.labelling.model.bundle import load_bundle
from waybill.settings.resources import packs

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="pack", scope="module")
def _pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new pack, trained."""
    into = tmp_path_factory.mktemp("packs")
    assert run(["pack", "new", "urgency", "--labels", "Now,Later", "--into", str(into)]) == 0
    folder = into / "urgency"
    options = ["--labels", str(folder / "labels.yaml"), "--corpus", str(folder / "corpus")]
    trained = [*options, "--per-label", "40", "--share-encoder", "--no-cache"]
    assert run(["model", "train", "--output", str(folder / "model"), *trained]) == 0
    return folder


def test_a_new_pack_can_be_checked_tested_and_trained(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack", "check", str(pack)]) == 0
    told = capsys.readouterr().out
    assert "labels: Now, Later, Unclassified" in told
    assert "2 rules, 4 samples pass" in told
    assert "model: model@" in told
    setting = f"labellings=[{{name: urgency, pack: '{pack}'}}]"
    assert run(["rules", "test", "--labelling", "urgency", "--set", setting]) == 0
    assert capsys.readouterr().out.startswith("2 rules, 4 samples")
    files = [str(pack / "evaluation" / "held-out.csv")]
    assert run(["model", "evaluate", *files, "--labelling", "urgency", "--set", setting]) == 0


def test_a_bundle_that_shares_its_encoder_is_small_and_holds_to_it(
    pack: Path, tmp_path: Path
) -> None:
    folder = pack / "model"
    assert not (folder / "encoder.onnx").exists()
    taxonomy = read_taxonomy(pack / "labels.yaml")
    own = load_bundle(folder, taxonomy=taxonomy)
    default = load_bundle(
        ROOT / "models/default", taxonomy=read_taxonomy(ROOT / "config/labels.yaml")
    )
    assert own.encoder_hash == default.encoder_hash
    manifest = json.loads((folder / "manifest.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    manifest["sha256"]["tokenizer.json"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="shares the encoder of models/default") as raised:
        load_bundle(copy, taxonomy=taxonomy)
    assert raised.value.code == "hash"
    manifest["encoder"]["shared"] = "../elsewhere"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not a plain relative path"):
        load_bundle(copy, taxonomy=taxonomy)


async def test_two_models_label_one_record(running: Running, pack: Path, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rules: []")
    rules = f"rules.path={tmp_path}"
    async with running(rules, f"labellings=[{{name: urgency, pack: '{pack}'}}]") as sidecar:
        line = b'{"log":"shop wrote a line that means Later, could not open the store"}'
        _, body, _ = await sidecar.post(line)
        record = json.loads(body)
        assert record["label_rule"].startswith("default@")
        assert record["urgency_rule"].startswith("model@")
        _, ready = await sidecar.get("/readyz")
        assert json.loads(ready)["urgency.model"]["version"] == record["urgency_rule"]
        first, second = (one.model for one in sidecar.service.opened.labellings)
        assert first is not None
        assert second is not None
        assert first.bundle.encoder is second.bundle.encoder, "one encoder in memory"


def test_what_is_wrong_with_a_pack_is_told_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["pack", "new", "p", "--into", str(tmp_path)])
    folder = tmp_path / "p"
    rules = folder / "rules" / "40-p.yaml"
    rules.write_text(rules.read_text().replace('label: "High"', 'label: "Hihg"'))
    corpus = folder / "corpus" / "p.yaml"
    corpus.write_text(corpus.read_text().replace('"Low":', '"High":'))
    (folder / "evaluation" / "held-out.csv").write_text("source,log_message,p\na,b,Nope\n")
    with pytest.raises(ConfigError) as raised:
        run(["pack", "check", str(folder)])
    problems = "\n".join(raised.value.problems)
    assert "no such label 'Hihg'" in problems
    assert "p.yaml:" in problems
    assert "key 'High' given twice" in problems
    assert "held-out.csv: row 1: 'Nope' is not a label" in problems
    with pytest.raises(ConfigError, match="no such folder"):
        run(["pack", "check", str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="exists already"):
        run(["pack", "new", "p", "--into", str(tmp_path)])
    with pytest.raises(ConfigError, match="is not a name"):
        run(["pack", "new", "P!", "--into", str(tmp_path)])
    with pytest.raises(ConfigError, match="at least two labels"):
        run(["pack", "new", "q", "--labels", "A", "--into", str(tmp_path)])
    capsys.readouterr()


def test_the_banking_pack_comes_with_waybill(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "list"]) == 0
    assert "packs/banking: Critical, High, Medium, Low, Informational" in capsys.readouterr().out
    assert "packs/banking" in dict(packs())
    assert run(["pack", "check", "packs/banking"]) == 0


def test_a_file_of_labels_is_made_of_what_files_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    data.write_text('log,target_label\na,Foo\nb,"Bar: x"\nc,Foo\nd,\n')
    with pytest.raises(WaybillError, match=r"waybill labels init labels.yaml --from .*data.csv"):
        run(["model", "train", "--output", str(tmp_path / "m"), "--data", str(data)])
    file = tmp_path / "labels.yaml"
    assert run(["labels", "init", str(file), "--from", str(data)]) == 0
    assert read_taxonomy(file).names == ("Foo", "Bar: x", "Unclassified")
    _, train, serve = capsys.readouterr().out.splitlines()
    assert train.split()[:3] == ["waybill", "model", "train"]
    assert f"--labels {file} --no-corpus --data {data} --output models/mine" in train
    assert f"--set labels.path={file} --set rules.path=null --set model.path=models/mine" in serve
    assert run(["labels", "list", "--labels", str(file)]) == 0
    assert "Unclassified: none of the other labels fits" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="exists already"):
        run(["labels", "init", str(file), "--from", str(data)])
    other = tmp_path / "other.yaml"
    assert run(["labels", "init", str(other), "--labels", "Up,Other"]) == 0
    assert read_taxonomy(other).fallback == "Other"
    (tmp_path / "none.csv").write_text("log,x\na,b\n")
    with pytest.raises(WaybillError, match=r"no row has a label in target_label"):
        run(["labels", "init", str(tmp_path / "n.yaml"), "--from", str(tmp_path / "none.csv")])

"""From a wrong label to a model that knows better: corrections, a candidate, the gate, the push."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.conftest import Running, Sidecar
from tests.learn.patterns import stored
from tests.learn.tiny import Tiny, train_tiny
from tests.patience import until
from waybill.cli.main import make_parser, run
from waybill.cli.model_retrain import base_of, plan_of
from waybill.core.correction import (
    encode_correction,
    new_correction,
    withdrawal,
)
from waybill.core.errors import ConfigError, WaybillError
from waybill.core.pattern import encode
from waybill.hub.source import versions
from waybill.labelling.masking import mask
from waybill.labelling.model.manifest import read_manifest
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings

ROOT = Path(__file__).parents[2]
WRONG = "payment of order 17 bounced"
#: Rules have no part in it, and the few hundred that come with Waybill take 3 s to compile.
RULE = "rules: [{id: one, label: Error, pattern: zorbl, match: [zorbl], no_match: [flimp]}]"
OTHERS = (
    "failed to open alpha: timeout after 3 s",
    "cannot reach gamma, giving up",
    "user delta logged in from 10.0.0.3",
    "account of beta created",
    "kiwi moss lamp",
)


def options(tiny: Tiny) -> list[str]:
    found = {"--base": tiny.bundle, "--corpus": tiny.corpus, "--cache": tiny.cache}
    return [str(part) for pair in found.items() for part in pair]


async def labels_of(sidecar: Sidecar, *messages: str) -> list[tuple[str, str]]:
    body = json.dumps([{"log": message} for message in messages]).encode()
    status, answer, _ = await sidecar.post(body, content_type="application/json")
    assert status == 200
    return [(one["target_label"], one["label_tier"]) for one in json.loads(answer)]


@pytest.mark.timeout(300)  # two trainings, and a service that follows
async def test_a_wrong_label_is_corrected_learned_pushed_and_followed(
    tiny: Tiny,
    tmp_path: Path,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said, patterns = tmp_path / "said.ndjson", tmp_path / "patterns.ndjson"
    repo = tmp_path / "versions"
    repo.mkdir()
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "one.yaml").write_text(RULE)
    settings = (
        f"rules.path={rules}",
        f"model.path={tiny.bundle}",
        f"model.follow.source={repo}",
        f"model.follow.into={tmp_path / 'followed'}",
        "model.follow.interval_secs=0.3",
        "model.poll_secs=0.1",
        f"corrections.path={said}",
    )
    monkeypatch.setattr("waybill.service.follow_model._START_SECS", 0.1)
    async with running(*settings) as sidecar:
        before = await labels_of(sidecar, *OTHERS)
        assert (await labels_of(sidecar, WRONG))[0] == ("Unclassified", "none")
        correction = new_correction(mask(WRONG), "Error", by="ann")
        said.write_bytes(encode_correction(correction))
        await sidecar.service.reloader.reload()
        assert (await labels_of(sidecar, WRONG))[0] == ("Error", "correction")
        texts = zip(OTHERS, before, strict=True)
        patterns.write_bytes(b"".join(encode(stored(one, got[0], 100)) for one, got in texts))
        arguments = [
            *options(tiny), "--corrections", str(said), "--patterns", str(patterns),
            "--max-flips", "0", "--push", str(repo), "--report", str(tmp_path / "report"),
        ]  # fmt: skip
        assert await asyncio.to_thread(run, ["model", "retrain", *arguments]) == 0
        assert versions(str(repo)) == ["v1.0"]
        old = sidecar.state("model").version
        await until(lambda: sidecar.state("model").version != old)
        # With the correction withdrawn the model itself knows, and nothing else has changed.
        with said.open("ab") as file:
            file.write(encode_correction(withdrawal(correction)))
        await sidecar.service.reloader.reload()
        assert (await labels_of(sidecar, WRONG))[0] == ("Error", "model")
        assert await labels_of(sidecar, *OTHERS) == before
    report = json.loads((tmp_path / "report" / "retrain.json").read_bytes())
    assert (report["pushed"], report["followed"]["new"], report["flips"]["flipped"]) == (
        "v1.0",
        1,
        0,
    )
    met = {one["name"]: one["is_met"] for one in report["checks"]}
    assert met["held_out_accuracy"] is True
    assert met["flips"] is True
    told = (tmp_path / "report" / "retrain.txt").read_text()
    assert "is v1.0 of" in told
    assert f"sidecars with model.follow.source: {repo} take it" in told
    assert f"waybill model push FOLDER --repo {repo}, with the bundle before" in told
    steps = ("lines to train on", "fitting the classifier", "writing the bundle", "holding the")
    heard = capsys.readouterr().err.splitlines()
    assert [step for step in steps if any(step in line for line in heard)] == list(steps)
    made = read_manifest(repo / "v1.0").made
    assert made["corrections"]["masks"] == 1
    assert WRONG not in str(made)


def renamed(source: Path, target: Path, version: str, accuracy: float) -> None:
    """A copy of a bundle that says other things of itself."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "manifest.json").read_bytes())
    manifest["version"] = version
    manifest["metrics"]["held_out_software"]["accuracy"] = accuracy
    (target / "manifest.json").write_text(json.dumps(manifest))


def test_what_the_gate_refuses_is_not_pushed(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_training(output: Path, *_: object) -> None:
        renamed(tiny.bundle, output, "worse", 0.1)

    monkeypatch.setattr("waybill.learn.retrain.retrain.train", no_training)
    repo, kept = tmp_path / "versions", tmp_path / "kept"
    arguments = [*options(tiny), "--push", str(repo), "--output", str(kept)]
    assert run(["model", "retrain", *arguments, "--report", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "accuracy on software that was not trained on" in told.out
    assert "REFUSED" in told.out
    assert "held_out_accuracy: lower --correction-weight" in told.out
    assert "held_out_label_f1" not in told.out  # only what was refused
    assert "what next" not in told.out
    assert "tiny@worse was refused and not pushed: held_out_accuracy" in told.err
    assert not repo.exists()
    assert read_manifest(kept).version == "worse"  # for a shadow, or for a person
    report = json.loads((tmp_path / "retrain.json").read_bytes())
    assert report["pushed"] is None
    assert run(["model", "retrain", *arguments[:-2], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["candidate"] == "tiny@worse"


def test_a_further_labelling_learns_its_own_corrections_over_the_shared_encoder(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(tiny.corpus, pack / "corpus")
    shutil.copyfile(ROOT / "config" / "labels.yaml", pack / "labels.yaml")
    (pack / "wide").mkdir()
    (pack / "wide" / "trams.yaml").write_text('trams:\n  Error:\n    - "tram signal stays dark"\n')
    cache = ("--cache", str(tiny.cache))
    wide = ("--corpus-extra", str(pack / "wide"), "--extra-weight", "0.5")
    train_tiny(pack / "corpus", pack / "model", *cache, *wide, "--share-encoder", encoder=None)
    said = tmp_path / "said.ndjson"
    lines = [
        new_correction(mask(WRONG), "Error", labelling="urgency"),
        new_correction(mask(WRONG), "User Action"),
    ]
    said.write_bytes(b"".join(map(encode_correction, lines)))
    arguments = [
        "--set", f"labellings=[{{name: urgency, pack: {pack}}}]", "--labelling", "urgency",
        "--corrections", str(said), "--output", str(tmp_path / "kept"), *cache, "--json",
    ]  # fmt: skip
    capsys.readouterr()
    run(["model", "retrain", *arguments])
    followed = json.loads(capsys.readouterr().out)["followed"]
    assert (followed["masks"], followed["new"]) == (1, 1)
    kept = read_manifest(tmp_path / "kept")
    assert kept.encoder.shared == "models/default"
    told = read_manifest(pack / "model").made
    assert kept.made["corpus_sha256"] == told["corpus_sha256"]
    assert kept.made["extra_weights"] == told["extra_weights"]
    shutil.rmtree(pack / "corpus")
    with pytest.raises(WaybillError, match="no pack with a corpus"):
        run(["model", "retrain", *arguments])


def test_a_bundle_without_a_corpus_says_what_it_was_trained_on(tiny: Tiny, tmp_path: Path) -> None:
    manifest = json.loads((tiny.bundle / "manifest.json").read_bytes())
    del manifest["made"]["corpus_sha256"]
    manifest["made"]["data_sha256"] = {"mine.csv": "0"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WaybillError, match=r"trained on mine\.csv, without a corpus: add --data"):
        run(["model", "retrain", "--base", str(tmp_path)])


def test_the_settings_say_where_the_lines_have_their_labels(tiny: Tiny) -> None:
    words = ["model", "retrain", "--data", "mine.csv", "--set", "fields.label=kind"]
    given = make_parser().parse_args([*words, "--base", str(tiny.bundle)])
    given.command_line = ""
    plan = plan_of(given, load_settings(overrides=given.overrides, environ={}), tiny.bundle)
    assert plan.data.fields.label == "kind"


def test_without_anything_new_nothing_is_trained() -> None:
    with pytest.raises(ConfigError, match="nothing to learn from: name --corrections or --data"):
        run(["model", "retrain", "--push", "./versions"])


def settings_of(*overrides: str) -> Settings:
    return load_settings(overrides=list(overrides), environ={})


def test_the_bundle_in_force_is_the_newest_where_sidecars_follow(
    tiny: Tiny, tmp_path: Path
) -> None:
    followed, pushed, scratch = tmp_path / "followed", tmp_path / "pushed", tmp_path / "scratch"
    plain = settings_of(f"model.path={tiny.bundle}")
    assert base_of(plain, None, None, scratch) == tiny.bundle
    assert base_of(plain, str(pushed), None, scratch) == tiny.bundle  # nothing there yet
    shutil.copytree(tiny.bundle, pushed / "v1.1")
    assert base_of(plain, str(pushed), None, scratch / "a") == scratch / "a" / "v1.1"
    shutil.copytree(tiny.bundle, followed / "v2.0")
    (followed / "v2.1").mkdir()
    follows = f"model.follow.source={followed}"
    pinned = settings_of(f"model.path={tiny.bundle}", follows, "model.follow.version=v2.0")
    assert base_of(pinned, str(pushed), None, scratch / "c") == scratch / "c" / "v2.0"
    with pytest.raises(ConfigError, match="--base"):
        base_of(settings_of("model.path=null"), None, None, scratch)


def test_a_share_is_written_either_way_and_a_file_that_is_not_there_is_named(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["model", "retrain", "--max-flips", "150%"])
    assert "150%: expected a share" in capsys.readouterr().err
    with pytest.raises(WaybillError, match=r"gone\.ndjson: there is no such file"):
        run(["model", "retrain", *options(tiny), "--corrections", str(tmp_path / "gone.ndjson")])


# In the cloud.


class _App:
    """As much of `modal.App` as the example uses, where Modal is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def function(self, **_: object) -> Callable[[Callable[..., str]], SimpleNamespace]:
        return lambda made: SimpleNamespace(local=made)

    def local_entrypoint(self) -> Callable[[Callable[..., None]], Callable[..., None]]:
        return lambda made: made


def stub() -> ModuleType:
    image = SimpleNamespace(pip_install=lambda *_: None)
    names = {
        "App": _App,
        "Image": SimpleNamespace(debian_slim=lambda **_: image),
        "Volume": SimpleNamespace(from_name=lambda *_, **__: None),
        "Cron": lambda _: None,
    }
    module = ModuleType("modal")
    module.__dict__.update(names)
    return module


@pytest.mark.filterwarnings("ignore:The retrain function is executing locally:UserWarning")
def test_the_example_for_the_cloud_runs_here(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("modal") is None:
        monkeypatch.setitem(sys.modules, "modal", stub())
    example = runpy.run_path(str(ROOT / "examples" / "modal" / "retrain.py"))
    version, accuracy = "better", 0.99

    def no_training(output: Path, *_: object) -> None:
        renamed(tiny.bundle, output, version, accuracy)

    monkeypatch.setattr("waybill.learn.retrain.retrain.train", no_training)
    correction = new_correction(mask(OTHERS[0]), "Error")
    (tmp_path / "corrections.ndjson").write_bytes(encode_correction(correction))
    report = example["retrain"].local(str(tmp_path), options(tiny))
    assert "1 of 1 masks as people said" in report
    assert versions(str(tmp_path / "versions")) == ["v1.0"]
    version, accuracy = "worse", 0.01
    with pytest.raises(RuntimeError, match="refused"):
        example["retrain"].local(str(tmp_path), options(tiny))
    assert versions(str(tmp_path / "versions")) == ["v1.0"]

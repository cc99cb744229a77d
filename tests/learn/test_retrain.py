"""From a wrong label to a model that knows better: corrections, a candidate, the gate, the push."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import msgspec
import pytest

from tests.conftest import Running, Sidecar
from tests.learn.test_train import DEFAULT_BUNDLE, TINY, train_tiny
from tests.taxonomies import TEN
from waybill.cli.main import run
from waybill.cli.model_retrain import base_of
from waybill.core.correction import (
    Correction,
    encode_correction,
    new_correction,
    withdrawal,
)
from waybill.core.errors import ConfigError, WaybillError
from waybill.core.pattern import Pattern, VerdictShare, encode, pattern_id
from waybill.hub.source import versions
from waybill.labelling.masking import mask
from waybill.labelling.model.manifest import Manifest, read_manifest
from waybill.learn import train as training
from waybill.learn.corrected import choose, read_corrected
from waybill.learn.plan import DataPlan
from waybill.learn.retrain.answers import (
    Answers,
    Flips,
    Followed,
    count_flips,
    count_followed,
    to_measure,
)
from waybill.learn.retrain.bounds import Bounds
from waybill.learn.retrain.gate import Check, Measured, check
from waybill.learn.training_set import gather
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings

ROOT = Path(__file__).parents[2]
WRONG = "payment of order 17 bounced"
OTHERS = (
    "failed to open alpha: timeout after 3 s",
    "cannot reach gamma, giving up",
    "user delta logged in from 10.0.0.3",
    "account of beta created",
    "kiwi moss lamp",
)


class Trained(NamedTuple):
    """A bundle in force, and the corpus that it was trained on."""

    corpus: Path
    bundle: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("retrain")
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, text in TINY.items():
        (corpus / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FRAGMENTS", 30)
        train_tiny(corpus, folder / "tiny", "--cache", str(folder / "cache.sqlite"))
    return Trained(corpus, folder / "tiny")


def options(trained: Trained) -> list[str]:
    cache = trained.bundle.parent / "cache.sqlite"
    return ["--base", str(trained.bundle), "--corpus", str(trained.corpus), "--cache", str(cache)]


async def labels_of(sidecar: Sidecar, *messages: str) -> list[tuple[str, str]]:
    body = json.dumps([{"log": message} for message in messages]).encode()
    status, answer, _ = await sidecar.post(body, content_type="application/json")
    assert status == 200
    return [(one["target_label"], one["label_tier"]) for one in json.loads(answer)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; the test's own time limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.05)


def stored(message: str, label: str, count: int, tier: str = "model") -> Pattern:
    masked = mask(message)
    share = msgspec.convert({"label": label, "tier": tier, "count": count}, VerdictShare)
    return Pattern(id=pattern_id(masked), mask=masked, count=count, verdicts=(share,))


@pytest.mark.timeout(300)  # two trainings, and a service that follows
async def test_a_wrong_label_is_corrected_learned_pushed_and_followed(
    trained: Trained, tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "FRAGMENTS", 30)
    said, patterns = tmp_path / "said.ndjson", tmp_path / "patterns.ndjson"
    repo = tmp_path / "versions"
    repo.mkdir()
    settings = (
        f"model.path={trained.bundle}",
        f"model.follow.source={repo}",
        f"model.follow.into={tmp_path / 'followed'}",
        "model.follow.interval_secs=0.3",
        "model.poll_secs=0.1",
        f"corrections.path={said}",
    )
    monkeypatch.setattr("waybill.service.follow._START_SECS", 0.1)
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
            *options(trained), "--corrections", str(said), "--patterns", str(patterns),
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
    assert "is v1.0 of" in (tmp_path / "report" / "retrain.txt").read_text()
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
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_training(output: Path, *_: object) -> None:
        renamed(trained.bundle, output, "worse", 0.1)

    monkeypatch.setattr("waybill.learn.retrain.retrain.train", no_training)
    repo, kept = tmp_path / "versions", tmp_path / "kept"
    arguments = [*options(trained), "--push", str(repo), "--output", str(kept)]
    assert run(["model", "retrain", *arguments, "--report", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "accuracy on software that was not trained on" in told.out
    assert "REFUSED" in told.out
    assert "tiny@worse was refused and not pushed: held_out_accuracy" in told.err
    assert not repo.exists()
    assert read_manifest(kept).version == "worse"  # for a shadow, or for a person
    report = json.loads((tmp_path / "retrain.json").read_bytes())
    assert report["pushed"] is None
    assert run(["model", "retrain", *arguments[:-2], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["candidate"] == "tiny@worse"


def settings_of(*overrides: str) -> Settings:
    return load_settings(overrides=list(overrides), environ={})


def test_the_bundle_in_force_is_the_newest_where_sidecars_follow(
    trained: Trained, tmp_path: Path
) -> None:
    followed, pushed, scratch = tmp_path / "followed", tmp_path / "pushed", tmp_path / "scratch"
    plain = settings_of(f"model.path={trained.bundle}")
    assert base_of(plain, None, None, scratch) == trained.bundle
    assert base_of(plain, str(pushed), None, scratch) == trained.bundle  # nothing there yet
    shutil.copytree(trained.bundle, pushed / "v1.1")
    assert base_of(plain, str(pushed), None, scratch / "a") == scratch / "a" / "v1.1"
    shutil.copytree(trained.bundle, followed / "v2.0")
    (followed / "v2.1").mkdir()
    follows = f"model.follow.source={followed}"
    pinned = settings_of(f"model.path={trained.bundle}", follows, "model.follow.version=v2.0")
    assert base_of(pinned, str(pushed), None, scratch / "c") == scratch / "c" / "v2.0"
    with pytest.raises(ConfigError, match="--base"):
        base_of(settings_of("model.path=null"), None, None, scratch)


def test_a_share_is_written_either_way_and_a_file_that_is_not_there_is_named(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["model", "retrain", "--max-flips", "150%"])
    assert "150%: expected a share" in capsys.readouterr().err
    with pytest.raises(WaybillError, match=r"gone\.ndjson: there is no such file"):
        run(["model", "retrain", *options(trained), "--corrections", str(tmp_path / "gone.ndjson")])


# What is trained on.


def corrected(*said: tuple[str, str, str]) -> list[Correction]:
    return [new_correction(one, label, source=source) for one, source, label in said]


def test_a_mask_has_one_label_or_none() -> None:
    found = choose(
        corrected(
            ("a", "*", "Error"),
            ("a", "crm", "User Action"),
            ("b", "crm", "Error"),
            ("b", "shop", "Error"),
            ("c", "crm", "Error"),
            ("c", "shop", "User Action"),
            ("d", "*", "Foo"),
        ),
        TEN,
    )
    assert found.labels == {"a": "Error", "b": "Error"}
    assert (found.contradicting, found.other_labels) == (1, 1)
    note = found.note(10)
    assert (note["masks"], note["weight"]) == (2, 10)


def test_what_is_withdrawn_or_of_another_labelling_is_not_learned(tmp_path: Path) -> None:
    first = new_correction("a", "Error", by="ann")
    other = new_correction("b", "Error", labelling="severity")
    lines = [first, withdrawal(first), other, new_correction("c", "Error")]
    (tmp_path / "said.ndjson").write_bytes(b"".join(map(encode_correction, lines)))
    assert read_corrected([tmp_path], TEN).labels == {"c": "Error"}
    assert read_corrected([tmp_path], TEN, "severity").labels == {"b": "Error"}


def test_a_corrected_line_is_in_the_training_part_alone(tmp_path: Path) -> None:
    rows = [{"log": f"disk {i} of shop is slow", "target_label": "Error"} for i in range(8)]
    rows += [{"log": f"{name} went home", "target_label": "User Action"} for name in "abcdefgh"]
    (tmp_path / "mine.ndjson").write_text("\n".join(map(json.dumps, rows)))
    said = tmp_path / "said.ndjson"
    masked = mask(rows[0]["log"])
    said.write_bytes(encode_correction(new_correction(masked, "Resource Usage")))
    plan = DataPlan(
        files=(tmp_path / "mine.ndjson",), test_share=0.5, corpus=None, corrections=(said,),
        correction_weight=3,
    )  # fmt: skip
    found = gather(plan, TEN, 1)
    assert masked not in {mask(one.text) for one in found.test}
    assert [one.label for one in found.examples if one.text == masked] == ["Resource Usage"] * 3
    # What is kept apart is not trained on, whoever said so.
    found = gather(msgspec.structs.replace(plan, keep_apart=plan.files), TEN, 1)
    assert masked not in {one.text for one in found.examples}


# The gate.


def manifests(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[Manifest, Manifest]:
    base = read_manifest(DEFAULT_BUNDLE)
    return (
        msgspec.structs.replace(base, metrics=dict(old), made={"seed": 1}),
        msgspec.structs.replace(base, metrics=dict(new), made={"seed": 1}),
    )


def scores(accuracy: float, f1: float = 0.9, lines: int = 100) -> dict[str, object]:
    return {
        "held_out_software": {
            "accuracy": accuracy,
            "macro_f1": accuracy,
            "per_label": {"Error": {"f1": f1, "lines": lines}},
            "known_unclassified": 0.02,
        },
        "fragments_unclassified": {"all": 0.96},
    }


def refused(checks: Sequence[Check]) -> list[str]:
    return [one.name for one in checks if one.is_met is False]


def unmeasured(checks: Sequence[Check]) -> list[str]:
    return [one.name for one in checks if one.is_met is None]


def test_a_candidate_may_be_a_little_worse_and_no_more() -> None:
    good = Followed(masks=2, old=1, new=2)
    old, new = manifests(scores(0.9), scores(0.896))
    checks = check(Measured(old, new, good), Bounds())
    assert refused(checks) == []
    assert unmeasured(checks) == ["labelled_accuracy", "flips", "flips_of_a_label"]
    old, new = manifests(scores(0.9), scores(0.89, f1=0.8))
    checks = check(
        Measured(old, new, Followed(masks=2, old=2, new=1), labelled=(0.9, 0.8)), Bounds()
    )
    assert refused(checks) == [
        "held_out_accuracy",
        "held_out_macro_f1",
        "held_out_label_f1",
        "labelled_accuracy",
        "corrections",
    ]


def test_figures_of_other_data_are_not_compared() -> None:
    old, new = manifests(scores(0.9), scores(0.1))
    new = msgspec.structs.replace(new, made={"seed": 2})
    checks = check(Measured(old, new, Followed()), Bounds())
    assert refused(checks) == []
    assert set(unmeasured(checks)) >= {"held_out_accuracy", "known_unclassified", "corrections"}


def test_a_label_of_few_lines_and_a_bundle_without_figures_say_nothing() -> None:
    old, new = manifests(scores(0.9, lines=5), scores(0.9, f1=0.1, lines=5))
    checks = check(Measured(old, new, Followed()), Bounds())
    assert "held_out_label_f1" in unmeasured(checks)
    old, new = manifests({}, scores(0.1))
    assert refused(check(Measured(old, new, Followed()), Bounds())) == []


def test_flips_are_counted_in_records_of_the_model_without_the_corrected() -> None:
    patterns = [
        stored("alpha is slow", "Error", 900),
        stored("beta is slow", "Error", 100),
        stored("gamma is slow", "User Action", 500, tier="rule"),
        stored("delta is slow", "Unclassified", 50, tier="none"),
    ]
    measured = to_measure(patterns, {mask("delta is slow"): "Error"})
    assert [one.count for one in measured] == [900, 100]
    flips = count_flips(measured, Answers(["Error", "Error"], ["Error", "User Action"]))
    assert (flips.records, flips.flipped, flips.share()) == (1000, 100, 0.1)
    assert flips.matrix == {"Error": {"Error": 900, "User Action": 100}}
    assert [(one.old, one.new, one.count) for one in flips.patterns] == [
        ("Error", "User Action", 100)
    ]
    old, new = manifests(scores(0.9), scores(0.9))
    checks = check(Measured(old, new, Followed(), flips), Bounds(flips=0.05, label_flips=0.2))
    assert refused(checks) == ["flips"]
    checks = check(Measured(old, new, Followed(), flips), Bounds(flips=0.2, label_flips=0.05))
    assert refused(checks) == ["flips_of_a_label"]
    assert Flips().share() == 0


def test_corrections_that_are_not_followed_are_named() -> None:
    said = {"a": "Error", "b": "User Action"}
    found = count_followed(said, Answers(["Error", "Error"], ["Error", "HTTP Status"]))
    assert (found.masks, found.old, found.new) == (2, 1, 1)
    assert found.contradicted == (("b", "User Action", "HTTP Status"),)


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
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("modal") is None:
        monkeypatch.setitem(sys.modules, "modal", stub())
    example = runpy.run_path(str(ROOT / "examples" / "modal" / "retrain.py"))
    version, accuracy = "better", 0.99

    def no_training(output: Path, *_: object) -> None:
        renamed(trained.bundle, output, version, accuracy)

    monkeypatch.setattr("waybill.learn.retrain.retrain.train", no_training)
    correction = new_correction(mask(OTHERS[0]), "Error")
    (tmp_path / "corrections.ndjson").write_bytes(encode_correction(correction))
    report = example["retrain"].local(str(tmp_path), options(trained))
    assert "1 of 1 masks as people said" in report
    assert versions(str(tmp_path / "versions")) == ["v1.0"]
    version, accuracy = "worse", 0.01
    with pytest.raises(RuntimeError, match="refused"):
        example["retrain"].local(str(tmp_path), options(trained))
    assert versions(str(tmp_path / "versions")) == ["v1.0"]

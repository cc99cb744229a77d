"""A tiny training run, and the corpus it would be made of."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sidecar.labelling.model.bundle import load_bundle
from sidecar.labelling.normalize import mask
from sidecar.offline.corpus import corpus_hash, expand, generate, load_templates
from sidecar.records import LABELS, UNCLASSIFIED

DEFAULT_BUNDLE = Path(__file__).parents[2] / "models" / "default"

TINY = {
    "slots.yaml": "thing: [alpha, beta, gamma, delta]\nword: [kiwi, moss, lamp]\n"
    "host: [h1]\nservice: [svc]\nlogger: [a.b]\nthread: [main]\napp: [shop]\n",
    "tiny.yaml": """
Error:
  - "failed to open {thing}: {timeout|refused} after {n} s"
  - "cannot reach {thing}, giving up"
  - "{thing} crashed with exit code {n}"
User Action:
  - "user {thing} logged {in|out} from {ip}"
  - "account of {thing} created"
  - "{thing} changed the password"
Unclassified:
  - "{word} {word} {word}"
  - "{noise}"
  - "{base64}"
""",
}


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in TINY.items():
        (folder / name).write_text(text)
    return folder


def test_a_tiny_run_gives_a_bundle_that_loads_twice_alike(tiny_corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is a training dependency")
    pytest.importorskip("skl2onnx", reason="skl2onnx is a training dependency")
    from sidecar.offline.train import train

    made = [
        train(tmp_path / name, corpus=tiny_corpus, encoder=DEFAULT_BUNDLE, per_label=24, name="tiny")
        for name in ("one", "two")
    ]
    assert made[0].version == made[1].version
    assert made[0].made["corpus_sha256"] == corpus_hash(tiny_corpus)
    bundle = load_bundle(tmp_path / "one", labels=LABELS)
    assert set(bundle.manifest.labels) == {"Error", "User Action", UNCLASSIFIED}
    (prediction,) = bundle.predict([mask("user alpha logged in from 10.0.0.9")])
    assert prediction.label == "User Action"


def test_generation_is_repeatable_and_its_masks_are_distinct() -> None:
    templates, slots = load_templates()
    examples = generate(templates, slots, per_label=60)
    assert examples == generate(templates, slots, per_label=60)
    masks = [mask(example.text) for example in examples]
    assert len(masks) == len(set(masks))
    assert {example.label for example in examples} == set(LABELS)


def test_every_slot_of_the_corpus_is_known() -> None:
    templates, slots = load_templates()
    names = {*slots, "n", "f", "ip"}
    for template in templates:
        text = expand(template.text, slots, random.Random(7))
        assert not [name for name in names if "{" + name + "}" in text], template.text


@pytest.mark.parametrize(
    ("template", "expected"),
    [("{a|a} {{b}}", "a {b}"), ("{x}", "y"), ("{{{x}}}", "{y}"), ("f() {q w}", "f() {q w}")],
)
def test_templates_expand(template: str, expected: str) -> None:
    assert expand(template, {"x": ["y"]}, random.Random(1)) == expected


def test_an_unknown_label_is_refused(tiny_corpus: Path) -> None:
    (tiny_corpus / "odd.yaml").write_text('Made Up:\n  - "x"\n')
    with pytest.raises(ValueError, match="Made Up"):
        load_templates(tiny_corpus)

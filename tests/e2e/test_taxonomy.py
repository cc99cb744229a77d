"""Somebody else's labels, all the way: three of them, none of which is one of ours."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conftest import Running
from tests.labelling.llm.standin import Lines, Standin
from tests.taxonomies import TOY, TOY_YAML
from waybill.cli.main import main, run
from waybill.core.errors import BundleError, WaybillError

ROOT = Path(__file__).parents[2]
RULES = """\
rules:
- {id: apples, label: Fruit, pattern: 'apple', match: ['an apple fell']}
- {id: spanner, label: Tool, pattern: 'spanner', match: ['spanner lost']}
"""
CORPUS = {
    "slots.yaml": """\
thing: [pear, plum, cherry]
word: [moss, lamp, cloud]
host: [h1]
service: [svc]
logger: [a.b]
thread: [main]
app: [shop]
pod: [p-1]
ns: [prod]
component: [cache]
""",
    "toy.yaml": """\
garden:
  Fruit:
    - "a ripe {thing} was picked after {n} days"
    - "{thing} juice was pressed"
    - "basket of {thing} delivered"
  Tool:
    - "hammer {n} was sharpened on the bench"
    - "drill press broke at {n} turns"
    - "saw number {n} returned to the shed"
none:
  Neither:
    - "{word} {word} {word}"
    - "{noise}"
    - "{base64}"
""",
}
CANARIES = """\
canaries:
  - {line: "a '{word}' apple was eaten", label: Fruit}
  - {line: "the hammer of '{word}' was lent", label: Tool}
  - {line: "{word} is a nice word", label: Neither}
"""


@pytest.fixture(name="toy")
def _toy(tmp_path: Path) -> Path:
    """A folder with labels, rules, corpus and prompt of the toy taxonomy."""
    (tmp_path / "labels.yaml").write_text(TOY_YAML)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "toy.yaml").write_text(RULES)
    (tmp_path / "corpus").mkdir()
    for name, text in CORPUS.items():
        (tmp_path / "corpus" / name).write_text(text)
    prompt = (ROOT / "config" / "llm.yaml").read_text()
    (tmp_path / "llm.yaml").write_text(prompt[: prompt.index("examples:")] + CANARIES)
    return tmp_path


def settings_of(toy: Path, tiers: str = "rules", model: str = "null") -> list[str]:
    """Settings as ``key=value``: the toy's labels, rules and one route."""
    return [
        f"labels.path={toy / 'labels.yaml'}",
        f"rules.path={toy / 'rules'}",
        f"model.path={model}",
        f'routes=[{{source: ["*"], tiers: [{tiers}]}}]',
    ]


def flags(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def train(toy: Path) -> Path:
    """A model of the toy's labels."""
    arguments = ["--labels", str(toy / "labels.yaml"), "--corpus", str(toy / "corpus")]
    arguments += ["--per-label", "24", "--encoder", str(ROOT / "models" / "default"), "--no-cache"]
    assert run(["model", "train", *arguments, "--output", str(toy / "model")]) == 0
    return toy / "model"


def test_the_commands_speak_of_its_labels(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = flags(*settings_of(toy))
    assert main(["check", *given]) == 0
    assert "labels: 3 may be given" in capsys.readouterr().out
    assert main(["rules", "test", "an apple", *given]) == 0
    assert "Fruit" in capsys.readouterr().out
    assert main(["rules", "schema", *given]) == 0
    rule = json.loads(capsys.readouterr().out)["properties"]["rules"]["items"]
    assert rule["properties"]["label"]["enum"] == list(TOY.names)
    (toy / "in.csv").write_text("source,log_message\ns,an apple fell\ns,quite another thing\n")
    assert main(["label", str(toy / "in.csv"), "-o", str(toy / "out.csv"), *given]) == 0
    out = (toy / "out.csv").read_text()
    assert "an apple fell,Fruit," in out
    assert "quite another thing,Neither," in out


def test_what_is_of_another_taxonomy_is_refused_with_the_way_out(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = flags(*settings_of(toy))
    (toy / "rules" / "toy.yaml").write_text(RULES.replace("Tool", "Toolz"))
    assert main(["check", *given]) == 2
    assert "no such label 'Toolz' (did you mean Tool?)" in capsys.readouterr().err
    (toy / "rules" / "toy.yaml").write_text(RULES)
    assert main(["check", *flags(*settings_of(toy, model="models/default"))]) == 2
    told = capsys.readouterr().err
    assert "default was trained on other labels: it answers " in told
    assert "the labels here are Fruit, Tool, Neither. Set labels.path" in told
    assert main(["check", *given, "--set", 'routes=[{source: ["*"], labels: [Error]}]']) == 2
    assert "the labels are Fruit, Tool, Neither" in capsys.readouterr().err
    (toy / "bad.csv").write_text("log,target_label\nx,Error\n")
    with pytest.raises(
        WaybillError, match=r"no such label: Error; the labels are Fruit, .*--labels"
    ):
        run(
            [
                "model",
                "train",
                *("--labels", str(toy / "labels.yaml"), "--no-corpus"),
                *("--data", str(toy / "bad.csv"), "--output", str(toy / "x")),
            ]
        )


async def test_a_model_is_trained_on_its_labels_and_serves_them(
    toy: Path, running: Running
) -> None:
    model = await asyncio.to_thread(train, toy)
    manifest = json.loads((model / "manifest.json").read_bytes())
    assert set(manifest["labels"]) == set(TOY.names)
    imported = ["--base", str(model), "--output", str(toy / "again")]
    with pytest.raises(BundleError, match="trained on other labels"):
        run(["model", "import", str(model / "classifier.joblib"), *imported])
    labels = ["--labels", str(toy / "labels.yaml")]
    assert run(["model", "import", str(model / "classifier.joblib"), *imported, *labels]) == 0
    async with running(*settings_of(toy, "rules, model", str(model))) as sidecar:
        _, answer, _ = await sidecar.post(
            b'[{"log":"an apple fell"},{"log":"a ripe plum was picked after 7 days"},'
            b'{"log":"drill press broke at 9 turns"},{"log":7},{"log":"x","target_label":"Mine"}]'
        )
        assert [one["target_label"] for one in json.loads(answer)] == [
            "Fruit",
            "Fruit",
            "Tool",
            "Neither",
            "Mine",
        ]
        body = json.dumps({"source": "s", "message": "a ripe pear was picked"}).encode()
        status, answer, _ = await sidecar.post(body, "/v1/explain")
        assert (status, json.loads(answer)["label"]) == (200, "Fruit")
        trial = {"rules": RULES.replace("Fruit", "Error"), "messages": []}
        _, answer, _ = await sidecar.post(json.dumps(trial).encode(), "/v1/rules/test")
        assert "no such label 'Error'" in answer.decode()
        name = "waybill_records_labelled_total"
        assert sidecar.metric(name, tier="rule", label="Fruit") == 1
        assert sidecar.metric(name, tier="none", label="Neither") == 1


def gardener(lines: Lines, labels: list[str]) -> object:
    """A language model that knows gardens, and answers within the labels that it is given."""

    def judge(line: str) -> str:
        if "apple" in line:
            return "Fruit"
        return "Tool" if "hammer" in line else "Neither"

    assert set(labels) <= set(TOY.names)
    return {"answers": [{"index": one["index"], "label": judge(one["line"])} for one in lines]}


async def test_the_language_model_is_asked_for_its_labels(toy: Path, running: Running) -> None:
    async with Standin(gardener).running() as standin:
        settings = [
            "llm.provider=groq",
            f"llm.base_url={standin.url}",
            f"llm.prompt={toy / 'llm.yaml'}",
            "llm.store=memory",
            f"llm.api_key_file={toy / 'key'}",
        ]
        (toy / "key").write_text("gsk_key")
        async with running(*settings_of(toy, "llm"), *settings) as sidecar:
            _, answer, _ = await sidecar.post(
                b'[{"log":"two apple trees"},{"log":"what a strange evening"}]'
            )
            found = [(one["target_label"], one["label_tier"]) for one in json.loads(answer)]
            assert found == [("Fruit", "llm"), ("Neither", "llm")]
    assert "- Fruit: something sweet that grows" in json.dumps(standin.calls)

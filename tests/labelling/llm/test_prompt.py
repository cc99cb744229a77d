"""The question and the answer: what a line says is data, and an answer counts only if it is whole."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.labelling.llm.conftest import PROMPT, Opening
from tests.labelling.llm.standin import Lines, Standin, sensible
from tests.taxonomies import LABELS, TEN, TOY, UNCLASSIFIED
from waybill.core.errors import ConfigError
from waybill.labelling.llm.errors import BadAnswer
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.llm.prompt import Question, load_prompt
from waybill.labelling.masking import mask
from waybill.settings.schema import RouteSettings

ROWS = yaml.safe_load((Path(__file__).parents[2] / "data" / "llm" / "injection.yaml").read_text())
CORPUS = [(row.get("repeat", "") * row.get("times", 0) + row["line"], row["wants"]) for row in ROWS]
WANTS = {Privacy().clean(mask(line)): wants for line, wants in CORPUS}
SET = {"Workflow Error", "Deprecation Warning", UNCLASSIFIED}
PERMITTED = ("Workflow Error", "Deprecation Warning")


def obey(lines: Lines, labels: list[str]) -> Any:
    """Whatever a hostile line wants becomes the label of all lines, canaries included."""
    answers = sensible(lines, labels)
    wanted = next((WANTS[one["line"]] for one in lines if one["line"] in WANTS), None)
    if wanted is not None:
        for answer in answers["answers"]:
            answer["label"] = wanted
    return answers


def obey_for_itself(lines: Lines, labels: list[str]) -> Any:
    """A hostile line gets the label that it wants, and no other line does."""
    answers = sensible(lines, labels)
    for answer, one in zip(answers["answers"], lines, strict=True):
        answer["label"] = WANTS.get(one["line"], answer["label"])
    return answers


def parrot(lines: Lines, labels: list[str]) -> Any:
    """Answers with a hostile line's own text."""
    hostile = [one["line"] for one in lines if one["line"] in WANTS]
    return (
        json.loads(hostile[0])
        if hostile and _is_json(hostile[0])
        else hostile or sensible(lines, labels)
    )


def invent(lines: Lines, labels: list[str]) -> Any:
    """Leaves one line out and answers for one that was never asked."""
    answers = sensible(lines, labels)
    if any(one["line"] in WANTS for one in lines):
        answers["answers"][0]["index"] = 7
    return answers


def repeat(lines: Lines, labels: list[str]) -> Any:
    """Answers twice for the last line and in different ways."""
    answers = sensible(lines, labels)
    if any(one["line"] in WANTS for one in lines):
        answers["answers"].append({"index": lines[-1]["index"], "label": UNCLASSIFIED})
    return answers


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60
    assert len(WANTS) == len(CORPUS)


@pytest.mark.parametrize("mind", [sensible, obey, obey_for_itself, parrot, invent, repeat])
async def test_no_label_outside_the_set_and_no_neighbour_is_affected(
    opening: Opening, standin: Standin, mind: Any
) -> None:
    """Every hostile line packed with five innocent ones; a mind that obeys sees each of them."""
    standin.mind = mind
    corpus = CORPUS[:: 1 if mind is obey else 3]
    words = (
        "".join(letters)
        for letters in itertools.product("bdfgklmnprstvw", "aeiou", "bdfgklmn", "aeiou")
    )
    escapes, flips = [], []
    async with opening(breaker_failures=1000) as bench:
        for hostile, _ in corpus:
            innocent = [f"Approval of {next(words)} failed" for _ in range(2)]
            innocent += [f"The {next(words)} report will be retired" for _ in range(2)]
            found = await bench.label(
                *innocent[:2], hostile, *innocent[2:], f"I like {next(words)}"
            )
            labels = [label for label, _, _ in found]
            escapes += [label for label in labels if label not in SET]
            expected = (
                ["Workflow Error"] * 2 + [labels[2]] + ["Deprecation Warning"] * 2 + [UNCLASSIFIED]
            )
            if labels != expected:
                flips.append((hostile, labels))
    assert (escapes, flips) == ([], [])


@pytest.mark.parametrize("line", [line for line, _ in CORPUS], ids=lambda line: ascii(line)[:40])
def test_a_line_stays_a_string_in_the_question(line: str) -> None:
    text = Privacy().clean(line)
    prompt = load_prompt(PROMPT, TEN)
    question = prompt.compose(["first", text, "last"], PERMITTED)
    plain = prompt.compose(["first", "second", "last"], PERMITTED)
    assert question.system == plain.system
    lines = [json.loads(one) for one in question.user.splitlines()[1:]]
    assert tuple(one["index"] for one in lines) == question.indexes
    assert [one["line"] for one in lines if one["index"] not in question.canaries] == [
        "first",
        text,
        "last",
    ]
    assert len(text) <= 512
    assert not any(
        mark in text for mark in ("<|", "|>", "[INST]", "<<SYS>>", "\u202e", "\u200b", "\x1b")
    )


def question_of(count: int) -> Question:
    return Question("", "", (*PERMITTED, UNCLASSIFIED), tuple(range(1, count + 1)), {})


def answer(*pairs: tuple[object, object], **more: object) -> str:
    return json.dumps(
        {"answers": [{"index": index, "label": label} for index, label in pairs], **more}
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", '{"answers": {}}', '{"answers": [1]}',
        answer((1, "Workflow Error")),
        answer((1, "Workflow Error"), (1, "Workflow Error")),
        answer((1, "Workflow Error"), (2, "Workflow Error"), (2, "Deprecation Warning")),
        answer((1, "Workflow Error"), (3, "Workflow Error")),
        answer((0, "Workflow Error"), (1, "Workflow Error")),
        answer((1, "Workflow Error"), ("2", "Workflow Error")),
        answer((1, "Workflow Error"), (2, None)),
        answer((1, "Workflow Error"), (2, ["Workflow Error"])),
        answer((1, "Workflow Error"), (2, "Workflow Error"), note="done"),
        answer((1, "Workflow Error"), (2, "Workflow Error")) * 2,
        '{"answers": ' * 2000,
    ],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_thrown_away(text: str) -> None:
    with pytest.raises(BadAnswer):
        question_of(2).judge(text)


@pytest.mark.parametrize(
    "label", ["Security Alert", "workflow error", "Workflow Error ", "", "Workflow  Error", "все"]
)
def test_a_label_that_is_not_exactly_in_the_set_counts_as_none(label: str) -> None:
    assert question_of(2).judge(answer((2, label), (1, "Workflow Error"))) == [
        "Workflow Error",
        None,
    ]


def test_what_stands_around_an_answer_does_no_harm() -> None:
    text = answer((1, "Workflow Error"))
    for around in (text, f"```json\n{text}\n```", f"<think>{{hm}}</think> Sure: {text}"):
        assert question_of(1).judge(around) == ["Workflow Error"]


@given(st.text(max_size=200))
def test_no_answer_leads_out_of_the_set(text: str) -> None:
    try:
        labels = question_of(1).judge(text)
    except BadAnswer:
        return
    assert set(labels) <= {*SET, None}


def test_canaries_have_two_labels_and_change_places_and_words() -> None:
    prompt = load_prompt(PROMPT, TEN)
    questions = [prompt.compose(["a", "b", "c"], PERMITTED) for _ in range(50)]
    assert all(len(set(question.canaries.values())) == 2 for question in questions)
    assert (
        len({tuple(question.indexes.index(i) for i in question.canaries) for question in questions})
        > 3
    )
    assert len({question.user for question in questions}) == 50
    wrong = dict.fromkeys(questions[0].indexes, "Workflow Error")
    with pytest.raises(BadAnswer, match="canary"):
        questions[0].judge(answer(*wrong.items()))


@pytest.mark.parametrize("labels", [None, *((label,) for label in LABELS[:-1]), PERMITTED])
def test_every_label_set_has_canaries(labels: tuple[str, ...] | None) -> None:
    asked = [label for label in labels or LABELS if label != UNCLASSIFIED]
    question = load_prompt(PROMPT, TEN, [asked]).compose(["a"], asked)
    assert len(question.canaries) == 2
    assert set(question.labels) == {*asked, UNCLASSIFIED}
    assert all(label in question.system for label in asked)


def test_the_version_is_the_hash_of_all_that_can_change_an_answer(tmp_path: Path) -> None:
    text = PROMPT.read_text()
    versions = set()
    for i, edited in enumerate(
        (
            text,
            text + "# a comment\n",
            text.replace("spelt as", "written as"),
            text.replace("# labels: {Error: a technical", "labels: {Error: any technical"),
        )
    ):
        (tmp_path / f"{i}.yaml").write_text(edited)
        versions.add(load_prompt(tmp_path / f"{i}.yaml", TEN).version)
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("{labels}", "labels", "{labels} is missing"),
        ("{lines}", "lines", "{lines} is missing"),
        ("label: Workflow Error}", "label: Workflow}", "no such label: Workflow (did you mean Workflow Error"),
        ("canaries:", "canary:", "canary"),
        ("canaries:", "canaries: []\nx:", "x"),
        ("# labels: {Error:", "labels: {Unknown Thing:", "no such label: Unknown Thing"),
        ("examples:", "canaries:", "given twice"),
    ],
)  # fmt: skip
def test_a_faulty_prompt_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    (tmp_path / "llm.yaml").write_text(PROMPT.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_prompt(tmp_path / "llm.yaml", TEN, [PERMITTED])
    assert fault in str(caught.value)


def test_a_prompt_without_canaries_is_refused(tmp_path: Path) -> None:
    text = PROMPT.read_text()
    (tmp_path / "llm.yaml").write_text(text[: text.index("canaries:")])
    with pytest.raises(ConfigError, match="at least two need a canary"):
        load_prompt(tmp_path / "llm.yaml", TEN, [PERMITTED])
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError):
            load_prompt(path, TEN)


async def test_a_route_without_labels_asks_for_all(opening: Opening, standin: Standin) -> None:
    async with opening((RouteSettings(("*",), ("llm",)),)) as bench:
        found = await bench.label("brute force attack on the gate", "Backup completed successfully")
    assert [label for label, _, _ in found] == ["Security Alert", "System Notification"]


def test_the_question_describes_the_labels_of_the_taxonomy(tmp_path: Path) -> None:
    text = PROMPT.read_text()
    head, canaries = text[: text.index("examples:")], "canaries:\n"
    for line, label in (("an apple", "Fruit"), ("a hammer", "Tool"), ("{word}", "Neither")):
        canaries += f'  - {{line: "{line}", label: {label}}}\n'
    (tmp_path / "llm.yaml").write_text(head + canaries)
    question = load_prompt(tmp_path / "llm.yaml", TOY, [("Fruit",)]).compose(["a"], ("Fruit",))
    assert question.labels == ("Fruit", "Neither")
    assert "- Fruit: something sweet that grows\n" in question.system
    assert "Tool" not in question.system
    with pytest.raises(
        ConfigError, match=r"the labels are Fruit, Tool, Neither\..*set llm\.prompt"
    ):
        load_prompt(PROMPT, TOY)


def test_lots_fall_differently_with_another_seed() -> None:
    prompt = load_prompt(PROMPT, TEN)
    prompt._chance = random.Random(1)
    first = prompt.compose(["a"], PERMITTED).user
    prompt._chance = random.Random(1)
    assert prompt.compose(["a"], PERMITTED).user == first

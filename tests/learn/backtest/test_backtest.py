"""The backtest: exact over records, a range over patterns in which the true number lies."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.cli.main import main
from waybill.core.correction import encode_correction, new_correction
from waybill.core.pattern import Pattern, encode, pattern_id
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.masking import mask
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules import loading
from waybill.labelling.rules.artefact import Artefact, CompileRequest
from waybill.labelling.rules.compiler import build
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_artefact
from waybill.labelling.rules.ruleset import RuleSet
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.judge import Judge
from waybill.learn.backtest.over_patterns import PatternBacktest
from waybill.learn.backtest.over_records import RecordBacktest
from waybill.learn.backtest.result import (
    Backtest,
    Bounds,
    Contradiction,
    Said,
    SideReport,
    broken,
)
from waybill.learn.backtest.sides import Side
from waybill.learn.chain import Line
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels

SETTINGS = load_settings(None, ["model.path=null"])
TAXONOMY = read_labels(SETTINGS.labels.path)
#: Pieces that rules of the tests are made of; some of them read values.
PATTERNS = (
    r"^user \d+ ",
    r"user 1\d* left",
    r"status: 5\d\d",
    r"status: (200|404)$",
    r"(?i)LOST",
    r"lost \S+ packets",
    r"from 10\.",
    r"\d{3}",
    r"left$",
    r'"user',
    r"(?i)user|status|lost",
    r".",
    r"(?<!: )\d{4}",
    r"came(?! from 1)",
    r"\buser (\d+) left\b.*\1",
    r': \d+[,}]|" ',
)
LABELS = ("Error", "User Action", "Security Alert")
TEMPLATES = (
    "user {n} left",
    "user {n} came from {ip}",
    "2026-11-20 22:2{d}:01 lost {n} packets",
    "status: {n}",
    '{{"msg": "user {n} left", "n": {n}}}',
    "Nov {d}{d} 10:00:0{d} host-{n} app[{n}]: user 0x{n}ab left R1-{n} LOST",
)


def rule_file(rules: Sequence[tuple[str, str]]) -> str:
    made = [
        {"id": f"r{i}", "label": label, "pattern": pattern}
        for i, (pattern, label) in enumerate(rules)
    ]
    return json.dumps({"rules": made})


RULES = st.lists(
    st.tuples(st.sampled_from(PATTERNS), st.sampled_from(LABELS)),
    max_size=4,
    unique_by=lambda rule: rule[0],
)


def redrawn(template: str, dice: random.Random) -> str:
    """A line of a template, its values drawn anew."""
    number = dice.choice((dice.randint(0, 9), dice.randint(100, 599), dice.randint(1000, 99999)))
    address = f"{dice.choice((10, 172))}.{dice.randint(0, 255)}.0.{dice.randint(1, 9)}"
    return template.format(n=number, ip=address, d=dice.randint(0, 9))


def side(rules: Sequence[tuple[str, str]]) -> Side:
    """A side without a model; its rules are compiled in this process."""
    file = RuleFile("x.yaml", rule_file(rules).encode())
    artefact = build(CompileRequest((file,), LABELS, 10, 1 << 30, 65_536))
    ruleset = RuleSet(artefact)
    pipeline = Pipeline(SETTINGS, ruleset, {}, taxonomy=TAXONOMY)
    return Side(pipeline, None, None, SideReport("x", len(rules), ruleset.version, None))


async def over_records(old: Side, new: Side, lines: Sequence[tuple[str, str]]) -> Backtest:
    found = Backtest("x", "records", 0, 0, 0, old.report, new.report)
    run = RecordBacktest(old, new, found, Corrections(), Privacy())
    await run.run(Line(line, source, None, i, {}) for i, (source, line) in enumerate(lines))
    return found


async def over_patterns(old: Side, new: Side, patterns: Iterable[Pattern]) -> Backtest:
    found = Backtest("x", "patterns", 0, 0, 0, old.report, new.report)
    await PatternBacktest(old, new, Judge(old, new), found, Corrections()).run(patterns)
    return found


def labels_by_hand(side: Side, lines: Sequence[tuple[str, str]]) -> list[str]:
    """Each line put to the rules by itself."""
    rules = [side.rules.first_match(line) for _, line in lines]
    return [rule.label if rule else TAXONOMY.fallback for rule in rules]


@hypothesis.settings(max_examples=30, deadline=None)
@given(old=RULES, new=RULES, seed=st.integers(0, 9999), shown=st.sampled_from((0, 1, 3)))
def test_over_records_it_is_exact_and_over_patterns_the_truth_lies_in_the_range(
    old: list[tuple[str, str]], new: list[tuple[str, str]], seed: int, shown: int
) -> None:
    dice = random.Random(seed)
    lines = [("s", redrawn(dice.choice(TEMPLATES), dice)) for _ in range(60)]
    mine, theirs = side(old), side(new)
    before, after = labels_by_hand(mine, lines), labels_by_hand(theirs, lines)
    truth = Counter(zip(before, after, strict=True))
    flips = sum(count for (a, b), count in truth.items() if a != b)

    exact = asyncio.run(over_records(mine, theirs, lines))
    assert (exact.low, exact.high, exact.records) == (flips, flips, len(lines))
    assert {(one.old, one.new): one.high for one in exact.matrix} == truth

    ranged = asyncio.run(over_patterns(mine, theirs, patterns_of(lines, shown)))
    assert ranged.records == len(lines)
    assert ranged.low <= flips <= ranged.high
    cells = {(one.old, one.new): one for one in ranged.matrix}
    for pair, count in truth.items():
        if pair[0] != pair[1]:
            assert cells[pair].low <= count <= cells[pair].high


def patterns_of(lines: Sequence[tuple[str, str]], shown: int) -> Iterator[Pattern]:
    """The patterns of lines, with so many examples at most."""
    by_mask: dict[str, list[tuple[str, str]]] = {}
    for source, line in lines:
        by_mask.setdefault(mask(line), []).append((source, line))
    for masked, said in by_mask.items():
        examples = tuple(line for _, line in said[:shown])
        sources = dict(Counter(source for source, _ in said))
        yield Pattern(
            id=pattern_id(masked), mask=masked, count=len(said), sources=sources, examples=examples
        )


OLD = rule_file([("^user [0-9]+ left$", "User Action"), ("lost", "Error")])
NEW = rule_file([("^user [0-9]+ left$", "Security Alert"), ("lost", "Error")])
HOSTILE = "user 7 <script>alert(1)</script> \x1b[31m lost"
LINES = [("a", "user 1 left"), ("b", "user 22 left"), ("a", HOSTILE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rule files, records, their patterns, and a correction of one of them."""
    folder = tmp_path_factory.mktemp("backtest")
    (folder / "old.yaml").write_text(OLD)
    (folder / "new.yaml").write_text(NEW)
    records = [json.dumps({"source": source, "log": line}) for source, line in LINES]
    (folder / "lines.ndjson").write_text("\n".join(records))
    (folder / "patterns.ndjson").write_bytes(b"".join(map(encode, patterns_of(LINES, 3))))
    correction = new_correction(mask(LINES[0][1]), "User Action", source="a")
    (folder / "corrections.ndjson").write_bytes(encode_correction(correction))
    truth = "source,log,target_label\na,user 1 left,User Action\na,packet lost,Error\n"
    (folder / "truth.csv").write_text(truth)
    return folder


def diff(folder: Path, on: str, *more: str) -> int:
    sides = (str(folder / "old.yaml"), str(folder / "new.yaml"))
    fixed = ("--alone", "--set", "model.path=null")
    return main(["rules", "diff", *sides, "--on", str(folder / on), *fixed, *more])


@pytest.mark.parametrize("on", ["lines.ndjson", "patterns.ndjson"])
def test_a_diff_tells_what_flips_as_json(
    folder: Path, on: str, capsys: pytest.CaptureFixture[str]
) -> None:
    corrections = ("--corrections", str(folder / "corrections.ndjson"))
    labels = ("--labels", str(folder / "truth.csv"))
    assert diff(folder, on, "--json", *corrections, *labels) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["low"], found["high"], found["held"]) == (3, 1, 1, 1)
    (change,) = found["changes"]
    assert change["mask"] == "user 0 left"
    assert change["sources"] == {"b": 1}
    assert change["new"] == [{"label": "Security Alert", "by": "r0"}]
    (against,) = found["contradictions"]
    assert (against["label"], against["is_certain"], against["is_new"]) == (
        "User Action",
        True,
        True,
    )
    assert found["old"]["corrections"]["right"] == 1
    assert found["new"]["corrections"]["wrong"] == 1
    assert [found[side]["labelled"]["right"] for side in ("old", "new")] == [2, 1]


def test_a_diff_of_a_further_labelling_reads_its_own_patterns_and_corrections(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = [msgspec.structs.replace(one, labelling="x") for one in patterns_of(LINES, 3)]
    (tmp_path / "patterns.ndjson").write_bytes(
        b"".join(map(encode, [*patterns_of(LINES[:1], 1), *theirs]))
    )
    masked = mask(LINES[0][1])
    said = [
        new_correction(masked, "Error"),
        new_correction(masked, "User Action", source="a", labelling="x"),
    ]
    (tmp_path / "said.ndjson").write_bytes(b"".join(map(encode_correction, said)))
    arguments = [
        "--set", "labellings=[{name: x, labels: config/labels.yaml}]", "--labelling", "x",
        "--corrections", str(tmp_path / "said.ndjson"), "--json",
    ]  # fmt: skip
    assert diff(folder, str(tmp_path / "patterns.ndjson"), *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["held"]) == (3, 1)
    assert [one["label"] for one in found["contradictions"]] == ["User Action"]


def test_a_broken_bound_ends_with_1_and_a_bad_one_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff(folder, "patterns.ndjson", "--max-flips", "1") == 1
    assert "2 of 3 records flip; --max-flips allows 1" in capsys.readouterr().err
    for wrong in ("-1", "1.5", "x", "101%"):
        assert diff(folder, "patterns.ndjson", "--max-flips", wrong) == 2
        assert "expected a number of records, or a share" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bounds", "sentences"),
    [
        (Bounds(), 0),
        (Bounds(most_flips=8), 0),
        (Bounds(most_flips=7), 1),
        (Bounds(most_share=0.08), 0),
        (Bounds(most_share=0.079), 1),
        (Bounds(contradictions="new"), 0),
        (Bounds(contradictions="all"), 1),
    ],
)
def test_what_may_flip_counts_as_if_it_did(bounds: Bounds, sentences: int) -> None:
    report = SideReport("x", 0, "", None)
    found = Backtest("x", "patterns", 100, 9, 0, report, report, low=2, high=8)
    given = [Said("Error", "r")]
    found.contradictions = [
        Contradiction("1", "m", "*", "User Action", given, is_certain=True, is_new=False)
    ]
    assert len(broken(found, bounds)) == sentences


def test_the_page_runs_nothing_and_shows_log_text_as_text(folder: Path) -> None:
    page = folder / "page.html"
    sides = ("--old", "none", "--new", str(folder / "old.yaml"))
    given = ("--alone", "--on", str(folder / "lines.ndjson"), "--html", str(page))
    assert main(["backtest", *sides, *given, "--set", "model.path=null"]) == 0
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text
    assert "src=" not in text.replace("default-src", "").replace("style-src", "")


def test_the_table_moves_no_cursor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = ("--old", "none", "--new", str(folder / "old.yaml"))
    given = ("--alone", "--on", str(folder / "lines.ndjson"))
    assert main(["backtest", *sides, *given, "--set", "model.path=null"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "flip: 3 (100 %)" in out


def test_nothing_to_compare_does_not_pass_for_nothing_that_flips(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty.ndjson").write_bytes(b"\n")
    assert diff(folder, "empty.ndjson", "--max-flips", "0") == 1
    assert "empty.ndjson: no record was found" in capsys.readouterr().err
    known = ("--set", "labellings=[{name: x, labels: config/labels.yaml}]")
    assert diff(folder, "patterns.ndjson", "--labelling", "x", *known, "--max-flips", "0") == 1
    assert "patterns.ndjson: no pattern of the labelling 'x'" in capsys.readouterr().err


def test_rules_that_are_gone_new_or_changed_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "fewer.yaml").write_text(rule_file([("^user [0-9]+ left$", "User Action")]))
    on = ("--on", str(folder / "patterns.ndjson"), "--alone", "--set", "model.path=null")
    told = {
        ("old", "old"): "",
        ("old", "new"): "1 rule changed: r0",
        ("old", "fewer"): "1 rule gone: r1",
        ("fewer", "new"): "1 rule new: r1; 1 rule changed: r0",
    }
    for sides, sentence in told.items():
        files = [str(folder / f"{side}.yaml") for side in sides]
        assert main(["rules", "diff", *files, *on, "--json"]) == 0
        notes = json.loads(capsys.readouterr().out)["notes"]
        assert [note for note in notes if "rule" in note] == [sentence] * bool(sentence)


def test_what_both_sides_have_is_compiled_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[bool] = []

    async def compile_here(request: CompileRequest, *_: object) -> Artefact:
        known.append(request.known is not None)
        return await compile_artefact(request)

    monkeypatch.setattr(loading, "compile_artefact", compile_here)
    (tmp_path / "all.yaml").write_text(OLD.replace('"id": "r', '"id": "base'))
    sides = ("current", str(folder / "new.yaml"), "--on", str(folder / "patterns.ndjson"))
    fixed = ("--set", "model.path=null", "--set", f"rules.path={tmp_path}")
    assert main(["rules", "diff", *sides, *fixed]) == 0
    assert known == [False, True]
    assert diff(folder, "patterns.ndjson") == 0  # --alone
    assert known == [False, True, False, False]


def test_a_fault_names_the_file_as_the_user_did(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "western.yaml"
    file.write_bytes(OLD.encode() + b"# caf\xe9\n")
    on = ("--on", str(folder / "lines.ndjson"))
    assert main(["rules", "diff", "none", str(file), "--alone", *on]) == 2
    assert capsys.readouterr().err.startswith(f"waybill: {file}:1: not UTF-8")


def test_faults_of_a_side_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = ("--on", str(folder / "lines.ndjson"))
    assert main(["rules", "diff", "nowhere", "none", *on]) == 2
    assert "no such rules: nowhere" in capsys.readouterr().err
    assert main(["backtest", "--old", "none,nowhere", "--new", "none", *on]) == 2
    assert "no such model bundle: nowhere" in capsys.readouterr().err
    copy = folder / "copy"
    copy.mkdir()
    packaged = Path(__file__).parents[3] / "rules" / "35-cron.yaml"
    (copy / "35-cron.yaml").write_text(packaged.read_text())
    assert main(["rules", "diff", str(copy), "none", *on, "--set", "model.path=null"]) == 2
    assert "--alone" in capsys.readouterr().err


def test_a_side_that_is_the_folder_of_the_settings_is_read_once(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.yaml").write_text(OLD)
    sides = [str(tmp_path), f"{tmp_path}/../{tmp_path.name}"]
    fixed = ["--set", "model.path=null", "--set", f"rules.path={tmp_path}", "--json"]
    assert main(["rules", "diff", *sides, "--on", str(folder / "lines.ndjson"), *fixed]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found[side]["rules"] for side in ("old", "new")] == [2, 2]


def test_rules_that_were_moved_into_a_subfolder_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = folder / "team" / "shop"
    below.mkdir(parents=True)
    (below / "a.yaml").write_text(OLD)
    (folder / "team" / "b.yaml").write_text(OLD)
    given = ["none", str(folder / "team"), "--alone", "--set", "model.path=null"]
    assert main(["rules", "diff", *given, "--on", str(folder / "lines.ndjson")]) == 0
    assert f"{below}: is not read: it is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("on", ["lines.ndjson", "patterns.ndjson"])
def test_a_model_that_a_shipper_would_not_wait_for_is_waited_for(
    folder: Path, on: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ("--old", "none,none", "--new", "none,current")
    hurried = ("model.queue_messages=1", "model.over_budget=defer", "model.budget_ms=1")
    given = (part for one in hurried for part in ("--set", one))
    assert main(["backtest", *sides, "--on", str(folder / on), "--json", *given]) == 0
    said = {flip["new"]: flip["high"] for flip in json.loads(capsys.readouterr().out)["matrix"]}
    assert said.get("User Action") == 2, said

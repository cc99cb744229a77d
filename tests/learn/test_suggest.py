"""Asked once, regex for ever: the LLM's verdicts become rules that a person may accept."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
import yaml

from tests.taxonomies import LABELS, UNCLASSIFIED
from waybill.cli.main import main
from waybill.labelling.llm.build import open_store
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.llm.store import Judgement, judgement_key
from waybill.labelling.masking import mask
from waybill.labelling.rules.loading import load_ruleset
from waybill.settings.schema import LlmSettings

WORKFLOW, DEPRECATION = "Workflow Error", "Deprecation Warning"
RETIRED = [
    f"The '{name}' module will be retired in version {n}.0, use the successor."
    for n, name in enumerate(("Reports", "Mailer", "Exports", "Imports"))
]
ESCALATION = [
    f"Case escalation for ticket ID {n} failed because agent jane{n}@example.com is gone (10.0.0.{n})."
    for n in range(5)
]


async def keep(path: Path, *judged: tuple[str, str], version: str = "m@1") -> None:
    """A store that holds the verdicts on raw messages."""
    store, _, _ = await open_store(LlmSettings(store=str(path)))
    labels = (WORKFLOW, DEPRECATION)
    now = time.time()
    rows = [
        Judgement(
            judgement_key(text, labels, version),
            text,
            label,
            labels,
            ("LegacyCRM",),
            version,
            now + i / 1000,
        )
        for i, (text, label) in enumerate(
            (Privacy().clean(mask(message)), label) for message, label in judged
        )
    ]
    await store.put(rows)
    await store.close()


def run(tmp_path: Path, *more: str) -> list[dict[str, object]]:
    out = tmp_path / "out" / "suggested.yaml"
    out.parent.mkdir(exist_ok=True)
    store = f"llm.store={tmp_path / 's'}"
    assert main(["rules", "suggest", "--from", "llm", "--set", store, "-o", str(out), *more]) == 0
    return yaml.safe_load(out.read_text())["rules"]  # type: ignore[no-any-return]


def test_what_was_judged_alike_becomes_a_rule_that_the_engine_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = [(message, DEPRECATION) for message in RETIRED] + [
        ("The weather module is nice today, use it.", UNCLASSIFIED)
    ]
    asyncio.run(keep(tmp_path / "s", *judged))
    (rule,) = run(tmp_path)
    assert rule["label"] == DEPRECATION
    assert rule["where"] == {"source": ["LegacyCRM"]}
    assert "judged alike 4 times by m@1" in str(rule["description"])
    assert len(rule["match"]) == 3  # type: ignore[arg-type]
    assert rule["no_match"] == ["The weather module is nice today, use it."]
    rules = asyncio.run(load_ruleset([tmp_path / "out"], labels=LABELS))
    assert rules.first_match(
        "The 'Brand-New' module will be retired in version 12.5, use the successor."
    )
    assert not rules.first_match("The weather module is nice today, use it.")
    assert "the route of LegacyCRM asks no rules" in capsys.readouterr().err


def test_recorded_messages_count_and_must_be_matched(tmp_path: Path) -> None:
    asyncio.run(
        keep(
            tmp_path / "s",
            (ESCALATION[0], WORKFLOW),
            ("Case escalation for good reasons was a success", UNCLASSIFIED),
        )
    )
    assert run(tmp_path) == []
    file = tmp_path / "recorded.ndjson"
    file.write_text(
        "\n".join(
            json.dumps({"source": "LegacyCRM", "log": message, "target_label": "x"})
            for message in ESCALATION
        )
    )
    (rule,) = run(tmp_path, "--messages", str(file))
    assert "judged alike 5 times" in str(rule["description"])
    assert "jane" not in (tmp_path / "out" / "suggested.yaml").read_text()
    rules = asyncio.run(load_ruleset([tmp_path / "out"], labels=LABELS))
    assert all(rules.first_match(message) for message in ESCALATION)


def test_a_csv_is_read_as_well(tmp_path: Path) -> None:
    asyncio.run(keep(tmp_path / "s", (ESCALATION[0], WORKFLOW)))
    file = tmp_path / "recorded.csv"
    file.write_text(
        "source,log_message\n" + "\n".join(f'LegacyCRM,"{message}"' for message in ESCALATION)
    )
    assert len(run(tmp_path, "--messages", str(file))) == 1


def test_templates_that_were_judged_differently_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = [(message, DEPRECATION) for message in RETIRED[:3]] + [(RETIRED[3], WORKFLOW)]
    short = [(f"failed {word}", WORKFLOW) for word in ("a", "b", "c")]
    asyncio.run(keep(tmp_path / "s", *judged, *short))
    assert run(tmp_path) == []
    err = capsys.readouterr().err
    assert "1 judged differently" in err
    assert "0 rules proposed from 7 judgements" in err


def test_the_newest_judgement_of_a_text_counts(tmp_path: Path) -> None:
    asyncio.run(keep(tmp_path / "s", *((message, WORKFLOW) for message in RETIRED)))
    asyncio.run(
        keep(tmp_path / "s", *((message, DEPRECATION) for message in RETIRED), version="m@2")
    )
    (rule,) = run(tmp_path)
    assert (rule["label"], "m@2" in str(rule["description"])) == (DEPRECATION, True)


def test_a_pattern_that_takes_others_too_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = [(message, DEPRECATION) for message in RETIRED]
    longer = "Today: " + RETIRED[0] + " Or not at all, this is a joke."
    asyncio.run(keep(tmp_path / "s", *judged, (longer, UNCLASSIFIED)))
    assert run(tmp_path) == []
    assert "does not tell them from others" in capsys.readouterr().err

"""The packaged rules on the templates: what a rule takes has the label that the rule gives."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.taxonomies import LABELS, TEN
from waybill.core.labels import read_taxonomy
from waybill.labelling.rules.loading import load_ruleset
from waybill.learn.corpus.entries import load_corpus
from waybill.learn.corpus.expand import expand
from waybill.learn.plan import CORPUS, FURTHER

ROOT = Path(__file__).parents[2]
BANKING = ROOT / "packs" / "banking"
#: Of all lines that rules take, so many may have another label: borders that people dispute.
MOST_WRONG = 0.01
#: A rule that takes so many lines is held to it by itself, a bit less strictly.
OF_ONE, MOST_WRONG_OF_ONE = 20, 0.05


@pytest.mark.parametrize("which", ["packaged", "banking"])
async def test_rules_are_right_on_the_templates_that_they_take(which: str) -> None:
    if which == "packaged":
        rules = await load_ruleset([ROOT / "rules"], labels=LABELS, cpu_secs=300)
        corpus = load_corpus(TEN, CORPUS, FURTHER)
    else:
        severities = read_taxonomy(BANKING / "labels.yaml")
        rules = await load_ruleset([BANKING / "rules"], labels=severities.names, cpu_secs=300)
        corpus = load_corpus(severities, BANKING / "corpus", [BANKING / "wide"])
    assert not rules._always, "rules that no scan finds, so that each message is put to them"
    taken: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for entry in corpus.entries:
        line = expand(entry.text, corpus.slots, random.Random(entry.text)).strip()
        rule = rules.first_match(line)
        if rule is not None:
            taken[rule.id] += 1
            wrong[rule.id] += rule.label != entry.label
    assert wrong.total() <= MOST_WRONG * taken.total(), wrong
    doubtful = {
        name: f"{wrong[name]} of {count}"
        for name, count in taken.items()
        if count >= OF_ONE and wrong[name] > MOST_WRONG_OF_ONE * count
    }
    assert doubtful == {}

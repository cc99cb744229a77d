"""The templates that come with Waybill, in folders."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.taxonomies import LABELS, TEN, UNCLASSIFIED
from waybill.core.errors import WaybillError
from waybill.learn.corpus.entries import CorpusEntry, corpus_hash, load_corpus
from waybill.learn.corpus.expand import expand
from waybill.learn.corpus.listing import PAGE, listing
from waybill.learn.corpus.slots import is_slot
from waybill.learn.plan import CORPUS, FURTHER, DataPlan
from waybill.learn.training_set import gather

ROOT = Path(__file__).parents[2]
#: What the whole corpus is held to.
LEAST_TEMPLATES, LEAST_SOFTWARE, LEAST_SOFTWARE_PER_LABEL = 4000, 540, 80
#: Of one kind of software: with more of them, its manner of speaking outweighs the others'.
MOST_TEMPLATES = 25

WHOLE = load_corpus(TEN, CORPUS, FURTHER)
BEYOND = WHOLE.entries[len(load_corpus(TEN).entries) :]


def software_by_label() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for entry in WHOLE.entries:
        found[entry.label].add(entry.software)
    return found


def test_the_corpus_is_broad() -> None:
    assert len(WHOLE.entries) >= LEAST_TEMPLATES
    assert len({entry.software for entry in WHOLE.entries}) >= LEAST_SOFTWARE


@pytest.mark.parametrize("label", [name for name in LABELS if name != UNCLASSIFIED])
def test_each_label_is_told_by_many_kinds_of_software(label: str) -> None:
    assert len(software_by_label()[label]) >= LEAST_SOFTWARE_PER_LABEL


def test_no_software_of_the_further_folder_outweighs_the_others() -> None:
    counts = Counter(entry.software for entry in BEYOND)
    assert [name for name, count in counts.items() if count > MOST_TEMPLATES] == []


def test_no_template_and_no_group_is_there_twice() -> None:
    texts = Counter(" ".join(entry.text.lower().split()) for entry in WHOLE.entries)
    groups = Counter(entry.group for entry in WHOLE.entries)
    assert [text for text, count in texts.items() if count > 1] == []
    assert [group for group, count in groups.items() if count > 1] == []


def test_no_line_has_two_labels() -> None:
    found: dict[str, CorpusEntry] = {}
    twice: list[tuple[CorpusEntry, CorpusEntry]] = []
    for entry in WHOLE.entries:
        for seed in range(4):
            text = expand(entry.text, WHOLE.slots, random.Random(f"{seed} {entry.text}"))
            other = found.setdefault(text.lower(), entry)
            if other.label != entry.label:
                twice.append((other, entry))
    assert twice == []


@pytest.mark.parametrize("seed", range(3))
def test_every_further_template_expands(seed: int) -> None:
    rng = random.Random(seed)
    left = re.compile(r"\{([a-z_]*)\}")
    for entry in BEYOND:
        text = expand(entry.text, WHOLE.slots, rng)
        assert text.strip() == text, entry.text
        assert len(text) > 3, entry.text
        assert text.count("{") == text.count("}"), entry.text
        assert not re.search(r"\{[^{}\"]*\|[^{}\"]*\}", text), entry.text  # a choice left as it was
        assert [name for name in left.findall(text) if is_slot(name, WHOLE.slots)] == [], entry.text


def test_no_word_of_a_choice_is_taken_for_a_slot() -> None:
    """``{user|group}`` would give "alice" or "group": what is meant is another word, or {{user}|}."""
    options = re.compile(r"[{|]([a-z_]+)(?=\|)|\|([a-z_]+)\}")
    for entry in BEYOND:
        words = {one or other for one, other in options.findall(_choices_of(entry.text))}
        assert sorted(words & WHOLE.slots.keys()) == [], entry.text


def _choices_of(text: str) -> str:
    """What of a template is in choices: the bars of CEF and the like stand outside braces."""
    return " ".join(re.findall(r"\{[^{}]*\|[^{}]*\}", text))


def test_the_default_model_is_of_this_corpus() -> None:
    manifest = json.loads((ROOT / "models/default/manifest.json").read_bytes())
    made = manifest["made"]["corpus_sha256"]
    assert made == corpus_hash(CORPUS, FURTHER)


def test_the_page_of_software_is_fresh() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == listing(TEN), "run `make generate`"


def test_a_further_folder_adds_templates_and_slots(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text('shop:\n  Error:\n    - "till {till_name} is stuck"\n')
    before = load_corpus(TEN)
    assert corpus_hash(CORPUS, [tmp_path]) != corpus_hash()
    (tmp_path / "slots.yaml").write_text("till_name: [north]\n")
    corpus = load_corpus(TEN, CORPUS, [tmp_path])
    assert corpus.entries[:-1] == before.entries
    assert corpus.balance == before.balance
    assert expand(corpus.entries[-1].text, corpus.slots, random.Random(1)) == "till north is stuck"


def test_a_template_that_is_cut_is_said_when_a_model_is_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shop.yaml").write_text("shop:\n  Error:\n  - order #12 is lost\n")
    shutil.copy(CORPUS / "slots.yaml", tmp_path)
    gather(DataPlan(corpus=tmp_path, corpus_extra=(), per_label=1), TEN, 1)
    assert f"{tmp_path}/shop.yaml:3: Error: YAML reads 'order'" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_may_be_of_any_unicode(tmp_path: Path, encoding: str) -> None:
    shop = tmp_path / "shop.yaml"
    shop.write_text('shop:\n  Error:\n    - "Kasse überlastet"\n', encoding)
    corpus = load_corpus(TEN, CORPUS, [tmp_path])
    assert corpus.entries[-1].text == "Kasse überlastet"
    shop.write_text("# a\nshop:\n  Error:\n    - Kasse überlastet\n", "latin-1")
    with pytest.raises(WaybillError, match=r"shop\.yaml:4: not UTF-8: .*; save it as UTF-8"):
        load_corpus(TEN, CORPUS, [tmp_path])


def test_a_slot_of_two_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slots.yaml").write_text("user: [me]\n")
    with pytest.raises(WaybillError, match=r"slots.yaml: slot 'user' is there already"):
        load_corpus(TEN, CORPUS, [tmp_path])

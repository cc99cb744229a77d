"""Texts that YAML cuts without a word are named, in every file that people write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from waybill.cli.main import run
from waybill.core.errors import WaybillError
from waybill.core.yaml_cuts import cuts, cuts_in
from waybill.learn.corpus.reading import read_written
from waybill.settings.sources import load_settings
from waybill.settings.written import cut_texts


@pytest.mark.parametrize("text", ["[", "\ta", "", "# only", "a: &a [*a]", "- [" * 2000])
def test_what_holds_no_text_has_no_cut_one(text: str) -> None:
    assert cuts_in(text) == []


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("pattern: &amp failed", "&amp"),
        ("pattern: ! failed", "!"),
        ("a: [&x y, z]", "&x"),
        ("a: &x y\nb: *x", ""),
        ("a: &x 'y'", ""),
        ("a: &x {b: c}\nd: {<<: *x}", ""),
        ("a: !!str 12", ""),
        ("a: x & y! z", ""),
    ],
)
def test_what_stands_before_a_text_and_is_left_out_is_named(
    text: str, left_out: str, loader: type[yaml.SafeLoader]
) -> None:
    said = [told for _, told in cuts(text, yaml.compose(text, loader))]
    assert bool(said) == bool(left_out)
    assert all(f"leaves out {left_out!r}" in told for told in said)


def test_a_text_that_stands_in_many_places_is_named_once() -> None:
    assert len(cuts_in("a: &a x #1\nb: *a\nc:\n  <<: {pattern: *a}\n")) == 1


def test_numbers_and_quoted_texts_are_never_cut() -> None:
    assert cuts_in("a: 1 #one\nb: 'x' #two\nc: \"x\" #three\nd: |\n  x #four\ne: no #five\n") == []


def test_every_file_of_the_settings_is_looked_through(tmp_path: Path) -> None:
    config, labels, prompt = (tmp_path / name for name in ("waybill.yaml", "labels.yaml", "l.yaml"))
    labels.write_text(
        "fallback: None\nlabels:\n- name: Disk\n  description: ticket #1 and the like\n"
        "- {name: None, description: none}\n"
    )
    prompt.write_text("examples:\n- line: lost # 3 times\n  label: Disk\n")
    config.write_text(
        f"labels: {{path: {labels}}}\nllm:\n  provider: groq\n  prompt: {prompt}\n"
        "fields:\n  label: kind #2\n  tier: tier # a comment\n"
        "routes: [{source: ['*'], tiers: [rules]}]\n"
    )
    said = cut_texts(load_settings(config), config)
    places = (f"{config}:6: label: ", f"{labels}:4: description: ", f"{prompt}:2: line: ")
    assert [one.startswith(place) for one, place in zip(said, places, strict=True)] == [True] * 3


def test_check_warns_of_a_setting_that_yaml_cuts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "waybill.yaml"
    config.write_text("model: {path: null}\nfields:\n  label: kind #2\n")
    assert run(["check", "--config", str(config)]) == 0
    assert f"warning: {config}:3: label: YAML reads 'kind'" in capsys.readouterr().err


def test_a_pack_warns_of_labels_and_templates_that_yaml_cuts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["pack", "new", "p", "--into", str(tmp_path)])
    folder = tmp_path / "p"
    (folder / "corpus" / "more.yaml").write_text("shop:\n  High:\n  - order # 3 lost\n")
    labels = folder / "labels.yaml"
    labels.write_text(labels.read_text() + "  - name: Mid\n    description: half #2\n")
    with pytest.raises(WaybillError, match="no template for Mid"):
        run(["pack", "check", str(folder)])
    told = capsys.readouterr().err
    assert "more.yaml:3: High: YAML reads 'order'" in told
    assert "description: YAML reads 'half'" in told


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("shop: {High: [failed: disk]}", "a.yaml:1: YAML takes 'failed: disk' for no text"),
        ("shop:\n  High:\n  - 12\n", "a.yaml:3: YAML takes '12' for no text"),
        ("shop:\n  High: [no]\n", "a.yaml:2: YAML takes 'no' for no text"),
        ("shop:\n  High: [a]\n  High: [b]\n", "a.yaml:3: key 'High' given twice"),
        ("shop: {High: [a]}\nshop: {High: [b]}\n", "a.yaml:2: key 'shop' given twice"),
        ("shop:\n  High: a\n", "a.yaml:2: expected a list"),
        ("shop: a", "a.yaml:1: expected a mapping"),
        ("- a", "a.yaml:1: expected a mapping"),
        ('shop: {High: ["\\d"]}', "single quotes"),
        ("shop: 1\n---\nshop: 2\n", "keep one document"),
        ("\ufeffshop: {High: [a]}", ""),
        ("shop: {High: [a]}\r\n", ""),
        ("", ""),
    ],
)
def test_a_corpus_is_read_as_it_is_written_or_refused(
    written: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(written.encode())
    said = ""
    try:
        found = read_written(file)
        for _, labels in found.members():
            for _, texts in found.members(labels):
                list(found.texts(texts))
    except WaybillError as error:
        said = str(error)
    assert told in said
    assert bool(told) == bool(said)

"""``waybill pack``: packs of labels, rules, corpus and model, for a further labelling."""

from __future__ import annotations

import argparse
import asyncio
import csv
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.parsing import Commands, add_command, add_group
from waybill.cli.terminal import tell

if TYPE_CHECKING:
    from waybill.core.labels import Taxonomy

__all__ = ["add", "check_pack"]


def add(commands: Commands) -> None:
    """Declare the group."""
    actions = add_group(commands, "pack", "Work with packs: labels, rules, corpus and model.")
    new = add_command(
        actions,
        "new",
        _new,
        "Write the folder of a new pack, which can be checked and trained at once.",
        "waybill pack new urgency --labels Now,Today,Later",
        has_settings=False,
    )
    new.add_argument("name", metavar="NAME", help="small letters, digits, - and _")
    new.add_argument(
        "--labels", default="High,Low", metavar="A,B,C", help="its labels (default: %(default)s)"
    )
    new.add_argument(
        "--into", type=Path, default=Path("packs"), help="folder of the pack (default: packs)"
    )
    check = add_command(
        actions,
        "check",
        _check,
        "Check all parts of a pack together; exit code 2 on any fault.",
        "waybill pack check packs/banking",
        has_settings=False,
    )
    check.add_argument("folder", type=Path, metavar="FOLDER", help="the pack's folder")
    add_command(
        actions,
        "list",
        _list,
        "List the packs that come with Waybill and those of the working directory.",
        "waybill pack list",
        has_settings=False,
    )


def _new(given: argparse.Namespace) -> int:
    from waybill.cli.pack_new import write_pack

    names = [name.strip() for name in given.labels.split(",") if name.strip()]
    folder = write_pack(given.into, given.name, names)
    print(f"{folder} is there. Next:")
    print(f"  waybill pack check {folder}")
    print(f"  waybill model train --output {folder}/model --name {given.name} \\")
    print(f"    --labels {folder}/labels.yaml --corpus {folder}/corpus --share-encoder")
    field = given.name.replace("-", "_")
    print(f"  waybill serve --set 'labellings=[{{name: {field}, pack: {folder}}}]'")
    return 0


def _check(given: argparse.Namespace) -> int:
    for line in check_pack(given.folder):
        print(line)
    print("ok")
    return 0


def check_pack(folder: Path) -> list[str]:
    """What is in a pack, line by line.

    Raises:
        ConfigError: with every fault of its parts.
    """
    from waybill.core.errors import ConfigError, WaybillError
    from waybill.core.labels import read_taxonomy
    from waybill.core.text import text_of_file
    from waybill.core.yaml_cuts import cuts_in
    from waybill.settings.resources import resolve_path

    folder = resolve_path(str(folder))[0]
    if not folder.is_dir():
        raise ConfigError([f"{folder}: no such folder; waybill pack new NAME makes one"])
    taxonomy = read_taxonomy(folder / "labels.yaml")
    for doubt in cuts_in(text_of_file((folder / "labels.yaml").read_bytes())):
        tell(f"warning: {folder / 'labels.yaml'}:{doubt}")
    lines = [f"labels: {', '.join(taxonomy.names)}"]
    problems: list[str] = []
    for part, check in (
        ("rules", _check_rules),
        ("corpus", _check_corpus),
        ("model", _check_model),
        ("evaluation", _check_evaluation),
    ):
        if not (folder / part).is_dir():
            lines.append(f"{part}: none")
            continue
        try:
            lines.append(f"{part}: {check(folder / part, taxonomy)}")
        except ConfigError as error:
            problems += error.problems
        except WaybillError as error:
            problems.append(f"{folder / part}: {error}")
    if problems:
        raise ConfigError(problems)
    return lines


def _check_rules(folder: Path, taxonomy: Taxonomy) -> str:
    from waybill.cli.warnings import warn_of_rules
    from waybill.core.errors import ConfigError, RuleSetError
    from waybill.labelling.rules.loading import load_ruleset

    try:
        rules = asyncio.run(load_ruleset([folder], labels=taxonomy.names))
    except RuleSetError as error:
        raise ConfigError(error.problems) from None
    warn_of_rules(rules.advice)
    samples = sum(rule.samples for rule in rules.rules)
    return f"{len(rules.rules)} rules, {samples} samples pass"


def _check_corpus(folder: Path, taxonomy: Taxonomy) -> str:
    from collections import Counter

    from waybill.core.errors import WaybillError
    from waybill.learn.corpus.entries import load_corpus

    corpus = load_corpus(taxonomy, folder)
    for doubt in corpus.cut:
        tell(f"warning: {doubt}")
    counts = Counter(entry.label for entry in corpus.entries)
    missing = [name for name in taxonomy.names if not counts[name]]
    if missing:
        raise WaybillError(f"no template for {', '.join(missing)}: a model would never say it")
    told = ", ".join(f"{name} {counts[name]}" for name in taxonomy.names)
    return f"{counts.total()} templates ({told})"


def _check_model(folder: Path, taxonomy: Taxonomy) -> str:
    from waybill.labelling.model.bundle import load_bundle

    return load_bundle(folder, taxonomy=taxonomy).version


def _check_evaluation(folder: Path, taxonomy: Taxonomy) -> str:
    from collections import Counter

    from waybill.core.errors import WaybillError

    counts: Counter[str] = Counter()
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as lines:
            _, *rows = csv.reader(lines)
        for number, row in enumerate(rows, 1):
            # The label is in the last column, whatever field the labelling has.
            label = row[-1] if row else ""
            if label not in taxonomy:
                raise WaybillError(
                    f"{file.name}: row {number}: {label!r} is not a label{taxonomy.hint(label)}"
                )
            counts[label] += 1
    return f"{counts.total()} lines"


def _list(_: argparse.Namespace) -> int:
    from waybill.core.errors import WaybillError
    from waybill.core.labels import read_taxonomy
    from waybill.settings.resources import packs

    for shown, folder in packs():
        try:
            labels = ", ".join(read_taxonomy(folder / "labels.yaml").names)
        except WaybillError as error:
            labels = f"cannot be read: {error}"
        parts = [name for name in ("rules", "model", "corpus") if (folder / name).is_dir()]
        print(f"{shown}: {labels} ({', '.join(parts) or 'labels only'})")
    return 0

"""``waybill labels``: show the labels in force, and write a file of labels to begin with."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.parsing import Commands, add_command, add_group, add_labels_option, load_labels

if TYPE_CHECKING:
    from waybill.settings.schema import FieldSettings

__all__ = ["add", "labels_text"]

#: What nobody is sure about, where the labels found have no such word.
FALLBACK = "Unclassified"
#: Words that say it in files of other people.
_FALLBACKS = (FALLBACK, "Other", "Unknown", "None")


def add(commands: Commands) -> None:
    """Declare the group."""
    actions = add_group(commands, "labels", "Work with the file of labels.")
    shown = add_command(
        actions,
        "list",
        _list,
        "List the labels in their order, with what each means.",
        "waybill labels list --labels packs/banking/labels.yaml",
    )
    add_labels_option(shown)
    made = add_command(
        actions,
        "init",
        _init,
        "Write a file of labels: of those that are found in labelled files, or of those named.",
        "waybill labels init labels.yaml --from labelled.csv",
    )
    made.add_argument("output", type=Path, metavar="FILE", help="file to write; it must not exist")
    origin = made.add_mutually_exclusive_group(required=True)
    origin.add_argument(
        "--from",
        type=Path,
        nargs="+",
        dest="origin",
        metavar="DATA",
        help="labelled CSV, NDJSON, JSON or Parquet files",
    )
    origin.add_argument("--labels", metavar="A,B,C", help="the labels, with commas in between")
    made.add_argument("--fallback", help=f"the label of what nobody knows (default: {FALLBACK})")


def _list(given: argparse.Namespace) -> int:
    taxonomy = load_labels(given)
    for label in taxonomy.labels:
        mark = "  (the fallback)" if label.name == taxonomy.fallback else ""
        print(f"{label.name}: {label.description}{mark}")
    return 0


def _init(given: argparse.Namespace) -> int:
    from waybill.core.errors import ConfigError
    from waybill.core.labels import read_taxonomy
    from waybill.core.output import writing

    if given.output.exists():
        raise ConfigError([f"{given.output} exists already; name a file that does not"])
    if given.origin is not None:
        found = _found(given.origin, _fields(given))
    else:
        found = Counter(name.strip() for name in given.labels.split(",") if name.strip())
    with writing(str(given.output)) as file:
        file.write(labels_text(list(found), given.fallback).encode())
    read_taxonomy(given.output)  # names that cannot be labels are said by their line
    print(f"{given.output}: {len(found)} labels found; write what each means into it, then use it:")
    for command in _next(given):
        print(f"  {shlex.join(command)}")
    return 0


def _next(given: argparse.Namespace) -> Iterator[list[str]]:
    """The commands that go on from here: train on the same files, and serve what comes of it."""
    model = "null"
    if given.origin is not None:
        model = "models/mine"
        same = [word for override in given.overrides for word in ("--set", override)]
        train = ["waybill", "model", "train", *same, "--labels", str(given.output)]
        yield [*train, "--no-corpus", "--data", *map(str, given.origin), "--output", model]
    settings = (f"labels.path={given.output}", "rules.path=null", f"model.path={model}")
    yield ["waybill", "serve", *(word for one in settings for word in ("--set", one))]


def _fields(given: argparse.Namespace) -> FieldSettings:
    from waybill.cli.parsing import load

    return load(given).fields


def _found(paths: list[Path], fields: FieldSettings) -> Counter[str]:
    """The labels in files, by how many rows have them; most frequent first.

    Raises WaybillError for files without any.
    """
    from waybill.core.errors import WaybillError
    from waybill.learn.messages import line_of, read_rows
    from waybill.wire.members import Places

    places = Places(fields)
    found: Counter[str] = Counter()
    for path in paths:
        for number, row in enumerate(read_rows(path, fields=fields), 1):
            label = line_of(row, number, places).label
            if label:
                found[label] += 1
    if not found:
        raise WaybillError(
            f"{', '.join(map(str, paths))}: no row has a label in {fields.label} (fields.label); "
            "name the column with --set fields.label=COLUMN"
        )
    return Counter(dict(found.most_common()))


def labels_text(names: list[str], fallback: str | None = None) -> str:
    """The text of a file of labels, in this order, with a description to be written for each.

    The fallback is one of ``names`` that means it, or comes last.
    """
    import json

    if fallback is None:
        known = [name for name in names if name in _FALLBACKS]
        fallback = known[0] if known else FALLBACK
    lines = [
        "# The labels that records can get. The first that fits a record wins: put what matters",
        "# most first. The descriptions tell people and language models what belongs in each.",
        "",
        "# The label of what is no event, and of what nobody is sure about; one of those below.",
        f"fallback: {json.dumps(fallback, ensure_ascii=False)}",
        "",
        "labels:",
    ]
    for name in [*(name for name in names if name != fallback), fallback]:
        description = f"write here what {name} means"
        if name == fallback:
            description = "none of the other labels fits, or the line is no event"
        lines.append(f"  - name: {json.dumps(name, ensure_ascii=False)}")
        lines.append(f"    description: {json.dumps(description, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"

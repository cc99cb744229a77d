"""``waybill label``: files and streams, labelled by the same code that serves."""

from __future__ import annotations

import argparse

from waybill.cli.parsing import Commands, add_command, load

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "label",
        _run,
        "Label a CSV, NDJSON or JSON file.",
        "waybill label logs.csv -o labelled.csv",
    )
    parser.add_argument("input", help="file, or - for stdin")
    parser.add_argument("-o", "--output", default="-", help="file, or - for stdout (default)")
    parser.add_argument(
        "--format", choices=("csv", "ndjson", "json"), help="default: by the input's suffix"
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.label_file import label_file

    label_file(load(given), given.input, given.output, given.format)
    return 0

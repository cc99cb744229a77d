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
        "Label a table (CSV, TSV, XLSX), NDJSON, JSON or text.",
        "waybill label logs.csv -o labelled.csv",
    )
    parser.add_argument("input", help="file, or - for stdin; .gz and .zst are read as well")
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        help="file, pipe or device, or - for stdout (default); a file is replaced when all is done",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "ndjson", "json", "text", "xlsx"),
        help="default: by the input's suffix, or by its content",
    )
    parser.add_argument(
        "--on-error",
        metavar="WHAT",
        default="pass",
        help="rows with a fault: fail (stop), pass (on, labelled as far as can be) or skip (leave "
        "out); also by kind, as in pass,quote=fail,cells=skip,bytes=skip,message=skip (default: "
        "pass)",
    )
    parser.add_argument(
        "--check", action="store_true", help="only read it, and name what is wrong; exit 1 if so"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary on stderr")
    parser.add_argument(
        "--progress",
        choices=("bar", "json"),
        default="bar",
        help="json: on stderr a line of JSON each second, one for each fault, and one at the end",
    )
    _add_table_options(parser)


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tables (what is not said is found out, and said)")
    group.add_argument("--delimiter", metavar="CHARACTER", help="between cells; tab for a tab")
    group.add_argument("--encoding", metavar="NAME", help="such as utf-8, cp1252, utf-16")
    group.add_argument("--message-column", metavar="NAME", help="column of the messages")
    group.add_argument("--source-column", metavar="NAME", help="column of the sources")
    group.add_argument(
        "--label-column",
        metavar="NAME",
        help="column of known labels to compare with; a name that the head does not have is "
        "given to the column of ours",
    )
    group.add_argument("--quote", metavar="WHICH", help="round cells: double, single or none")
    group.add_argument(
        "--head", metavar="WHICH", help="first (default): the first row; none: columns are 1, 2, .."
    )
    group.add_argument("--sheet", metavar="NAME", help="of a workbook")
    group.add_argument(
        "--known-labels",
        metavar="WHAT",
        help="beside (default): ours stand beside the table's own; keep: only blank ones are "
        "filled; replace: all are",
    )
    group.add_argument("--source", metavar="TEXT", help="the source of all rows")
    group.add_argument(
        "--details",
        metavar="LIST",
        help="columns beside the label: of confidence,tier,reason,rule, or none (default: all)",
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.label_file import label_file
    from waybill.cli.label_plan import Plan
    from waybill.wire.table.columns import make_choice
    from waybill.wire.table.faults import parse_policy

    choice = make_choice(
        delimiter=given.delimiter,
        encoding=given.encoding,
        message=given.message_column,
        source=given.source_column,
        label=given.label_column,
        quote=given.quote,
        head=given.head,
        known=given.known_labels,
        source_text=given.source,
        details=given.details,
    )
    plan = Plan(
        source=given.input,
        target=given.output,
        form=given.format,
        choice=choice,
        policy=parse_policy(given.on_error),
        is_quiet=given.quiet,
        is_progress_json=given.progress == "json",
        sheet=given.sheet,
        is_check=given.check,
    )
    return label_file(load(given), plan)

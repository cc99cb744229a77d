"""``waybill bench``: what labelling costs here, as ratios to a yardstick of the same run.

Absolute times depend on the machine; ratios travel. The yardstick is what any JSON proxy pays at
least: ``orjson.loads`` and ``orjson.dumps`` of the same batch. The reference batch is 1,000
Kubernetes-enriched records of about 885 bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from waybill.cli.parsing import Commands, add_command, load

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "bench",
        _run,
        "Measure this machine against the yardsticks.",
        "waybill bench --quick",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("bench.json"),
        help="where the JSON goes (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.bench.run import run

    return run(load(given), given.output, is_quick=given.quick)

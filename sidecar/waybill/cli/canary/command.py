"""``waybill canary``: numbered records through a running deployment and back, and what became of
them.

Records go out as a shipper sends them: a batch is sent again until it is taken. Each is looked for
where it should come out, and counted as missing, duplicate, out of order, altered, unlabelled or
late. The idea of auditing a log pipeline with numbered lines is Loki's canary's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from waybill.cli.canary.plan import CanaryPlan
from waybill.cli.parsing import Commands, add_command

__all__ = ["add", "plan_of"]

_EXAMPLES = """\
waybill canary --to http://waybill:9880/v1/label           # return.type: body
  waybill canary --to ... --listen 0.0.0.0:9881              # the agent sends them here
  waybill canary --to ... --loki http://loki:3100            # or: read them in the store
  waybill canary --to ... --elasticsearch 'http://es:9200/waybill-*'"""
_DEFAULTS = CanaryPlan()


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "canary",
        _run,
        "Send numbered records through a deployment and count what comes back.",
        _EXAMPLES,
        has_settings=False,
    )
    _add_ways(parser)
    _add_records(parser)
    _add_times(parser)


def _add_ways(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        default=_DEFAULTS.to,
        metavar="URL",
        help="Waybill, or an agent's HTTP input before it (default: %(default)s)",
    )
    out = parser.add_mutually_exclusive_group()
    out.add_argument(
        "--listen", metavar="HOST:PORT", help="serve here; the agent's output sends the records"
    )
    out.add_argument("--loki", metavar="URL", help="read the records back from Loki")
    out.add_argument(
        "--elasticsearch", metavar="URL/INDEX", help="read the records back from Elasticsearch"
    )
    parser.add_argument(
        "--selector", default=_DEFAULTS.selector, help="Loki streams (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with a token of Waybill, such as its http.tokens_file",
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="authorities of the server's certificate"
    )


def _add_records(parser: argparse.ArgumentParser) -> None:
    default = "(default: %(default)s)"
    parser.add_argument("--records", type=int, default=1000, help=f"how many {default}")
    parser.add_argument("--rate", type=float, default=100, help=f"records a second {default}")
    parser.add_argument("--batch", type=int, default=50, help=f"records of one batch {default}")
    parser.add_argument("--tag", default=_DEFAULTS.tag, help=f"tag of the batches {default}")
    parser.add_argument(
        "--message", default=_DEFAULTS.message, help=f"text, with {{number}} {default}"
    )
    parser.add_argument(
        "--label-field",
        action="append",
        metavar="FIELD",
        help="where the label stands; again for each further labelling "
        f"(default: {_DEFAULTS.label_field[0]})",
    )


def _add_times(parser: argparse.ArgumentParser) -> None:
    times = {
        "--connect-secs": "give up when nothing is taken by then",
        "--late-secs": "later than this is late",
        "--wait-secs": "what is not back by then is missing",
        "--settle-secs": "wait for duplicates",
    }
    for option, meaning in times.items():
        field = option.removeprefix("--").replace("-", "_")
        parser.add_argument(
            option,
            type=float,
            default=getattr(_DEFAULTS, field),
            help=f"{meaning} (default: %(default)s)",
        )


def plan_of(given: argparse.Namespace) -> CanaryPlan:
    """The run that the options ask for."""
    asked = {name: getattr(given, name) for name in CanaryPlan.__struct_fields__}
    asked["label_field"] = tuple(dict.fromkeys(given.label_field or _DEFAULTS.label_field))
    return CanaryPlan(**asked)


def _run(given: argparse.Namespace) -> int:
    """Print the report as JSON; 1 when a record is missing, altered, late or unlabelled."""
    import msgspec

    from waybill.cli.canary.audit import audit

    report = asyncio.run(audit(plan_of(given)))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 0 if report.is_fine else 1

"""The ``waybill`` command. Exit codes: 0 fine, 1 failed, 2 configuration."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from waybill.core.errors import ConfigError, WaybillError
from waybill.settings.dump import dump_settings
from waybill.settings.resources import resolve_path
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings, read_settings

FAILED, CONFIGURATION = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # The offline tools read their own arguments.
    if rest and not hasattr(arguments, "module"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    if not hasattr(arguments, "module"):
        # One text is too little to share: a second thread of numpy's would do nothing but spin, and at a steady
        # trickle of new messages it spins without end on a core of its own. Read when numpy is imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = int(arguments.run(arguments) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # waybill rules list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ConfigError as error:
        for problem in error.problems:
            print(f"waybill: {problem}", file=sys.stderr)
        return CONFIGURATION
    except (WaybillError, OSError) as error:
        print(f"waybill: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="waybill", description="The labelling sidecar for log shippers."
    )
    parser.add_argument("--version", action="version", version=f"waybill {_version()}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: built-in defaults)"
    )
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one setting",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("serve", _serve, "Receive batches, label them, hand them back.")
    demo = add(
        "demo", _demo, "Play a bundled stream through a running sidecar and show the labels."
    )
    demo.add_argument(
        "--once", action="store_true", help="exit after the table instead of serving on"
    )
    check = add(
        "check", _check, "Validate settings, rules and model together; exit 2 on any fault."
    )
    check.add_argument(
        "--print", action="store_true", help="print the effective settings, secrets masked"
    )
    label = add("label", _label, "Label a CSV, NDJSON or JSON file.")
    label.add_argument("input", help="file, or - for stdin")
    label.add_argument("-o", "--output", default="-", help="file, or - for stdout (default)")
    label.add_argument(
        "--format", choices=("csv", "ndjson", "json"), help="default: by the input's suffix"
    )
    explain = add("explain", _explain, "Show why one message gets its label.")
    explain.add_argument("message")
    explain.add_argument("--source", default="", help="the record's source")
    _add_rules(commands, common)
    _add_model(commands)
    canary = commands.add_parser(
        "canary",
        help="Send numbered records through a deployment and count what comes back.",
        add_help=False,
    )
    canary.set_defaults(run=_offline, module="waybill.cli.canary", before=())
    bench = add("bench", _bench, "Measure this machine against the yardsticks.")
    bench.add_argument(
        "--output", type=Path, default=Path("bench.json"), help="where the JSON goes"
    )
    bench.add_argument("--quick", action="store_true", help="fewer repetitions")
    return parser


def _add_rules(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    rules = commands.add_parser("rules", help="Work with rule files.").add_subparsers(
        required=True, metavar="ACTION"
    )
    test = rules.add_parser(
        "test", parents=[common], help="Check all rules and their samples; try MESSAGES."
    )
    test.add_argument(
        "messages", nargs="*", metavar="MESSAGE", help="show which rule takes each message"
    )
    test.add_argument("--source", default="", help="the messages' source")
    test.set_defaults(run=_rules_test)
    rules.add_parser("list", parents=[common], help="List the rules in order.").set_defaults(
        run=_rules_list
    )
    coverage = rules.add_parser(
        "coverage", parents=[common], help="What each pack decides of some lines."
    )
    coverage.add_argument("files", nargs="+", type=Path, metavar="FILE", help="text, NDJSON or CSV")
    coverage.set_defaults(run=_rules_coverage)
    suggest = rules.add_parser(
        "suggest", parents=[common], help="Propose rules from what was judged before."
    )
    suggest.add_argument(
        "--from", choices=("llm",), required=True, dest="origin", help="whose verdicts"
    )
    suggest.add_argument(
        "--at-least", type=int, default=3, metavar="N", help="judgements for a rule (default: 3)"
    )
    suggest.add_argument(
        "--messages", type=Path, metavar="FILE", help="recorded messages (CSV, NDJSON, JSON)"
    )
    suggest.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: stdout")
    suggest.set_defaults(run=_rules_suggest)
    rules.add_parser(
        "schema", parents=[common], help="Print the JSON schema of a rule file."
    ).set_defaults(run=_rules_schema)


def _add_model(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    model = commands.add_parser("model", help="Work with model bundles.").add_subparsers(
        required=True, metavar="ACTION"
    )
    for name, module, text in (
        (
            "train",
            "waybill.learn.train",
            "Train a bundle from the corpus (needs waybill-sidecar[train]).",
        ),
        ("corpus", "waybill.learn.corpus", "Write the training corpus as CSV."),
        (
            "evaluate",
            "waybill.learn.evaluate",
            "Measure labels on labelled files (needs waybill-sidecar[train]).",
        ),
        (
            "export",
            "waybill.learn.encoder_export",
            "Export an encoder to ONNX int8 (needs waybill-sidecar[train]).",
        ),
        (
            "import",
            "waybill.learn.import_model",
            "Make a bundle of a scikit-learn classifier (needs waybill-sidecar[train]).",
        ),
    ):
        action = model.add_parser(name, help=text, add_help=False)
        action.set_defaults(run=_offline, module=module, before=())
    for name, text in (
        ("push", "Upload a bundle to a model repository and tag it (needs waybill-sidecar[hub])."),
        ("pull", "Fetch and check the newest version (needs waybill-sidecar[hub])."),
        ("versions", "List a repository's versions (needs waybill-sidecar[hub])."),
    ):
        action = model.add_parser(name, help=text, add_help=False)
        action.set_defaults(run=_offline, module="waybill.hub.hub", before=(name,))
    info = model.add_parser("info", help="Show a bundle's manifest.")
    info.add_argument("path", nargs="?", default="models/default", help="bundle folder")
    info.set_defaults(run=_model_info)


def _version() -> str:
    return importlib.import_module("importlib.metadata").version("waybill-sidecar")  # type: ignore[no-any-return]


def _settings(arguments: argparse.Namespace) -> Settings:
    return load_settings(arguments.config, arguments.overrides)


def _run_loop(work: object) -> None:
    """Run on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)  # type: ignore[arg-type]
    else:
        uvloop.run(work)  # type: ignore[arg-type]


def _serve(arguments: argparse.Namespace) -> int:
    from waybill.ops.logs import setup_logging
    from waybill.service.app import serve

    settings = _settings(arguments)
    setup_logging(settings.log.level)
    if settings.http.workers > 1:
        from waybill.service.workers import serve_workers

        return serve_workers(settings, _run_loop)
    _run_loop(serve(settings))
    return 0


def _demo(arguments: argparse.Namespace) -> None:
    from waybill.cli.demo import demo

    _run_loop(demo(_settings(arguments), is_once=arguments.once))


def _check(arguments: argparse.Namespace) -> None:
    from waybill.cli.check import check

    loaded = read_settings(arguments.config, arguments.overrides)
    if arguments.print:
        print(json.dumps(dump_settings(loaded.settings), indent=2))
    asyncio.run(check(loaded))


def _label(arguments: argparse.Namespace) -> None:
    from waybill.cli.label import label_file

    label_file(_settings(arguments), arguments.input, arguments.output, arguments.format)


def _explain(arguments: argparse.Namespace) -> None:
    from waybill.cli.check import explain_one

    answer = asyncio.run(explain_one(_settings(arguments), arguments.source, arguments.message))
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def _rules_test(arguments: argparse.Namespace) -> None:
    from waybill.cli.check import read_rules_or_fail

    rules = asyncio.run(read_rules_or_fail(_settings(arguments)))
    samples = sum(rule.samples for rule in rules.rules)
    print(f"{len(rules.rules)} rules, {samples} samples: all pass (version {rules.version})")
    allowed = rules.allowed_for(arguments.source, None)
    for message in arguments.messages:
        rule = rules.first_match(message, allowed)
        print(f"{rule.label + '  by ' + rule.id if rule else 'no rule'}  <-  {message}")


def _rules_list(arguments: argparse.Namespace) -> None:
    from waybill.cli.check import read_rules_or_fail

    for rule in asyncio.run(read_rules_or_fail(_settings(arguments))).rules:
        print(
            f"{rule.file}:{rule.line}  {rule.id}  {rule.label}{'  (shadow)' if rule.mode == 'shadow' else ''}"
        )


def _rules_coverage(arguments: argparse.Namespace) -> None:
    from waybill.cli.check import read_rules_or_fail
    from waybill.learn.coverage import cover, gather, show

    settings = _settings(arguments)
    rules = asyncio.run(read_rules_or_fail(settings))
    print(show(cover(rules, gather(arguments.files, settings.fields))))


def _rules_suggest(arguments: argparse.Namespace) -> None:
    from waybill.learn.suggest import suggest

    asyncio.run(
        suggest(_settings(arguments), arguments.at_least, arguments.messages, arguments.output)
    )


def _rules_schema(arguments: argparse.Namespace) -> None:
    from waybill.labelling.rules.schema import json_schema
    from waybill.settings.taxonomy import read_labels

    print(json.dumps(json_schema(read_labels(_settings(arguments).labels.path).names), indent=2))


def _model_info(arguments: argparse.Namespace) -> None:
    print((resolve_path(arguments.path)[0] / "manifest.json").read_text("utf-8"))


def _offline(arguments: argparse.Namespace) -> int:
    try:
        module = importlib.import_module(arguments.module)
        return int(module.main([*arguments.before, *arguments.rest]) or 0)
    except ModuleNotFoundError as error:
        raise WaybillError(
            f"{error.name} is missing; install it with: pip install 'waybill-sidecar[train]'"
        ) from None


def _bench(arguments: argparse.Namespace) -> int:
    from waybill.cli.bench import run

    return run(_settings(arguments), arguments.output, is_quick=arguments.quick)


if __name__ == "__main__":
    sys.exit(main())

"""``waybill explain``: why one message gets its label."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple

from waybill.cli.parsing import Commands, add_command, load_and_tell, same_settings
from waybill.cli.terminal import cleaned, note_file, read_stdin
from waybill.core.errors import WaybillError

if TYPE_CHECKING:
    from waybill.labelling.explanation import Explanation
    from waybill.settings.schema import FieldSettings, Settings

__all__ = ["add", "explain_one", "read_asked"]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "explain",
        _run,
        "Show why one message gets its label, and what can be done about it.",
        "waybill explain 'User User42 logged in.' --source ModernCRM",
    )
    parser.add_argument(
        "message", help="the message, or a whole record (a JSON object); - for stdin"
    )
    parser.add_argument("--source", help="the record's source")
    parser.add_argument(
        "--text", action="store_true", help="take a JSON object as the text of a message"
    )
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument(
        "--draft", action="store_true", help="print a rule for it, for a file of rules, and no more"
    )


_NO_MESSAGE = (
    "taken as the text of a message: none of the fields in fields.message holds a text in this "
    "object, and as a record it gets the reason no_message. {} (--text leaves this hint out)"
)
_NAME_FIELD = "Name its field, such as --set 'fields.message=[\"text\"]'"


class Asked(NamedTuple):
    """What is to be explained, and where in a record it was found ("" for a bare message)."""

    source: str
    message: str
    origin: str = ""


def _run(given: argparse.Namespace) -> int:
    settings = load_and_tell(given)
    text = cleaned(given.message)
    if text == "-":
        text = read_stdin().rstrip("\r\n")
    asked = Asked("", text) if given.text else read_asked(text, settings.fields)
    if given.source is not None:
        asked = asked._replace(source=cleaned(given.source))
    if given.draft:
        return _print_draft(asked.message, settings)
    found = asyncio.run(explain_one(settings, asked.source, asked.message))
    if given.json:
        print(json.dumps(found.plain(), indent=2))  # escapes: whatever the terminal can show
        return 0
    if asked.origin:
        print(asked.origin)
    print(_show(found, settings))
    hint = _if_wrong(found, settings, same_settings(given))
    if hint:
        print(f"\n{hint}")
    return 0


def read_asked(text: str, fields: FieldSettings) -> Asked:
    """``text`` as a record where it is a JSON object with a message, else as a message.

    Settings decide where message and source stand, as they do for what is served.
    """
    from waybill.wire.members import Places, members_in

    members = members_in(text)
    if members is None:
        note_file(text, "a line of it is the message, and waybill label FILE labels all of them")
        return Asked("", text)
    places = Places(fields)
    message = places.message_of(members)
    if message is None:
        return Asked("", text, _NO_MESSAGE.format(_advice(text)))
    origin = "taken as a record (by fields.message and fields.source; --text takes it as it is)"
    return Asked(places.source_of(members), message, origin)


def _advice(record: str) -> str:
    """What to do about an object without a message: it may be what records are wrapped in."""
    from waybill.cli.label_summary import path_of_objects

    body = record.encode("utf-8", "replace")
    path = path_of_objects(body, body.index(b"{"))
    if path is None:
        return _NAME_FIELD
    return f"Records within it are read with --set fields.records={path}; explain one of them"


def _show(found: Explanation, settings: Settings) -> str:
    from waybill.labelling.explanation_text import can_take_rule, show

    drafted = None
    if can_take_rule(found.decision):
        drafted = _draft(found.message, settings)
    return show(found, drafted)


def _draft(message: str, settings: Settings) -> str | None:
    from waybill.labelling.rules.draft import draft
    from waybill.settings.taxonomy import read_labels

    return asyncio.run(draft(message, read_labels(settings.labels.path).names))


def _print_draft(message: str, settings: Settings) -> int:
    drafted = _draft(message, settings)
    if drafted is None:
        raise WaybillError("no rule can be drafted from this text: write its pattern by hand")
    print(drafted, end="")
    return 0


def _if_wrong(found: Explanation, settings: Settings, same: str) -> str:
    """What can be done about a label; "" where there is none, which has advice of its own.

    ``same`` names the settings that were given.
    """
    decision = found.decision
    if decision.reason is not None:
        return ""
    if decision.tier == "correction":
        return f"Wrong? Take it back: waybill correct --withdraw {decision.rule}{same}"
    kept = same if settings.corrections.path is not None else f"{same} --set corrections.path=FILE"
    return (
        "Wrong? Say what it is, for all messages like it: waybill correct MESSAGE --label "
        f"LABEL{kept} (a running Waybill: --to ADDRESS); or write a rule that is read before "
        "(--draft begins one)"
    )


async def explain_one(settings: Settings, source: str, message: str) -> Explanation:
    """`explain` with a pipeline of its own. Raises ConfigError."""
    from waybill.cli.warnings import warn_of_hidden
    from waybill.core.version import VERSION
    from waybill.ops.metrics import Metrics
    from waybill.service.explaining import explain_all
    from waybill.service.opening import open_pipeline

    async with open_pipeline(settings, Metrics(VERSION)) as opened:
        warn_of_hidden(opened.pipeline.rules.advice)
        return await explain_all(opened.labellings, source, message)

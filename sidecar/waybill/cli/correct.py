"""``waybill correct``: say that a label is wrong, from a terminal."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.parsing import (
    Commands,
    add_command,
    add_labelling_option,
    load_and_tell,
    same_settings,
)
from waybill.cli.patterns import add_token_option, token_of
from waybill.cli.terminal import cleaned, read_stdin
from waybill.core.causes import cause_at
from waybill.core.errors import CorrectError, WaybillError

if TYPE_CHECKING:
    from waybill.core.correction import Correction
    from waybill.labelling.corrections.desk import CorrectionRequest, Desk, Taken
    from waybill.settings.schema import Settings

__all__ = ["add"]

_TIMEOUT_SECS = 60.0
#: An answer to a correction has some hundred bytes.
_MOST_BYTES = 1 << 20


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "correct",
        _run,
        "Say what the label of a message is: it holds before rules and model from then on.",
        "waybill correct 'disk 17 is wobbly' --label Error --note 'the array is rebuilt'",
    )
    parser.add_argument(
        "message", nargs="?", help="the message, or a whole record (a JSON object); - for stdin"
    )
    parser.add_argument("--label", help="what it is")
    parser.add_argument("--source", default="*", help="for this source only (default: for all)")
    parser.add_argument("--by", help="who says so (default: you, by your login)")
    parser.add_argument("--note", default="", help="why")
    add_labelling_option(parser)
    parser.add_argument("--withdraw", metavar="ID", help="take the correction with this id back")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--to", metavar="ADDRESS", help="tell a running Waybill (default: write corrections.path)"
    )
    where.add_argument(
        "--print", action="store_true", help="print the line, for a file that lies elsewhere"
    )
    add_token_option(parser)


def _run(given: argparse.Namespace) -> int:
    from waybill.settings.sources import load_settings

    settings = load_settings(given.config, given.overrides)
    if given.to is None:  # who is told knows its labellings; the settings here need not name them
        settings = load_and_tell(given)
    asked = _request_of(given, settings)
    try:
        if given.to is not None:
            print(asyncio.run(_send(given.to, token_of(given), asked)))
        elif given.print and asked.withdraws is None:
            print(asyncio.run(_line(settings, asked)))
        else:
            print(asyncio.run(_keep(settings, asked, same_settings(given))))
    except CorrectError as error:
        rule = error.more.get("rule")
        if isinstance(rule, str):
            raise WaybillError(f"{error}; for example:\n{rule.rstrip()}") from None
        raise
    return 0


def _request_of(given: argparse.Namespace, settings: Settings) -> CorrectionRequest:
    """What is said. Raises CorrectError (``fields``)."""
    from waybill.cli.explain import read_asked
    from waybill.labelling.corrections.desk import CorrectionRequest

    by = cleaned(given.by) if given.by is not None else _login()
    if given.withdraw is not None:
        return CorrectionRequest(withdraws=given.withdraw, by=by, note=cleaned(given.note))
    if given.message is None:
        raise CorrectError("fields", "say which message, or --withdraw with an id")
    if given.label is None:
        raise CorrectError("fields", "say what it is with --label; waybill labels list has them")
    text = cleaned(given.message)
    if text == "-":
        text = read_stdin().rstrip("\r\n")
    return CorrectionRequest(
        message=read_asked(text, settings.fields).message,
        label=given.label,
        source=cleaned(given.source),
        by=by,
        note=cleaned(given.note),
        labelling=given.labelling,
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return ""


async def _line(settings: Settings, asked: CorrectionRequest) -> str:
    """Its line, for a file that lies elsewhere. Raises CorrectError, ConfigError."""
    from waybill.core.correction import encode_correction

    checked = await (await _open_desk(settings, asked.labelling)).check(asked)
    return encode_correction(checked.correction).decode().rstrip("\n")


async def _keep(settings: Settings, asked: CorrectionRequest, same: str) -> str:
    """Write it to ``corrections.path``; ``same`` names the settings that were given for it.

    Raises CorrectError, ConfigError.
    """
    from waybill.labelling.corrections.store import file_of

    desk = await _open_desk(settings, asked.labelling)
    try:
        taken = await desk.take(asked)
    except CorrectError as error:
        if error.code != "no_path":
            raise
        told = f"{error}: --set corrections.path=FILE, or --to ADDRESS for a Waybill that has one"
        raise WaybillError(told) from None
    return _show(taken, str(file_of(Path(settings.corrections.path or ""))), same)


async def _open_desk(settings: Settings, labelling: str) -> Desk:
    """The desk that a service would have. Raises ConfigError."""
    from waybill.core.errors import ConfigError, RuleSetError
    from waybill.labelling.corrections.desk import Desk
    from waybill.service.loading import correction_source
    from waybill.service.reading_rules import read_rules
    from waybill.settings.taxonomy import read_labels

    taxonomy = read_labels(settings.labels.path)
    try:
        rules = await read_rules(settings, taxonomy)
    except RuleSetError as error:
        raise ConfigError(error.problems) from None
    path = settings.corrections.path
    return Desk(
        taxonomy,
        correction_source(settings, labelling),
        Path(path) if path is not None else None,
        lambda: rules,
        labelling=labelling,
        follows=settings.corrections.follow,
    )


def _show(taken: Taken, place: str, same: str) -> str:
    one = taken.correction
    kept = "kept in" if taken.is_new else "said before, in"
    lines = [_sentence(one), f"{kept} {place}, for each Waybill with this corrections.path"]
    overruled = taken.overrules
    if overruled is not None:
        lines.append(f"it overrules the rule {overruled.rule}, which says {overruled.label}")
    if one.withdraws is None:
        lines.append(f"to take it back: waybill correct --withdraw {one.id}{same}")
    return "\n".join(lines)


def _sentence(one: Correction) -> str:
    sources = "every source" if one.source == "*" else f"source {one.source or '(none)'}"
    if one.withdraws is not None:
        return f"{one.id}: taken back for {sources}: {one.label} <- {one.mask}"
    return f"{one.id}: {one.label} <- {one.mask} (for {sources})"


async def _send(address: str, token: str, asked: CorrectionRequest) -> str:
    """Post it to a running Waybill. Raises WaybillError, CorrectError."""
    import aiohttp
    import msgspec

    from waybill.core.foreign import read_json
    from waybill.ops.answers import beginning_of
    from waybill.ops.sessions import open_session

    headers = {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{_with_scheme(address)}/v1/corrections"
    body = {name: value for name, value in msgspec.structs.asdict(asked).items() if value}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECS)
    try:
        async with (
            open_session(timeout=timeout, headers=headers) as session,
            session.post(url, json=body, allow_redirects=False) as answer,
        ):
            said = await beginning_of(answer.content, _MOST_BYTES)
            status = answer.status
        told = read_json(said, dict[str, object])
    except msgspec.DecodeError:
        raise WaybillError(f"{url}: answered {status}, and no JSON object") from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise WaybillError(f"{url}: no answer of Waybill: {cause_at(url, error)}") from None
    if status not in (200, 201):
        raise _refusal(url, told)
    back = "" if asked.withdraws is not None else f"--to {address}"
    return _show_answer(told, back)


def _refusal(url: str, told: Mapping[str, object]) -> WaybillError:
    """Why a Waybill did not take it, in its own words."""
    text = f"{url}: {told.get('detail')} [{told.get('reason')}]"
    rule = told.get("rule")
    if isinstance(rule, str):
        text = f"{text}; for example:\n{rule.rstrip()}"
    return WaybillError(text)


def _show_answer(told: Mapping[str, object], back: str) -> str:
    """What a Waybill answered; ``back`` leads to it again, and is "" where it took one back."""
    head = f"{told.get('id')}:" if back else f"{told.get('id')}: taken back:"
    lines = [f"{head} {told.get('label')} <- {told.get('mask')}"]
    if told.get("in_force") is True:
        lines.append("in force there")
    else:
        lines.append(f"kept, but not in force: {told.get('refused') or 'a later one decides'}")
    overrules = told.get("overrules")
    if isinstance(overrules, Mapping):
        lines.append(f"it overrules the rule {overrules['rule']}, which says {overrules['label']}")
    if back:
        lines.append(f"to take it back: waybill correct --withdraw {told.get('id')} {back}")
    return "\n".join(lines)


def _with_scheme(address: str) -> str:
    """An address as a URL without a slash at its end."""
    if not address.startswith(("http://", "https://")):
        address = f"http://{address}"
    return address.rstrip("/")

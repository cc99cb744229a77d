"""``/v1/rules``: the rules in force, and a trial of others that changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from waybill.api.answers import Questions, as_json, in_turn, no_such
from waybill.api.labellings import LABELLING, of_labelling, read_with_labelling
from waybill.core.errors import MalformedError, RuleSetError
from waybill.labelling.rules.ruleset import RuleSet

_MEMBERS = ("rules", "messages", LABELLING)
#: Messages that one trial may bring.
_MAX_TRIAL_MESSAGES = 1000
#: Seconds of processor time for compiling what a caller sends: less than a reload of the real rules
#: gets.
TRIAL_SECS = 10.0


class Backend(msgspec.Struct, frozen=True):
    """What the endpoints need of one labelling: ``in_force`` gives its rules, ``compile_text``
    makes rules for it of YAML text.
    """

    in_force: Callable[[], RuleSet]
    compile_text: Callable[[str], Awaitable[RuleSet]]


def routes(questions: Questions, backends: Mapping[str, Backend]) -> list[web.RouteDef]:
    """Both endpoints; ``backends`` by the name of the labelling, the first one's is ``""``.

    One trial runs at a time.
    """
    trial = asyncio.Lock()

    async def list_rules(request: web.Request) -> web.Response:
        """The rules in force, in the order in which they are tried."""
        rules = of_labelling(request.query.get(LABELLING, ""), backends).in_force()
        described = [rule.describe() for rule in rules.rules]
        return as_json({"version": rules.version, "rules": described})

    async def test_rules(request: web.Request) -> web.Response:
        """Compile the YAML in ``rules`` and try it on ``messages``, in front of the rules in force;
        nothing comes into force.
        """
        asked = await read_with_labelling(questions, request)
        for name in asked:
            if name not in _MEMBERS:
                raise no_such(name, _MEMBERS)
        backend = of_labelling(asked.get(LABELLING, ""), backends)
        text = _text(asked)
        messages = _messages(asked)
        try:
            async with trial:
                rules = await backend.compile_text(text)
        except RuleSetError as error:
            return as_json({"accepted": False, "faults": _faults(error)})
        # Rules that must be confirmed may take milliseconds for each message.
        matches = await asyncio.to_thread(_try, rules, messages)
        now = await asyncio.to_thread(_try, backend.in_force().for_thread(), messages)
        warnings = [
            {"line": one.line, "rule": one.rule_id, "reason": one.code, "detail": one.detail}
            for one in rules.advice
        ]
        answer = {
            "accepted": True,
            "matches": matches,
            "in_force": now,
            "changed": _changed(matches, now),
            "warnings": warnings,
        }
        return as_json(answer)

    return [web.get("/v1/rules", in_turn(list_rules)), web.post("/v1/rules/test", test_rules)]


def _text(asked: dict[str, object]) -> str:
    text = asked.get("rules")
    if not isinstance(text, str):
        raise MalformedError("fields", "rules is missing, or is not a string with YAML in it")
    return text


def _messages(asked: dict[str, object]) -> list[str]:
    messages = asked.get("messages", [])
    if not isinstance(messages, list):
        raise MalformedError("fields", "messages is not a list of strings")
    if len(messages) > _MAX_TRIAL_MESSAGES:
        raise MalformedError("fields", f"messages has more than {_MAX_TRIAL_MESSAGES} strings")
    for position, message in enumerate(messages):
        if not isinstance(message, str):
            raise MalformedError("fields", f"messages[{position}] is not a string")
    return messages


def _faults(error: RuleSetError) -> list[dict[str, object]]:
    return [
        {"line": one.line, "rule": one.rule_id, "reason": one.code, "detail": one.detail}
        for one in error.errors
    ]


def _try(rules: RuleSet, messages: list[str]) -> list[dict[str, str] | None]:
    found: list[dict[str, str] | None] = []
    for message in messages:
        rule = rules.first_match(message, None)
        found.append({"rule": rule.id, "label": rule.label} if rule else None)
    return found


def _changed(
    tried: list[dict[str, str] | None], now: list[dict[str, str] | None]
) -> list[dict[str, object]]:
    """The messages whose label would be another one if the tried rules stood in front."""
    changed: list[dict[str, object]] = []
    for index, (new, old) in enumerate(zip(tried, now, strict=True)):
        if new is not None and (old is None or old["label"] != new["label"]):
            label = old["label"] if old is not None else None
            changed.append({"message": index, "from": label, "to": new["label"]})
    return changed

"""The frames of logging systems around a line: syslog, log4j, klog, logfmt, JSON, CEF, none.

Each expansion of a template gets one of many, so that the label hangs on the words and not on the
frame.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

from waybill.learn.corpus.entries import Slots
from waybill.learn.corpus.slots import fill

__all__ = ["framed"]

Frame: TypeAlias = Callable[[str, str, Slots, random.Random], str]
#: Fields beside the message: name and value.
Extras: TypeAlias = list[tuple[str, str | int]]

_JSON_KEYS = (
    ("level", "msg"),
    ("severity", "message"),
    ("lvl", "event"),
    ("level", "message"),
    ("L", "M"),
)
_GO_PLACES = ("server", "worker", "handler", "pkg/store/db")
#: Slots that every text frame is given a value for, whether it names them or not.
_FRAME_SLOTS = ("host", "service", "logger", "thread", "n", "app", "pod")


def framed(text: str, levels: Sequence[str], slots: Slots, rng: random.Random) -> str:
    """The line in a random frame, with one of the level words."""
    level = rng.choice(levels)
    if rng.random() >= 0.7:
        level = level.lower()
    frame = rng.choice(_FRAMES)
    if callable(frame):
        return frame(text, level, slots, rng)
    values = {name: fill(name, slots, rng) for name in _FRAME_SLOTS}
    return frame.format(text=text, level=level, l=level[0].upper(), **values)


def _extras(slots: Slots, rng: random.Random) -> Extras:
    """Some of the fields that structured loggers put beside the message, in any order."""

    def slot(name: str) -> Callable[[], str]:
        return lambda: fill(name, slots, rng)

    pick: dict[str, Callable[[], str | int]] = {
        "logger": slot("logger"),
        "caller": lambda: f"{rng.choice(_GO_PLACES)}.go:{rng.randint(1, 999)}",
        "service": slot("service"),
        "host": slot("host"),
        "pod": slot("pod"),
        "namespace": slot("ns"),
        "trace_id": lambda: f"{rng.getrandbits(128):032x}",
        "pid": lambda: rng.randint(1, 99999),
        "thread": slot("thread"),
        "version": slot("ver"),
        "env": lambda: rng.choice(("prod", "staging", "dev")),
        "component": slot("component"),
    }
    names = rng.sample(sorted(pick), rng.randint(0, 4))
    return [(name, pick[name]()) for name in names]


def _as_json(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    level_key, text_key = rng.choice(_JSON_KEYS)
    fields: Extras = [("ts", "2026-03-04T10:11:12.345Z"), (level_key, level), (text_key, text)]
    fields += _extras(slots, rng)
    rng.shuffle(fields)
    return json.dumps(dict(fields))


def _as_logfmt(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    quoted = text.replace('"', '\\"')
    fields: Extras = [("time", "2026-03-04T10:11:12Z"), ("level", level), ("msg", f'"{quoted}"')]
    fields += _extras(slots, rng)
    return " ".join(f"{key}={value}" for key, value in fields)


def _as_fields(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    """Key and value without a level of its own, as appliances write them."""
    quoted = text.replace('"', '\\"')
    fields: Extras = [
        ("date", "2026-03-04"),
        ("time", "10:11:12"),
        ("devname", f'"{fill("host", slots, rng)}"'),
        ("type", rng.choice(('"event"', '"system"', '"log"'))),
        ("level", f'"{level.lower()}"'),
        (rng.choice(("msg", "message", "logdesc", "desc")), f'"{quoted}"'),
    ]
    return " ".join(f"{key}={value}" for key, value in fields)


def _as_cef(text: str, _level: str, slots: Slots, rng: random.Random) -> str:
    """ArcSight's Common Event Format: the severity is a number."""
    service, host = fill("service", slots, rng), fill("host", slots, rng)
    escaped = text.replace("|", "\\|")
    head = f"CEF:0|{fill('app', slots, rng)}|{service}|{fill('ver', slots, rng)}"
    tail = f"{rng.randint(0, 9)}|dvchost={host} cnt={rng.randint(1, 9)}"
    return f"{head}|{rng.randint(100, 9999)}|{escaped}|{tail}"


def _as_container(text: str, _level: str, slots: Slots, rng: random.Random) -> str:
    """The JSON files of container engines, and the same after a shipper has added to them."""
    fields: dict[str, object] = {"log": f"{text}\n", "stream": rng.choice(("stdout", "stderr"))}
    fields["time"] = "2026-03-04T10:11:12.345678901Z"
    if rng.random() < 0.5:
        fields["kubernetes"] = {"pod_name": fill("pod", slots, rng), "host": "node-1"}
    return json.dumps(fields)


def _as_nested(text: str, level: str, slots: Slots, rng: random.Random) -> str:
    """JSON whose level and service lie one level down, as the Elastic Common Schema has it."""
    service = fill("service", slots, rng)
    return json.dumps(
        {
            "@timestamp": "2026-03-04T10:11:12.345Z",
            "log": {"level": level.lower(), "logger": fill("logger", slots, rng)},
            "message": text,
            "service": {"name": service},
            "host": {"name": fill("host", slots, rng)},
        }
    )


def _as_journal(text: str, _level: str, slots: Slots, rng: random.Random) -> str:
    """An entry of systemd's journal as JSON: the priority is a number."""
    return json.dumps(
        {
            "PRIORITY": str(rng.randint(2, 7)),
            "SYSLOG_IDENTIFIER": fill("service", slots, rng),
            "_HOSTNAME": fill("host", slots, rng),
            "MESSAGE": text,
        }
    )


_FRAMES: tuple[str | Frame, ...] = (
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "{text}",
    "Mar  4 10:11:12 {host} {service}[{n}]: {text}",
    "Mar  4 10:11:12 {host} {service}: {text}",
    "Mar  4 10:11:12 {host} kernel: {text}",
    "<134>1 2026-03-04T10:11:12Z {host} {service} {n} - - {text}",
    "2026-03-04 10:11:12,345 {level} [{thread}] {logger}: {text}",
    "2026-03-04 10:11:12.345 {level} {n} --- [{thread}] {logger} : {text}",
    "26/03/04 10:11:12 {level} {logger}: {text}",
    "2026-03-04T10:11:12Z {level} {text}",
    "2026-03-04T10:11:12.345678Z  {level} {logger}: {text}",
    "2026-03-04T10:11:12.345Z stdout F {level} {text}",
    "[2026-03-04 10:11:12] {level}: {text}",
    "[Wed Mar 04 10:11:12 2026] [{level}] {text}",
    "2026-03-04 10:11:12.345 {n} {level} {logger} [-] {text}",
    "{l}0304 10:11:12.345678       {n} server.go:{n}] {text}",
    "{level}:{logger}:{text}",
    "{level} {text}",
    "[{level}] {app}: {text}",
    "{level} [{thread}] {logger} - {text}",
    "{pod} {text}",
    "{text}",
    "{text}",
    "2026-03-04 10:11:12,345 - {logger} - {level} - {text}",
    "{l}, [2026-03-04T10:11:12.345678 #{n}]  {level} -- : {text}",
    "2026/03/04 10:11:12 [{level}] {n}#{n}: {text}",
    "2026-03-04T10:11:12.345Z\t{level}\t{logger}\tserver.go:{n}\t{text}",
    "<{n}>Mar  4 10:11:12 {host} {service}: {text}",
    "{app}-1  | {text}",
    "{n}: Mar  4 10:11:12.345: %{app}-{n}-{logger}: {text}",
    _as_fields,
    _as_cef,
    _as_container,
    _as_nested,
    _as_journal,
    _as_json,
    _as_json,
    _as_json,
    _as_logfmt,
    _as_logfmt,
)

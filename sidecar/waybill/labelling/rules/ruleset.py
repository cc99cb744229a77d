"""The rule set in force: one Hyperscan database for all patterns, one scan per message.

Loading goes through a child process (`waybill.labelling.rules.compiler`): what parses YAML and
compiles patterns can crash, hang or eat memory, and none of that may happen here.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import hyperscan
import msgpack
import msgspec
import regex

import waybill
from waybill.core.errors import RuleError, RuleSetError
from waybill.core.records import Verdict
from waybill.labelling.rules.schema import rule_files

log = logging.getLogger(__name__)
#: What confirming one match may take; a rule that runs out of it this often in a row is put out of force.
CONFIRM_SECS = 0.002
#: Exit codes of the child (`waybill.labelling.rules.compiler`).
_EXIT_FAULTS, _EXIT_MEMORY = 4, 3
_MAX_TIMEOUTS = 5
#: Seconds by the clock for each second of processor time: the compiler gives way to everything else.
_PATIENCE = 4


class Rule(msgspec.Struct):
    """One rule in force. ``verdict`` is shared by every record that the rule decides."""

    index: int
    id: str
    label: str
    pattern: str
    mode: str
    file: str
    line: int
    sources: tuple[str, ...] | None
    verdict: Verdict
    samples: int
    #: None when a match of the database is certain.
    confirm: Any = None
    timeouts: int = 0

    def describe(self) -> dict[str, Any]:
        """The rule as plain data."""
        names = ("id", "label", "pattern", "mode", "file", "line")
        return {name: getattr(self, name) for name in names} | {"source": self.sources}

    def fits(self, source: str) -> bool:
        """Whether the rule is meant for records of ``source``."""
        return self.sources is None or any(
            fnmatch.fnmatchcase(source, pattern) for pattern in self.sources
        )


class RuleSet:
    """All rules of one load, in file order. Its scratch space makes it a thing of one thread."""

    def __init__(self, artefact: dict[str, Any], max_message_bytes: int = 65_536) -> None:
        self.version: str = artefact["version"][:12]
        self.content_hash: str = artefact["version"]
        self.rules = tuple(_rule(i, data) for i, data in enumerate(artefact["rules"]))
        #: Rules whose pattern no database holds: each message is put to them one by one.
        self._always = [
            rule.index for rule in self.rules if artefact["rules"][rule.index]["always"]
        ]
        self._max_bytes = max_message_bytes
        self.shadow_hits: Counter[str] = Counter()
        self.timeouts = 0
        self._scan = self._scratch = None
        if artefact["database"]:
            database = hyperscan.loadb(artefact["database"], mode=hyperscan.HS_MODE_BLOCK)
            self._scratch = hyperscan.Scratch(database)
            self._scan = database.scan

    def first_matches(
        self, messages: Sequence[str], allowed: frozenset[int] | None = None
    ) -> list[Rule | None]:
        """For each message the first rule in file order that matches it and is in force, or None.

        ``allowed`` holds the indexes of the rules in question (`allowed_for`), None means all.
        """
        scan, scratch, always = self._scan, self._scratch, self._always
        limit = self._max_bytes
        rules: list[Rule | None] = []
        found: list[int] = []
        for message in messages:
            if scan is not None:
                try:
                    data = message.encode()
                except UnicodeEncodeError:
                    data = self._text(message)
                scan(
                    data if len(data) <= limit else self._text(message),
                    _note_match,
                    0,
                    found,
                    scratch,
                )
            if found or always:
                rules.append(self._choose(found, message, allowed))
                found.clear()
            else:
                rules.append(None)
        return rules

    def _choose(
        self, found: list[int], message: str, allowed: frozenset[int] | None
    ) -> Rule | None:
        """The first of the rules found for ``message`` that is in question and in force."""
        for index in self._in_order(found):
            rule = self.rules[index]
            if allowed is not None and index not in allowed:
                continue
            if rule.confirm is not None and not self._confirmed(rule, message):
                continue
            if rule.mode == "shadow":
                self.shadow_hits[rule.id] += 1
                continue
            return rule
        return None

    def _in_order(self, found: list[int]) -> list[int]:
        """What a scan found, and the rules that no scan finds, in file order."""
        return found if len(found) == 1 and not self._always else sorted({*found, *self._always})

    def first_match(self, message: str, allowed: frozenset[int] | None = None) -> Rule | None:
        """`first_matches` for one message."""
        return self.first_matches([message], allowed)[0]

    def matching(self, message: str) -> list[Rule]:
        """Every rule whose pattern matches, in file order, whatever its mode or sources."""
        found: list[int] = []
        if self._scan is not None:
            self._scan(self._text(message), _note_match, 0, found, self._scratch)
        rules = [self.rules[index] for index in self._in_order(found)]
        return [rule for rule in rules if rule.confirm is None or self._confirmed(rule, message)]

    def _text(self, message: str) -> bytes:
        """What patterns see: UTF-8 up to the limit, a question mark for a lone surrogate."""
        data = message.encode("utf-8", "replace")
        return (
            data
            if len(data) <= self._max_bytes
            else data[: self._max_bytes].decode("utf-8", "ignore").encode()
        )

    def explain(self, message: str, source: str) -> list[Rule]:
        """Every rule that matches ``message`` and is meant for ``source``."""
        return [rule for rule in self.matching(message) if rule.fits(source)]

    def take_counts(self) -> tuple[Counter[str], int]:
        """Shadow matches by rule id, and confirmations out of time, since the last call."""
        taken = self.shadow_hits, self.timeouts
        self.shadow_hits, self.timeouts = Counter(), 0
        return taken

    def allowed_for(self, source: str, labels: Collection[str] | None) -> frozenset[int] | None:
        """The rules that ``source`` and a route's ``labels`` (None: all) leave in question; None means all."""
        indexes = frozenset(
            rule.index
            for rule in self.rules
            if rule.fits(source) and (labels is None or rule.label in labels)
        )
        return None if len(indexes) == len(self.rules) else indexes

    def _confirmed(self, rule: Rule, message: str) -> bool:
        if rule.timeouts >= _MAX_TIMEOUTS:
            return False
        try:
            found = (
                rule.confirm.search(message[: self._max_bytes], timeout=CONFIRM_SECS) is not None
            )
        except TimeoutError:
            rule.timeouts += 1
            self.timeouts += 1
            if rule.timeouts >= _MAX_TIMEOUTS:
                log.error(
                    "a rule is out of force: its pattern takes too long", extra={"rule": rule.id}
                )
            return False
        rule.timeouts = 0
        return found


def _note_match(index: int, _from: int, _to: int, _flags: int, found: Any) -> None:
    """What Hyperscan calls for each match. No method: a rule set that refers to itself would outlive its reload."""
    found.append(index)


def _rule(index: int, data: dict[str, Any]) -> Rule:
    sources = tuple(data["sources"]) if data["sources"] is not None else None
    verdict = Verdict(data["label"], "rule", 1.0, data["id"], fields=data["fields"])
    confirm = (
        None if data["is_exact"] else regex.compile(data["pattern"], regex.ASCII | regex.VERSION0)
    )
    return Rule(
        index, data["id"], data["label"], data["pattern"], data["mode"], data["file"], data["line"],
        sources, verdict, data["samples"], confirm,
    )  # fmt: skip


def content_hash(folders: Sequence[Path]) -> str:
    """A hash over the names and bytes of all rule files. Raises OSError while one cannot be read."""
    digest = hashlib.sha256()
    for file in rule_files(list(folders)):
        data = file.read_bytes()
        digest.update(f"{file.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


async def load_ruleset(
    folders: Sequence[Path],
    *,
    labels: Sequence[str],
    cpu_secs: float = 30,
    memory_bytes: int = 536_870_912,
    max_message_bytes: int = 65_536,
) -> RuleSet:
    """Parse, check and compile the rule files of ``folders`` in a child process.

    It may take ``cpu_secs`` of processor time, and four times as long by the clock: it gives way to
    everything else on a busy node.

    Raises:
        RuleSetError: with every fault found; codes ``timeout``, ``memory`` and ``crash`` when the
            child did not end by itself.
    """
    request = {
        "folders": [str(folder) for folder in folders],
        "labels": list(labels),
        "cpu_secs": cpu_secs,
        "memory_bytes": memory_bytes,
        "max_message_bytes": max_message_bytes,
    }
    root = str(Path(waybill.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waybill.labelling.rules.compiler",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE * cpu_secs):
            output, errors = await child.communicate(msgpack.packb(request))
    except TimeoutError:
        raise RuleSetError(
            [RuleError("timeout", f"took longer than {_PATIENCE * cpu_secs:g} s")]
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise RuleSetError(
            _faults(child.returncode or 0, output, errors.decode("utf-8", "replace"))
        )
    # Reading the database back takes milliseconds per thousand rules: not on the event loop.
    return await asyncio.to_thread(lambda: RuleSet(msgpack.unpackb(output), max_message_bytes))


def _faults(code: int, output: bytes, errors: str) -> list[RuleError]:
    """Why the child failed: what it reported, or what its end says."""
    if code == _EXIT_FAULTS:
        return [
            RuleError(
                one["code"],
                one["detail"],
                file=one["file"],
                line=one["line"],
                rule_id=one["rule_id"],
            )
            for one in msgpack.unpackb(output)
        ]
    doing = errors.strip().splitlines()[-1:] or [""]
    if code == _EXIT_MEMORY:
        return [RuleError("memory", f"needed more memory than allowed {doing[0]}")]
    if -code in (signal.SIGXCPU, signal.SIGKILL):
        return [RuleError("timeout", f"used up its time {doing[0]}")]
    return [RuleError("crash", f"the compiler process ended with {code} {doing[0]}")]

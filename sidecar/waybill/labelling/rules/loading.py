"""From rule texts to a rule set, by way of a child process (`waybill.labelling.rules.compiler`).

What parses YAML and compiles patterns can crash, hang or eat memory, and none of that may happen in
the service.

    >>> rules = await load_ruleset([Path("rules")], labels=LABELS)               # doctest: +SKIP
    >>> rules = await compile_rules([RuleFile("new.yaml", text)], labels=LABELS)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Unpack
from weakref import WeakKeyDictionary

import msgspec

from waybill.core.child import Ended, run_child
from waybill.core.errors import CompilerBusyError, RuleError, RuleSetError
from waybill.core.reasons import RuleCode
from waybill.labelling.rules.artefact import (
    EXIT_FAULTS,
    EXIT_MEMORY,
    TOGETHER,
    Artefact,
    CompileOptions,
    CompileRequest,
    Fault,
    Known,
    Place,
)
from waybill.labelling.rules.cache import RuleCache
from waybill.labelling.rules.files import RuleFile, read_rule_files
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.texts import text_mark
from waybill.labelling.rules.unread import unread_files


class _Output(NamedTuple):
    """What a child sent, and what it compiled beside."""

    sent: bytes
    known: Known | None

    def artefact(self) -> Artefact:
        """It, with the database that stood already."""
        found = msgspec.msgpack.decode(self.sent, type=Artefact)
        if self.known is None or not found.known_rules:
            return found
        return msgspec.structs.replace(found, known_database=self.known.database)


class _Run(msgspec.Struct):
    """A child at work, and how many wait for its output."""

    task: asyncio.Task[_Output]
    waiting: int = 0


#: Seconds by the clock for each second of processor time: the compiler gives way to everything
#: else.
_PATIENCE = 4
#: Artefacts that are kept, by the digest of what they were made of; 424 rules have 2 MB.
_compiled: dict[bytes, _Output] = {}
_MOST_KEPT = 3
_MOST_KEPT_BYTES = 16 << 20
#: What is being compiled, by the same digest.
_under_way: dict[tuple[asyncio.AbstractEventLoop, bytes], _Run] = {}
#: Children at once, of an event loop: each takes 25 MB or more, and who asks may ask very often.
_MOST_AT_ONCE = 2
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
#: How a line of the child's stderr begins that says what it is at.
_PLACE = '{"doing":'


async def load_ruleset(
    folders: Sequence[Path],
    *,
    cache: RuleCache | None = None,
    **options: Unpack[CompileOptions],
) -> RuleSet:
    """Read the rule files of ``folders`` on a thread, then `compile_rules`.

    Raises:
        RuleSetError: as `compile_rules`; ``unreadable`` for a folder or file that cannot be read.
    """
    try:
        files = await asyncio.to_thread(read_rule_files, folders)
    except OSError as error:
        detail = error.strerror or "cannot be read"
        raise RuleSetError([RuleError("unreadable", detail, file=error.filename)]) from None
    unread = await asyncio.to_thread(unread_files, folders)
    if folders and not files:
        places = ", ".join(map(str, folders))
        left_out = "".join(f"; {advice.file} {advice.detail}" for advice in unread)
        raise RuleSetError([RuleError("empty", f"no *.yaml or *.yml file in {places}{left_out}")])
    rules = await compile_rules(files, cache=cache, **options)
    rules.advice = (*unread, *rules.advice)
    rules.file_marks = {Path(file.name).name: text_mark(file.data) for file in files}
    return rules


async def compile_rules(
    files: Sequence[RuleFile],
    *,
    cache: RuleCache | None = None,
    **options: Unpack[CompileOptions],
) -> RuleSet:
    """The rule set of `compile_artefact`, asked with ``options``. Raises RuleSetError."""
    request = CompileRequest(files, **options)
    return await opened(await compile_artefact(request, cache), request.max_message_bytes)


async def opened(
    artefact: Artefact, max_message_bytes: int, beside: RuleSet | None = None
) -> RuleSet:
    """The rule set of ``artefact``: milliseconds per thousand rules, so not on the event loop.

    ``beside``: the rule set whose database stood already, which is shared then.
    """
    return await asyncio.to_thread(RuleSet, artefact, max_message_bytes, beside=beside)


async def compile_artefact(request: CompileRequest, cache: RuleCache | None = None) -> Artefact:
    """Parse, check and compile rule texts in a child process; they need not be on any disk.

    It may take ``cpu_secs`` of processor time, and four times as long by the clock: it gives way to
    everything else on a busy node. What is asked again is answered from memory, however it was
    compiled, or from ``cache``; a call while it is under way waits for the same child.

    Raises:
        RuleSetError: with every fault found; codes ``timeout``, ``memory`` and ``crash`` when the
            child did not end by itself.
    """
    asked = msgspec.structs.replace(request, known=None)
    mark = hashlib.sha256(msgspec.msgpack.encode(asked)).digest()
    output = _compiled.get(mark)
    if output is None:
        output = await _shared(mark, request, cache)
        _keep(mark, output)
    return output.artefact()


def compiled_last() -> Known | None:
    """What was compiled last, so that rules which are mostly the same are compiled sooner."""
    last = next(reversed(_compiled.values()), None)
    return None if last is None else last.artefact().known()


def known_from(cache: RuleCache | None) -> Known | None:
    """What was kept last, for rules that are mostly the same."""
    sent = cache.read_newest() if cache is not None else None
    return None if sent is None else _Output(sent, None).artefact().known()


async def _shared(mark: bytes, request: CompileRequest, cache: RuleCache | None) -> _Output:
    """The output of one child for all who ask at once; it is ended when nobody waits any more.

    Raises RuleSetError.
    """
    key = asyncio.get_running_loop(), mark
    run = _under_way.get(key)
    if run is None:
        run = _under_way[key] = _Run(asyncio.create_task(_found(mark, request, cache)))
    run.waiting += 1
    try:
        return await asyncio.shield(run.task)
    finally:
        run.waiting -= 1
        if not run.waiting:
            del _under_way[key]
            if not run.task.cancelling():  # a second time would end its wait for the child
                run.task.cancel()
            await asyncio.wait([run.task])


async def _found(mark: bytes, request: CompileRequest, cache: RuleCache | None) -> _Output:
    """What ``cache`` has, or what a child compiles. Raises RuleSetError."""
    if cache is None:
        return await _compile(request)
    sent = await asyncio.to_thread(cache.read, mark)
    if sent is not None:
        return _Output(sent, None)
    output = await _compile(request)
    if output.known is None or not output.artefact().known_rules:  # else it is not the whole
        await asyncio.to_thread(cache.write, mark, output.sent)
    return output


async def _compile(request: CompileRequest) -> _Output:
    """Raises RuleSetError."""
    ended = await _run_compiler(request)
    if ended.code != 0:
        raise RuleSetError(await _explain(ended, request))
    return _Output(ended.output, request.known)


def _keep(mark: bytes, output: _Output) -> None:
    """What was compiled last is asked for again: it is tried, compared, and then in force."""
    if len(output.sent) > _MOST_KEPT_BYTES:
        return
    _compiled[mark] = output
    while len(_compiled) > _MOST_KEPT or _kept_bytes() > _MOST_KEPT_BYTES:
        del _compiled[next(iter(_compiled))]


def _kept_bytes() -> int:
    return sum(len(output.sent) for output in _compiled.values())


async def _run_compiler(request: CompileRequest) -> Ended:
    """Raises CompilerBusyError (``timeout``)."""
    patience_secs = _PATIENCE * request.cpu_secs
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_MOST_AT_ONCE))
    try:
        async with slots:
            return await run_child(
                "waybill.labelling.rules.compiler",
                stdin=msgspec.msgpack.encode(request),
                secs=patience_secs,
            )
    except TimeoutError:
        detail = (
            f"compiling took longer than {patience_secs:g} s, as it gives way to everything else: "
            "this machine is too busy, or too slow for so many rules; try again, or raise "
            "rules.compile_secs"
        )
        raise CompilerBusyError([RuleError("timeout", detail)]) from None


async def _explain(ended: Ended, request: CompileRequest) -> list[RuleError]:
    """Why the child failed; when that was with all patterns at once, which one it is."""
    place = _last_place(ended)
    if ended.code != EXIT_FAULTS and place is not None and place.doing == TOGETHER:
        again = await _run_compiler(msgspec.structs.replace(request, is_search=True))
        if again.code != 0:
            return _faults(again)
    return _faults(ended)


def _faults(ended: Ended) -> list[RuleError]:
    """Why the child failed: what it reported, or what its end says."""
    if ended.code == EXIT_FAULTS:
        return [fault.error() for fault in msgspec.msgpack.decode(ended.output, type=list[Fault])]
    place = _last_place(ended) or Place("")
    if ended.code == EXIT_MEMORY:
        return [_at(place, "memory", "needed more memory than allowed")]
    if -ended.code in (signal.SIGXCPU, signal.SIGKILL):
        return [_at(place, "timeout", "used up its time")]
    said = ended.last_words()
    if said.startswith(_PLACE):
        said = ""
    return [_at(place, "crash", f"the compiler process ended with {ended.code} {said}".rstrip())]


def _at(place: Place, code: RuleCode, detail: str) -> RuleError:
    """A fault with the place that the child told last."""
    text = f"{detail} {place.doing}".rstrip()
    return RuleError(code, text, file=place.file, line=place.line, rule_id=place.rule_id)


def _last_place(ended: Ended) -> Place | None:
    for line in reversed(ended.errors.splitlines()):
        if line.startswith(_PLACE.encode()):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(line, type=Place)
    return None

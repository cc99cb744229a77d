"""The library call behind `waybill.classify`: a pipeline on an event loop of its own."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import NamedTuple, TypeAlias, TypeVar

from waybill.core.labels import Taxonomy
from waybill.core.reasons import RecordReason
from waybill.core.records import Verdict
from waybill.core.version import VERSION
from waybill.ops.metrics import Metrics
from waybill.service.opening import open_pipeline
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings
from waybill.wire.members import Places, named

__all__ = ["Classified", "Labeller", "Record", "labeller"]

log = logging.getLogger(__name__)
T = TypeVar("T")
#: So long a call waits for model or LLM: they end what they have taken by themselves.
_PATIENCE_SECS = 24 * 3600.0
#: Labellers of different settings that a process keeps.
_MOST_LOADED = 4
#: Messages that are put to the pipeline at once.
_AT_ONCE = 4096
#: A pair of source and message, or a mapping that holds them.
Record: TypeAlias = tuple[str, str] | Mapping[str, object]


class Classified(NamedTuple):
    """A record and what was decided about it; see `waybill.core.records.Verdict`."""

    source: str
    message: str
    label: str
    confidence: float | None
    tier: str
    rule: str | None
    reason: str | None
    #: The verdicts of further labellings (the setting ``labellings``), by name.
    labellings: Mapping[str, Verdict] = MappingProxyType({})


class Labeller:
    """Labels from any thread; its pipeline lives on a thread of its own.

    Nobody but its caller waits for an answer: it takes the time that model and LLM need, whatever
    ``model.over_budget`` and ``llm.wait_ms`` leave a batch of a shipper. The thread ends when the
    labeller is closed or nobody has it any more. Raises ConfigError when rules or model cannot be
    used. A process that is forked from this one has no such thread, and needs a labeller of its
    own.
    """

    def __init__(self, settings: Settings) -> None:
        self._process = os.getpid()
        self._places = Places(settings.fields)
        self._turn = threading.Lock()
        self._at_once = _room(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=(self._loop,), name="waybill-labeller", daemon=True
        )
        self._thread.start()
        opened = open_pipeline(settings, Metrics(VERSION), patience_secs=_PATIENCE_SECS)
        try:
            self._opened = self._wait(opened.__aenter__())
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            raise
        for advice in self._opened.pipeline.rules.advice:
            if advice.code == "packaged_rules_hidden":
                log.warning("%s", advice)
        self._end = weakref.finalize(self, _end, self._process, self._loop, opened)
        self._end.atexit = False  # the process takes the thread with it

    def __enter__(self) -> Labeller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up rules, model and thread. Closing twice does no harm; labelling afterwards is an
        error.
        """
        self._end()
        self._thread.join()

    @property
    def passed(self) -> Mapping[RecordReason, Verdict]:
        """The verdict of a record that is not labelled, for each reason."""
        return self._opened.labeller.passed

    @property
    def taxonomy(self) -> Taxonomy:
        """The labels that records can get."""
        return self._opened.pipeline.taxonomy

    def _wait(self, work: Coroutine[object, object, T]) -> T:
        if os.getpid() != self._process:
            work.close()
            raise RuntimeError(
                f"this labeller is of process {self._process}, from which this one was forked: "
                "open one here"
            )
        # Made first: a Ctrl-C may come as soon as the loop is asked.
        answer: Future[T] = Future()
        try:
            self._loop.call_soon_threadsafe(_work_for, answer, work)
            return answer.result()
        finally:
            answer.cancel()  # nobody waits for it after a Ctrl-C

    def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order."""
        verdicts: list[Verdict] = []
        for at in range(0, len(messages), self._at_once):
            until = at + self._at_once
            with self._turn:  # the room of model and LLM is for one caller at a time
                work = self._opened.labeller.label(messages[at:until], sources[at:until])
                verdicts += self._wait(work)
        return verdicts

    def classify(self, records: Iterable[Record]) -> list[Classified]:
        """As `waybill.classify_records`."""
        if isinstance(records, Mapping | str | bytes):
            raise TypeError(
                f"classify takes an iterable of records, not one {type(records).__name__}; "
                "for a single record write [record]"
            )
        pairs = [self._pair(number, record) for number, record in enumerate(records)]
        verdicts = self.label([message for _, message in pairs], [source for source, _ in pairs])
        found: list[Classified] = []
        for (source, message), verdict in zip(pairs, verdicts, strict=True):
            decided = (verdict.confidence, verdict.tier, verdict.rule, verdict.reason)
            labellings = dict(zip(self._opened.labeller.names, verdict.beside, strict=True))
            found.append(Classified(source, message, verdict.label, *decided, labellings))
        return found

    def _pair(self, number: int, record: object) -> tuple[str, str]:
        """Source and message of a record. Raises TypeError."""
        if isinstance(record, Mapping):
            return self._pair_of(number, record)
        if isinstance(record, tuple | list) and len(record) == 2:
            source, message = record
            if isinstance(source, str) and isinstance(message, str):
                return source, message
        raise TypeError(
            f"record {number} is {_shown(record)}; expected a pair (source, message) of texts, "
            "or a mapping such as {'source': ..., 'log_message': ...}"
        )

    def _pair_of(self, number: int, record: Mapping[str, object]) -> tuple[str, str]:
        message = self._places.message_of(record)
        if message is None:
            raise TypeError(
                f"record {number} has no text in any of {self._places.named_messages}; "
                f"it has {named(map(str, record))}"
            )
        return self._places.source_of(record), message


def _room(settings: Settings) -> int:
    """How many messages at once neither model nor LLM turns away for want of room."""
    room = min(_AT_ONCE, settings.model.queue_messages)
    if settings.llm.provider is not None:
        room = min(room, settings.llm.queue_messages)
    return max(1, room)


def _shown(record: object) -> str:
    """The kind of a record, and of its parts; never its content."""
    kind = type(record).__name__
    if isinstance(record, tuple | list):
        return f"a {kind} of {len(record)}: {', '.join(type(part).__name__ for part in record)}"
    return f"a {kind}"


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    left = asyncio.all_tasks(loop)  # of an interrupt: each ends where it is, or it would be told
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.close()


def _end(
    process: int, loop: asyncio.AbstractEventLoop, opened: AbstractAsyncContextManager[object]
) -> None:
    """Close the pipeline and end the thread, without waiting for either."""
    if os.getpid() != process:
        return  # both are those of the process from which this one was forked

    async def close() -> None:
        try:
            await opened.__aexit__(None, None, None)
        finally:
            loop.stop()

    asyncio.run_coroutine_threadsafe(close(), loop)


class Labellers:
    """The labellers of a process by their settings, each loaded once; one that is pushed out ends
    its thread.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._loaded = functools.lru_cache(maxsize=_MOST_LOADED)(_load)

    def of(self, config: Path | None, overrides: tuple[str, ...]) -> Labeller:
        """The labeller of these settings; a call waits while it is being loaded."""
        with self._turn:
            return self._loaded(config, overrides)


def _load(config: Path | None, overrides: tuple[str, ...]) -> Labeller:
    return Labeller(load_settings(config, overrides))


#: Those of this process, behind those of the processes from which it was forked. The latter have no
#: thread here, and are never freed: a model waits for its threads when it ends.
_labellers = [Labellers()]
os.register_at_fork(after_in_child=lambda: _labellers.append(Labellers()))


def labeller(config: Path | None, overrides: tuple[str, ...]) -> Labeller:
    """The labeller of these settings, in this process."""
    return _labellers[-1].of(config, overrides)


def _work_for(answer: Future[T], work: Coroutine[object, object, T]) -> None:
    """Do ``work`` on the running loop for ``answer``, until that is cancelled."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def give(done: asyncio.Task[T]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or not answer.set_running_or_notify_cancel():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def give_up(answer: Future[T]) -> None:
        if answer.cancelled():
            loop.call_soon_threadsafe(task.cancel)

    task.add_done_callback(give)
    answer.add_done_callback(give_up)

"""What can be loaded anew while the service runs: checked first, swapped whole, refused without
harm.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from waybill.core.coalesced import Coalesced
from waybill.core.errors import CompilerBusyError, WaybillError
from waybill.ops.health import LoadState
from waybill.ops.memory import give_back
from waybill.ops.watch import FolderWatch

log = logging.getLogger(__name__)
P = TypeVar("P")
T = TypeVar("T")
#: Faults of one load that the log names; `/readyz` has all of them.
_LOGGED_FAULTS = 10

#: What is in force and what was refused, by part; None for a part that is switched off.
Report = dict[str, dict[str, object] | None]


class Part(Protocol):
    """One thing that can be loaded anew, as the `Reloader` sees it."""

    @property
    def state(self) -> LoadState:
        """What is in force, and why the newest load was refused."""
        ...

    async def start(self) -> None:
        """Note what is in force and begin to follow its files."""
        ...

    async def stop(self) -> None:
        """Stop following."""
        ...

    async def reload(self) -> None:
        """Load it again now; on any fault the old one stays. Raises nothing for a fault."""
        ...

    def describe(self) -> dict[str, object]:
        """Its state as plain data, with ``refused``."""
        ...

    def edition(self) -> dict[str, object]:
        """What is in force as plain data, for ``GET /v1/edition``."""
        ...


class Reloadable(ABC, Generic[T]):
    """A thing of type ``T`` that is read, compared, and put in force when it has changed.

    ``in_force`` is the one to begin with; ``state`` tells the world. Loads of one ``lock`` do not
    run side by side: each takes processor time and memory that the service needs.
    """

    def __init__(self, state: LoadState, lock: asyncio.Lock, in_force: T | None) -> None:
        self.state = state
        self._lock = lock
        self._in_force = None if in_force is None else self._mark(in_force)
        #: Whether the newest refusal says nothing about what was refused.
        self._is_passing = False
        self._watch: FolderWatch | None = None
        self._seen = ""

    @abstractmethod
    async def _read(self) -> T:
        """Read and check it. Raises WaybillError: it is refused."""

    @abstractmethod
    def _mark(self, found: T) -> object:
        """What tells one version from another."""

    @abstractmethod
    def _put_in_force(self, found: T) -> None:
        """Exchange the old one for ``found``."""

    @abstractmethod
    def _log_in_force(self) -> str:
        """Log what is in force; gives its version."""

    def follow(
        self,
        folders: Sequence[Path],
        fingerprint: Callable[[], str],
        poll_secs: float,
        seen: str,
        *,
        is_deep: bool = True,
    ) -> None:
        """Have `start` watch ``folders``: load again when ``fingerprint()`` is not ``seen``.

        ``is_deep`` as of `FolderWatch`.
        """
        self._watch = FolderWatch(folders, fingerprint, self._follow, poll_secs, is_deep=is_deep)
        self._seen = seen

    async def start(self) -> None:
        """Say what is in force, catch up with what changed since it was loaded, begin to watch."""
        self.state.accepted(self._log_in_force())
        await self.begin_watch()

    async def begin_watch(self) -> None:
        """Catch up with what changed since it was loaded, and begin to watch."""
        if self._watch is not None:
            await self._watch.start(self._seen)

    async def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            await self._watch.stop()

    async def reload(self) -> None:
        """Load it again now; on any fault the old one stays in force."""
        async with self._lock:
            await self._reload()
            # Loading takes much memory for a moment, and leaves it full of holes.
            await asyncio.to_thread(give_back)

    async def _follow(self) -> bool:
        """Load what has changed; whether that is to be done again."""
        await self.reload()
        return self._is_passing

    async def _reload(self) -> None:
        self._is_passing = False
        try:
            found = await self._read()
        except WaybillError as error:
            self._is_passing = isinstance(error, CompilerBusyError)
            self.state.refused(error.problems, error.reason)
            _log_refusal(self.state.what, error)
            return
        except Exception as error:  # the task's edge: the watch goes on and looks again
            self.state.refused([f"{type(error).__name__}: see the log"])
            log.exception("the %s could not be loaded, the old one stays", self.state.what)
            return
        mark = self._mark(found)
        if mark != self._in_force:
            self._put_in_force(found)
            self._in_force = mark
        self.state.accepted(self._log_in_force())

    def describe(self) -> dict[str, object]:
        """The state as plain data."""
        return self.state.describe()

    def edition(self) -> dict[str, object]:
        """What is in force as plain data."""
        return self.state.edition()


def part_name(labelling: str, part: str) -> str:
    """What a part is called in reports and metrics: ``rules``, or ``severity.rules`` of a further
    labelling.
    """
    return f"{labelling}.{part}" if labelling else part


class Reloader:
    """All parts that can be loaded anew, and the one report on them."""

    def __init__(self, parts: Mapping[str, Part | None]) -> None:
        self._report_names = tuple(parts)
        self._loads = Coalesced(self._reload_all)
        self.parts: dict[str, Part] = {}
        for name, part in parts.items():
            if part is not None:
                self.parts[name] = part

    def find(self, name: str, kind: type[P]) -> P | None:
        """The part called ``name``; None where it is switched off."""
        part = self.parts.get(name)
        return part if isinstance(part, kind) else None

    async def start(self) -> None:
        """Note what is in force and follow the files of every part."""
        for part in self.parts.values():
            await part.start()

    async def stop(self) -> None:
        """Stop following."""
        await asyncio.gather(*(part.stop() for part in self.parts.values()))

    async def reload(self) -> bool:
        """Load every part again now; whether all are in force. Calls at once share loads."""
        return await self._loads.run()

    async def _reload_all(self) -> bool:
        for part in self.parts.values():
            await part.reload()
        return self.is_ok()

    def is_ok(self) -> bool:
        """Whether the newest load of every part is in force."""
        return not any(part.state.problems for part in self.parts.values())

    def report(self) -> Report:
        """What is in force and what was refused, for `/readyz` and ``POST /-/reload``."""
        report: Report = {}
        for name in self._report_names:
            part = self.parts.get(name)
            report[name] = part.describe() if part is not None else None
        return report


def _log_refusal(what: str, error: WaybillError) -> None:
    """Log each fault by itself: the log's rate limit knows them apart."""
    message = f"a new version of the {what} was refused; the old one stays in force"
    for fields in error.fields()[:_LOGGED_FAULTS]:
        log.error(message, extra=fields)

"""The rule files that people change here: read, checked with another text in place of one, written.

They are those of ``workbench.folder``, else of the first of ``rules.extra_paths``, or a copy of
what the sidecars fetch: what stands beside the packaged rules. The packaged ones are never changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from waybill.core.errors import RuleError, RuleSetError, WaybillError
from waybill.core.labels import Taxonomy
from waybill.core.text import text_of_file
from waybill.labelling.rules.artefact import Advice, CompileRequest, Known
from waybill.labelling.rules.files import RuleFile, read_rule_files
from waybill.labelling.rules.loading import compile_artefact, opened
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.texts import is_file_name
from waybill.service.reading_rules import compile_options, rule_cache, rule_folders
from waybill.settings.schema import RulesFollowSettings, Settings
from waybill.web.ways import own_folder

T = TypeVar("T")
#: The file of rules that are made here first.
DEFAULT_FILE = "50-workbench.yaml"


def with_own_rules(settings: Settings) -> Settings:
    """The settings with the own folder among the rules, and nobody followed: what is made here is
    what sidecars get.
    """
    folder = own_folder(settings)
    extra = list(settings.rules.extra_paths)
    if folder is not None and str(folder) not in extra:
        extra.append(str(folder))
        folder.mkdir(parents=True, exist_ok=True)
    rules = replace(settings.rules, extra_paths=tuple(extra), follow=RulesFollowSettings())
    return replace(settings, rules=rules)


class CheckResult(NamedTuple):
    """What the compiler says of a text: faults refuse it, warnings do not."""

    faults: list[RuleError]
    warnings: list[Advice]
    rules: int
    compiled: RuleSet | None = None


class Rulebook:
    """The own files of these settings."""

    def __init__(self, settings: Settings, taxonomy: Taxonomy) -> None:
        self._settings = settings
        self._taxonomy = taxonomy
        self._checked: tuple[tuple[str, list[RuleFile]], CheckResult] | None = None
        self._now: tuple[list[RuleFile], RuleSet] | None = None
        #: What was compiled whole, so that of a text that is tried only new patterns are compiled.
        self._whole: tuple[Known, RuleSet] | None = None
        self._compiling = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Begin to compile the rules, so that the first request need not wait for them."""
        self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        with contextlib.suppress(WaybillError, OSError):  # told to the request that needs it
            await self.in_force()

    async def close(self) -> None:
        """Stop compiling."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])

    @property
    def folder(self) -> Path | None:
        """Where own files stand and are written; None: nowhere."""
        return own_folder(self._settings)

    async def read(self, call: Callable[..., T], *arguments: object) -> T:
        """What ``call`` makes of texts of rules, beside the event loop and one at a time: it takes
        seconds for a large one.
        """
        async with self._reading:
            return await asyncio.to_thread(call, *arguments)

    def files(self) -> dict[str, str]:
        """Name -> text of the own files. Raises OSError."""
        folder = self.folder
        if folder is None or not folder.is_dir():
            return {}
        return {
            Path(file.name).name: text_of_file(file.data, "replace")
            for file in read_rule_files([folder])
        }

    def edition(self) -> str:
        """A mark of all own files: changes when any of them does."""
        digest = hashlib.sha256()
        for name, text in sorted(self.files().items()):
            digest.update(f"{name}\0{text}\0".encode("utf-8", "replace"))
        return digest.hexdigest()[:12]

    async def check(self, name: str, text: str) -> CheckResult:
        """All rules that would be in force with ``text`` as the own file ``name``.

        What was said last is kept: a text is checked while one types, then tried, then applied.
        """
        files = await asyncio.to_thread(self._files_with, name, text)
        if self._checked is None or self._checked[0] != (name, files):
            self._checked = ((name, files), await self._check(name, files))
        return self._checked[1]

    async def in_force(self) -> RuleSet:
        """The rules of the files as they are. Raises RuleSetError."""
        files = await asyncio.to_thread(self._files_with, None, "")
        async with self._compiling:
            if self._now is None or self._now[0] != files:
                self._now = (files, await self._compile(files))
            return self._now[1]

    async def _check(self, name: str, files: list[RuleFile]) -> CheckResult:
        if not is_file_name(name):
            why = "expected letters, digits, dots and dashes, and .yaml at the end"
            fault = RuleError("schema", f"{name!r} is not a file name: {why}")
            return CheckResult([fault], [], 0)
        if self._whole is None:
            with contextlib.suppress(RuleSetError, OSError):  # said of the text, if it is its fault
                await self.in_force()
        try:
            rules = await self._compile(files)
        except RuleSetError as error:
            return CheckResult(list(error.errors), [], 0)
        except OSError as error:
            return CheckResult([RuleError("unreadable", str(error))], [], 0)
        mine = [advice for advice in rules.advice if Path(advice.file or "").name == name]
        return CheckResult([], mine, len(rules.rules), rules)

    async def _compile(self, files: list[RuleFile]) -> RuleSet:
        known = self._whole[0] if self._whole is not None else None
        request = CompileRequest(files, **compile_options(self._settings, self._taxonomy, known))
        artefact = await compile_artefact(request, rule_cache(self._settings))
        if self._whole is not None and artefact.known_database is self._whole[0].database:
            return await opened(artefact, request.max_message_bytes, self._whole[1])
        rules = await opened(artefact, request.max_message_bytes)
        known = artefact.known()
        if self._whole is None and known is not None:
            self._whole = known, rules
        return rules

    def _files_with(self, name: str | None, text: str) -> list[RuleFile]:
        """All files as a sidecar reads them, in its order, with ``text`` as the own file ``name``;
        None: as they are.
        """
        folders = rule_folders(self._settings)
        found = read_rule_files(folders)
        if name is None:
            return found
        folder = self.folder
        place = str(folder / name) if folder is not None else name
        layer = folders.index(folder) if folder in folders else len(folders)
        found = [file for file in found if file.name != place]
        found.append(RuleFile(place, text.encode("utf-8", "replace"), layer))
        return sorted(found, key=lambda file: (Path(file.name).name, file.name))

"""What each Python process that the tests start runs first: what was done is not done again.

The shipped packs take 2.3 s of processor time to compile, the fewest rules 0.15 s for their child
process, and hundreds of tests start a service with one or the other. What the compiler said to
exactly the same request before, in any process of this test run, it need not say again. Faults
compile as ever. So with the golden messages of a model, which take 0.4 s: files that passed, by
their hashes, pass again.

Python imports this module by its name, for its folder stands first in ``PYTHONPATH``
(`search_path`); the tests' own process calls what begins with ``remember``.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["FOLDER", "remember", "remember_encoders", "remember_golden", "search_path"]

#: Names the folder where the answers are.
FOLDER = "TESTS_COMPILED_RULES"
#: What takes long to compile: the shipped rules.
_LONG_BYTES = 50_000
#: The encoder of the default model is larger; those that the tests make are smaller.
_LARGE_BYTES = 1 << 20


def search_path(*folders: Path | str) -> str:
    """A ``PYTHONPATH`` with this module's folder in front of ``folders``."""
    return os.pathsep.join(map(str, (Path(__file__).parent, *folders)))


def remember(loading: ModuleType, folder: Path) -> None:
    """Keep the answers of the compiler, which ``loading`` asks, in ``folder``."""
    import asyncio
    import fcntl

    import msgspec

    from waybill.core.child import Ended
    from waybill.labelling.rules.artefact import CompileRequest

    run_compiler = loading._run_compiler

    async def once(request: CompileRequest) -> Ended:
        data = msgspec.msgpack.encode(request)
        answer = folder / hashlib.sha256(data).hexdigest()
        if len(data) < _LONG_BYTES:
            return await answered(request, answer)
        with answer.with_suffix(".lock").open("w") as lock:  # another process may be at it
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            return await answered(request, answer)

    async def answered(request: CompileRequest, answer: Path) -> Ended:
        if answer.exists():
            return Ended(0, answer.read_bytes(), b"")
        ended: Ended = await run_compiler(request)
        if ended.code == 0:
            part = folder / f"{answer.name}.{os.getpid()}"
            part.write_bytes(ended.output)
            part.replace(answer)
        return ended

    loading._run_compiler = once  # type: ignore[attr-defined]


def remember_golden(bundle: ModuleType, folder: Path) -> None:
    """Check golden messages, which the module ``bundle`` does, once for the same files."""
    import msgspec

    check_golden = bundle._check_golden

    def once(opened: object) -> None:
        manifest = opened.manifest  # type: ignore[attr-defined]
        parts = (manifest.sha256, manifest.encoder, manifest.classifier, manifest.labels,
                 manifest.golden, manifest.reference)  # fmt: skip
        passed = folder / f"golden-{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()}"
        if not passed.exists():
            check_golden(opened)
            if type(opened.encoder).__name__ == "TextEncoder":  # type: ignore[attr-defined]
                passed.touch()  # and no service, which may be away the next time

    bundle._check_golden = once  # type: ignore[attr-defined]


def remember_encoders(opening: ModuleType) -> None:
    """Open the encoder of the default model once in this process, which takes 0.2 s."""
    open_encoder = opening.open_encoder
    opened: dict[str, object] = {}

    def once(encoder: object, files: Mapping[str, bytes], sha256: object) -> object:
        identity = opening.identity_of(encoder, sha256)
        if identity is None or len(files[encoder.file]) < _LARGE_BYTES:  # type: ignore[attr-defined]
            return open_encoder(encoder, files, sha256)
        if identity not in opened:
            opened[identity] = open_encoder(encoder, files, sha256)
        return opened[identity]

    opening.open_encoder = once  # type: ignore[attr-defined]


#: What to call with a module as soon as it is there.
_REMEMBERED = {
    "waybill.labelling.rules.loading": remember,
    "waybill.labelling.model.bundle": remember_golden,
}


class _Finder(importlib.abc.MetaPathFinder):
    """Calls what `_REMEMBERED` says."""

    def __init__(self) -> None:
        self._waiting = set(_REMEMBERED)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        self._waiting.remove(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _REMEMBERED[fullname](module, Path(os.environ[FOLDER]))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if __name__ == "sitecustomize" and os.environ.get(FOLDER):
    sys.meta_path.insert(0, _Finder())

"""The Helm engine in a process of its own.

Its library is written in Go and reads the environment that its process was started with: only a new
process can be told to keep its caches elsewhere than in `.kube` and `.cache/helm` at home.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class EngineError(Exception):
    """The engine refused; with what it said."""


class Engine:
    """Installs charts into the API server of ``kubeconfig``."""

    def __init__(self, pool: ProcessPoolExecutor, kubeconfig: Path) -> None:
        self._pool = pool
        self._kubeconfig = str(kubeconfig)

    def install(self, name: str, chart: Path, values: dict[str, Any]) -> dict[str, Any]:
        """The release that came of it.

        Raises:
            EngineError: the values do not fit the chart's schema, or the chart refuses them.
        """
        return self._pool.submit(_install, self._kubeconfig, name, str(chart), values).result()


@contextmanager
def running_engine(kubeconfig: Path, caches: Path) -> Iterator[Engine]:
    """An engine that keeps what it caches in ``caches``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECACHEDIR", str(caches / "kube"))
        for what in ("CACHE", "CONFIG", "DATA"):
            patch.setenv(f"HELM_{what}_HOME", str(caches / what.lower()))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            yield Engine(pool, kubeconfig)


def _install(kubeconfig: str, name: str, chart: str, values: dict[str, Any]) -> dict[str, Any]:
    import helm_sdkpy

    configuration = helm_sdkpy.Configuration(namespace="logging", kubeconfig=kubeconfig)
    work = helm_sdkpy.Install(configuration).run(name, chart, values, wait=False)
    try:
        release: dict[str, Any] = asyncio.run(work)
    except helm_sdkpy.InstallError as error:
        raise EngineError(str(error)) from None
    return release

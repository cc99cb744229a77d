"""Shared fixtures: a real sidecar on a real socket."""

from __future__ import annotations

import contextlib
import gc
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import hypothesis
import pytest
from aiohttp import web

import tests.one_thread  # noqa: F401 - before all that imports numpy
from tests.collector import Collector
from tests.support.forking.child import forked_compilers
from tests.support.forking.process import is_forking, server_socket
from tests.support.startup import sitecustomize
from waybill.labelling.model import bundle
from waybill.labelling.model.encoders import opening
from waybill.labelling.rules import loading
from waybill.ops.health import LoadState
from waybill.service.app import Service, build
from waybill.settings.sources import load_settings

# The same examples each time, and no time limit: how long one takes is the machine's business.
# Thirty of them, and more by the variable: the fuzzers (tests/input/fuzz.py) go further than any
# number here.
EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "30"))
hypothesis.settings.register_profile(
    "waybill", deadline=None, derandomize=True, max_examples=EXAMPLES
)
hypothesis.settings.load_profile("waybill")

Running = Callable[..., AbstractAsyncContextManager["Sidecar"]]

#: The files whose tests wait long for a browser, a peer or a fault. They come first, so that none
#: of them is still running alone when the other processors have nothing left.
SLOW_FILES = (
    "tests/web/test_access.py",
    "tests/web/test_walk.py",
    "tests/web/test_hostile_pages.py",
    "tests/web/test_walks.py",
    "tests/web/test_files.py",
    "tests/web/test_browser.py",
    "tests/input/test_stalls.py",
    "tests/chaos/",
    "tests/ingest/test_doors.py",
    "tests/service/test_reload.py",
    "tests/hub/",
    "tests/docs/test_blocks.py",
    "tests/e2e/",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two for each processor: a third of the time, a test waits, and the types are checked beside."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffling, which orders the tests within."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW_FILES))


def pytest_collection_finish() -> None:
    """What has been imported and collected stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _work_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the compiler said of the shipped packs, and which models passed their golden messages,
    is kept for this process, for those that it starts, and for the other workers of this run.
    """
    own = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        own = own.parent
    folder = own / "compiled-rules"
    folder.mkdir(exist_ok=True)
    inherited = filter(None, (os.environ.get("PYTHONPATH"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_run_compiler", loading._run_compiler)  # put back at the end
        sitecustomize.remember(loading, folder)
        patch.setattr(bundle, "_check_golden", bundle._check_golden)
        sitecustomize.remember_golden(bundle, folder)
        patch.setattr(opening, "open_encoder", opening.open_encoder)
        sitecustomize.remember_encoders(opening)
        patch.setenv(sitecustomize.FOLDER, str(folder))
        patch.setenv("XDG_CACHE_HOME", str(own / "cache"))
        patch.setenv("PYTHONPATH", sitecustomize.search_path(*inherited))
        if is_forking():
            patch.setattr(loading, "run_child", forked_compilers(server_socket))
        yield


class Sidecar:
    """A running service and a client for it."""

    def __init__(self, service: Service, client: aiohttp.ClientSession) -> None:
        self.service, self.client = service, client

    async def post(
        self, body: bytes, path: str = "/v1/label", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """POST ``body``; gives (status, body, headers)."""
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        data = io.BytesIO(body)
        async with self.client.post(self.service.address + path, data=data, headers=names) as reply:
            return reply.status, await reply.read(), dict(reply.headers)

    async def get(self, path: str, **options: Any) -> tuple[int, bytes]:
        """GET ``path``; gives (status, body)."""
        async with self.client.get(self.service.address + path, **options) as reply:
            return reply.status, await reply.read()

    def state(self, part: str) -> LoadState:
        """What is in force of ``rules``, ``model``, ``llm`` or ``tokens``, and what was refused."""
        return self.service.reloader.parts[part].state

    def metric(self, name: str, **labels: str) -> float:
        """The value of one metric sample, 0 when there is none."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def running(*overrides: str) -> AsyncIterator[Sidecar]:
    """A service on a free port with ``overrides`` (dotted.key=value), and a client."""
    settings = load_settings(
        overrides=["http.listen=127.0.0.1:0", "http.drain_secs=2", *overrides], environ={}
    )
    async with (
        aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=("Accept-Encoding",)
        ) as client,
        build(settings) as service,
    ):
        yield Sidecar(service, client)


@pytest.fixture(name="running")
def _running() -> Running:
    """The context manager that starts a sidecar: ``async with running("model.path=null") as
    sidecar``.
    """
    return running


@pytest.fixture(name="collector")
async def _collector() -> AsyncIterator[Collector]:
    """An OTLP receiver on a free port."""
    collector = Collector()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/logs", collector.handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/logs"
    yield collector
    await runner.cleanup()

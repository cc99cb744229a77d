"""The library call behind `waybill.classify`: a pipeline on an event loop of its own."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from waybill.core.records import Verdict
from waybill.core.version import VERSION
from waybill.ops.metrics import Metrics
from waybill.service.opening import open_pipeline
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings

T = TypeVar("T")


class Labeller:
    """Labels from any thread; its pipeline lives on a daemon thread until the process ends.

    Raises ConfigError when rules or model cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(
            target=self._loop.run_forever, name="waybill-labeller", daemon=True
        ).start()
        self._opened = open_pipeline(settings, Metrics(VERSION))
        try:
            self._pipeline, *_ = self._wait(self._opened.__aenter__())
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order."""
        return self._wait(self._pipeline.label(messages, sources))

    def classify(
        self, records: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str, str, float | None]]:
        """As `waybill.classify`."""
        verdicts = self.label(
            [message for _, message in records], [source for source, _ in records]
        )
        return [
            (source, message, verdict.label, verdict.confidence)
            for (source, message), verdict in zip(records, verdicts, strict=True)
        ]


@functools.lru_cache(maxsize=4)
def labeller(config: Path | None, overrides: tuple[str, ...]) -> Labeller:
    """The labeller of these settings, loaded once."""
    return Labeller(load_settings(config, overrides))

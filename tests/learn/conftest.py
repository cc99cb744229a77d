"""Trainings of the tests are of a few dozen lines: what is tried and measured is few, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.learn.tiny import Tiny, train_tiny, write_tiny
from waybill.learn import fitting, rejection

#: As many of each kind of fragment as a measure needs; the service's 300 take 2.4 s to embed.
_FRAGMENTS = 28


@pytest.fixture(autouse=True, scope="session")
def _train_in_a_moment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejection, "FRAGMENTS", _FRAGMENTS)
        patch.setattr(fitting, "STRENGTHS", (1.0, 10.0))
        yield


@pytest.fixture(scope="session")
def tiny(_train_in_a_moment: None, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One training on the tiny corpus for all that only look at what it gives."""
    folder = tmp_path_factory.mktemp("tiny")
    found = Tiny(write_tiny(folder / "corpus"), folder / "tiny", folder / "cache.sqlite")
    train_tiny(found.corpus, found.bundle, "--cache", str(found.cache))
    return found

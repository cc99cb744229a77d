"""Real peers, as fixtures; a test whose peer is not there is skipped with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.build import NotBuilt, find
from tests.peers.catalogue import Peer

#: Gives the program of a peer.
Find = Callable[[Peer], Path]


@pytest.fixture(name="program", scope="session")
def _program() -> Find:
    def program(peer: Peer) -> Path:
        try:
            return find(peer)
        except NotBuilt as error:
            pytest.skip(str(error))

    return program

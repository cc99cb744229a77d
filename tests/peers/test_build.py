"""What starts a peer finds its parts wherever the peer lies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.peers.build import write_launcher


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_launcher_finds_the_jars_beside_it(tmp_path: Path, is_linked: bool) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    (tmp_path / "made").mkdir()
    write_launcher(tmp_path / "made" / "node")
    place = (tmp_path / "made").rename(tmp_path / "taken elsewhere") / "node"
    start = place
    if is_linked:
        start = tmp_path / "link"
        start.symlink_to(place)
    done = subprocess.run(
        [start, "a b", "*"],
        env={**os.environ, "PATH": f"{java.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    libraries = f"{place.parent}/lib/*"
    assert done.stdout.splitlines() == ["-Xmx512m", "-cp", libraries, "peer.Node", "a b", "*"]

"""Build the real peers: ``python -m tests.peers.build [NAME ...]`` (``make peers``).

Each goes into ``.peers/NAME-VERSION/``, an ignored folder, and is built once. One whose toolchain
is missing, or that does not build, is skipped with its reason; the others go on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.peers.catalogue import APISERVER, COLLECTOR, PEERS, Peer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".peers"
#: What a peer is built in, once; kept for the next look when it failed.
WORK = FOLDER / "build"
FLAGS = ["-mod=mod", "-trimpath", "-ldflags=-s -w"]
#: Where Kubernetes' programs keep their version.
VERSION = "k8s.io/component-base/version"


class NotBuilt(Exception):
    """A peer is not there; the text says why, in a sentence."""


def find(peer: Peer) -> Path:
    """The program of ``peer``: what its variable names, what was built, what stands on the PATH.

    Raises NotBuilt.
    """
    named = os.environ.get(peer.variable)
    if named:
        return Path(named)
    built = program(peer)
    if built.exists():
        return built
    found = shutil.which(peer.name)
    if found:
        return Path(found)
    if peer.toolchain == "path":
        raise NotBuilt(f"{peer.name} is not on the PATH: install it with the system's packages")
    raise NotBuilt(f"{peer.name} is neither built (make peers) nor on the PATH")


def program(peer: Peer) -> Path:
    """Where the built program of ``peer`` stands."""
    return FOLDER / f"{peer.name}-{peer.version}" / peer.name


def build(peer: Peer) -> Path:
    """Build ``peer`` unless it is there. Raises NotBuilt."""
    try:
        return find(peer)
    except NotBuilt:
        if peer.toolchain == "path":
            raise
    if shutil.which(peer.toolchain) is None:
        raise NotBuilt(f"{peer.name} needs {peer.toolchain}, which is not installed")
    target = program(peer)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = WORK / peer.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if peer is COLLECTOR:
        _build_collector(peer, work, target)
    elif peer.toolchain == "go":
        _build_go(peer, work, target)
    else:
        _build_maven(peer, work, target)
    return target


def _build_go(peer: Peer, work: Path, target: Path) -> None:
    """A module of our own that requires the peer's: replacements in its own do not bind us."""
    _run(["go", "mod", "init", "peer"], work)
    requirement = f"{peer.module}@{peer.version}"
    edits = [f"-require={requirement}"]
    if peer is APISERVER:
        edits += _staging(peer)
    _run(["go", "mod", "edit", *edits], work)
    flags = FLAGS
    if peer is APISERVER:  # its own build writes the version so; charts ask for it
        flags = [*FLAGS[:-1], f"{FLAGS[-1]} -X {VERSION}.gitVersion={peer.version}"]
    _run(["go", "build", *flags, "-o", str(target), peer.package], work)


def _staging(peer: Peer) -> list[str]:
    """Kubernetes' own modules stand in its repository; outside they have versions of their own."""
    said = _run(["go", "mod", "download", "-json", f"{peer.module}@{peer.version}"], ROOT)
    module = Path(json.loads(said)["GoMod"])
    parsed = json.loads(_run(["go", "mod", "edit", "-json", str(module)], ROOT))
    version = "v0" + peer.version.removeprefix("v1")
    replacements = []
    for one in parsed["Replace"]:
        name = one["Old"]["Path"]
        if one["New"]["Path"].startswith("./staging/"):
            replacements.append(f"-replace={name}={name}@{version}")
    return replacements


def _build_collector(peer: Peer, work: Path, target: Path) -> None:
    builder = work / "builder"
    _build_go(peer, work, builder)
    configuration = (HERE / "collector.yaml").read_text()
    (work / "manifest.yaml").write_text(configuration)
    # Without `go mod tidy`, which the builder runs by itself: that asks for what only the tests of
    # the components need, too.
    _run(
        [str(builder), "--config", "manifest.yaml", "--skip-get-modules", "--skip-compilation"],
        work,
    )
    _run(["go", "build", *FLAGS, "-o", str(target), "."], work / "dist")


def _build_maven(peer: Peer, work: Path, target: Path) -> None:
    """The jars of the project and of all that it needs, and a start script."""
    project = work / "project"
    shutil.copytree(HERE / peer.package, project)
    libraries = target.parent / "lib"
    _run(["mvn", "-q", "-B", "package", f"-Dpeer.version={peer.version}"], project)
    shutil.copytree(project / "target" / "lib", libraries, dirs_exist_ok=True)
    write_launcher(target)


def write_launcher(target: Path) -> None:
    """A start script for the jars in ``lib`` beside it, wherever both are taken."""
    target.write_text(
        "#!/bin/sh\n"
        'here=$(dirname "$(readlink -f "$0")")\n'
        'exec java -Xmx512m -cp "$here/lib/*" peer.Node "$@"\n'
    )
    target.chmod(0o755)


def _run(command: list[str], folder: Path) -> str:
    """What ``command`` prints. Raises NotBuilt with what it said: the first faults, and the end."""
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        shown = [line for line in said[:-8] if "error" in line.lower()][:8] + said[-8:]
        raise NotBuilt(f"{' '.join(command[:3])} failed:\n" + "\n".join(shown))
    return done.stdout


def main(names: list[str]) -> int:
    """Build the named peers, or all; say what each became. 0 when all are there."""
    wanted = [peer for peer in PEERS if not names or peer.name in names]
    missing = 0
    for peer in wanted:
        print(f"{peer.name} {peer.version} ...", flush=True)
        try:
            print(f"  {build(peer)}", flush=True)
        except NotBuilt as error:
            print(f"  skipped: {error}", flush=True)
            missing += 1
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

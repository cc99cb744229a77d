"""Runs the shell blocks of one page, in order, in a folder of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.patience import wait_until
from tests.support.forking.process import command_script
from tests.support.ports import free_port
from tests.support.startup.sitecustomize import search_path

#: The address that the pages name; a free port takes its place.
ADDRESS = "127.0.0.1:9880"
RULE_FILES = ("31-sshd-pam.yaml", "50-classic.yaml")


class Session:
    """A copy of what the pages refer to, a shell with ``waybill`` on its path, one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("config", "examples"):
            shutil.copytree(ROOT / name, folder / name)
        self.address = f"127.0.0.1:{free_port()}"
        # Some of the packaged rules stand for all: every command of a page would compile them anew.
        packaged = folder / ".packaged-rules"
        packaged.mkdir()
        for name in RULE_FILES:
            shutil.copy(ROOT / "rules" / name, packaged)
        commands = folder / ".bin"
        commands.mkdir()
        starter = commands / "waybill"
        starter.write_text(command_script())
        starter.chmod(0o755)
        self._environ = {
            **os.environ,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": search_path(ROOT / "sidecar", ROOT),
            "WAYBILL_HTTP_LISTEN": self.address,
            "WAYBILL_RULES_PATH": str(packaged),
        }
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, text: str) -> str:
        """What the shell block ``text`` prints. Fails the test unless it ends with 0."""
        if ADDRESS in text and self._server is None:
            self.serve("waybill serve")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace(ADDRESS, self.address)],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def serve(self, text: str) -> None:
        """Serve what ``text`` says, in place of what is served now; wait until it is ready."""
        self.stop()
        log = self.folder / "serve.log"
        with log.open("wb") as file:
            self._server = subprocess.Popen(
                [
                    "bash",
                    "-euc",
                    re.sub(r"^waybill serve", "exec waybill serve", text, flags=re.MULTILINE),
                ],
                cwd=self.folder,
                env=self._environ,
                stdout=file,
                stderr=file,
            )
        wait_until(lambda: self._has_ended() or self._is_ready())
        assert not self._has_ended(), log.read_text()

    def _has_ended(self) -> bool:
        return self._server is None or self._server.poll() is not None

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self) -> None:
        """End the server, if there is one."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(30)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None


def same_output(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what a page says; ``...`` may be any."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*?")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None

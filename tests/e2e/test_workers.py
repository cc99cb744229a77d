"""Several workers behind one address: one service to everyone outside, whichever of them lives."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.patience import wait_until
from tests.support.ports import free_port
from waybill.core.version import VERSION

pytestmark = pytest.mark.e2e
RULES = "rules:\n- {{id: one, label: {label}, pattern: 'disk [0-9]+ is full'}}\n"
BODY = json.dumps([{"log": f"disk {i} is full"} for i in range(10)]).encode()


class Workers:
    """A running ``waybill serve`` with two workers."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder, self.process = folder, process
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """The answer on a connection of its own: any worker may give it."""
        with urllib.request.urlopen(self.address + path, body, timeout=10) as reply:
            return bytes(reply.read())

    def pids(self) -> list[int]:
        task = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(pid) for pid in Path(task).read_text().split()]

    def metric(self, series: str) -> float:
        found = re.search(
            rf"^{re.escape(series)} (\S+)$", self.ask("/metrics").decode(), re.MULTILINE
        )
        return float(found[1]) if found else 0.0

    def log(self) -> list[dict[str, object]]:
        """The lines that are there whole; the last one may be under way."""
        lines = (self.folder / "log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line[0] == "{" and line[-1] == "\n"]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; what cannot be asked now does not hold now."""

    def holds() -> bool:
        with contextlib.suppress(OSError):
            return condition()
        return False

    wait_until(holds)


def start(folder: Path, *overrides: str, before: str = "") -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    settings = (
        f"http.listen=127.0.0.1:{port}",
        "http.workers=2",
        "model.path=null",
        "rules.path=rules",
        *overrides,
    )
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "a.yaml").write_text(RULES.format(label="Error"))
    code = f"import sys; {before or 'pass'}; from waybill.cli.main import main; sys.exit(main())"
    flags = [part for item in settings for part in ("--set", item)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", *flags], stderr=log, cwd=folder
        )
    return process, port


@contextlib.contextmanager
def running(folder: Path, *overrides: str, before: str = "") -> Iterator[Workers]:
    process, port = start(folder, *overrides, before=before)
    workers = Workers(folder, process, port)
    try:
        until(
            lambda: (
                len(workers.log()) > 0 and any(line["message"] == "ready" for line in workers.log())
            )
        )
        yield workers
    finally:
        process.kill()
        process.wait()


def test_both_workers_serve_and_count_as_one(tmp_path: Path) -> None:
    with running(tmp_path) as workers:
        assert len(workers.pids()) == 2
        for _ in range(20):
            back = json.loads(workers.ask("/v1/label", BODY))
            assert [record["target_label"] for record in back] == ["Error"] * 10
        # Each worker takes some of forty connections, yet every scrape sees the sum.
        assert {
            workers.metric('waybill_records_labelled_total{label="Error",tier="rule"}')
            for _ in range(8)
        } == {200}
        assert workers.metric("waybill_rules_loaded") == 1
        version = platform.python_version()
        assert workers.metric(f'waybill_build_info{{python="{version}",version="{VERSION}"}}') == 1
        family = [workers.process.pid, *workers.pids()]
        private = sum(_memory(pid, "Private_Dirty") for pid in family)
        everything = sum(_memory(pid, "Rss") for pid in family)
        assert private < workers.metric("process_resident_memory_bytes") < everything
        workers.process.send_signal(signal.SIGTERM)
        assert workers.process.wait(20) == 0


def test_a_killed_worker_is_replaced_and_counting_goes_on(tmp_path: Path) -> None:
    series = 'waybill_records_labelled_total{label="Error",tier="rule"}'
    with running(tmp_path) as workers:
        for _ in range(10):
            workers.ask("/v1/label", BODY)
        first = workers.pids()
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(set(workers.pids()) - set(first)) == 1)
        until(lambda: workers.metric('waybill_worker_restarts_total{reason="signal"}') == 1)
        assert workers.metric(series) == 100
        for _ in range(10):
            workers.ask("/v1/label", BODY)
        assert workers.metric(series) == 200
        assert workers.metric("waybill_inflight_bytes") == 0


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with running(
        tmp_path, before="import waybill.service.workers as w; w._SILENT_TICKS = 2"
    ) as workers:
        first = workers.pids()
        os.kill(first[1], signal.SIGSTOP)
        until(lambda: first[1] not in workers.pids() and len(workers.pids()) == 2)
        until(lambda: workers.metric('waybill_worker_restarts_total{reason="silent"}') == 1)


def test_new_rules_reach_every_worker_and_those_that_come_later(tmp_path: Path) -> None:
    def labels() -> set[str]:
        return {json.loads(workers.ask("/v1/label", BODY))[0]["target_label"] for _ in range(12)}

    with running(tmp_path) as workers:
        assert labels() == {"Error"}
        (tmp_path / "rules" / "a.yaml").write_text(RULES.format(label="Critical Error"))
        until(lambda: labels() == {"Critical Error"})
        first = workers.pids()
        os.kill(first[0], signal.SIGKILL)
        os.kill(first[1], signal.SIGKILL)
        # From the first answer on: a worker that is forked from the old rules catches up before it
        # listens.
        until(lambda: bool(workers.ask("/v1/label", BODY)))
        assert labels() == {"Critical Error"}
        (tmp_path / "rules" / "a.yaml").write_text("rules: 1\n")
        until(lambda: workers.metric('waybill_last_reload_successful{what="rules"}') == 0)
        assert labels() == {"Critical Error"}


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    with running(tmp_path) as workers:
        pids = workers.pids()
        workers.process.kill()
        workers.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_forward_over_tcp_and_unix_socket_reaches_the_workers(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        receiver.settimeout(10)
        target = f"forward://127.0.0.1:{receiver.getsockname()[1]}"
        path = tmp_path / "in.sock"
        flags = ("return.type=forward", f"return.url={target}", f"forward.listen=127.0.0.1:{port}")
        with running(tmp_path, *flags, f"forward.unix={path}") as workers:
            assert path.stat().st_mode & 0o777 == 0o660
            for address in (("127.0.0.1", port), str(path)):
                family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
                with socket.socket(family) as client:
                    client.settimeout(10)
                    client.connect(address)
                    entry = [[msgpack.Timestamp(1, 0).seconds, {}], {"log": "disk 1 is full"}]
                    client.sendall(msgpack.packb(["app", [entry], {"chunk": "c1"}]))
                    connection, _ = receiver.accept()
                    connection.settimeout(10)
                    message = _receive(connection)
                    assert b"target_label" in message[1]
                    connection.sendall(msgpack.packb({"ack": message[2]["chunk"]}))
                    assert msgpack.unpackb(client.recv(1000)) == {"ack": "c1"}
                    connection.close()
            workers.process.send_signal(signal.SIGTERM)
            assert workers.process.wait(20) == 0
        assert not path.exists()


def test_what_cannot_be_used_ends_with_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process, _ = start(tmp_path, f"http.listen=127.0.0.1:{taken.getsockname()[1]}")
        assert process.wait(20) == 2
        assert "http.listen: cannot listen" in (tmp_path / "log").read_text()
    (tmp_path / "no-tokens").write_text("")
    process, _ = start(tmp_path, "forward.listen=127.0.0.1:0", "forward.shared_key_file=no-tokens",
                       "return.type=forward", "return.url=forward://127.0.0.1:1")  # fmt: skip
    assert process.wait(20) == 2
    assert "forward.shared_key_file" in (tmp_path / "log").read_text()


def _memory(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def _receive(connection: socket.socket) -> list[Any]:
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
    while True:
        unpacker.feed(connection.recv(65_536))
        for message in unpacker:
            return list(message)

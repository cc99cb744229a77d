"""Secrets that rotate, logs that cannot be forged, metrics that exist."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import trustme
from prometheus_client.mmap_dict import MmapedDict

from tests.conftest import Running
from waybill.ops.logs import JsonFormatter, RateLimit
from waybill.ops.metrics import Metrics
from waybill.ops.tls import ServerTls
from waybill.ops.tokens import Tokens
from waybill.ops.watched import WatchedFile
from waybill.settings.schema import TlsSettings

SOURCES = Path(__file__).parents[2] / "sidecar" / "waybill"


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rewrite(path: Path, text: str) -> None:
    """Write ``path`` with a modification time of its own, however fast the test is."""
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(stamp, stamp))


def test_tokens_follow_their_file_and_survive_its_absence(tmp_path: Path) -> None:
    file, clock = tmp_path / "tokens", Clock()
    file.write_text("one\n\n# comment\ntwo\n")
    tokens = Tokens(WatchedFile(file, clock))
    names = ("one", "two", "three", "", "# comment")
    scopes = [tokens.scope_of(f"Bearer {name}") for name in names]
    assert scopes == ["all", "all", None, None, None]
    assert tokens.scope_of(None) is None
    rewrite(file, "three\n")
    assert tokens.scope_of("Bearer one")
    clock.now += 2
    assert [tokens.scope_of(f"Bearer {name}") for name in ("one", "three")] == [None, "all"]
    file.unlink()
    clock.now += 2
    assert tokens.scope_of("Bearer three")


def test_a_token_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("one")
    assert Tokens(WatchedFile(tmp_path / "tokens")).scope_of("Bearer \udcff") is None


def log_line(**extra: object) -> dict[str, object]:
    record = logging.getLogger("waybill.test").makeRecord(
        "waybill.test",
        logging.WARNING,
        __file__,
        1,
        'line one\nline "two"\x1b',
        (),
        None,
        extra=extra,
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "\x1b" not in text
    return json.loads(text)  # type: ignore[no-any-return]


def test_a_log_line_is_one_line_of_json_whatever_is_logged() -> None:
    line = log_line(reason="bad\nreason", path=Path("/x"))
    assert (line["level"], line["message"], line["reason"], line["path"]) == (
        "warning",
        'line one\nline "two"\x1b',
        "bad\nreason",
        "/x",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["ts"]))


def test_the_same_warning_is_written_once_per_interval_and_says_how_often_it_was_held_back() -> (
    None
):
    clock = Clock()
    limit = RateLimit(10, clock)

    def passes(level: int, message: str) -> logging.LogRecord | None:
        record = logging.LogRecord("l", level, "", 0, message, (), None)
        return record if limit.filter(record) else None

    assert [bool(passes(logging.WARNING, "a")) for _ in range(3)] == [True, False, False]
    assert passes(logging.WARNING, "b")
    assert all(passes(logging.INFO, "a") for _ in range(3))
    clock.now += 11
    assert getattr(passes(logging.WARNING, "a"), "repeated", None) == 2


#: Each form that strangers send makes aiohttp warn, in their words.
FORMS = """
from aiohttp.multipart import parse_content_disposition
from waybill.ops.logs import setup_logging
setup_logging("debug")
for number in range(100):
    parse_content_disposition(f"{number} no disposition; a; a")
print("done")
"""


def test_what_a_library_warns_of_a_strangers_words_is_not_in_the_log() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", FORMS], env=environ, capture_output=True, check=True, text=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_each_cause_is_logged_and_counted_for_itself() -> None:
    limit = RateLimit(10, lambda: 0.0)

    def passes(**extra: object) -> bool:
        record = logging.LogRecord("l", logging.ERROR, "", 0, "refused", (), None)
        vars(record).update(extra)
        return limit.filter(record)

    faults = [
        {"file": "a.yaml", "line": line, "reason": reason}
        for line in (1, 2)
        for reason in ("label", "schema")
    ]
    assert [passes(**fault) for fault in [*faults, *faults]] == [True] * 4 + [False] * 4


def test_a_second_mistake_at_the_same_place_is_news_but_not_without_end() -> None:
    now = [0.0]
    limit = RateLimit(10, lambda: now[0])

    def passes(detail: str) -> bool:
        record = logging.LogRecord("l", logging.ERROR, "", 0, "refused", (), None)
        vars(record).update(reason="label", file="a.yaml", line=1, detail=detail)
        return limit.filter(record)

    assert [passes("one"), passes("two"), passes("one"), passes("two")] == [
        True,
        True,
        False,
        False,
    ]
    assert sum(passes(f"detail {i}") for i in range(1000)) == 8
    assert sum(limit.filter(_of_peer(f"/{i}")) for i in range(1000)) == 10
    now[0] = 10.0
    assert passes("one")


def _of_peer(path: str) -> logging.LogRecord:
    """What a stranger can have written as often as it likes."""
    record = logging.LogRecord("l", logging.INFO, "", 0, "a client left", (), None)
    vars(record).update(peer="10.0.0.1", path=path)
    return record


def test_every_declared_metric_is_used() -> None:
    declared = re.findall(
        r"self\.(\w+) = make\.(?:counter|gauge|histogram)\(",
        (SOURCES / "ops" / "metrics.py").read_text(),
    )
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    unused = [name for name in declared if len(re.findall(rf"\.{name}\b", code)) < 2]
    assert unused == []


def authority(tmp_path: Path, name: str) -> tuple[trustme.CA, TlsSettings]:
    ca = trustme.CA()
    issue(ca, tmp_path, name)
    return ca, TlsSettings(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))


def issue(ca: trustme.CA, tmp_path: Path, name: str) -> None:
    cert = ca.issue_cert(name)
    cert.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))


def test_a_certificate_that_does_not_fit_its_key_leaves_the_old_one_in_force(
    tmp_path: Path,
) -> None:
    _, settings = authority(tmp_path, "localhost")
    tls, clock = ServerTls(settings), Clock()
    for file in tls._files:
        file._clock, file._checked = clock, clock.now - 10
    rewrite(tmp_path / "cert.pem", "rubbish")
    tls.refresh()
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_https_with_client_certificates_and_rotation(
    running: Running, tmp_path: Path
) -> None:
    ca, settings = authority(tmp_path, "127.0.0.1")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    overrides = [
        f"http.tls.cert_file={settings.cert_file}",
        f"http.tls.key_file={settings.key_file}",
        f"http.tls.client_ca_file={tmp_path / 'ca.pem'}",
        "model.path=null",
    ]
    known, unknown = ssl.create_default_context(), ssl.create_default_context()
    for context in (known, unknown):
        ca.configure_trust(context)
    ca.issue_cert("shipper").configure_cert(known)

    async def serial(address: str) -> object:
        host, port = address.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=known)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return certificate["serialNumber"]

    async with running(*overrides) as sidecar:
        address = sidecar.service.address
        async with sidecar.client.post(
            address + "/v1/label", data=b'{"log":"a"}', ssl=known
        ) as reply:
            assert reply.status == 200
        with pytest.raises(aiohttp.ClientError):
            async with sidecar.client.post(address + "/v1/label", data=b"{}", ssl=unknown) as reply:
                await reply.read()
        before = await serial(address)
        issue(ca, tmp_path, "127.0.0.1")
        while await serial(address) == before:
            await asyncio.sleep(0.05)


def test_a_worker_that_begins_does_not_fail_the_scrape(tmp_path: Path) -> None:
    """A file is there for a moment before its head is; the scrape of others came then: 503."""
    counted = MmapedDict(str(tmp_path / "counter_1.db"))  # type: ignore[no-untyped-call]
    key = json.dumps(["waybill_x", "waybill_x_total", {}, "Some."])
    counted.write_value(key, 7.0, 0.0)  # type: ignore[no-untyped-call]
    counted.close()  # type: ignore[no-untyped-call]
    (tmp_path / "counter_2.db").touch()
    body, _ = Metrics("1", tmp_path).render("")
    assert b"waybill_x_total 7.0" in body

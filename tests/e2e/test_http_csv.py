"""Tables over HTTP, and what is logged of a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import Running, Sidecar
from tests.e2e.http_rig import CSV, LABELLED_CSV, refusal
from tests.patience import patience, until
from waybill.wire.compression import compress

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_a_csv_that_breaks_off_in_the_middle_breaks_the_connection(running: Running) -> None:
    rows = b"log\n" + b"a message\n" * 2000 + b'"' + b"x" * 200_000
    async with running("model.path=null", "limits.body_bytes=100000") as sidecar:
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
            await sidecar.post(rows, "/v1/classify/csv")
        labels = {"ingest": "api", "reason": "csv_row_too_large"}
        assert sidecar.metric("waybill_batches_refused_total", **labels) == 1


async def test_a_csv_fault_in_a_later_row_breaks_the_connection(running: Running) -> None:
    rows = b"log\n" + b"a message\n" * 20_000 + b"a,b\n"
    async with running("model.path=null") as sidecar:
        for query, is_whole in (("", True), ("?on_error=skip", True), ("?on_error=fail", False)):
            host, port = sidecar.service.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = (
                f"POST /v1/classify/csv{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(rows)}"
            )
            writer.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + rows)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while data := await reader.read(1 << 20):
                    answer += data
            writer.close()
            assert answer.count(b"HTTP/1.1") == 1
            assert answer.endswith(b"0\r\n\r\n") == is_whole
        status, answer, _ = await sidecar.post(b"log\na,b\n", "/v1/classify/csv?on_error=fail")
        assert (status, json.loads(answer)["reason"]) == (400, "csv_row")


@pytest.mark.parametrize(
    ("rows", "query", "told"),
    [
        ("Größe;log\n9;müde\n".encode("cp1252"), "", ["(a guess", "';'", "message 'log'"]),
        ("log,größe\nmüde,9\n".encode(), "", ["utf-8,", "','"]),
        ("log,größe\nmüde,9\n".encode(), "?message_column=2", ["message 'gr\\xf6\\xdfe'"]),
        (b"log\nx\n", "", ["ASCII"]),
        (b"log," + b"x" * 70_000 + b"\na,b\n", "?message_column=2", ["ASCII"]),
        (b'log,"x\r\nSet-Cookie: a=b"\na,b\n', "?message_column=2", ["x\\r\\nSet-Cookie"]),
    ],
)
async def test_how_a_csv_is_read_is_told(
    sidecar: Sidecar, rows: bytes, query: str, told: list[str]
) -> None:
    status, _, headers = await sidecar.post(rows, f"/v1/classify/csv{query}")
    assert status == 200
    assert [part for part in told if part not in headers["Waybill-Table"]] == []
    assert ("(a guess" in headers["Waybill-Table"]) is ("(a guess" in told)


async def test_a_table_waits_for_the_model(running: Running) -> None:
    rows = "".join(f"unseen {a} of {b} went by\n" for a in "abcdef" for b in "ghijkl")
    async with running("model.over_budget=defer", "model.budget_ms=200") as sidecar:
        status, answer, _ = await sidecar.post(f"log\n{rows}".encode(), "/v1/classify/csv")
    found = list(csv.DictReader(io.StringIO(answer.decode())))
    assert (status, len(found)) == (200, 36)
    assert "model" in {row["tier"] for row in found}
    assert "pending" not in {row["tier"] for row in found}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
async def test_a_csv_may_be_compressed(sidecar: Sidecar, encoding: str) -> None:
    body = compress(CSV.encode(), encoding)
    status, answer, _ = await sidecar.post(body, "/v1/classify/csv", Content_Encoding=encoding)
    assert (status, answer.decode()) == (200, LABELLED_CSV)
    with contextlib.suppress(aiohttp.ClientPayloadError):  # the head is sent before the end is seen
        status, _, _ = await sidecar.post(body[:-5], "/v1/classify/csv", Content_Encoding=encoding)
        assert status == 400


async def test_how_a_csv_is_read_can_be_said(sidecar: Sidecar) -> None:
    body = "Wer~Was\nCRM~Größe\n".encode("latin-1")
    query = "?delimiter=~&message_column=was&source_column=wer&label_column=mine"
    status, answer, headers = await sidecar.post(body, f"/v1/classify/csv{query}")
    assert status == 200
    assert answer.startswith(b"Wer~Was~mine~confidence~tier~reason~rule\nCRM~Gr\xf6\xdfe~")
    assert headers["Content-Type"] == "text/csv; charset=cp1252"
    for wrong in ("?nonsense=1", "?delimiter=ab", "?on_error=maybe", "?encoding=klingon"):
        status, answer, _ = await sidecar.post(CSV.encode(), f"/v1/classify/csv{wrong}")
        assert status == 400, wrong
        assert json.loads(answer)["detail"]


async def test_a_csv_that_trickles_is_cut(running: Running) -> None:
    async with running("http.read_timeout_secs=0.4", "model.path=null") as sidecar:
        host, port = sidecar.service.address.removeprefix("http://").split(":")
        for start in (b"", b"log\nfirst\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /v1/classify/csv HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"
            )
            writer.write(start)

            async def drip(writer: asyncio.StreamWriter = writer) -> None:
                while True:
                    await asyncio.sleep(0.05)
                    writer.write(b"x")

            dripping = asyncio.create_task(drip())
            async with patience():
                if start:
                    with contextlib.suppress(ConnectionResetError):
                        assert (await reader.read()).count(b"HTTP/1.1") == 1
                else:
                    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
            dripping.cancel()
            writer.close()
        assert sidecar.metric("waybill_inflight_bytes") == 0


async def test_a_csv_is_counted_like_any_other_records(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        await sidecar.post(b"log\nsomething odd\n", "/v1/classify/csv")
        counted = sidecar.metric(
            "waybill_records_labelled_total", tier="none", label="Unclassified"
        )
        assert counted == 1


async def test_a_refused_token_is_logged_with_who_and_where(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("good-token\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        status, answer, _ = await sidecar.post(b"{}", Authorization="Bearer wrong")
        assert (status, refusal(answer)) == (401, "unauthorised")
        (line,) = [vars(record) for record in caplog.records if "refused" in record.message]
        assert (line["reason"], line["path"], line["peer"]) == (
            "unauthorised",
            "/v1/label",
            "127.0.0.1",
        )
        assert "wrong" not in str(line)
        _, ready = await sidecar.get("/readyz")
        assert json.loads(ready)["tokens"]["version"] == "1 valid"
        tokens.write_text("")
        await until(lambda: sidecar.state("tokens").problems)
        assert (await sidecar.post(b"{}", Authorization="Bearer good-token"))[0] == 200
        assert sidecar.metric("waybill_last_reload_successful", what="tokens") == 0
        _, ready = await sidecar.get("/readyz")
        assert "is empty" in json.loads(ready)["tokens"]["refused"][0]

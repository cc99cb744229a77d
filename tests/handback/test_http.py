"""HTTP push: done means the receiver has every record, and nothing it does loses one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from waybill.core.errors import HandbackError
from waybill.core.records import Verdict
from waybill.handback import push as handback_push
from waybill.handback.http import HttpHandback
from waybill.handback.target import return_tag
from waybill.settings.schema import FieldSettings, ReturnSettings, ReturnTlsSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.compression import decompress, encodings_of

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")


class Receiver:
    """An HTTP server that answers what it is told to and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[bytes], int] = lambda body: 200
        self.hang = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if encoding := request.headers.get("Content-Encoding"):
            body = decompress(body, encodings_of(encoding), 1 << 24)
        self.requests.append((request.path, dict(request.headers), body))
        status = self.answer(body)
        if status == 0:
            await self.hang.wait()
        return web.Response(status=status, body=b"some text", headers={"Location": "/elsewhere"})

    @property
    def records(self) -> list[dict[str, object]]:
        """The records of all requests that were answered 2xx."""
        found: list[dict[str, object]] = []
        for _, _, body in self.requests:
            if self.answer(body) < 300:
                text = body.decode()
                found += (
                    json.loads(text)
                    if text.startswith("[")
                    else [json.loads(line) for line in text.splitlines()]
                )
        return found


@pytest.fixture(name="receiver")
async def _receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    receiver.hang.set()
    await runner.cleanup()


async def push(settings: ReturnSettings, body: bytes, tag: str = "kube.pod") -> None:
    handback = HttpHandback(settings)
    codec, batch = WIRE.decode(body, tag=tag)
    try:
        await handback.hand_back(codec, batch, [VERDICT] * len(batch))
    finally:
        await handback.close()


BODY = b'[{"log":"a","n":1.50},{"log":"b"}]'


async def test_records_go_to_vector_as_ndjson(receiver: Receiver) -> None:
    await push(ReturnSettings(type="http", url=receiver.url), BODY)
    ((path, headers, body),) = receiver.requests
    assert (path, headers["Content-Type"]) == ("/", "application/x-ndjson")
    added = (
        b',"target_label":"Error","label_tier":"rule","label_confidence":1.0,"label_rule":"r"}\n'
    )
    assert body == b'{"log":"a","n":1.50' + added + b'{"log":"b"' + added


async def test_one_array_and_the_tag_in_the_path_for_fluent_bit(receiver: Receiver) -> None:
    await push(ReturnSettings(type="http", url=receiver.url + "{tag}", format="json"), BODY)
    ((path, headers, body),) = receiver.requests
    assert (path, headers["Content-Type"]) == ("/labelled.kube.pod", "application/json")
    assert len(json.loads(body)) == 2


async def test_line_ends_between_tokens_do_not_break_lines(receiver: Receiver) -> None:
    await push(ReturnSettings(type="http", url=receiver.url), b'{\n "log":\r\n "a\\nb"\n}')
    assert [record["log"] for record in receiver.records] == ["a\nb"]


@pytest.mark.parametrize("compression", ["gzip", "deflate", "zstd", "snappy"])
async def test_a_push_is_compressed_as_configured(receiver: Receiver, compression: str) -> None:
    await push(ReturnSettings(type="http", url=receiver.url, compression=compression), BODY)  # type: ignore[arg-type]
    assert len(receiver.records) == 2


async def test_a_token_is_sent_and_follows_its_file(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-1\n")
    await push(ReturnSettings(type="http", url=receiver.url, token_file=str(token)), BODY)
    assert receiver.requests[0][1]["Authorization"] == "Bearer secret-1"


async def test_a_big_batch_goes_in_parts(receiver: Receiver) -> None:
    body = b"[" + b",".join(b'{"log":"%d %s"}' % (i, b"x" * 100) for i in range(100)) + b"]"
    await push(ReturnSettings(type="http", url=receiver.url, max_bytes=2000), body)
    assert len(receiver.requests) > 5
    assert all(len(body) <= 2000 for _, _, body in receiver.requests)
    assert [str(record["log"]).split()[0] for record in receiver.records] == [
        str(i) for i in range(100)
    ]


async def test_one_part_refused_for_now_fails_the_whole_batch(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 0.01)
    receiver.answer = lambda body: 503 if b'"b"' in body else 200
    settings = ReturnSettings(type="http", url=receiver.url, max_bytes=40, timeout_secs=0.3)
    with pytest.raises(HandbackError) as caught:
        await push(settings, BODY)
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_passing_trouble_is_waited_out(
    receiver: Receiver, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 0.01)
    receiver.answer = lambda body: status if len(receiver.requests) < 3 else 200
    await push(ReturnSettings(type="http", url=receiver.url), BODY)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404])
async def test_a_receiver_that_is_set_up_wrongly_is_not_asked_twice(
    receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda body: status
    with pytest.raises(HandbackError) as caught:
        await push(ReturnSettings(type="http", url=receiver.url), BODY)
    assert (caught.value.code, len(receiver.requests)) == ("refused", 1)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_one_record_that_a_receiver_refuses_goes_as_text(
    receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda body: status if b'"poison":' in body else 200
    records = [b'{"log":"%d"}' % i for i in range(9)]
    records[5] = b'{"log":"5","poison":1}'
    await push(ReturnSettings(type="http", url=receiver.url), b"[" + b",".join(records) + b"]")
    back = receiver.records
    assert len(back) == 9
    assert all(record["target_label"] == "Error" for record in back)
    assert json.loads(str(back[5]["log"]))["poison"] == 1


async def test_a_receiver_that_refuses_everything_ends_in_an_error(receiver: Receiver) -> None:
    receiver.answer = lambda body: 400
    with pytest.raises(HandbackError) as caught:
        await push(
            ReturnSettings(type="http", url=receiver.url),
            b"[" + b",".join([b'{"log":"a"}'] * 64) + b"]",
        )
    assert caught.value.code == "refused"
    assert len(receiver.requests) <= 10


async def test_a_hanging_receiver_ends_in_a_timeout(receiver: Receiver) -> None:
    receiver.answer = lambda body: 0
    with pytest.raises(HandbackError) as caught:
        await push(ReturnSettings(type="http", url=receiver.url, timeout_secs=0.1), BODY)
    assert caught.value.code == "timeout"


async def test_a_receiver_that_is_not_there_ends_in_an_error() -> None:
    with pytest.raises(HandbackError) as caught:
        await push(ReturnSettings(type="http", url="http://127.0.0.1:1/", timeout_secs=0.1), BODY)
    assert caught.value.code == "connect"


async def test_records_that_no_strict_parser_takes_go_as_text(receiver: Receiver) -> None:
    body = b'{"log":"a"}\n{"log":"\\ud800"}\n{"log":"broken\n5\n{"log":"z"}\n'
    await push(ReturnSettings(type="http", url=receiver.url), body)
    back = receiver.records
    assert [record["log"] for record in back] == [
        "a",
        "\\ud800",
        '{"log":"broken',
        "5",
        "z",
    ]
    assert all(record["target_label"] == "Error" for record in back)


async def test_an_empty_batch_sends_nothing(receiver: Receiver) -> None:
    await push(ReturnSettings(type="http", url=receiver.url), b"[]")
    assert receiver.requests == []


async def test_tls_is_verified(receiver: Receiver) -> None:
    url = receiver.url.replace("http:", "https:")
    settings = ReturnSettings(
        type="http", url=url, timeout_secs=0.2, tls=ReturnTlsSettings(enabled=True)
    )
    with pytest.raises(HandbackError):
        await push(settings, BODY)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("kube.a-b_c*", "l.kube.a-b_c*"),
        ("", "l.waybill"),
        ("../x\n", "l.___x_"),
        ("x" * 999, "l." + "x" * 253),
    ],
)
def test_a_tag_is_made_harmless(tag: str, expected: str) -> None:
    assert return_tag("l.", tag) == expected

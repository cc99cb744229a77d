"""Where batches are taken: at paths that mean ours, for a shipper drops what is answered with 404."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.conftest import Sidecar
from waybill.settings.addresses import split_address

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize(
    "path",
    [
        "//v1/label",
        "/v1//label",
        "///V1///Label///",
        "/V1/label?x=1&x=/y",
        "/v1/LABEL/Some.Tag",
        "//v1/label/a%2Fb?q",
    ],
)
async def test_a_batch_is_taken_however_its_path_is_spelt(sidecar: Sidecar, path: str) -> None:
    reader, writer = await asyncio.open_connection(*split_address(sidecar.service.address[7:]))
    for start in (path, f"http://waybill.example{path}"):  # as proxies ask
        head = f"POST {start} HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"
        writer.write(head.encode() + b'{"log":"a"}')
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        found = re.search(rb"Content-Length: (\d+)", answer)
        assert found is not None
        assert b"target_label" in await reader.readexactly(int(found[1]))
    writer.close()


@pytest.mark.parametrize("path", ["//v1/corrections", "/v1/RULES", "//healthz", "/x/v1/label"])
async def test_other_paths_are_exact(sidecar: Sidecar, path: str) -> None:
    """A gate that goes by paths may stand before them, and nothing is lost."""
    reader, writer = await asyncio.open_connection(*split_address(sidecar.service.address[7:]))
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.0 404 ")
    writer.close()

"""Which tokens open which path: one table, and every endpoint asks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Running
from waybill.ingest.http.scopes import scope_of

OPEN = {"/healthz", "/readyz", "/metrics"}
SHIP = {"/v1/label", "/v1/label/{tag}", "/v1/logs"}


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/healthz", "open"),
        ("/metrics/", "open"),
        ("/v1/label", "ship"),
        ("/v1/label//", "ship"),
        ("/v1/label/a.b/c", "ship"),
        ("/v1/logs/", "ship"),
        ("/v1/labels", "all"),
        ("/v1/logs.json", "all"),
        ("/v1//label", "all"),
        ("/V1/label", "all"),
        ("/-/reload", "all"),
        ("/v1", "all"),
        ("/", "all"),
        ("", "all"),
    ],
)
def test_what_is_not_in_the_table_takes_a_whole_token(path: str, scope: str) -> None:
    assert scope_of(path) == scope


async def test_a_token_for_shipping_opens_nothing_else(running: Running, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ship of-shippers\nof-people\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        _, described = await sidecar.get(
            "/openapi.json", headers={"Authorization": "Bearer of-people"}
        )
        paths = json.loads(described)["paths"]
        assert set(paths) > OPEN | SHIP
        for path in paths:
            asked = path.replace("{tag}", "a").replace("{id}", "0")
            status, _ = await sidecar.get(asked, headers={"Authorization": "Bearer of-shippers"})
            expected = path not in OPEN | SHIP
            is_get = "get" in paths[path]
            assert (status == 403) is (expected and is_get), (path, status)
        for given in ("of-shippers", "of-people"):
            status, _, _ = await sidecar.post(b'{"log":"x"}', Authorization=f"Bearer {given}")
            assert status == 200
        status, answer, _ = await sidecar.post(b"", "/-/reload", Authorization="Bearer of-shippers")
        assert (status, json.loads(answer)["reason"]) == (403, "out_of_scope")
        assert (await sidecar.post(b"", "/-/reload"))[0] == 401
        status, _ = await sidecar.get("/nowhere", headers={"Authorization": "Bearer of-shippers"})
        assert status == 404


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({}, "a valid token is missing: Authorization: Bearer <token"),
        ({"Authorization": "of-people"}, "does not begin with Bearer"),
        ({"Authorization": "Basic b2YtcGVvcGxl"}, "does not begin with Bearer"),
        ({"Authorization": "Bearer guess"}, "this token is not in http.tokens_file"),
        ({"Authorization": "Bearer "}, "this token is not in http.tokens_file"),
    ],
)
async def test_a_401_says_what_is_wrong_and_never_what_was_sent(
    running: Running, tmp_path: Path, header: dict[str, str], told: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("of-people\n")
    async with running(f"http.tokens_file={tokens}", "model.path=null") as sidecar:
        for path in ("/v1/label", "/v1/logs", "/v1/rules"):
            status, answer, _ = await sidecar.post(b"{}", path, **header)
            assert status == 401
            assert told in answer.decode()
            assert not {"of-people", "b2YtcGVvcGxl", "guess"} & set(answer.decode().split())

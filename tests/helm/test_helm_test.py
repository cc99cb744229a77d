"""What `helm test` runs, against a sidecar with every kind of token secret."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Running

PROGRAM = Path(__file__).parents[2] / "deploy/helm/waybill/files/test.py"
LABELLED = "'User User1 logged in.' is 'User Action' by rule"


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (None, LABELLED),
        ("one-token-of-16-bytes\n", LABELLED),
        ("\ufeff# shippers\n\nship a-token-of-16-bytes\n Bearer one-token-of-16-bytes\n", LABELLED),
        ("ship a-token-of-16-bytes\n", "no message is labelled"),
    ],
    ids=["no secret", "one token", "tokens that ship before one that opens all", "only such"],
)
async def test_it_asks_with_a_token_that_may_ask(
    running: Running, tmp_path: Path, tokens: str | None, said: str
) -> None:
    file = tmp_path / "tokens"
    overrides = ["model.path=null"]
    if tokens is not None:
        file.write_text(tokens)
        overrides.append(f"http.tokens_file={file}")
    async with running(*overrides) as sidecar:
        environ = {**os.environ, "ADDRESS": sidecar.service.address, "TOKENS": str(file)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert said in printed.decode()

"""Retrain in the cloud, on more cores than a node has to spare.

    modal run examples/modal/retrain.py --corrections said.ndjson --patterns patterns.ndjson
    modal deploy examples/modal/retrain.py                  # every month from then on
    modal volume get waybill versions/v1.0 models/candidate

The volume ``waybill`` holds what goes in (``corrections.ndjson``, ``patterns.ndjson``) and what
comes out (``versions/``, ``report/``). What the gate refuses is not pushed, and the run fails.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import modal

app = modal.App("waybill-retrain")
image = modal.Image.debian_slim(python_version="3.11").pip_install("waybill-sidecar[retrain]")
volume = modal.Volume.from_name("waybill", create_if_missing=True)


@app.function(
    image=image,
    volumes={"/data": volume},
    cpu=8,
    memory=8192,
    timeout=2 * 60 * 60,
    schedule=modal.Cron("17 3 1 * *"),
)
def retrain(folder: str = "/data", options: Sequence[str] = ()) -> str:
    """Retrain from what lies in ``folder``; gives the report. ``options`` are further ones of the
    command. Raises RuntimeError when the candidate was refused.
    """
    from waybill.cli.main import main

    data = Path(folder)
    arguments = [f"--push={data / 'versions'}", f"--report={data / 'report'}", *options]
    for option in ("corrections", "patterns"):
        file = data / f"{option}.ndjson"
        if file.exists():
            arguments += [f"--{option}", str(file)]
    if main(["model", "retrain", *arguments]) != 0:
        raise RuntimeError("the candidate was refused, or nothing could be trained: see the log")
    return (data / "report" / "retrain.txt").read_text("utf-8")


@app.local_entrypoint()
def run(corrections: str, patterns: str = "") -> None:
    """Upload the files, retrain, and print the report."""
    with volume.batch_upload(force=True) as batch:
        batch.put_file(corrections, "/corrections.ndjson")
        if patterns:
            batch.put_file(patterns, "/patterns.ndjson")
    sys.stdout.write(retrain.remote())

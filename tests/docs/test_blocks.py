"""What README and pages tell people to type works as it stands there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import COMPLETE, PAGES, ROOT, Block, blocks
from tests.docs.runner import Session, same_output
from waybill.core.labels import read_taxonomy

FLUENT_BIT = os.environ.get("FLUENT_BIT_BIN") or shutil.which("fluent-bit")
VERBS = {
    *("run", "serve", "output", "file", "same", "python", "rules", "labels", "labelled"),
    *("fluent-bit", "make", "skip"),
}
IN_SESSION = {"run", "serve", "output", "file", "labelled"}
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*verbs: str) -> list[Block]:
    return [block for block in ALL_BLOCKS if block.verb in verbs]


@pytest.fixture(name="session")
def _session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.stop()


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.verb in IN_SESSION for block in blocks(page))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_commands_of_a_page_work_in_order(page: Path, session: Session) -> None:
    printed = ""
    for block in blocks(page):
        match block.verb:
            case "run":
                printed = session.run(block.text)
            case "serve":
                session.serve(block.text)
            case "output":
                assert same_output(block.text, printed), f"{block}: {printed}"
            case "file":
                session.write(block.detail, block.text)
            case "labelled":
                check_labels(block, session)


def check_labels(block: Block, session: Session) -> None:
    """The lines of the named file get the labels that the block shows."""
    records = session.folder / "lines.ndjson"
    with records.open("w") as file:
        for line in (session.folder / block.detail).read_text().splitlines():
            file.write(json.dumps({"log": line}) + "\n")
    folder = Path(block.detail).parent
    printed = session.run(f"cd {folder}; waybill label {records} --config waybill.yaml")
    shown = [summary(line) for line in block.text.splitlines()]
    assert [summary(line) for line in printed.splitlines()] == shown


def summary(line: str) -> tuple[str, str, str, str]:
    """What must be as shown of one record: all but its time, and the model's version."""
    record = json.loads(line)
    by_rule = record["label_rule"] if record["label_tier"] == "rule" else ""
    return record["log"], record["target_label"], record["label_tier"], by_rule


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_blocks_raise_nothing(block: Block) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", of("same"), ids=str)
def test_quoted_files_are_the_files(block: Block) -> None:
    assert (ROOT / block.detail).read_text() == block.text


@pytest.mark.parametrize("block", of("rules"), ids=str)
def test_shown_rules_pass_their_own_samples(block: Block, tmp_path: Path) -> None:
    session = Session(tmp_path)
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "10-shown.yaml").write_text(block.text)
    session.run("""waybill rules test --set 'rules.extra_paths=["shown"]'""")


@pytest.mark.parametrize("block", of("labels"), ids=str)
def test_shown_labels_are_read_as_a_taxonomy(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(block.text)
    assert read_taxonomy(file).names


@pytest.mark.parametrize("block", of("make"), ids=str)
def test_make_targets_exist(block: Block) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE)
    assert named
    assert set(named) <= targets


PIPELINES = [block for block in of("fluent-bit") if block.language == "yaml"]


@pytest.mark.parametrize("block", PIPELINES, ids=str)
def test_a_shown_pipeline_sends_and_takes_back(block: Block) -> None:
    pipeline = yaml.safe_load(block.text)["pipeline"]
    (to_waybill,) = [output for output in pipeline["outputs"] if output["name"] == "http"]
    assert to_waybill["retry_limit"] == "no_limits"
    assert {"tail", "forward"} <= {one["name"] for one in pipeline["inputs"]}
    assert to_waybill["match"] in {one.get("tag") for one in pipeline["inputs"]}
    others = [one["match"] for one in pipeline["outputs"] if one != to_waybill]
    assert others == ["labelled.*"]


@pytest.mark.skipif(FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN")
@pytest.mark.parametrize("block", PIPELINES, ids=str)
def test_fluent_bit_takes_a_shown_pipeline(block: Block, tmp_path: Path) -> None:
    config = tmp_path / "fluent-bit.yaml"
    config.write_text(block.text)
    assert FLUENT_BIT is not None
    subprocess.run([FLUENT_BIT, "--dry-run", "-c", str(config)], check=True, timeout=30)


def test_every_block_says_what_is_done_with_it() -> None:
    assert {block.verb for block in ALL_BLOCKS if block.verb} <= VERBS
    for page in COMPLETE:
        for block in blocks(page):
            assert block.verb or block.language == "text", f"{block} has no <!-- test: ... -->"
            assert block.verb != "skip" or block.detail, f"{block} is skipped without a reason"


def test_yaml_and_json_blocks_can_be_read() -> None:
    for block in ALL_BLOCKS:
        if block.language == "yaml":
            yaml.safe_load(block.text)
        elif block.language == "json":
            assert [json.loads(line) for line in block.text.splitlines()]
        elif block.language == "python":
            compile(block.text, str(block), "exec")
        elif block.language == "sh":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)


def test_blocks_run_beside_a_running_loop() -> None:
    """`classify` of the Python blocks works where an event loop runs, as in a notebook."""

    async def run() -> None:
        for block in of("python")[:1]:
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})

    asyncio.run(run())

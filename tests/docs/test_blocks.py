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
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.verb in IN_SESSION for block in blocks(page))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_commands_of_a_page_work_in_order(page: Path, session: Session) -> None:
    printed = ""
    for block in blocks(page):
        if block.verb == "run":
            printed = session.run(block.text)
        elif block.verb == "serve":
            session.serve(block.text)
        elif block.verb == "output":
            assert same_output(block.text, printed), f"{block}: {printed}"
        elif block.verb == "file":
            target = session.folder / block.detail
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif block.verb == "labelled":
            check_labels(block, session)


def check_labels(block: Block, session: Session) -> None:
    """The lines of the named file get the labels that the block shows."""
    lines = (session.folder / block.detail).read_text().splitlines()
    records = session.folder / "lines.ndjson"
    records.write_text("".join(json.dumps({"log": line}) + "\n" for line in lines))
    folder = Path(block.detail).parent
    printed = session.run(f"cd {folder}; waybill label {records} --config waybill.yaml")
    names = ("log", "target_label", "label_tier")
    shown = [json.loads(line) for line in block.text.splitlines()]
    found = [json.loads(line) for line in printed.splitlines()]
    assert [[one[name] for name in names] for one in found] == [
        [one[name] for name in names] for one in shown
    ]
    for one, example in zip(found, shown, strict=True):
        if one["label_tier"] == "rule":
            assert one["label_rule"] == example["label_rule"]


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_blocks_run(block: Block) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", of("same"), ids=str)
def test_quoted_files_are_the_files(block: Block) -> None:
    assert (ROOT / block.detail).read_text() == block.text


@pytest.mark.parametrize("block", of("rules"), ids=str)
def test_rules_are_rules(block: Block, tmp_path: Path) -> None:
    session = Session(tmp_path)
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "10-shown.yaml").write_text(block.text)
    session.run("""waybill rules test --set 'rules.extra_paths=["shown"]'""")


@pytest.mark.parametrize("block", of("labels"), ids=str)
def test_labels_are_a_taxonomy(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(block.text)
    assert read_taxonomy(file).names


@pytest.mark.parametrize("block", of("make"), ids=str)
def test_make_targets_exist(block: Block) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE)
    assert named
    assert set(named) <= targets


@pytest.mark.parametrize("block", of("fluent-bit"), ids=str)
def test_fluent_bit_blocks_are_known_to_it(block: Block, tmp_path: Path) -> None:
    if block.language == "sh":
        assert (ROOT / "examples/local/fluent-bit.yaml").is_file()
        return
    pipeline = yaml.safe_load(block.text)["pipeline"]
    (to_waybill,) = [output for output in pipeline["outputs"] if output["name"] == "http"]
    assert to_waybill["retry_limit"] == "no_limits"
    assert any(one["name"] == "forward" for one in pipeline["inputs"])
    tags = [one["tag"] for one in pipeline["inputs"] if "tag" in one]
    assert to_waybill["match"] in tags
    assert all("labelled" in one["match"] for one in pipeline["outputs"] if one != to_waybill)
    if FLUENT_BIT is not None:
        config = tmp_path / "fluent-bit.yaml"
        config.write_text(block.text)
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

"""A corpus of a dozen templates, and what is trained on it in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from waybill.cli.main import run

__all__ = ["DEFAULT_BUNDLE", "TINY", "Tiny", "train_tiny", "write_tiny"]

DEFAULT_BUNDLE = Path(__file__).parents[2] / "models" / "default"

TINY = {
    # The shares and levels of the default corpus: with even ones the few lines leave all in doubt.
    "balance.yaml": """
Error: {share: 2, levels: ERROR ERROR ERROR WARN WARN INFO FATAL}
User Action: {levels: INFO INFO INFO NOTICE DEBUG}
Unclassified: {share: 2}
""",
    "slots.yaml": """
thing: [alpha, beta, gamma, delta]
word: [kiwi, moss, lamp]
host: [h1]
service: [svc]
logger: [a.b]
thread: [main]
app: [shop]
pod: [p-1]
ns: [prod]
component: [cache]
""",
    "tiny.yaml": """
shop:
  Error:
    - "failed to open {thing}: {timeout|refused} after {n} s"
    - "cannot reach {thing}, giving up"
    - "{thing} crashed with exit code {n}"
  User Action:
    - "user {thing} logged {in|out} from {ip}"
    - "account of {thing} created"
    - "{thing} changed the password"
none:
  Unclassified:
    - "{word} {word} {word}"
    - "{noise}"
    - "{base64}"
""",
}


def write_tiny(folder: Path) -> Path:
    folder.mkdir()
    for name, text in TINY.items():
        (folder / name).write_text(text)
    return folder


class Tiny(NamedTuple):
    """A corpus, the bundle that was trained on it, and the file of its embeddings."""

    corpus: Path
    bundle: Path
    cache: Path


def train_tiny(
    corpus: Path, output: Path, *options: str, encoder: Path | None = DEFAULT_BUNDLE
) -> dict[str, object]:
    """Train on the tiny corpus by the command line; the manifest as JSON."""
    arguments = [
        "--corpus",
        str(corpus),
        "--per-label",
        "24",
        "--output",
        str(output),
    ]
    if encoder is not None:
        arguments += ["--encoder", str(encoder)]
    assert run(["model", "train", *arguments, *options]) == 0
    manifest: dict[str, object] = json.loads((output / "manifest.json").read_bytes())
    return manifest

"""``python -m waybill.settings.generate [--check] [ROOT]``: write or compare generated files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from waybill.settings.generate.chart import chart_schema
from waybill.settings.generate.defaults_file import defaults_file
from waybill.settings.generate.page import page
from waybill.settings.generate.reasons import api_description, labels_page

CHART = Path("deploy/helm/waybill/values.schema.json")
LABELS = Path("docs/labels.md")
API = Path("sidecar/waybill/api/openapi.json")


def generated(root: Path) -> dict[Path, str]:
    """What each generated file of the checkout at ``root`` has to hold. Raises OSError."""
    schema = root / CHART
    return {
        root / "config" / "waybill.yaml": defaults_file(),
        root / "docs" / "settings.md": page(),
        schema: chart_schema(schema.read_text("utf-8")),
        root / LABELS: labels_page((root / LABELS).read_text("utf-8")),
        root / API: api_description((root / API).read_text("utf-8")),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 when ``--check`` finds a file that is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m waybill.settings.generate")
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="top of the checkout")
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args(argv)
    code = 0
    for file, text in generated(arguments.root).items():
        if file.exists() and file.read_text("utf-8") == text:
            continue
        if arguments.check:
            sys.stderr.write(f"{file} is not as it is made; run {parser.prog}\n")
            code = 1
            continue
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
        sys.stdout.write(f"{file} written\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

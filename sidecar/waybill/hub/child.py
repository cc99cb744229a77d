"""``python -m waybill.hub.child``: a pull in a process of its own, for the service that follows a
source.

It prints `Pulled` as JSON; what goes wrong is one line of JSON on stderr, and exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from waybill.core.errors import WaybillError
from waybill.hub.outcome import Failure
from waybill.hub.pull import pull
from waybill.settings.taxonomy import DEFAULT_LABELS

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Pull once; gives the exit code."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=__doc__)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--keep", type=int)
    parser.add_argument("--version")
    parser.add_argument("--endpoint")
    parser.add_argument("--labels", default=DEFAULT_LABELS)
    given = parser.parse_args(argv)
    try:
        pulled = pull(
            given.repo,
            given.into,
            version=given.version,
            endpoint=given.endpoint,
            keep=given.keep,
            labels=given.labels,
        )
    except WaybillError as error:
        failure = Failure(error.code, str(error))
        sys.stderr.write(msgspec.json.encode(failure).decode() + "\n")
        return 1
    sys.stdout.write(msgspec.json.encode(pulled).decode() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m tests.again CODE``: run the few tests that failed once more, each by itself.

Six thousand tests share two processors with browsers, shippers and child processes. What fails in
that company and passes alone is named, so that somebody finds out why, and does not fail the suite.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: Where pytest keeps the names of tests that failed the last time.
FAILED = Path(".pytest_cache/v/cache/lastfailed")
#: More than these do not fail by chance.
MOST = 3
_TESTS_FAILED = 1  # pytest's exit status; others say that it could not run them


def main(code: int, failed: Path = FAILED) -> int:
    """0 when each of the tests that failed passes by itself, else ``code``: how pytest ended."""
    if code != _TESTS_FAILED or not failed.exists():
        return code
    names = [name for name in json.loads(failed.read_text()) if "::" in name]
    if not 0 < len(names) <= MOST:
        return code
    for name in names:
        print(f"\n== once more, by itself: {name}", flush=True)
        again = subprocess.run([sys.executable, "-m", "pytest", "-q", name], check=False)
        if again.returncode:
            return code
    print("\n== FLAKY: failed among the others and passed by themselves. Find out why:")
    print("\n".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

#!/bin/sh
# What the image consists of: `build SOURCE TARGET [LIST]` makes a virtual environment with the wheel and what serving
# needs (no torch, no training tools), with its bytecode and without tests. Without Docker: run it and look at TARGET.
set -eu
[ "${1:-}" = build ] && [ $# -ge 3 ] || { echo "usage: $0 build SOURCE TARGET [LIST]" >&2; exit 2; }
source=$2 target=$3 list=${4:-image}
python3 -m venv "$target"
# Every dependency by version and hash; only Waybill itself comes from the source.
"$target/bin/pip" install --quiet --no-cache-dir --no-compile --disable-pip-version-check \
  --require-hashes -r "$source/deploy/requirements/$list.txt"
"$target/bin/pip" install --quiet --no-cache-dir --no-compile --disable-pip-version-check --no-deps "$source"
"$target/bin/pip" uninstall --quiet --yes pip setuptools 2>/dev/null || true
find "$target" -type d \( -name __pycache__ -o -name tests -o -name test \) -prune -exec rm -rf {} +
# Not what wheels bring along in `*.libs`: its segments were moved, and stripping breaks them.
find "$target" -name '*.so*' -type f -not -path '*.libs/*' -exec strip --strip-unneeded {} + 2>/dev/null || true
# A container cannot write bytecode: without it every start compiles all that it imports again, twice the work. It
# need not be compared with the sources either; nothing changes in an image.
"$target/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$target"/lib
"$target/bin/waybill" check >/dev/null
du -sm "$target" | cut -f1 | sed 's/$/ MB/'

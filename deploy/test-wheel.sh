#!/bin/sh
# `test-wheel.sh WHEEL`: installs the wheel as a stranger would, far from the checkout, and tries what it promises.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 WHEEL" >&2; exit 2; }
lists=$(cd "$(dirname "$0")/requirements" && pwd)
wheel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH
"${PYTHON:-python3}" -m venv venv
flags="--quiet --disable-pip-version-check --no-deps"
venv/bin/pip install $flags --require-hashes -r "$lists/run.txt"
venv/bin/pip install $flags "$wheel"
PATH=$place/venv/bin:$PATH

expect() { # WHAT PATTERN: stdin holds PATTERN
  if grep -q -- "$2"; then echo "ok: $1"; else echo "failed: $1" >&2; exit 1; fi
}
pip check | expect "the pinned packages fit together" "No broken requirements"
python -c 'import waybill; print(waybill.__file__)' | expect "the wheel's own code runs" "$place/venv"
waybill --version | expect "waybill --version" "$(basename "$wheel" | cut -d- -f2)"
waybill check | expect "waybill check" "rules"
printf '{"source": "ModernCRM", "log": "User User42 logged in."}\n' | waybill label --format ndjson - |
  expect "waybill label" "User Action"
python -c 'from waybill import classify; print(classify([("ModernCRM", "User User42 logged in.")]))' |
  expect "from waybill import classify" "User Action"

#!/bin/sh
# `install.sh VENV NAME`: the packages of deploy/requirements/NAME.txt, each by version and hash, and Waybill
# itself from this checkout, into the virtual environment VENV. PYTHON names the interpreter that makes it.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 VENV NAME" >&2; exit 2; }
venv=$1 name=$2 python=${PYTHON:-python3}
root=$(dirname "$0")/..
list=$root/deploy/requirements/$name.txt

# The lists are complete, so nothing has to be resolved; byte code is made when a module is first imported.
flags="--disable-pip-version-check --no-input --no-compile --no-deps"

make_environment() { # with the pinned pip, which is twice as fast as what older interpreters bring along
  sed -n '/^pip==/,/[^\\]$/p' "$list" >"$log.pip"
  if "$python" -m venv --without-pip "$venv" &&
    "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1; then
    "$python" -m pip --python "$venv/bin/python" install $flags --require-hashes -r "$log.pip"
  else
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install $flags --require-hashes -r "$log.pip"
  fi
}

install() {
  [ -x "$venv/bin/pip" ] || make_environment
  "$venv/bin/pip" install $flags --require-hashes -r "$list"
  "$venv/bin/pip" install $flags --no-build-isolation -e "$root"
}

log=$(mktemp)
trap 'rm -f "$log" "$log.pip"' EXIT
printf 'Installing %s packages into %s ' "$(grep -c == "$list")" "$venv"
begin=$(date +%s)
install >"$log" 2>&1 &
trap 'kill $! 2>/dev/null; exit 130' INT TERM
while kill -0 $! 2>/dev/null; do printf .; sleep 1; done
if ! wait $!; then
  echo " failed:"
  cat "$log"
  exit 1
fi
echo " $(($(date +%s) - begin)) s"

#!/usr/bin/env bash
# The Python worker's checks: lints, types, tests and the build. Makes python/.venv on the first run.
#
#   scripts/python-check.sh [argument of pytest]...
#
# PYTHON names the interpreter (3.10 or newer; default python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../python"

python="${PYTHON:-python3}"

fail() { printf 'python-check: %s\n' "$*" >&2; exit 1; }

command -v "$python" > /dev/null ||
  fail "$python is not installed. On Debian and Ubuntu: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "the worker needs Python 3.10 or newer, and $python is $("$python" --version 2>&1). Set PYTHON to another one"

# Debian splits venv off: without python3-venv the module is there and ensurepip isn't. uv makes environments by itself.
if [[ ! -x .venv/bin/python ]]; then
  rm -rf .venv
  if "$python" -c 'import venv, ensurepip' 2> /dev/null; then
    "$python" -m venv .venv
  elif command -v uv > /dev/null; then
    uv venv --quiet --seed --python "$python" .venv
  else
    fail "$python can't make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"
  fi
fi

# Installed again when what it needs has changed.
stamp=.venv/installed-pyproject.toml
if ! cmp --silent pyproject.toml "$stamp"; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
  cp pyproject.toml "$stamp"
fi

step() { printf '\n== python: %s\n' "$*"; "$@"; }

step .venv/bin/ruff check src tests
step .venv/bin/ruff format --check src tests
step .venv/bin/mypy --strict
step .venv/bin/pytest -q "$@"
step .venv/bin/python -m build --outdir dist .

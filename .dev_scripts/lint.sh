#!/usr/bin/env bash
# usage: lint.sh VENV
# Everything that is checked without running the project: style, shell syntax, configs and metafiles.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${1:?usage: lint.sh VENV}/bin/python

"$python" -m ruff check .
while IFS= read -r -d '' script; do bash -n "$script"; done < \
    <(find .ci/run .dev_scripts tools \( -name '*.sh' -o -name run \) -print0)
"$python" -m pytest -q tests/configs/test_names.py

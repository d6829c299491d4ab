#!/usr/bin/env bash
# usage: lint.sh VENV [--fast]
# Everything that is checked without running the project: style, spelling, types, shell scripts,
# configs and metafiles. --fast leaves out what imports torch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${1:?usage: lint.sh VENV [--fast]}
python=$venv/bin/python

"$python" -m ruff check .
"$python" -m codespell_lib
find .ci/run .dev_scripts tools \( -name '*.sh' -o -name run \) -print0 |
    xargs -0 "$venv/bin/shellcheck" --external-sources --source-path=SCRIPTDIR
"$python" -m mypy
if [ "${2:-}" != --fast ]; then
    "$python" -m pytest -q tests/configs/test_names.py
fi

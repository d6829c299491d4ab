#!/usr/bin/env bash
# usage: setup.sh VENV
# Makes the virtual environment VENV with the pinned packages and this checkout in editable mode.
# What is up to date is left alone. PYTHON chooses the interpreter of a new environment.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.dev_scripts/lib.sh"

venv=${1:?usage: setup.sh VENV}
python=$venv/bin/python

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "${PYTHON:-python3} is not Python 3.10 to 3.13: name one, as in \`make setup PYTHON=python3.12\`."
}

if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
    die "VENV=$venv exists but is not a virtual environment: choose another place."
fi
if [ ! -x "$python" ]; then
    base=$(find_python)
    echo "==> Making a virtual environment in $venv ($("$base" --version))"
    "$base" -m venv "$venv" ||
        die "$base cannot make virtual environments (on Debian or Ubuntu: apt install python3-venv)."
fi
"$python" -c '' || die "$python does not run (was its Python removed?): delete $venv and try again."

# A stamp is written when its step is done, so an interrupted one is repeated.
hash_of() { cat "$@" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
packages_stamp=$venv/.eca_mm-packages
project_stamp=$venv/.eca_mm-project
packages=$(hash_of "$root"/requirements.txt "$root"/requirements/*.txt)
project="$root $(hash_of "$root/setup.cfg" "$root/pyproject.toml" "$root/eca_mm/version.py")"

up_to_date() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

if ! up_to_date "$packages_stamp" "$packages"; then
    rm -f "$packages_stamp"
    files=(-r "$root/requirements.txt")
    for extra in onnx events tests docs lint; do files+=(-r "$root/requirements/$extra.txt"); done
    # Compiled mmcv (`make mmcv-ops`) stays: the two would overwrite each other.
    "$python" -m pip show -q mmcv 2>/dev/null || files+=(-r "$root/requirements/lite.txt")
    echo "==> Installing the pinned packages (several GB on Linux, most of it torch)"
    with_heartbeat 'installing packages' "$python" -m pip install --disable-pip-version-check \
        "${files[@]}" -c "$root/requirements/constraints.txt"
    echo "$packages" > "$packages_stamp"
fi
if ! up_to_date "$project_stamp" "$project"; then
    rm -f "$project_stamp"
    echo "==> Installing eca_mm from $root, editable"
    "$python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e "$root"
    "$python" -c 'import eca_mm' || die "the packages are installed but eca_mm cannot be imported."
    echo "$project" > "$project_stamp"
fi
echo "==> $venv is up to date"

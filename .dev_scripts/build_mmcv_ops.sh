#!/usr/bin/env bash
# usage: build_mmcv_ops.sh VENV
# Replaces mmcv-lite in the virtual environment VENV by mmcv 2.1.0 with its compiled operators.
# MAX_JOBS limits the number of compilers that run at once.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.dev_scripts/lib.sh"

version=2.1.0
python=${1:?usage: build_mmcv_ops.sh VENV}/bin/python
# torch looks for ninja there, without which it compiles one file at a time.
export PATH="$1/bin:$PATH"
pip() { "$python" -m pip --disable-pip-version-check "$@"; }

if "$python" -c 'import torch, mmcv._ext' 2>/dev/null; then
    echo "==> mmcv $("$python" -c 'import mmcv; print(mmcv.__version__)') has compiled operators already"
    exit
fi
command -v "${CXX:-g++}" >/dev/null ||
    die "${CXX:-g++}, a C++ compiler, is not installed (on Debian or Ubuntu: apt install g++ python3-dev)."

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
# mmcv's setup.py imports pkg_resources (gone from setuptools 82) and torch (so: no isolation), and
# without MMCV_WITH_OPS and torch it builds no operators and says nothing about it.
echo "==> Building mmcv $version (20 minutes or more on 2 cores)"
pip install 'setuptools<81' wheel ninja psutil -c "$root/requirements/constraints.txt"
MMCV_WITH_OPS=1 with_heartbeat 'compiling mmcv' \
    "$python" -m pip --disable-pip-version-check wheel -v --no-deps --no-build-isolation \
    --no-binary mmcv --no-cache-dir -w "$wheels" "mmcv==$version"

echo "==> Replacing mmcv-lite by it"
restore() {
    echo 'error: the new mmcv does not work: putting mmcv-lite back.' >&2
    pip uninstall -y mmcv
    pip install --no-deps -r "$root/requirements/lite.txt" -c "$root/requirements/constraints.txt"
    exit 1
}
pip uninstall -y mmcv-lite mmcv
pip install --no-deps "$wheels"/mmcv-*.whl || restore
(cd / && "$python" -c 'import torch, mmcv._ext; from mmcv.ops import nms, roi_align') || restore
echo "==> mmcv $version with compiled operators is installed"

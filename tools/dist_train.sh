#!/usr/bin/env bash
# Train in several processes: one per GPU, or GPUS processes on a machine without one.
# usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Environment: NNODES, NODE_RANK, MASTER_ADDR and PORT for several machines; PYTHON.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
. "$TOOLS/dist.sh"
launch train.py "$2" "$1" "${@:3}"

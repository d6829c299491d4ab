#!/usr/bin/env bash
# Evaluate in several processes: one per GPU, or GPUS processes on a machine without one.
# usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Environment: NNODES, NODE_RANK, MASTER_ADDR and PORT for several machines; PYTHON.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
. "$TOOLS/dist.sh"
launch test.py "$3" "$1" "$2" "${@:4}"

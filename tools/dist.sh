# shellcheck shell=bash
# Shared by dist_train.sh and dist_test.sh: start TOOL in GPUS processes on this machine.
# usage: . dist.sh; launch TOOL GPUS ARGUMENTS...
launch() {
    local tool=$1 gpus=$2 cores
    shift 2
    case $gpus in
        '' | *[!0-9]* | 0)
            echo "GPUS must be a number of processes, at least 1, but is '$gpus'." >&2
            exit 2 ;;
    esac
    # Without a share of the cores, torchrun gives one thread to each process.
    cores=$(nproc 2>/dev/null || echo 1)
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((cores > gpus ? cores / gpus : 1))}"
    local nodes=${NNODES:-1} rendezvous
    if [ "$nodes" = 1 ] && [ -z "${PORT:-}" ]; then
        # A free port, so that two jobs on one machine do not meet.
        rendezvous=(--rdzv-backend c10d --rdzv-endpoint localhost:0)
    else
        rendezvous=(--node-rank "${NODE_RANK:-0}" --master-addr "${MASTER_ADDR:-127.0.0.1}"
                    --master-port "${PORT:-29500}")
    fi
    exec "${PYTHON:-$(command -v python || command -v python3)}" "$TOOLS/launch.py" --nnodes "$nodes" --nproc-per-node "$gpus" \
        "${rendezvous[@]}" "$TOOLS/$tool" "$@" --launcher pytorch
}

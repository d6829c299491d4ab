# shellcheck shell=bash
# Shared by slurm_train.sh and slurm_test.sh: run TOOL as a Slurm job.
# usage: . slurm.sh; launch TOOL PARTITION JOB_NAME ARGUMENTS...
launch() {
    local tool=$1 partition=$2 job=$3 gpus=${GPUS:-4}
    shift 3
    local per_node=${GPUS_PER_NODE:-4}
    per_node=$((per_node < gpus ? per_node : gpus))
    # SRUN_ARGS is a list of words on purpose.
    # shellcheck disable=SC2086
    exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} "${PYTHON:-$(command -v python || command -v python3)}" -u "$TOOLS/$tool" "$@" --launcher slurm
}

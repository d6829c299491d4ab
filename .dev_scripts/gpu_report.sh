#!/usr/bin/env bash
# usage: gpu_report.sh [OUT] [--rehearse]
# Tests and measures on one GPU, without a network, in at most 25 minutes: the tests marked gpu, then
# the benchmark. OUT (default: work_dirs/gpu_report) gets tests.log, benchmark.json and
# benchmark.md, a section for docs/benchmarks.md. --rehearse does it on the CPU with tiny sizes.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib.sh
. "$here/.dev_scripts/lib.sh"

out=work_dirs/gpu_report rehearse=()
for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"; exit ;;
        --rehearse) rehearse=(--rehearse) ;;
        -*) die "there is no option $argument: the only one is --rehearse" ;;
        *) out=$argument ;;
    esac
done
mkdir -p "$out" || die "$out cannot be made"
out=$(cd "$out" && pwd)
cd "$here" || exit
python=${PYTHON:-$here/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}

if [ ${#rehearse[@]} -gt 0 ]; then
    export ECA_MM_REHEARSE_GPU=1
else
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
        die 'there is no CUDA device: --rehearse runs the report on the CPU'
fi
status=0
timeout 480 "$python" -m pytest -q -m gpu tests/gpu 2>&1 | tee "$out/tests.log" || status=1
timeout 1000 "$python" .dev_scripts/gpu_report.py "$out" --seconds 780 \
    ${rehearse[@]+"${rehearse[@]}"} || status=1
[ $status = 0 ] && echo "==> $out/benchmark.md" || echo "==> something failed; see $out" >&2
exit $status

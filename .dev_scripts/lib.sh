# shellcheck shell=bash
# Sourced by the scripts beside it.

die() {
    echo "error: $*" >&2
    exit 1
}

# Runs a command and tells every 15 s that it is still running: pip is silent while it unpacks
# gigabytes or compiles, and shows no bars where there is no terminal.
with_heartbeat() {
    local what=$1 start=$SECONDS beat status=0
    shift
    (
        trap 'kill $!; exit' TERM
        while sleep 15 & wait $! && kill -0 $$; do
            echo "    ... $what, $((SECONDS - start)) s"
        done
    ) 2>/dev/null &
    beat=$!
    "$@" || status=$?
    kill "$beat" && wait "$beat" || true
    return "$status"
}

# shellcheck shell=bash
# What the measurements of this directory share: three nodes on this machine, and a run of
# `counterfoil bench` against them. Sourced; it does nothing by itself.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
: "${COUNTERFOIL_BASE_PORT:=7940}"
. deploy/local/consortium.sh

seconds=${COUNTERFOIL_BENCH_SECONDS:-8}
rounds=${COUNTERFOIL_BENCH_ROUNDS:-3}
directory=$(realpath -m target/bench)
nodes=3

# Founds three nodes in target/bench, which is removed at the end. They are not started.
prepare() {
    require_programs
    if [ -f "$directory/base_port" ]; then
        stop_nodes "$directory" >/dev/null || true
        rm -rf "$directory"
    fi
    require_free_ports "$nodes"
    trap 'stop_nodes "$directory" >/dev/null; rm -rf "$directory"' EXIT
    found "$directory" "$nodes" >/dev/null
    . "$directory/env.sh"
    local node
    for ((node = 1; node <= nodes; node++)); do
        init_node "$directory" "$node"
    done
}

# Starts all nodes, or starts them again.
start() {
    local node
    stop_nodes "$directory" >/dev/null || true
    pids=()
    for ((node = 1; node <= nodes; node++)); do
        start_node "$directory" "$node"
        pids+=(--pid "node-$node=$(<"$directory/${institutions[node - 1]}/node.pid")")
    done
    wait_healthy "$directory" "$nodes" 60
}

# bench CLIENTS BATCH [ARGUMENTS]: the load against the nodes, and what the program prints.
bench() {
    "$bin/counterfoil" bench --context "$(context_of "${institutions[1]}")" \
        --servicer-context "$(context_of "${institutions[0]}")" --asset CHF \
        --clients "$1" --batch "$2" --duration "$seconds" "${@:3}"
}

# measure CLIENTS BATCH [ARGUMENTS]: sets throughput, p50 and p99 (milliseconds) of a run.
measure() {
    local json
    json=$(bench "$@" -o json)
    throughput=$(field transfersPerSecond)
    p50=$(field p50 | milliseconds)
    p99=$(field p99 | milliseconds)
}

# A field of $json, which has one on each line.
field() { sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([0-9.]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" <<<"$json" | sed -n 1p; }

milliseconds() { awk '{ printf "%.1f", $1 / 1000 }'; }

# What was measured last, as a row of a table.
row() { printf '%-34s %12.0f %10.1f %10.1f\n' "$1" "$throughput" "$p50" "$p99"; }

head_of_rows() { printf '%-34s %12s %10s %10s\n' LOAD TRANSFERS/S P50-MS P99-MS; }

# The middle one of some figures.
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }

# The median of one list over that of another.
ratio() {
    # shellcheck disable=SC2086
    awk -v one="$(median $1)" -v other="$(median $2)" 'BEGIN { printf "%.2f", one / other }'
}

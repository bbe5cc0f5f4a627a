#!/usr/bin/env bash
# What certificates cost: the same load on the same three nodes, with their signatures and without,
# by turns. Then how long it takes until a transfer is final, idle and at half load.
#
# COUNTERFOIL_BENCH_SECONDS   seconds measured for each figure; 8, unless given
# COUNTERFOIL_BENCH_ROUNDS    turns; 3, unless given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${COUNTERFOIL_BASE_PORT:=7940}"
. deploy/local/consortium.sh

seconds=${COUNTERFOIL_BENCH_SECONDS:-8}
rounds=${COUNTERFOIL_BENCH_ROUNDS:-3}
directory=$(realpath -m target/bench)
nodes=3
# Without signatures nothing becomes final, and admission must not stop for it.
policy=$'certificate_lag_blocks = 4294967295\ncertificate_lag_ms = 4294967295'

main() {
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

    title "Transfers a second and latency, with certificates and without, by turns"
    printf '%-34s %12s %10s %10s\n' LOAD TRANSFERS/S P50-MS P99-MS
    compare "64 clients, singly" 64 1
    compare "4 clients, batches of 100" 4 100

    title "Time from sending to the answer"
    printf '%-34s %12s %10s %10s\n' LOAD TRANSFERS/S P50-MS P99-MS
    start true
    measure ordered 1 1
    row "idle, ordered"
    measure final 1 1
    row "idle, final"
    measure final 64 1
    local half=$((${throughput%.*} / 2))
    measure ordered 64 1 --rate "$half"
    row "half load ($half/s), ordered"
    measure final 64 1 --rate "$half"
    row "half load ($half/s), final"
}

# compare WHAT CLIENTS BATCH
compare() {
    local round with=() without=() cheap=()
    for ((round = 0; round < rounds; round++)); do
        start true
        measure final "$2" "$3"
        row "$1, final"
        with+=("$throughput")
        measure ordered "$2" "$3"
        row "$1, signed, ordered"
        cheap+=("$throughput")
        start false
        measure ordered "$2" "$3"
        row "$1, unsigned, ordered"
        without+=("$throughput")
    done
    say "  median ratio: waiting for FINAL $(ratio "${with[*]}" "${without[*]}"), signatures alone $(ratio "${cheap[*]}" "${without[*]}")"
}

# The median of one list over that of another.
ratio() {
    local one other
    one=$(tr ' ' '\n' <<<"$1" | sort -g | sed -n "$((rounds / 2 + 1))p")
    other=$(tr ' ' '\n' <<<"$2" | sort -g | sed -n "$((rounds / 2 + 1))p")
    awk -v one="$one" -v other="$other" 'BEGIN { printf "%.2f", one / other }'
}

# Starts all nodes again, with signatures or without.
start() {
    local node
    stop_nodes "$directory" >/dev/null || true
    export COUNTERFOIL_NODE_FINALITY__SIGN=$1
    for ((node = 1; node <= nodes; node++)); do
        start_node "$directory" "$node"
    done
    unset COUNTERFOIL_NODE_FINALITY__SIGN
    wait_healthy "$directory" "$nodes" 60
}

# measure WAIT CLIENTS BATCH [ARGUMENTS]: throughput, p50 and p99 of a run.
measure() {
    local json
    json=$("$bin/counterfoil" bench -o json --context "$(context_of "${institutions[1]}")" \
        --servicer-context "$(context_of "${institutions[0]}")" --read ordered --asset CHF --wait "$1" \
        --clients "$2" --batch "$3" --duration "$seconds" "${@:4}")
    throughput=$(field transfersPerSecond)
    p50=$(field p50)
    p99=$(field p99)
}

field() { sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([0-9.]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" <<<"$json" | sed -n 1p; }

row() {
    printf '%-34s %12.0f %10.1f %10.1f\n' "$1" "$throughput" \
        "$(awk -v us="$p50" 'BEGIN { print us / 1000 }')" "$(awk -v us="$p99" 'BEGIN { print us / 1000 }')"
}

main

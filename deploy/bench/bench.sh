#!/usr/bin/env bash
# Throughput and latency of three nodes on this machine, with fsync, mutual TLS and signatures on.
# The load runs on the same cores.
#
#   bench.sh        one client; 64 clients; batches of 100; batches of 8,000
#
# COUNTERFOIL_BENCH_SECONDS   seconds measured for each figure; 10, unless given
# COUNTERFOIL_BENCH_OUTPUT    table (the default) or json
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${COUNTERFOIL_BASE_PORT:=7940}"
. deploy/local/consortium.sh

seconds=${COUNTERFOIL_BENCH_SECONDS:-10}
output=${COUNTERFOIL_BENCH_OUTPUT:-table}
directory=$(realpath -m target/bench)
nodes=3

require_programs
if [ -f "$directory/base_port" ]; then
    stop_nodes "$directory" >/dev/null || true
    rm -rf "$directory"
fi
require_free_ports "$nodes"
trap 'stop_nodes "$directory" >/dev/null; rm -rf "$directory"' EXIT
found "$directory" "$nodes" >/dev/null
. "$directory/env.sh"
pids=()
for ((node = 1; node <= nodes; node++)); do
    init_node "$directory" "$node"
    start_node "$directory" "$node"
    pids+=(--pid "$(<"$directory/${institutions[node - 1]}/node.pid")")
done
wait_healthy "$directory" "$nodes" 60

# measure CLIENTS BATCH ACCOUNTS
measure() {
    title "$1 clients, $2 transfers a request, $3 accounts"
    "$bin/counterfoil" bench -o "$output" --context "$(context_of "${institutions[1]}")" \
        --servicer-context "$(context_of "${institutions[0]}")" --asset CHF --clients "$1" \
        --batch "$2" --accounts "$3" --duration "$seconds" "${pids[@]}"
}

if [ $# -eq 3 ]; then
    measure "$@"
else
    measure 1 1 64
    measure 64 1 64
    measure 4 100 64
    measure 2 8000 64
fi

#!/usr/bin/env bash
# Throughput and latency of three nodes on this machine, with fsync, mutual TLS, signatures and
# certificates on. The load runs on the same cores.
#
#   bench.sh                          one client; 64 clients; batches of 100; batches of 8,000
#   bench.sh CLIENTS BATCH [OPTION…]  one load; options are those of `counterfoil bench`
#
# COUNTERFOIL_BENCH_SECONDS   seconds measured for each figure; 8, unless given
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/measuring.sh"

# show_load CLIENTS BATCH [OPTION…]
show_load() {
    title "$1 clients, $2 transfers a request"
    bench "$@" "${pids[@]}"
}

prepare
start
if [ $# -ge 2 ]; then
    show_load "$@"
else
    show_load 1 1
    show_load 64 1
    show_load 4 100
    show_load 2 8000
fi

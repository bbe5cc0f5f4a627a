#!/usr/bin/env bash
# What certificates cost: the same load on the same three nodes, with their signatures and without,
# by turns. Then how long it takes until a transfer is final, idle and at half load.
#
# COUNTERFOIL_BENCH_SECONDS   seconds measured for each figure; 8, unless given
# COUNTERFOIL_BENCH_ROUNDS    turns; 3, unless given
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/measuring.sh"

# Without signatures nothing becomes final, and admission must not stop for it.
policy=$'certificate_lag_blocks = 4294967295\ncertificate_lag_ms = 4294967295'

main() {
    prepare
    title "Transfers a second and latency, with certificates and without, by turns"
    head_of_rows
    compare "64 clients, singly" 64 1
    compare "4 clients, batches of 100" 4 100

    title "Time from sending to the answer"
    head_of_rows
    signing true
    load ordered 1 1
    row "idle, ordered"
    load final 1 1
    row "idle, final"
    load final 64 1
    local half=$((${throughput%.*} / 2))
    load ordered 64 1 --rate "$half"
    row "half load ($half/s), ordered"
    load final 64 1 --rate "$half"
    row "half load ($half/s), final"
}

# compare WHAT CLIENTS BATCH
compare() {
    local round with=() without=() cheap=()
    for ((round = 0; round < rounds; round++)); do
        signing true
        load final "$2" "$3"
        row "$1, final"
        with+=("$throughput")
        load ordered "$2" "$3"
        row "$1, signed, ordered"
        cheap+=("$throughput")
        signing false
        load ordered "$2" "$3"
        row "$1, unsigned, ordered"
        without+=("$throughput")
    done
    say "  median ratio: waiting for FINAL $(ratio "${with[*]}" "${without[*]}"), signatures alone $(ratio "${cheap[*]}" "${without[*]}")"
}

# Starts all nodes again, with signatures or without.
signing() {
    export COUNTERFOIL_NODE_FINALITY__SIGN=$1
    start
    unset COUNTERFOIL_NODE_FINALITY__SIGN
}

# load WAIT CLIENTS BATCH [OPTION…]
load() { measure "$2" "$3" --read ordered --wait "$1" "${@:4}"; }

main

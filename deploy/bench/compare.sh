#!/usr/bin/env bash
# The ledger and PostgreSQL on this machine, by turns in one run: what a bank would otherwise write
# for itself, a primary and two synchronous standbys with fsync, against three nodes with every
# promise on, where each transfer is answered when it is final, with its receipt.
#
#   compare.sh POSTGRES_BENCH   the script that sets PostgreSQL up and measures it
#
# COUNTERFOIL_BENCH_SECONDS   seconds measured for each figure; 8, unless given
# COUNTERFOIL_BENCH_ROUNDS    turns; 3, unless given
set -euo pipefail
postgres=$(realpath "${1:?the path of the script that measures PostgreSQL is required}")
. "$(dirname "${BASH_SOURCE[0]}")/measuring.sh"

[ -x "$postgres" ] || fail "there is no program $postgres; give another one with POSTGRES_BENCH=…"

main() {
    export PG_BENCH_DIR=${PG_BENCH_DIR:-/tmp/counterfoil-compare} SECS=$seconds REPS=1
    prepare
    trap 'stop_nodes "$directory" >/dev/null; rm -rf "$directory"; "$postgres" teardown >/dev/null 2>&1' EXIT
    "$postgres" setup >/dev/null
    local round ledger_single=() ledger_hundred=() ledger_large=() single=() thousand=() large=()
    head_of_rows
    for ((round = 0; round < rounds; round++)); do
        start
        measure 64 1
        row "ledger, 64 clients singly"
        ledger_single+=("$throughput")
        measure 4 100
        row "ledger, batches of 100"
        ledger_hundred+=("$throughput")
        measure 2 8000
        row "ledger, batches of 8,000"
        ledger_large+=("$throughput")
        stop_nodes "$directory" >/dev/null
        "$postgres" run >"$directory/postgres.txt"
        take 'clients=64 ' "PostgreSQL, 64 clients singly"
        single+=("$throughput")
        take 'batch-netted .* k=1000 ' "PostgreSQL, batches of 1,000"
        thousand+=("$throughput")
        take 'k=8189 ' "PostgreSQL, batches of 8,189"
        large+=("$throughput")
    done
    title "The ledger over PostgreSQL, medians of $rounds turns"
    say "  64 clients singly                           $(ratio "${ledger_single[*]}" "${single[*]}")"
    say "  batches of 100, over its batches of 1,000   $(ratio "${ledger_hundred[*]}" "${thousand[*]}")"
    say "  batches of 8,000, over those of 8,189       $(ratio "${ledger_large[*]}" "${large[*]}")"
}

# take PATTERN LABEL: a line of PostgreSQL's figures, as a row.
take() {
    local line
    line=$(grep -- "$1" "$directory/postgres.txt" | sed -n 1p) || fail "PostgreSQL was not measured; see $directory/postgres.txt"
    throughput=$(sed -n 's/.*transfers\/s=\([0-9]*\).*/\1/p' <<<"$line")
    p50=$(sed -n 's/.*p50=\([0-9.]*\)ms.*/\1/p' <<<"$line")
    p99=$(sed -n 's/.*p99=\([0-9.]*\)ms.*/\1/p' <<<"$line")
    row "$2"
}

main

#!/usr/bin/env bash
# Lets libFuzzer search each target in turn for a time: `fuzz/fuzz.sh 60s`, or `fuzz/fuzz.sh 10m receipt
# commands`. It begins with seeds that are made by code, keeps what it learns under target/fuzz/corpus,
# and adds what it did to target/fuzz/totals.csv. It ends with 1 where something broke: the input
# lies under target/fuzz/found then, and belongs into fuzz/regressions/<target>.
set -euo pipefail
cd "$(dirname "$0")/.."

budget=${1:-60s}
shift || true
case $budget in
    *m) seconds=$((${budget%m} * 60)) ;;
    *h) seconds=$((${budget%h} * 3600)) ;;
    *) seconds=${budget%s} ;;
esac

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "make fuzz needs the nightly toolchain; install it with: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$out/corpus" "$out/found"
# What cargo-fuzz passes, but for `--cfg fuzzing`: what is searched is what is shipped.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address" \
    CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
    cargo +nightly build --locked -p counterfoil-fuzz --features libfuzzer --bin counterfoil-fuzz \
    --target "$host" --target-dir "$out/build"
program=$out/build/$host/debug/counterfoil-fuzz

if [ $# -eq 0 ]; then
    # The table of targets in fuzz/src/lib.rs is the list.
    mapfile -t targets < <(sed -n 's/^ *target("\([a-z_]*\)".*/\1/p' fuzz/src/lib.rs)
else
    targets=("$@")
fi

broke=0
for target in "${targets[@]}"; do
    corpus=$out/corpus/$target
    mkdir -p "$corpus"
    FUZZ_TARGET=$target FUZZ_SEEDS=$corpus "$program"
    known=fuzz/regressions/$target
    [ -d "$known" ] || known=
    log=$out/$target.log
    if ! FUZZ_TARGET=$target nice "$program" -max_total_time="$seconds" -max_len=65536 \
        -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 \
        -artifact_prefix="$out/found/$target-" "$corpus" $known >"$log" 2>&1; then
        broke=1
        echo "$target: BROKEN, see $log and $out/found" >&2
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    printf '%-14s %10s executions in %s s, %s edges, %s MiB\n' \
        "$target" "${executions:-?}" "$seconds" "${edges:-?}" "${peak:-?}"
    echo "$(date -u +%FT%TZ),$target,$seconds,${executions:-0},${edges:-0},${peak:-0}" >>"$out/totals.csv"
done
exit $broke

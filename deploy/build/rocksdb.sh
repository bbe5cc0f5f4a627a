#!/usr/bin/env bash
# Lays `.rocksdb`, a link to a static RocksDB that every clone and every profile on this machine
# shares, and compiles the library first if the machine has none (about 25 minutes on two cores).
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
machine=$(uname -m)
# CRC32C by instruction, not by table: SSE4.2 and PCLMULQDQ are in every x86-64 server since 2010.
flags=""
[ "$machine" = x86_64 ] && flags="-Ctarget-feature=+sse4.2,+pclmulqdq"
cache=${COUNTERFOIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/counterfoil}
library=$cache/rocksdb-$version-lz4-zstd-$machine

if [ ! -s "$library/librocksdb.a" ]; then
    mkdir -p "$library"
    # Two clones may start at once: one compiles, the other waits for it.
    exec 9>"$library/lock"
    flock 9
    if [ ! -s "$library/librocksdb.a" ]; then
        echo "compiling RocksDB $version once for this machine, into $library (about 25 minutes on two cores)" >&2
        ROCKSDB_COMPILE=1 RUSTFLAGS="$flags" cargo build --locked --release -p librocksdb-sys \
            --target-dir "$cache/build" >&2
        built=$(find "$cache/build/release/build" -path '*librocksdb-sys-*/out/librocksdb.a' -size +1M -print -quit)
        # The link step looks for a whole file or none.
        strip --strip-debug -o "$library/librocksdb.a.part" "$built"
        mv "$library/librocksdb.a.part" "$library/librocksdb.a"
        rm -rf "$cache/build"
    fi
fi
ln -sfn "$library" .rocksdb

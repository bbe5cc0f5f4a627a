#!/usr/bin/env bash
# Sees to it that the machine can build and test: installs what is missing where it may, or prints the one
# command that does.
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "error: there is no Rust toolchain (cargo). Install one from https://rustup.rs, then run make again." >&2
    exit 1
fi

packages=()
command -v g++ >/dev/null && command -v cc >/dev/null || packages+=(g++)
# bindgen reads RocksDB's C header through libclang, which needs clang's own headers beside it.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null
}
have_clang_headers() {
    [ -n "${BINDGEN_EXTRA_CLANG_ARGS:-}" ] || compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stdbool.h' >/dev/null \
        || compgen -G '/usr/lib/clang/*/include/stdbool.h' >/dev/null
}
# The tests have a second verifier of receipts, in Python.
command -v python3 >/dev/null || packages+=(python3)
python3 -c 'import cryptography' 2>/dev/null || packages+=(python3-cryptography)
have_libclang && have_clang_headers || packages+=(libclang-dev)
[ ${#packages[@]} -eq 0 ] && exit 0

command="apt-get install -y --no-install-recommends ${packages[*]}"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $command >&2
else
    echo "error: this needs ${packages[*]}. Run: sudo $command" >&2
    exit 1
fi

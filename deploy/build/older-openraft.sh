#!/usr/bin/env bash
# Runs a test or a campaign against openraft 0.9.24, which can commit without a quorum (openraft#1802):
# what is worth something fails.
#   deploy/build/older-openraft.sh [COMMAND…]
# The tree is copied aside with another lock file; nothing here changes. Without a command: the test
# that is about it.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.9.24
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
[ ! -e .rocksdb ] || cp -P .rocksdb "$copy/"
# What is built is kept for the next time, apart from what the product is built of.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/openraft-$version

cd "$copy"
sed -i "s/^openraft = { version = \"=[0-9.]*\"/openraft = { version = \"=$version\"/" Cargo.toml
cargo update --quiet --package openraft --precise "$version"
grep -A1 '^name = "openraft"$' Cargo.lock
[ $# -gt 0 ] || set -- cargo test --locked -p counterfoil-node --lib consensus::quorum
if "$@"; then
    echo "nothing was found with openraft $version" >&2
    exit 1
fi
echo "found with openraft $version, as it should be" >&2

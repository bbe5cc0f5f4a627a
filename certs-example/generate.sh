#!/usr/bin/env bash
# Makes the certificates and keys of one example institution in certs-example/out, to look at and to
# try tools on. Needs `make build` first.
set -euo pipefail
cd "$(dirname "$0")/.."
counterfoil=target/release/counterfoil
out=certs-example/out
[ -x "$counterfoil" ] || { echo "error: there is no $counterfoil; run: make build" >&2; exit 1; }
[ ! -e "$out" ] || { echo "error: $out exists; remove it first: rm -r $out" >&2; exit 1; }

"$counterfoil" pki authority --institution EXAMCHZZXXX --out "$out/authority"
for role in node client operator auditor; do
    "$counterfoil" pki issue --authority "$out/authority" --consortium example.org --role "$role" \
        --name "$role-1" --out "$out/$role"
done
"$counterfoil" pki key --out "$out/instruction.key.pem"
"$counterfoil" pki inspect "$out/client/certificate.pem"

#!/usr/bin/env bash
# A business day of a settlement agent and three banks, on this machine: found, fund, agree, settle, lose
# the leader, reconcile, work a break, redeem, prove, export, verify, and convict a node that lies. It shows every kind of command that it uses, fails
# if anything is not as it must be, and leaves nothing behind.
#
#   demo.sh         runs the day; with KEEP=1 the nodes stay
#   demo.sh stop    stops nodes that stayed
#
# COUNTERFOIL_DEMO_DIR   where everything is kept while it runs; target/demo, unless given
# COUNTERFOIL_MISBEHAVING   the program of the node that lies; target/debug/counterfoil-node-misbehaving
# COUNTERFOIL_BASE_PORT, COUNTERFOIL_BIN: see deploy/local/up.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/local/consortium.sh

files=deploy/demo
place=${COUNTERFOIL_DEMO_DIR:-target/demo}
directory=$(realpath -m "$place")
banks=("${institutions[@]:1}")
misbehaving=${COUNTERFOIL_MISBEHAVING:-target/debug/counterfoil-node-misbehaving}
answer=''
started=no

main() {
    case ${1:-} in
        '') ;;
        stop)
            stop_kept
            return
            ;;
        *) fail "usage: demo.sh [stop]" ;;
    esac
    require_programs
    [ -x "$misbehaving" ] || fail "there is no $misbehaving: run \`make misbehaving\`"
    clear_place
    require_free_ports 4
    trap on_exit EXIT
    trap 'exit 130' INT TERM

    SECONDS=0
    found_consortium
    open_accounts
    agree
    fund
    settle morning
    kill_leader
    settle afternoon
    restart_node
    import_books
    compare_breaks
    work_break
    redeem
    verify_receipt
    export_and_verify
    catch_liar
    title "The day is over: every check held, $SECONDS s"
}

stop_kept() {
    if [ -f "$directory/base_port" ]; then
        stop_nodes "$directory" && rm -rf "$directory"
    else
        say "no demo is kept in $place"
    fi
}

# An earlier run's directory goes; any other stays untouched.
clear_place() {
    local node
    [ -e "$directory" ] || return 0
    if [ -f "$directory/base_port" ]; then
        for node in 1 2 3 4; do
            [ -z "$(node_pid "$directory" $node)" ] ||
                fail "a demo runs in $place already; \`make stop\` stops it"
        done
        rm -rf "$directory"
    elif [ -n "$(ls -A "$directory")" ]; then
        fail "$place holds something else; choose another directory with COUNTERFOIL_DEMO_DIR"
    fi
}

on_exit() {
    local code=$?
    trap '' INT TERM
    if [ $code -eq 0 ] && [ "${KEEP:-0}" = 1 ]; then
        explain_kept
        return
    fi
    [ $started = no ] || { echo && stop_nodes "$directory"; } || code=1
    if [ $code -eq 0 ]; then
        rm -rf "$directory"
    else
        say "the demo failed (exit code $code); logs and data are in $place" >&2
    fi
    exit $code
}

# Runs a command of `counterfoil`, shown, its answer kept in `answer`; a failure ends the demo.
ask() {
    show counterfoil "$@"
    ask_silently "$@"
}

ask_silently() {
    local code=0
    answer=$("$bin/counterfoil" "$@") || code=$?
    if [ $code -ne 0 ]; then
        [ -z "$answer" ] || say "$answer" >&2
        fail "counterfoil $* ended with exit code $code"
    fi
}

indented() { sed 's/^/  /' <<<"$answer"; }

# Checks one fact of the day.
check() {
    local what=$1 found=$2 expected=$3
    if [ "$found" = "$expected" ]; then
        say "  ✓ $what: $found"
    else
        fail "$what: $found instead of $expected"
    fi
}

found_consortium() {
    title "1. Four institutions found a consortium, each with an authority and a node of its own"
    found "$directory" 4
    # shellcheck source=/dev/null
    . "$directory/env.sh"
    local node
    for node in 1 2 3 4; do
        init_node "$directory" $node
    done
    show "counterfoil-node run --config ${institutions[0]}/node.toml   … and the others"
    started=yes
    for node in 1 2 3 4; do
        start_node "$directory" $node
    done
    wait_healthy "$directory" 4 60
    ask cluster status --context setl
    indented
}

open_accounts() {
    title "2. The settlement agent opens accounts: its own to issue from, and one for each bank"
    local asset bank
    for asset in CHF EUR; do
        tell_once "issue-$asset" account open --context setl --owner SETLCHZZXXX --asset $asset --name ISSUANCE
        for bank in "${banks[@]}"; do
            tell_once "open" account open --context setl --owner "$bank" --asset $asset
        done
    done
    ask account list --context setl
    indented | cut -c1-72
}

# Shows the first command of a kind; the others differ in their arguments only.
declare -A told=()
tell_once() {
    local kind=$1
    shift
    if [ -z "${told[$kind]:-}" ]; then
        told[$kind]=yes
        ask "$@"
    else
        ask_silently "$@"
    fi
}

# The agent offers each bank the same terms; the bank sees them in plain words and accepts.
agree() {
    title "3. The agent and each bank agree on how they reconcile"
    local bank terms id
    for bank in "${banks[@]}"; do
        terms=$directory/${bank:0:4}-terms.toml
        sed "s/\"OWNER\"/\"$bank\"/" $files/terms.toml >"$terms"
        tell_once offer recon agreement propose --context setl --file "${terms/$directory/$place}" --yes
        id=$(agreement_id)
        tell_once accept recon agreement accept --context "$(context_of "$bank")" --yes "$id"
        say "  $bank: agreement $id"
    done
}

# The id in the answer about an agreement.
agreement_id() { grep -oE '\b[0-9a-f]{32}\b' <<<"$answer" | head -n 1; }

fund() {
    title "4. The agent issues to each bank"
    local bank asset amount uetr reference date
    while IFS=, read -r bank asset amount uetr reference date; do
        tell_once issue issue --context setl --to "$bank" --asset "$asset" --amount "$amount" \
            --uetr "$uetr" --end-to-end-id "$reference" --date "$date"
        say "  $(sed -n 1p <<<"$answer")"
    done < <(tail -n +2 $files/funding.csv)
}

# Each bank submits its own files, signed by its own key, to its own node first.
settle() {
    local half=$1 bank file settled total=0 began ended
    case $half in
        morning) title "5. Morning: each bank submits its payments to its own node" ;;
        *) title "7. Afternoon: the banks go on at once" ;;
    esac
    for bank in "${banks[@]}"; do
        settled=0
        began=$(date +%s%N)
        for file in "$files/$half/${bank:0:8}"-*; do
            tell_once "$half-$bank" submit --context "$(context_of "$bank")" --file "$file"
            settled=$((settled + $(settled_of "$answer")))
        done
        ended=$(date +%s%N)
        say "  $bank: pacs.009 in CHF and EUR, pacs.008, CSV: $settled payments settled in $(((ended - began) / 1000000)) ms"
        total=$((total + settled))
    done
    check "payments settled this $half" "$total" 120
}

# The summary of `submit`: N payments: N settled, 0 rejected.
settled_of() { sed -n 's/^[0-9]* payments: \([0-9]*\) settled, 0 rejected$/\1/p' <<<"$1"; }

kill_leader() {
    title "6. The leader dies, without a warning"
    killed=$(leader_of setl)
    local pid
    pid=$(node_pid "$directory" "$killed")
    show "kill -KILL $pid   # ${institutions[killed - 1]}, node $killed, which leads"
    kill -KILL "$pid"
    wait_gone "$directory" "$killed" 10 || fail "node $killed survived SIGKILL"
}

restart_node() {
    title "8. The dead node is started again, and catches up"
    ask cluster status --context "$(context_of "$(survivor)")"
    indented
    show "counterfoil-node run --config ${institutions[killed - 1]}/node.toml"
    start_node "$directory" "$killed"
    wait_healthy "$directory" 4 60
    local tenth
    for ((tenth = 0; tenth < 300; tenth++)); do
        ask_silently cluster status --context setl
        [ "$(trails "$killed")" != 0 ] || break
        sleep 0.1
    done
    check "blocks by which node $killed trails" "$(trails "$killed")" 0
}

survivor() {
    if [ "$killed" -eq 2 ]; then echo "${institutions[2]}"; else echo "${institutions[1]}"; fi
}

# NODE INSTITUTION NAME ROLE HEIGHT TRAILS-BY …
trails() { awk -v node="$1" '$1 == node && $5 ~ /^[0-9]/ && $6 ~ /^[0-9]/ { print $6 }' <<<"$answer"; }

import_books() {
    title "9. Each bank hands in its book of each account, as camt.053"
    local bank asset file
    for bank in "${banks[@]}"; do
        for asset in CHF EUR; do
            file=$files/books/${bank:0:8}-${asset,,}-camt053.xml
            tell_once import recon import --context "$(context_of "$bank")" --file "$file"
            [ "$bank$asset" != "${banks[0]}CHF" ] || indented
        done
    done
    for bank in "${banks[@]}"; do
        tell_once status recon status --context "$(context_of "$bank")"
        [ "$bank" != "${banks[0]}" ] || indented
    done
    tell_once report recon report --context alps CHF
    indented
}

compare_breaks() {
    title "10. Found, against what was planted"
    local bank asset
    for bank in "${banks[@]}"; do
        for asset in CHF EUR; do
            if [ "$bank$asset" = "${banks[0]}CHF" ]; then
                ask recon breaks --context "$(context_of "$bank")" $asset
                indented
            fi
            ask_silently recon breaks --context "$(context_of "$bank")" $asset -o json
            break_rows "$bank" $asset >>"$directory/found.csv"
        done
    done
    if ! diff <(tail -n +2 $files/expected-breaks.csv | sort) <(sort "$directory/found.csv") >"$directory/difference"; then
        sed -n 's/^</  planted, not found: /p; s/^>/  found, not planted: /p' "$directory/difference" >&2
        fail "the breaks found are not the breaks planted"
    fi
    cut -d, -f3 "$directory/found.csv" | sort | uniq -c | awk '{ print "  " $1 " " $2 }'
    check "breaks planted and found, and nothing else" "$(wc -l <"$directory/found.csv")" 18
}

# The JSON of `recon breaks` as rows of expected-breaks.csv. Its lines are one value each.
break_rows() {
    awk -v bank="$1" -v asset="$2" '
        function value() { split($0, part, "\""); return part[4] }
        /^  {/ { category = ""; delete amount; delete uetr; delete reference; side = "" }
        /^    "category": / { category = value() }
        /^    "(first|second)": / { split($0, part, "\""); side = part[2] }
        /^        "amount": {/ { within = side }
        /^          "(value|amount)": "/ && within != "" { amount[within] = value(); within = "" }
        /^        "uetr": "/ { uetr[side] = value() }
        /^        "endToEndId": "/ { reference[side] = value() }
        /^  }/ {
            known = "first" in amount ? "first" : "second"
            print bank "," asset "," category "," uetr[known] "," reference[known] "," amount["first"] "," amount["second"]
        }' <<<"$answer"
}

# The number of the first break of a category in a table of breaks.
break_of() { awk -v category="$1" '$2 == category { print $1; exit }' <<<"$answer"; }

work_break() {
    title "11. A difference is explained, and worked by both banks on the ledger"
    local number
    ask_silently recon breaks --context alps CHF
    number=$(break_of amount)
    ask recon breaks show --context alps CHF "$number"
    indented
    ask recon say --context setl CHF@ALPSCHZZXXX "$number" --code SMTC
    ask recon propose --context alps CHF "$number" --as book-corrected
    ask recon agree --context setl CHF@ALPSCHZZXXX "$number" --yes
    indented
    ask recon breaks show --context alps CHF "$number"
    indented
    ask recon position --context alps CHF 2026-03-31
    indented
    ask recon report --context alps CHF --html "$place/report.html"
    check "pages written" "$(grep -c '</html>' "$place/report.html")" 1
}

redeem() {
    title "12. A bank redeems a part of its money, and keeps the receipt"
    ask redeem --context alps --asset CHF --amount 25000000.00 --end-to-end-id REDEEM-1 --date 2026-04-02 \
        --receipt-out "$place/redeem.receipt"
    indented
}

verify_receipt() {
    title "13. The receipt proves itself to anybody who holds the genesis file; no node is asked"
    ask verify receipt --genesis "$place/genesis.bin" "$place/redeem.receipt"
    indented
    local middle size
    size=$(stat -c %s "$place/redeem.receipt")
    middle=$((size / 2))
    cp "$place/redeem.receipt" "$place/changed.receipt"
    flip_bit "$place/changed.receipt" $middle
    say ""
    say "  … and with one bit changed, in byte $middle of $size:"
    show counterfoil verify receipt --genesis "$place/genesis.bin" "$place/changed.receipt"
    local code=0
    answer=$("$bin/counterfoil" verify receipt --genesis "$place/genesis.bin" "$place/changed.receipt" 2>&1) || code=$?
    indented
    check "exit code for the changed receipt" $code 7
}

# Changes the lowest bit of one byte of a file.
flip_bit() {
    local file=$1 at=$2 byte
    byte=$(od -An -tu1 -j"$at" -N1 "$file")
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((byte ^ 1)))" |
        dd of="$file" bs=1 seek="$at" conv=notrunc status=none
}

export_and_verify() {
    title "14. The auditor takes the whole ledger, and asks no node whether it is right"
    ask ledger export --context setl-auditor --out "$place/day.ledger"
    indented
    local height
    height=$(awk 'NR == 1 { print $1 }' <<<"$answer")
    ask ledger proof "$height" --context setl-auditor --out "$place/day.proof"
    ask verify chain --genesis "$place/genesis.bin" --proof "$place/day.proof" --accounts "$place/day.ledger"
    indented
    grep -q '^FINAL' <<<"$answer" || fail "the exported ledger is not final"
    sed -n '/^SERVICER /,$p' <<<"$answer" | balances >"$directory/verified"
    ask_silently account list --context setl
    balances <<<"$answer" >"$directory/served"
    diff "$directory/verified" "$directory/served" >&2 || fail "the nodes tell other balances than the ledger gives"
    say "  ✓ the nodes tell the balances that the exported ledger gives"
    local asset
    for asset in CHF EUR; do
        check "all balances in $asset together" \
            "$(awk -v asset=$asset '$5 == asset { sub(/\./, "", $4); sum += $4 } END { print sum + 0 }' "$directory/verified")" 0
    done
}

# Servicer, owner, name, balance, asset of a table of accounts.
balances() { awk '$5 ~ /^(CHF|EUR)$/ { print $1, $2, $3, $4, $5 }' | sort; }

# The liar is of another build: the honest program has nothing of it.
catch_liar() {
    local liar=4 other=2 name evidence
    name=${institutions[liar - 1]}
    title "15. Node $liar, of $name, begins to lie: it signs two headers for each block"
    kill -TERM "$(node_pid "$directory" $liar)"
    wait_gone "$directory" $liar 30 || fail "node $liar did not stop"
    show "COUNTERFOIL_MISBEHAVIOUR=sign-twice counterfoil-node-misbehaving run --config $name/node.toml"
    COUNTERFOIL_MISBEHAVIOUR=sign-twice start_node "$directory" $liar "$misbehaving"
    wait_healthy "$directory" 4 60
    ask transfer --context alps --to BRNECHZZXXX --asset CHF --amount 12.50
    indented
    evidence=$(await_evidence $other double-attestation $liar)
    say "  node $other has kept what convicts it:"
    ask verify evidence --genesis "$place/genesis.bin" "$evidence"
    indented
    grep -q CONVICTED <<<"$answer" && grep -q "$name" <<<"$answer" ||
        fail "the evidence does not convict $name"
    say "  ✓ node $liar is convicted by its own two signatures"
    kill -TERM "$(node_pid "$directory" $liar)"
    wait_gone "$directory" $liar 30 || fail "node $liar did not stop"
    say "  It is stopped. Its institution comes back with a new node and a new key; three of four go on."
}

# The file in which one node keeps evidence of a kind against another, as soon as it is there.
await_evidence() {
    local keeper=$1 kind=$2 against=$3 tenth file
    for ((tenth = 0; tenth < 200; tenth++)); do
        for file in "$directory/${institutions[keeper - 1]}/data/evidence/$kind"-*-"$against".evidence; do
            if [ -e "$file" ]; then
                echo "$file"
                return
            fi
        done
        sleep 0.1
    done
    fail "node $keeper has kept no evidence within 20 s"
}

explain_kept() {
    title "The nodes are still running. To talk to them:"
    cat <<END
  . $place/env.sh
  counterfoil cluster status
  counterfoil context list
  counterfoil account list --context alps
  counterfoil transfer --context alps --to BRNECHZZXXX --asset CHF --amount 12.50
  counterfoil account show --context brne --asset CHF --movements
  counterfoil history --context setl-auditor --limit 20
  counterfoil recon breaks --context cant EUR
  curl http://127.0.0.1:$(metrics_port 1)/metrics

  make stop      stops them and removes $place
END
}

main "$@"

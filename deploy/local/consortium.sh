# shellcheck shell=bash
# Shell functions that found a consortium on this machine, start its nodes and stop them. Sourced by
# up.sh, down.sh and the demo; it does nothing by itself.
#
# Everything lies in one directory: genesis.bin, a directory for each institution with its keys,
# its node's configuration, data and log, and config/, where `counterfoil` finds its contexts.

# Node 1, 2, 3, 4, in this order. The first is the settlement agent.
institutions=(SETLCHZZXXX ALPSCHZZXXX BRNECHZZXXX CANTCHZZXXX)
names=("Settlement Agent" "Alpsteinbank" "Bernina Bank" "Cantonal Trust")
consortium=local.example
base_port=${COUNTERFOIL_BASE_PORT:-7440}
# Not empty: the second institution has a spare node, a learner, which nobody starts.
spare=${COUNTERFOIL_SPARE:-}
bin=${COUNTERFOIL_BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/release}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' dim='' plain=''
fi

say() { printf '%s\n' "$*"; }
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Shows a command as the reader would type it.
show() { printf '%s  $ %s%s\n' "$dim" "$*" "$plain"; }

# Shows a command of `counterfoil`, and runs it.
counterfoil() {
    show counterfoil "$@"
    "$bin/counterfoil" "$@"
}

# The same without its answer.
quietly() {
    show "$@"
    "$bin/$1" "${@:2}" >/dev/null
}

client_port() { echo $((base_port + $1)); }
peer_port() { echo $((base_port + 10 + $1)); }
metrics_port() { echo $((base_port + 20 + $1)); }

# alps for ALPSCHZZXXX: the name of the institution's context.
context_of() {
    local four=${1:0:4}
    echo "${four,,}"
}

require_programs() {
    local program
    for program in counterfoil counterfoil-node; do
        [ -x "$bin/$program" ] || fail "there is no $bin/$program: run \`make build\`, or set COUNTERFOIL_BIN to the directory of the programs"
    done
}

# The ports of that many nodes are free, or one line says which is not.
require_free_ports() {
    local nodes=$1 node port
    case $base_port in
        '' | *[!0-9]*) fail "COUNTERFOIL_BASE_PORT is $base_port, which is no port number" ;;
    esac
    [ "$base_port" -ge 1024 ] && [ "$base_port" -le 65000 ] ||
        fail "COUNTERFOIL_BASE_PORT is $base_port; choose one from 1024 to 65000"
    for ((node = 1; node <= nodes; node++)); do
        for port in "$(client_port $node)" "$(peer_port $node)" "$(metrics_port $node)"; do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                fail "port $port is in use; choose others with COUNTERFOIL_BASE_PORT, for example COUNTERFOIL_BASE_PORT=$((base_port + 1000)) (now $base_port)"
            fi
        done
    done
}

# Keys, certificates and the genesis file of that many institutions, in an empty directory.
found() {
    local directory=$1 nodes=$2 node
    mkdir -p "$directory"
    [ -z "$(ls -A "$directory")" ] || fail "$directory is not empty; choose another directory, or remove it"
    cd "$directory" || exit 1
    echo "$base_port" >base_port
    write_environment >env.sh
    . ./env.sh
    mkdir -m 700 "$XDG_CONFIG_HOME" "$XDG_STATE_HOME"
    make_keys "${institutions[0]}" 1
    say "  … and the same for the other institutions, each with an authority of its own"
    for ((node = 2; node <= nodes; node++)); do
        make_keys "${institutions[node - 1]}" "$node" >/dev/null
    done
    [ -z "$spare" ] || make_spare "${institutions[1]}" $((nodes + 1)) >/dev/null
    write_specification "$nodes" >genesis.toml
    counterfoil genesis create --spec genesis.toml --out genesis.bin | sed -n 1,6p
    for ((node = 1; node <= nodes; node++)); do
        write_configuration "$node" >"${institutions[node - 1]}/node.toml"
        add_contexts "${institutions[node - 1]}" "$node" "$nodes" >/dev/null
    done
    [ -z "$spare" ] || write_configuration $((nodes + 1)) ../.. >"${institutions[1]}/spare/node.toml"
    cd - >/dev/null || exit 1
}

# What a shell needs to talk to the consortium.
write_environment() {
    cat <<END
export XDG_CONFIG_HOME=$PWD/config XDG_STATE_HOME=$PWD/state
case :\$PATH: in *:$bin:*) ;; *) export PATH=$bin:\$PATH ;; esac
END
}

make_keys() {
    local bic=$1 node=$2 role
    quietly counterfoil pki authority --institution "$bic" --out "$bic/authority"
    quietly counterfoil pki issue --authority "$bic/authority" --consortium "$consortium" --role node \
        --name "node-$node" --out "$bic/node" --dns localhost --ip 127.0.0.1
    for role in client operator auditor; do
        quietly counterfoil pki issue --authority "$bic/authority" --consortium "$consortium" \
            --role "$role" --name "$role" --out "$bic/$role"
    done
    quietly counterfoil pki key --out "$bic/instruction.key.pem"
    quietly counterfoil pki key --out "$bic/second.key.pem"
    quietly counterfoil pki key --out "$bic/attestation.key.pem"
}

# What a second node of an institution has of its own.
make_spare() {
    local bic=$1 node=$2
    mkdir "$bic/spare"
    quietly counterfoil pki issue --authority "$bic/authority" --consortium "$consortium" --role node \
        --name "node-$node" --out "$bic/spare/node" --dns localhost --ip 127.0.0.1
    quietly counterfoil pki key --out "$bic/spare/attestation.key.pem"
}

write_specification() {
    local nodes=$1 node bic scope
    printf 'consortium = "%s"\n' "$consortium"
    printf '\n[[assets]]\ncode = "%s"\nexponent = 2\n' CHF
    printf '\n[[assets]]\ncode = "%s"\nexponent = 2\n' EUR
    # Three institutions have to choose: all must sign, and it takes more than one liar.
    if [ "$nodes" -eq 3 ] || [ -n "${policy:-}" ]; then
        printf '\n[policy]\n'
        [ "$nodes" -ne 3 ] || printf 'finality_quorum = 3\n'
        printf '%s\n' "${policy:-}"
    fi
    for ((node = 1; node <= nodes; node++)); do
        bic=${institutions[node - 1]}
        scope=institution
        # The settlement agent's auditor sees the whole ledger, a bank's what the bank is party to.
        [ "$node" -eq 1 ] && scope=consortium
        cat <<END

[[institutions]]
bic = "$bic"
name = "${names[node - 1]}"
anchor = "$bic/authority/authority.pem"
audit_scope = "$scope"
[[institutions.keys]]
name = "orders"
purpose = "instruction"
public_key = "$bic/instruction.pub.pem"
[[institutions.keys]]
name = "second"
purpose = "instruction"
public_key = "$bic/second.pub.pem"
[[institutions.keys]]
name = "node-$node"
purpose = "attestation"
public_key = "$bic/attestation.pub.pem"
END
        [ -z "$spare" ] || [ "$node" -ne 2 ] || cat <<END
[[institutions.keys]]
name = "node-$((nodes + 1))"
purpose = "attestation"
public_key = "$bic/spare/attestation.pub.pem"
END
        cat <<END

[[nodes]]
id = $node
institution = "$bic"
name = "node-$node"
attestation_key = "$bic/attestation.pub.pem"
peer_address = "127.0.0.1:$(peer_port "$node")"
client_address = "127.0.0.1:$(client_port "$node")"
END
    done
    [ -z "$spare" ] || cat <<END

[[nodes]]
id = $((nodes + 1))
institution = "${institutions[1]}"
name = "node-$((nodes + 1))"
role = "learner"
attestation_key = "${institutions[1]}/spare/attestation.pub.pem"
peer_address = "127.0.0.1:$(peer_port $((nodes + 1)))"
client_address = "127.0.0.1:$(client_port $((nodes + 1)))"
END
}

# Paths are relative to the file.
write_configuration() {
    local node=$1 root=${2:-..}
    cat <<END
[node]
id = $node
genesis = "$root/genesis.bin"
data = "data"

[listen]
client = "127.0.0.1:$(client_port "$node")"
peer = "127.0.0.1:$(peer_port "$node")"
metrics = "127.0.0.1:$(metrics_port "$node")"

[tls]
certificate = "node/certificate.pem"
key = "node/key.pem"

[attestation]
key = "attestation.key.pem"
END
}

# The institution's own node first, the others should it be gone.
endpoints_of() {
    local own=$1 nodes=$2 node list
    list=127.0.0.1:$(client_port "$own")
    for ((node = 1; node <= nodes; node++)); do
        [ "$node" -eq "$own" ] || list+=,127.0.0.1:$(client_port "$node")
    done
    echo "$list"
}

add_contexts() {
    local bic=$1 node=$2 nodes=$3 name
    name=$(context_of "$bic")
    counterfoil context add "$name" --endpoint "$(endpoints_of "$node" "$nodes")" \
        --genesis genesis.bin --certificate "$bic/client/certificate.pem" --key "$bic/client/key.pem" \
        --signing-key "$bic/instruction.key.pem" --institution "$bic" --servicer "${institutions[0]}"
    # The same client with the other key, for what takes two pairs of eyes.
    counterfoil context add "$name-second" --endpoint "$(endpoints_of "$node" "$nodes")" \
        --genesis genesis.bin --certificate "$bic/client/certificate.pem" --key "$bic/client/key.pem" \
        --signing-key "$bic/second.key.pem" --institution "$bic" --servicer "${institutions[0]}"
    counterfoil context add "$name-operator" --endpoint "$(endpoints_of "$node" "$nodes")" \
        --genesis genesis.bin --certificate "$bic/operator/certificate.pem" --key "$bic/operator/key.pem" \
        --institution "$bic" --servicer "${institutions[0]}"
    counterfoil context add "$name-auditor" --endpoint "$(endpoints_of "$node" "$nodes")" \
        --genesis genesis.bin --certificate "$bic/auditor/certificate.pem" --key "$bic/auditor/key.pem" \
        --institution "$bic" --servicer "${institutions[0]}"
}

# Makes the data directory of a node that has never run.
init_node() {
    local directory=$1 node=$2
    "$bin/counterfoil-node" init --config "$directory/${institutions[node - 1]}/node.toml" >/dev/null
}

# Starts a node in the background, of another program if one is given. Its own session: it outlives
# this script and its terminal.
start_node() {
    local directory=$1 node=$2 program=${3:-$bin/counterfoil-node} home
    home=$directory/${institutions[node - 1]}
    setsid "$program" run --config "$home/node.toml" </dev/null >>"$home/node.log" 2>&1 &
    echo $! >"$home/node.pid"
    # The new process is this script's double until it has become the node, or has failed to.
    local tenth
    for ((tenth = 0; tenth < 50; tenth++)); do
        if [ -n "$(node_pid "$directory" "$node")" ] || ! kill -0 $! 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    disown
}

# The process id of a node that runs, or nothing. A number in a file may since belong to another
# process: the one meant was started with this node's configuration.
node_pid() {
    local home=$1/${institutions[$2 - 1]} pid
    [ -r "$home/node.pid" ] || return 0
    read -r pid <"$home/node.pid"
    # The command line of a process that is dead is empty or gone.
    if { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$home/node.toml"; then
        echo "$pid"
    fi
}

# Waits until a node's process is gone, at most that many seconds.
wait_gone() {
    local directory=$1 node=$2 seconds=$3 tenth
    for ((tenth = 0; tenth < seconds * 10; tenth++)); do
        [ -n "$(node_pid "$directory" "$node")" ] || return 0
        sleep 0.1
    done
    return 1
}

# The number of the node that leads, or nothing.
leader_of() {
    "$bin/counterfoil" cluster status --context "$1" --timeout 5 -o json 2>/dev/null |
        awk -F'"' '/"leader":/ && $4 != "0" { print $4 }'
}

# Waits until there is a leader and every node answers.
wait_healthy() {
    local directory=$1 nodes=$2 seconds=$3 context node second
    context=$(context_of "${institutions[0]}")
    for ((second = 0; second < seconds * 2; second++)); do
        for ((node = 1; node <= nodes; node++)); do
            require_alive "$directory" "$node"
        done
        if "$bin/counterfoil" cluster status --context "$context" --timeout 5 2>/dev/null |
            grep -q " HEALTHY "; then
            return 0
        fi
        sleep 0.5
    done
    "$bin/counterfoil" cluster status --context "$context" --timeout 5 >&2 || true
    fail "the consortium is not healthy after $seconds s; see $directory/*/node.log"
}

# Asks every node to stop, all at once, and waits for them.
stop_nodes() {
    local directory=$1 node pid failed=0 running=()
    for node in "${!institutions[@]}"; do
        node=$((node + 1))
        pid=$(node_pid "$directory" "$node")
        [ -n "$pid" ] || continue
        kill -TERM "$pid" 2>/dev/null && running+=("$node")
    done
    for node in ${running[@]+"${running[@]}"}; do
        if wait_gone "$directory" "$node" 30; then
            rm -f "$directory/${institutions[node - 1]}/node.pid"
        else
            pid=$(node_pid "$directory" "$node")
            say "node $node (process $pid) did not stop within 30 s; see $directory/${institutions[node - 1]}/node.log" >&2
            failed=1
        fi
    done
    if [ ${#running[@]} -eq 0 ]; then
        say "no node runs in $directory"
    elif [ $failed -eq 0 ]; then
        say "stopped ${#running[@]} nodes"
    fi
    return $failed
}

require_stopped() {
    local directory=$1 nodes=$2 node
    for ((node = 1; node <= nodes; node++)); do
        [ -z "$(node_pid "$directory" "$node")" ] ||
            fail "node $node of $directory runs already; stop it with $(dirname "${BASH_SOURCE[0]}")/down.sh $directory"
    done
}

# What a node that died said last.
require_alive() {
    local directory=$1 node=$2 home
    [ -z "$(node_pid "$directory" "$node")" ] || return 0
    home=$directory/${institutions[node - 1]}
    printf 'error: node %s has stopped; the end of %s/node.log:\n' "$node" "$home" >&2
    tail -n 5 "$home/node.log" >&2
    exit 1
}

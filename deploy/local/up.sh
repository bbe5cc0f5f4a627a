#!/usr/bin/env bash
# Founds a consortium of four institutions on this machine, each with an authority, keys and a node
# of its own, and starts the nodes. In a directory where that was done before, it starts the nodes
# again.
#
#   up.sh DIRECTORY [NODES]     NODES: 3 or 4, unless given 4
#
# COUNTERFOIL_BASE_PORT  clients connect to the ports from this plus 1, nodes from plus 11,
#                        monitoring from plus 21; 7440, unless given
# COUNTERFOIL_SPARE=1    the second institution has a spare node, which nobody starts
# COUNTERFOIL_BIN        the directory of the programs; target/release, unless given
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/consortium.sh"

[ $# -ge 1 ] && [ $# -le 2 ] || fail "usage: up.sh DIRECTORY [NODES]"
directory=$(realpath -m "$1")
nodes=${2:-4}
case $nodes in
    3 | 4) ;;
    *) fail "$nodes nodes: choose 3 or 4" ;;
esac
require_programs

if [ -f "$directory/genesis.bin" ]; then
    base_port=$(<"$directory/base_port")
    nodes=$(find "$directory" -mindepth 2 -maxdepth 2 -name node.toml | wc -l)
    require_stopped "$directory" "$nodes"
    require_free_ports "$nodes"
    . "$directory/env.sh"
else
    require_free_ports "$nodes"
    title "Founding $consortium in $directory"
    found "$directory" "$nodes"
    . "$directory/env.sh"
    for ((node = 1; node <= nodes; node++)); do
        init_node "$directory" "$node"
    done
fi

title "Starting $nodes nodes"
show "counterfoil-node run --config ${institutions[0]}/node.toml   … and the others"
for ((node = 1; node <= nodes; node++)); do
    start_node "$directory" "$node"
done
wait_healthy "$directory" "$nodes" 60
counterfoil cluster status --context "$(context_of "${institutions[0]}")"

#!/usr/bin/env bash
# Stops the nodes that up.sh started in a directory, and nothing else. The data stays.
#
#   down.sh DIRECTORY
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/consortium.sh"

[ $# -eq 1 ] || fail "usage: down.sh DIRECTORY"
directory=$(realpath -m "$1")
[ -d "$directory" ] || fail "there is no $directory"
stop_nodes "$directory"

#!/bin/sh
# What the agent remembers.
# Called as NAME collect --output-dir DIR --config-dir DIR. What is printed is kept
# as output.log; exit status 2: it has nothing to say on this machine.
[ "$1" = collect ] || { echo "usage: $0 collect --output-dir DIR --config-dir DIR" >&2; exit 1; }
shift
while [ $# -gt 1 ]; do
	case "$1" in
	--output-dir) out=$2 ;;
	--config-dir) config=$2 ;;
	esac
	shift 2
done

state=$(tedge --config-dir "$config" config get agent.state.path) || exit 1
[ -d "$state" ] || state=$config/.agent
[ -d "$state" ] || exit 2
ls -lR "$state"
cp -R "$state" "$out/agent-state"

#!/bin/sh
# The logs of operations.
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

logs=$(tedge --config-dir "$config" config get logs.path) || exit 1
[ -d "$logs/agent" ] || exit 2
cp -R "$logs/agent" "$out/agent" || exit 1
ls -l "$out/agent"

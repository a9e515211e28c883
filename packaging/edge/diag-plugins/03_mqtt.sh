#!/bin/sh
# What is retained on the device's bus, and what passes for a moment.
# (Of that only te/: a token of a cloud may pass elsewhere.)
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

tedge --config-dir "$config" mqtt sub '#' --retained-only -W 2 \
	--connection-timeout 5s >"$out/retained.log" || exit 1
tedge --config-dir "$config" mqtt sub 'te/#' -W 5 >"$out/live.log" || exit 1
wc -l "$out/retained.log" "$out/live.log"

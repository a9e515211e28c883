#!/bin/sh
# Version, settings and logs of marram-edge.
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

show() {
	echo "--- $*"
	"$@" 2>&1
	echo
}

show tedge --version
# secrets are not listed
show tedge --config-dir "$config" config list --all
show tedge --config-dir "$config" part status
show ls -lR "$config"
logs=$(tedge --config-dir "$config" config get logs.path)
[ -d "$logs" ] && show ls -lR "$logs"
if command -v journalctl >/dev/null 2>&1; then
	for unit in marram-edge tedge-agent 'tedge-mapper-*'; do
		journalctl --no-pager --lines 2000 --unit "$unit" \
			>>"$out/journal.log" 2>&1
	done
fi
exit 0

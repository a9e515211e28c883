#!/bin/sh
# Version, settings and logs of marram-edge.
. "${0%/*}/common.ignore"

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

#!/bin/sh
# A Mosquitto on this machine: version, settings, log.
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

PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null 2>&1 || exit 2
mosquitto -h 2>&1 | head -1
for file in /etc/mosquitto/mosquitto.conf /etc/mosquitto/conf.d/*.conf \
	"$config"/mosquitto-conf/*.conf; do
	[ -f "$file" ] || continue
	echo "--- $file"
	sed 's/^\([a-z_]*password\) .*/\1 ********/' "$file"
	echo
done
[ -r /var/log/mosquitto/mosquitto.log ] &&
	tail -n 2000 /var/log/mosquitto/mosquitto.log >"$out/mosquitto.log"
exit 0

#!/bin/sh
# A Mosquitto on this machine: version, settings, log.
. "${0%/*}/common.ignore"

PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null 2>&1 || exit 2
mosquitto -h 2>&1 | head -1
for file in /etc/mosquitto/mosquitto.conf /etc/mosquitto/conf.d/*.conf \
	"$config"/mosquitto-conf/*.conf; do
	[ -f "$file" ] || continue
	echo "--- $file"
	sed 's/^\([[:space:]]*[a-z_]*password[[:space:]]\).*/\1********/' "$file"
	echo
done
[ -r /var/log/mosquitto/mosquitto.log ] &&
	tail -n 2000 /var/log/mosquitto/mosquitto.log >"$out/mosquitto.log"
exit 0

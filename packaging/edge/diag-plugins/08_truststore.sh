#!/bin/sh
# Whose certificates are trusted, and the device's own.
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

command -v openssl >/dev/null 2>&1 || exit 2
show() {
	echo "--- $1"
	openssl x509 -in "$1" -noout -subject -issuer -dates -fingerprint 2>&1
	echo
}

cert=$(tedge --config-dir "$config" config get device.cert_path)
[ -f "$cert" ] && show "$cert"
for cloud in c8y az aws marram; do
	path=$(tedge --config-dir "$config" config get "$cloud.root_cert_path")
	echo "$cloud trusts $path"
	[ -f "$path" ] && show "$path"
	[ -d "$path" ] && ls "$path" >"$out/$cloud-trusted.log"
done
exit 0

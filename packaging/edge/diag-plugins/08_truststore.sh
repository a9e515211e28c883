#!/bin/sh
# Whose certificates are trusted, and the device's own.
. "${0%/*}/common.ignore"

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

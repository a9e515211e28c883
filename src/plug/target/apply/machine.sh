# --- the machine's name and time zone ----------------------------------------

do_host() { # =name
	dec "$1"
	host_is=
	[ -f "$R/etc/hostname" ] && read -r host_is <"$R/etc/hostname"
	[ "$host_is" = "$dec" ] && [ "$(uname -n)" = "$dec" ] && return 0
	change change hostName "$dec" "=$(uname -n)" "=$dec"
	[ -n "$dry" ] && return 0
	keep_file /etc/hostname =/etc/hostname || return 1
	next
	uname -n >"$U/$n.data"
	keep host
	put "$R/etc/hostname" "$dec" && chmod 644 "$R/etc/hostname" &&
		try hostname "$dec"
}

zone_now() {
	readlink "$R/etc/localtime" 2>/dev/null | sed 's,.*/zoneinfo/,,'
}

do_zone() { # =name
	dec "$1"
	zone_is=$(zone_now)
	[ "$zone_is" = "$dec" ] && return 0
	if [ ! -f "$R/usr/share/zoneinfo/$dec" ] && { [ -z "$dry" ] ||
		! declared package =tzdata; }; then
		fault timeZone "$dec" "there is no such time zone: install tzdata"
		return
	fi
	change change timeZone "$dec" "=$zone_is" "=$dec"
	[ -n "$dry" ] && return 0
	keep_file /etc/localtime =/etc/localtime || return 1
	rm -f "$R/etc/localtime.marram"
	ln -s "/usr/share/zoneinfo/$dec" "$R/etc/localtime.marram" &&
		mv -f "$R/etc/localtime.marram" "$R/etc/localtime" || return 1
	[ -f "$R/etc/timezone" ] || return 0
	keep_file /etc/timezone =/etc/timezone && put "$R/etc/timezone" "$dec" &&
		chmod 644 "$R/etc/timezone"
}

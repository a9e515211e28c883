# --- services ----------------------------------------------------------------

# $unit_enabled, $unit_running, $unit_masked: "1" or empty
unit_is() {
	unit_enabled= unit_running= unit_masked=
	case $(systemctl is-enabled "$1" 2>/dev/null) in
	enabled | enabled-runtime | alias) unit_enabled=1 ;;
	static | indirect | generated | transient) unit_enabled=$2 ;;
	masked | masked-runtime) unit_masked=1 ;;
	esac
	unit_type= unit_result= unit_active=
	systemctl show -p Type -p Result -p ActiveState -p ExecMainExitTimestampMonotonic \
		"$1" >"$T/unit" 2>/dev/null
	unit_ran=0
	while IFS='=' read -r unit_key unit_value <&5; do
		case $unit_key in
		Type) unit_type=$unit_value ;;
		Result) unit_result=$unit_value ;;
		ActiveState) unit_active=$unit_value ;;
		ExecMainExit*) unit_ran=$unit_value ;;
		esac
	done 5<"$T/unit"
	case $unit_active in
	active | reloading) unit_running=1 ;;
	inactive) # it does its work, and ends
		[ "$unit_type $unit_result" = "oneshot success" ] &&
			[ "$unit_ran" != 0 ] && unit_running=1
		;;
	esac
	return 0
}

unit_words() {
	printf '%s, %s' "$([ -n "$1" ] && echo enabled || echo disabled)" \
		"$([ -n "$2" ] && echo running || echo stopped)"
}

# =name enabled|disabled running|stopped =path...
do_service() {
	dec "$1"
	service_field=$1 service_name=$dec service_on= service_up=
	[ "$2" = enabled ] && service_on=1
	[ "$3" = running ] && service_up=1
	shift 3
	if ! has_systemd; then
		fault service "$service_name" "systemd does not run there"
		return
	fi
	service_again=
	for service_path; do
		case " $changed" in
		*" $service_path "*) service_again=1 ;;
		esac
	done
	unit_is "$service_name" "$service_on"
	[ "$unit_enabled$unit_masked" = "$service_on" ] || {
		[ -z "$service_on" ] && [ -n "$unit_masked" ]
	}
	service_same=$?
	if [ $service_same -ne 0 ] || [ "$unit_running" != "$service_up" ]; then
		change change service "$service_name" \
			"=$(unit_words "$unit_enabled" "$unit_running")" \
			"=$(unit_words "$service_on" "$service_up")"
	elif [ -n "$service_again" ] && [ -n "$service_up" ]; then
		change run service "$service_name" - =restart
	else
		return 0
	fi
	[ -n "$dry" ] && return 0
	service_ran=$unit_running
	next
	keep service "$service_field" "${unit_enabled:-0}" "${unit_running:-0}" \
		"${unit_masked:-0}"
	if [ $service_same -ne 0 ] && [ -n "$service_on" ]; then
		[ -z "$unit_masked" ] || try systemctl unmask "$service_name" ||
			return 1
		try systemctl enable "$service_name" || return 1
		own service "$service_field"
	elif [ $service_same -ne 0 ]; then
		try systemctl disable "$service_name" || return 1
	fi
	if [ -n "$service_again" ] && [ -n "$service_up" ] &&
		[ -n "$service_ran" ]; then
		printf '%s\n' "$service_field" >>"$D/restarted"
		try systemctl restart "$service_name"
	elif [ -n "$service_up" ] && [ -z "$service_ran" ]; then
		try systemctl start "$service_name"
	elif [ -z "$service_up" ] && [ -n "$service_ran" ]; then
		try systemctl stop "$service_name"
	fi || {
		systemctl status "$service_name" -n 10 --no-pager 2>&1 | tail -n 20
		why="service $service_name: $why"
		return 1
	}
	settle=1
	return 0
}

# How services were, to be put right when all else is.
keep_services() {
	while read -r service_kind service_field service_rest <&6; do
		[ "$service_kind" = service ] || continue
		dec "$service_field"
		unit_is "$dec" ''
		next
		keep service-late "$service_field" "${unit_enabled:-0}" \
			"${unit_running:-0}"
	done 6<<-END
		$(cat "$D/plan" "$V/owned" 2>/dev/null)
	END
}

remove_service() { # =name
	has_systemd || return 0
	do_service "$1" disabled stopped || return 1
	[ -n "$dry" ] || unown service "$1"
}

# New and changed units are looked at before they are used.
reload_units() {
	has_systemd || return 0
	case $changed in
	*=/etc/systemd/* | *=/lib/systemd/* | *=/usr/lib/systemd/* | *=/etc/init.d/*)
		try systemctl daemon-reload
		;;
	esac
}

# First that it does not run on what is taken away...
undo_service() { # =name enabled running masked, each 1 or 0: what it was
	dec "$1"
	[ "$3" = 1 ] || {
		systemctl stop "$dec"
		systemctl reset-failed "$dec" # or it is remembered as such
	} >/dev/null 2>&1
	[ "$2" = 1 ] || systemctl disable "$dec" >/dev/null 2>&1
	[ "$4" = 0 ] || try systemctl mask "$dec"
}

# ...and when its files are there again, that it runs on them.
undo_service_late() { # =name enabled running
	dec "$1"
	[ -n "$reloaded" ] || reload_units
	reloaded=1
	unit_is "$dec" ''
	if [ "$2" = 1 ] && [ -z "$unit_enabled" ]; then
		try systemctl enable "$dec" || return 1
	fi
	[ "$3" = 1 ] || return 0
	if [ -z "$unit_running" ]; then
		try systemctl start "$dec"
	elif grep -Fxq -e "$1" "$D/restarted" 2>/dev/null; then
		try systemctl restart "$dec"
	fi
}

# --- the plan ----------------------------------------------------------------

# What was declared once, made by us, and is declared no more.
remove_rest() {
	[ -s "$V/owned" ] || return 0
	cp "$V/owned" "$T/owned" || return 1
	for rest_of in container service file repository user group package; do
		while read -r rest_kind rest_field <&4; do
			[ "$rest_kind" = "$rest_of" ] || continue
			declared "$rest_kind" "$rest_field" && continue
			case $rest_kind in
			file | repository) remove_file "$rest_kind" "$rest_field" ;;
			*) remove_"$rest_kind" "$rest_field" ;;
			esac || return 1
		done 4<"$T/owned"
	done
}

walk() {
	apt_list= apt_new= apt_old= apt_gone= settle= reloaded=
	remove_rest || return 1
	while read -r walk_kind walk_name walk_rest <&3; do
		set -- $walk_rest
		case $walk_kind in
		marram) [ "$walk_name" = 1 ] || die 2 "this plan is too new for apply.sh" ;;
		built) built=$walk_name ;;
		file | repository) do_file "$walk_kind" "$walk_name" "$@" ;;
		packages) do_packages ;;
		service)
			[ -n "$dry$reloaded" ] || reload_units || return 1
			reloaded=1
			do_service "$walk_name" "$@"
			;;
		package | group | user | host | zone | container)
			do_"$walk_kind" "$walk_name" "$@"
			;;
		*) die 2 "this plan has a line that apply.sh does not know" ;;
		esac || return 1
	done 3<"$D/plan"
	[ -z "$settle" ] || [ -n "$dry" ] || settled
}

# A service that ends at once is no service.
settled() {
	sleep 2
	while read -r walk_kind walk_name walk_on walk_up walk_rest <&3; do
		dec "$walk_name"
		case $walk_kind in
		service)
			[ "$walk_up" = running ] || continue
			unit_is "$dec" ''
			[ -n "$unit_running" ] && continue
			systemctl status "$dec" -n 10 --no-pager 2>&1 | tail -n 20
			why="service $dec: does not stay up"
			return 1
			;;
		container)
			box_is "$dec"
			[ "$box" = running ] && continue
			"$box_by" logs --tail 20 "$dec" 2>&1 | tail -n 20
			why="container $dec: does not stay up"
			return 1
			;;
		esac
	done 3<"$D/plan"
}

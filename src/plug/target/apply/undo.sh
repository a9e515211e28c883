# --- taking back ---------------------------------------------------------------

# kind and what was kept of it; its data are in $U/$n.*
undo_one() {
	case $1 in
	file) undo_file "$2" ;;
	folder) undo_folder ;;
	owned) undo_owned ;;
	plugin) undo_plugin "$2" "$3" "$4" ;;
	packages) undo_packages ;;
	group) undo_group "$2" "$3" ;;
	user) undo_user "$2" "$3" ;;
	host) try hostname "$(cat "$U/$n.data")" ;;
	service) undo_service "$2" "$3" "$4" "$5" ;;
	service-late) undo_service_late "$2" "$3" "$4" ;;
	container) undo_container "$2" "$3" ;;
	container-start) undo_container_start "$2" ;;
	esac
}

undo_run() { # run
	run=$1
	D=$V/run/$run U=$V/run/$run/undo
	changed= reloaded= bad=
	# shellcheck disable=SC2012 # names of ours
	n=$(ls "$U" 2>/dev/null | sed 's/\..*//' | sort -n | tail -n 1)
	n=${n:-0}
	while [ "$n" -gt 0 ]; do
		if [ -f "$U/$n" ]; then
			read -r undo_line <"$U/$n"
			set -- $undo_line
			why=
			if undo_one "$@"; then
				mv -f "$U/$n" "$U/$n.done"
			else
				dec "${2:-}"
				say "can not be taken back: $1 $dec: $why"
				bad=1
			fi
		fi
		n=$((n - 1))
	done
	reload_units
	[ -z "$bad" ]
}

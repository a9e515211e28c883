# --- commands ------------------------------------------------------------------

ask() {
	temp
	D=$T/bundle
	{ mkdir "$D" && tar -xf - -C "$D"; } || die 2 "tar failed"
	exec </dev/null
	dry=1
	walk || die 2 "$why"
	[ ! -s "$V/current" ] || printf 'current %s\n' "$(cat "$V/current")"
	echo end
}

copy() {
	named "$1"
	mkdir -p "$V/bundle" "$V/run" || die 2 "can not make $V"
	set +f
	for copy_old in "$V/bundle"/*; do
		[ "$copy_old" = "$V/bundle/$1" ] || rm -rf "$copy_old"
	done
	for copy_old in "$V/run"/*; do
		case $(cat "$copy_old/state" 2>/dev/null) in
		undone | '') rm -rf "$copy_old" ;;
		esac
	done
	set -f
	{ mkdir "$V/bundle/$1.new" && tar -xf - -C "$V/bundle/$1.new"; } ||
		die 2 "tar failed"
	# Whoever runs the old one keeps it: it is another file.
	mv -f "$V/bundle/$1.new/apply.sh" "$V/apply.sh" &&
		sync_one "$V/apply.sh" && rm -rf "$V/bundle/$1" &&
		mv "$V/bundle/$1.new" "$V/bundle/$1"
}

apply() { # run built limit confirm
	named "$1"
	named "$2"
	trap '' HUP PIPE
	temp
	mkdir -p "$V/run"
	exec 8>>"$V/lock.apply"
	flock 8
	if [ -z "$(state_of "$1")" ]; then
		[ -f "$V/bundle/$2/plan" ] || die 2 "$2 was not copied there"
		if [ -s "$V/pending" ] && read -r apply_other <"$V/pending" &&
			[ "$apply_other" != "$1" ]; then
			die 4 "$apply_other is neither confirmed nor taken back yet"
		fi
		rm -rf "$V/run/$1"
		cp -R "$V/bundle/$2" "$V/run/$1" || die 2 "can not copy the bundle"
		printf '%s %s\n' "$3" "$4" >"$V/run/$1/window"
		: >"$V/run/$1/log"
		put "$V/run/$1/state" armed
		put "$V/pending" "$1"
		install_hook
	fi
	exec 8>&- # or the guard would hold the lock as long as it lives
	case $(state_of "$1") in
	armed) start_guard "$1" ;;
	esac
	follow "$1" applied confirmed undone stuck
	ended "$1"
}

confirm() {
	named "$1"
	turn "$1" confirmed applied confirmed || ended "$1"
	unpend "$1"
	# The oldest are forgotten, and what was put aside for them.
	set +f
	for confirm_old in $(head -n "-$KEPT" "$V/order" 2>/dev/null); do
		for confirm_box in $([ -z "$(engine)" ] || "$(engine)" ps -a --format \
			'{{.Names}}' 2>/dev/null | grep -e "-marram-$confirm_old\$"); do
			"$(engine)" rm -f "$confirm_box" >/dev/null 2>&1
		done
		rm -rf "$V/run/$confirm_old"
		grep -Fxv -e "$confirm_old" "$V/order" >"$V/order.new"
		mv -f "$V/order.new" "$V/order"
	done
	set -f
	exit 0
}

rollback() {
	named "$1"
	case $(state_of "$1") in
	'') die 2 "what was before $1 is not kept any more" ;;
	undone) exit 0 ;;
	esac
	wc -c <"$V/run/$1/log" >"$V/run/$1/followed" 2>/dev/null
	: >"$V/run/$1/want-undo"
	start_guard "$1"
	follow "$1" undone stuck
	[ "$(state_of "$1")" = undone ] || ended "$1"
}

boot() {
	[ -s "$V/pending" ] && read -r run <"$V/pending" || exit 0
	guarded "$run" && exit 0
	put "$V/run/$run/why" "the machine was started again before it was confirmed"
	exec >>"$V/run/$run/log" 2>&1 </dev/null
	printf '%s %s\n' "$$" "$(born $$)" >"$V/run/$run/guard"
	undo "$run"
}

status() {
	printf 'as declared: %s\n' "$(cat "$V/current" 2>/dev/null || echo -)"
	printf 'not confirmed: %s\n' "$(cat "$V/pending" 2>/dev/null || echo -)"
	[ -f "$V/order" ] || return 0
	while read -r status_run; do
		printf '%s\t%s\n' "$status_run" "$(state_of "$status_run")"
	done <"$V/order"
}

case ${1:-} in
ask | boot | status) "$1" ;;
copy | confirm | rollback | work | guard | watch) "$1" "${2:-}" ;;
apply) apply "${2:-}" "${3:-}" "${4:-1800}" "${5:-60}" ;;
*) die 2 "usage: apply.sh ask|copy|apply|confirm|rollback|boot|status" ;;
esac

# --- what is ours, and what was ---------------------------------------------

own() {
	grep -Fxq -e "$1 $2" "$V/owned" 2>/dev/null ||
		printf '%s %s\n' "$1" "$2" >>"$V/owned"
}

unown() {
	[ -f "$V/owned" ] || return 0
	grep -Fxv -e "$1 $2" "$V/owned" >"$V/owned.new"
	mv -f "$V/owned.new" "$V/owned"
}

# What is about to change: `next` makes the place for data, U/n.*, and `keep`
# makes it count.
next() {
	n=$((n + 1))
}

keep() {
	put "$U/$n" "$*"
}

keep_file() {
	next
	if [ -e "$R$1" ] || [ -L "$R$1" ]; then
		cp -a "$R$1" "$U/$n.data" || return 1
		sync_one "$U/$n.data" 2>/dev/null
	fi
	keep file "$2"
}

# The folders above a path that are not there, and how they go again.
make_folders() {
	folder_now=${1%/*}
	folder_list=
	while [ -n "$folder_now" ] && [ ! -d "$R$folder_now" ]; do
		folder_list="$folder_now
$folder_list"
		folder_now=${folder_now%/*}
	done
	while read -r folder_now <&5; do
		[ -n "$folder_now" ] || continue
		next
		printf %s "$folder_now" >"$U/$n.data"
		keep folder
		mkdir -m 755 "$R$folder_now" || return 1
		[ -z "${2:-}" ] || chown "$2" "$R$folder_now" || return 1
	done 5<<-END
		$folder_list
	END
}

undo_owned() {
	cp "$U/$n.data" "$V/owned" || return 1
	if [ -s "$U/$n.current" ]; then
		cp "$U/$n.current" "$V/current"
	else
		rm -f "$V/current"
	fi
}

# --- files -------------------------------------------------------------------

# kind =path source =owner =group mode sum
do_file() {
	file_kind=$1 file_name=$2 file_src=$3 file_mode=$6 file_sum=$7
	dec "$2"
	file_path=$dec
	dec "$4"
	file_owner=$dec
	dec "$5"
	file_group=$dec
	file_from=-
	file_to="=$file_owner:$file_group $file_mode"
	file_action=add
	file_old=

	if [ -d "$R$file_path" ] && [ ! -L "$R$file_path" ]; then
		fault "$file_kind" "$file_path" "is a folder there"
		return
	fi
	if [ "${file_src#secrets/}" != "$file_src" ] && ! has_secrets; then
		if ! declared package =age; then
			fault "$file_kind" "$file_path" \
				"the secret can not be opened there: install age"
			return
		fi
		if [ -n "$dry" ]; then
			change "$file_action" "$file_kind" "$file_path" - "$file_to"
			changed="$changed$file_name "
			return 0
		fi
	fi
	for file_who in "user:$file_owner" "group:$file_group"; do
		case ${file_who#*:} in
		*[!0-9]*)
			file_base=passwd
			[ "${file_who%%:*}" = user ] || file_base=group
			[ -n "$dry" ] && ! declared "${file_who%%:*}" \
				"=${file_who#*:}" && ! declared user \
				"=${file_who#*:}" && ! grep -q '^package ' \
				"$D/plan" && ! getent "$file_base" \
				"${file_who#*:}" >/dev/null &&
				fault "$file_kind" "$file_path" \
					"there is no ${file_who%%:*} ${file_who#*:}"
			;;
		esac
	done
	if [ -L "$R$file_path" ]; then
		file_action=change
		file_from="=link to $(readlink "$R$file_path")"
	elif [ -e "$R$file_path" ]; then
		file_action=change
		file_format=%U
		[ -n "${file_owner##*[!0-9]*}" ] && file_format=%u
		[ -n "${file_group##*[!0-9]*}" ] && file_format=$file_format:%g ||
			file_format=$file_format:%G
		file_from="=$(stat -c "$file_format %a" "$R$file_path")"
		if [ "$file_sum" != - ]; then
			[ "$(sum_of "$R$file_path")" = "$file_sum" ]
		else
			unseal "$D/$file_src" >"$T/secret" &&
				cmp -s "$T/secret" "$R$file_path"
		fi
		file_same=$?
		rm -f "$T/secret"
		[ $file_same -eq 0 ] && [ "$file_from" = "$file_to" ] && return 0
		[ $file_same -eq 0 ] || file_old=1
	fi
	changed="$changed$file_name "
	[ "$file_from" = "$file_to" ] && file_from=- file_to=-
	change "$file_action" "$file_kind" "$file_path" "$file_from" "$file_to"
	if [ -n "$dry" ]; then
		[ -n "$file_old" ] && [ "$file_sum" != - ] &&
			[ "$(wc -c <"$R$file_path")" -le 65536 ] &&
			printf 'content =' &&
			od -An -v -tx1 <"$R$file_path" | tr -d ' \n' && echo
		return 0
	fi

	make_folders "$file_path" || return 1
	keep_file "$file_path" "$file_name" || return 1
	put_file "$file_path" "$file_src" "$file_owner:$file_group" "$file_mode" ||
		return 1
	[ "$file_action" = change ] || own "$file_kind" "$file_name"
	return 0
}

# path source owner:group mode
put_file() {
	put_temp=$(mktemp "$R${1%/*}/.marram.XXXXXX") || return 1
	case $2 in
	secrets/*) unseal "$D/$2" >"$put_temp" ;;
	*) cat "$D/$2" >"$put_temp" ;;
	esac && try chown "$3" "$put_temp" && try chmod "$4" "$put_temp" &&
		sync_one "$put_temp" && mv -f "$put_temp" "$R$1" && return 0
	why="$1: ${why:-can not be written}"
	rm -f "$put_temp"
	return 1
}

remove_file() { # kind =path
	dec "$2"
	if [ ! -e "$R$dec" ] && [ ! -L "$R$dec" ]; then
		[ -n "$dry" ] || unown "$1" "$2"
		return 0
	fi
	change remove "$1" "$dec" - -
	changed="$changed$2 "
	[ -n "$dry" ] && return 0
	keep_file "$dec" "$2" && rm -f "$R$dec" && unown "$1" "$2"
}

undo_file() { # =path
	dec "$1"
	changed="$changed$1 "
	if [ ! -e "$U/$n.data" ] && [ ! -L "$U/$n.data" ]; then
		rm -f "$R$dec"
		return
	fi
	[ -d "$R${dec%/*}" ] || (umask 022 && mkdir -p "$R${dec%/*}")
	rm -f "$R${dec%/*}/.marram.undo"
	cp -a "$U/$n.data" "$R${dec%/*}/.marram.undo" &&
		mv -f "$R${dec%/*}/.marram.undo" "$R$dec"
}

undo_folder() { # not empty: somebody uses it
	rmdir "$R$(cat "$U/$n.data")" 2>/dev/null
	return 0
}

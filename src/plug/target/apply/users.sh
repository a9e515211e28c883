# --- groups and users --------------------------------------------------------

do_group() { # =name gid|-
	dec "$1"
	group_is=$(getent group "$dec" | cut -d : -f 3)
	[ -n "$group_is" ] && { [ "$2" = - ] || [ "$2" = "$group_is" ]; } &&
		return 0
	has groupadd || {
		fault group "$dec" "there is no groupadd"
		return
	}
	if [ -z "$group_is" ]; then
		change add group "$dec" - "$([ "$2" = - ] && echo - || echo "=$2")"
		[ -n "$dry" ] && return 0
		next
		keep group "$1" -
		group_name=$dec
		set -- "$1" $([ "$2" = - ] || printf '%s %s' -g "$2")
		group_field=$1
		shift
		try groupadd "$@" "$group_name" && own group "$group_field"
		return
	fi
	change change group "$dec" "=$group_is" "=$2"
	[ -n "$dry" ] && return 0
	next
	keep group "$1" "$group_is"
	try groupmod -g "$2" "$dec"
}

remove_group() { # =name
	dec "$1"
	if [ -z "$(getent group "$dec")" ]; then
		[ -n "$dry" ] || unown group "$1"
		return 0
	fi
	change remove group "$dec" - -
	[ -n "$dry" ] && return 0
	next
	getent group "$dec" | cut -d : -f 4 >"$U/$n.data"
	keep group "$1" "$(getent group "$dec" | cut -d : -f 3)"
	try groupdel "$dec" && unown group "$1"
}

# $pw_uid $pw_gid $pw_comment $pw_home $pw_shell of a user; false: none.
user_is() {
	pw_line=$(getent passwd "$1") || return 1
	[ -n "$pw_line" ] || return 1
	IFS=: read -r pw_name pw_x pw_uid pw_gid pw_comment pw_home pw_shell <<-END
		$pw_line
	END
}

hash_of() {
	getent shadow "$1" | cut -d : -f 2
}

groups_of() { # beside its first, with commas
	id -nG "$1" 2>/dev/null | tr ' ' '\n' | grep -Fxv -e "$(id -gn "$1")" |
		paste -s -d , -
}

# All that a user is, to be made again.
keep_user() { # =name name
	next
	if user_is "$2"; then
		printf '%s\n%s\n%s\n%s\n' "$pw_line" "$(hash_of "$2")" \
			"$(groups_of "$2")" "$(id -gn "$2")" >"$U/$n.data"
		keep user "$1" present
	else
		keep user "$1" absent
	fi
}

set_hash() {
	printf '%s:%s\n' "$1" "$2" | chpasswd -e >"$T/out" 2>&1 && return 0
	why="chpasswd: $(tail -n 2 "$T/out" | tr '\n' ' ')"
	return 1
}

# =name uid|- =shell|- =home|- =comment|- password|- keys|- sum|-
# present|absent =group...
do_user() {
	user_field=$1 user_uid=$2 user_shell=$3 user_home=$4 user_comment=$5
	user_password=$6 user_keys=$7 user_sum=$8 user_as=$9
	shift 9
	dec "$user_field"
	user_name=$dec
	user_hash=

	if [ "$user_as" = absent ]; then
		user_is "$user_name" || return 0
		change remove user "$user_name" - -
		[ -n "$dry" ] && return 0
		keep_user "$user_field" "$user_name" && try userdel "$user_name"
		return
	fi
	has useradd || {
		fault user "$user_name" "there is no useradd"
		return
	}
	if [ "$user_password" != - ]; then
		if ! has_secrets && ! declared package =age; then
			fault user "$user_name" \
				"the secret can not be opened there: install age"
			return
		fi
		if has_secrets; then
			user_hash=$(unseal "$D/$user_password") || {
				unseal "$D/$user_password" >/dev/null
				fault user "$user_name" "$why"
				return
			}
			case $user_hash in
			'' | *:* | *'
'*)
				fault user "$user_name" \
					"the secret is not the hash of a password"
				return
				;;
			esac
		fi
	fi
	user_changes=
	if ! user_is "$user_name"; then
		user_new=1
		change add user "$user_name" - \
			"$([ "$user_uid" = - ] && echo - || echo "=uid $user_uid")"
	else
		user_new=
		[ "$user_uid" = - ] || [ "$user_uid" = "$pw_uid" ] ||
			user_changes="$user_changes uid"
		dec "$user_shell"
		[ "$user_shell" = - ] || [ "$dec" = "$pw_shell" ] ||
			user_changes="$user_changes shell"
		dec "$user_home"
		[ "$user_home" = - ] || [ "$dec" = "$pw_home" ] ||
			user_changes="$user_changes home"
		dec "$user_comment"
		[ "$user_comment" = - ] || [ "$dec" = "$pw_comment" ] ||
			user_changes="$user_changes comment"
		user_groups=,$(id -nG "$user_name" | tr ' ' ,),
		for user_group; do
			case $user_groups in
			*",${user_group#=},"*) ;;
			*) user_changes="$user_changes groups" && break ;;
			esac
		done
		[ "$user_password" = - ] || {
			[ -n "$user_hash" ] &&
				[ "$user_hash" = "$(hash_of "$user_name")" ]
		} || user_changes="$user_changes password"
		[ -z "$user_changes" ] || change change user "$user_name" - \
			"=${user_changes# }"
	fi
	if [ -n "$user_new$user_changes" ] && [ -z "$dry" ]; then
		make_user "$@" || return 1
	fi
	[ "$user_keys" = - ] && return 0
	if user_is "$user_name"; then
		user_at=$pw_home user_group=$(id -gn "$user_name")
	else
		dec "$user_home"
		user_at=${dec:-/home/$user_name} user_group=$user_name
	fi
	make_keys "$user_at" "$user_group"
}

make_user() { # =group...
	user_groups=
	for user_group; do
		user_groups=$user_groups,${user_group#=}
	done
	user_groups=${user_groups#,}
	keep_user "$user_field" "$user_name" || return 1
	user_program=usermod
	[ -z "$user_new" ] || user_program="useradd -m"
	set -- "$user_name"
	[ "$user_uid" = - ] || set -- -u "$user_uid" "$@"
	dec "$user_shell"
	[ "$user_shell" = - ] || set -- -s "$dec" "$@"
	dec "$user_home"
	[ "$user_home" = - ] || set -- -d "$dec" "$@"
	dec "$user_comment"
	[ "$user_comment" = - ] || set -- -c "$dec" "$@"
	[ -z "$user_groups" ] || set -- -G "$user_groups" "$@"
	[ -n "$user_new" ] || [ -z "$user_groups" ] || set -- -a "$@"
	[ -n "$user_new" ] && [ -n "$(getent group "$user_name")" ] &&
		set -- -g "$user_name" "$@"
	# usermod with nothing to do is a mistake of its own.
	[ $# -eq 1 ] && [ -z "$user_new" ] || try $user_program "$@" || return 1
	[ -z "$user_new" ] || own user "$user_field"
	[ -z "$user_hash" ] || set_hash "$user_name" "$user_hash"
}

# home group: its keys, by SSH's own rules of who may write there.
make_keys() {
	keys_path=$1/.ssh/authorized_keys
	keys_at=$R$keys_path
	[ -f "$keys_at" ] && [ "$(sum_of "$keys_at")" = "$user_sum" ] &&
		[ "$(stat -c '%U %a' "$keys_at")" = "$user_name 600" ] && return 0
	change change user "$user_name" - "=authorized keys"
	[ -n "$dry" ] && return 0
	keys_field="=$(printf %s "$keys_path" | od -An -v -to1 | tr -d '\n' |
		sed 's/ \([0-7][0-7]*\)/\\0\1/g')"
	keys_new=
	[ -d "${keys_at%/*}" ] || keys_new=1
	make_folders "$keys_path" "$user_name:$2" || return 1
	[ -z "$keys_new" ] || chmod 700 "${keys_at%/*}"
	keep_file "$keys_path" "$keys_field" || return 1
	put_file "$keys_path" "$user_keys" "$user_name:$2" 600
}

remove_user() { # =name
	do_user "$1" - - - - - - - absent || return 1
	[ -n "$dry" ] || unown user "$1"
}

undo_group() { # =name gid|-: that it had
	dec "$1"
	if [ "$2" = - ]; then
		[ -z "$(getent group "$dec")" ] || try groupdel "$dec"
	elif [ -n "$(getent group "$dec")" ]; then
		try groupmod -g "$2" "$dec"
	else
		make_group_again "$2" "$dec"
	fi
}

make_group_again() { # gid name: with those who were in it
	try groupadd -g "$1" "$2" || return 1
	for group_user in $(tr , ' ' <"$U/$n.data" 2>/dev/null); do
		! user_is "$group_user" || try usermod -a -G "$2" "$group_user" ||
			return 1
	done
}

undo_user() { # =name present|absent
	dec "$1"
	user_name=$dec
	if [ "$2" = absent ]; then
		user_is "$user_name" || return 0
		# Nobody had the time to keep anything there, or somebody did.
		if [ "$was" = confirmed ]; then
			try userdel "$user_name"
		else
			try userdel -r "$user_name" || ! user_is "$user_name"
		fi
		return
	fi
	{
		IFS=: read -r old_name old_x old_uid old_gid old_comment old_home \
			old_shell
		read -r old_hash
		read -r old_groups
		read -r old_group
	} <"$U/$n.data"
	# A group that comes back later brings its users along.
	user_groups=
	for user_group in $(printf %s "$old_groups" | tr , ' '); do
		[ -z "$(getent group "$user_group")" ] ||
			user_groups=$user_groups,$user_group
	done
	old_groups=${user_groups#,}
	set -- -u "$old_uid" -g "$old_gid" -c "$old_comment" -d "$old_home" \
		-s "$old_shell" -G "$old_groups" "$user_name"
	if user_is "$user_name"; then
		try usermod "$@"
	else
		[ -n "$(getent group "$old_gid")" ] ||
			try groupadd -g "$old_gid" "$old_group" || return 1
		try useradd -M "$@"
	fi || return 1
	[ -z "$old_hash" ] || [ "$(hash_of "$user_name")" = "$old_hash" ] ||
		set_hash "$user_name" "$old_hash"
}

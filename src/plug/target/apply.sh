#!/bin/sh
# apply.sh - makes a Linux machine what it is declared to be, and takes it back.
#
#   ask                         what would change; a bundle (tar) on stdin
#   copy BUILT                  keeps the bundle on stdin, under its name
#   apply RUN BUILT LIMIT CONFIRM    does it, and waits for the end; in seconds
#   confirm RUN                 it stays
#   rollback RUN                what was before RUN, and before those after it
#   boot                        an apply that nobody confirmed is taken back
#   status                      for people
#
# A bundle has the files `plan`, `files/N`, `secrets/N` (age) and this program.
# A line of the plan is one thing, in the order they are done:
#
#   marram 1
#   built CHECKSUM
#   repository|file =PATH files/N|secrets/N =OWNER =GROUP MODE SHA256|-
#   package =NAME =VERSION|- =MANAGER|- installed|absent
#   packages                                   (those above are done here)
#   group =NAME GID|-
#   user =NAME UID|- =SHELL|- =HOME|- =COMMENT|- secrets/N|- files/N|-
#        SHA256|- present|absent =GROUP...
#   host =NAME
#   zone =NAME
#   service =NAME enabled|disabled running|stopped =PATH...
#   container =NAME SHA256 N =OPTION... =IMAGE =ARGUMENT...
#
# What follows "=" is text as codec/shell.h escapes it: no line and no field of
# it is ever looked at by the shell. What goes back is hexadecimal.
#
#           apply                   all done        confirm
#   (none) ------> armed, applying -----------> applied ------> confirmed
#                         |                        |                |
#           failed, died, | restarted              | too late       | asked
#                         v                        v                |
#                      undoing <-------------------+----------------+
#                         |
#                         +--> undone, or stuck: one thing could not be taken
#                              back; the next try goes on with it
#
# A run is done and watched by its guard, which lives outside of the session
# that asked for it. What is about to change is kept in undo/N first, and taken
# back from the last to the first.
set -u -f
umask 077
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
PATH=${MARRAM_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
R=${MARRAM_ROOT:-}
V=$R/var/lib/marram-fleet
KEPT=5 # confirmed runs that can be taken back
T=
D=
dry=
why=
changed=
n=0

# --- small things ------------------------------------------------------------

die() {
	printf '%s\n' "$2" >&2
	exit "$1"
}

say() {
	printf '%s\n' "$*"
}

temp() {
	T=$(mktemp -d "$(for t in "$R/run" "$R/tmp" /tmp; do
		[ -d "$t" ] && [ -w "$t" ] && printf %s "$t" && break
	done)/marram-fleet.XXXXXX") || die 2 "no folder for temporary files"
	trap 'rm -rf "$T"' EXIT
	trap 'exit 143' TERM INT
}

# $dec: the text of a field, with the new lines at its end.
dec() {
	case $1 in
	=*)
		dec=$(printf '%b.' "${1#=}")
		dec=${dec%.}
		;;
	*) dec= ;;
	esac
}

# Text as a field that goes back; "-" stays.
hex() {
	case $1 in
	=*) printf '=' && printf %s "${1#=}" | od -An -v -tx1 | tr -d ' \n' ;;
	*) printf -- - ;;
	esac
}

sum_of() {
	sha256sum <"$1" | cut -d ' ' -f 1
}

# Is `$2`, a line or its beginning of two words, in the plan?
declared() {
	cut -d ' ' -f 1,2 "$D/plan" | grep -Fxq -e "$1 $2"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

has_systemd() {
	[ -d "$R/run/systemd/system" ] && has systemctl
}

sync_one() {
	sync "$1" 2>/dev/null || sync
}

# A small file, whole or not at all.
put() {
	printf '%s\n' "$2" >"$1.new" && sync_one "$1.new" && mv -f "$1.new" "$1"
}

# Runs a program; what it says is shown. $why when it fails.
try() {
	"$@" >"$T/out" 2>&1 </dev/null
	try_rc=$?
	tail -n 200 "$T/out"
	[ $try_rc -eq 0 ] && return 0
	why="$1: $(tail -n 4 "$T/out" | tr '\n' ' ')"
	return 1
}

# action kind name from to: told when asked, else said.
change() {
	if [ -n "$dry" ]; then
		printf 'change %s %s %s %s %s\n' "$1" "$2" "$(hex "=$3")" \
			"$(hex "$4")" "$(hex "$5")"
	else
		say "$1 $2 $3"
	fi
}

# It can not be: told when asked, else the end.
fault() {
	why="$1 $2: $3"
	[ -n "$dry" ] || return 1
	printf 'fault %s %s %s\n' "$1" "$(hex "=$2")" "$(hex "=$3")"
	return 0
}

# The agent of the fleet opens secrets itself; an older one does not.
agent_unseals() {
	has marram-edge && marram-edge fleet unseal --help >/dev/null 2>&1
}

has_secrets() {
	agent_unseals || has age
}

# A secret goes to stdout.
unseal() {
	unseal_key=$R/etc/ssh/ssh_host_ed25519_key
	if agent_unseals; then
		marram-edge fleet unseal --identity "$unseal_key" "$1" \
			2>"$T/unseal" && return 0
	else
		age -d -i "$unseal_key" "$1" 2>"$T/unseal" && return 0
	fi
	why="a secret could not be opened: $(tail -n 2 "$T/unseal" | tr '\n' ' ')"
	return 1
}

# --- what is ours, and what was ---------------------------------------------

own() {
	grep -Fxq -e "$1 $2" "$V/owned" 2>/dev/null ||
		printf '%s %s\n' "$1" "$2" >>"$V/owned"
}

disown() {
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
		[ -n "$dry" ] || disown "$1" "$2"
		return 0
	fi
	change remove "$1" "$dec" - -
	changed="$changed$2 "
	[ -n "$dry" ] && return 0
	keep_file "$dec" "$2" && rm -f "$R$dec" && disown "$1" "$2"
}

# --- packages ----------------------------------------------------------------

apt() {
	apt-get -q -y -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

installed() { # package: its version
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
		sed -n 's/^installed //p' | head -n 1
}

all_packages() { # those that are half there, too
	dpkg-query -W -f '${db:Status-Status} ${binary:Package}=${Version}\n' |
		sed -e '/^not-installed /d' -e '/^config-files /d' -e 's/^[^ ]* //' |
		sort
}

plugin_of() { # =manager: its program; empty: apt itself
	dec "$1"
	plugin=
	[ -n "$dec" ] || return 0
	plugin=$R/etc/tedge/sm-plugins/$dec
	[ -x "$plugin" ] && return 0
	plugin=
	[ "$dec" = apt ]
}

plugin_version() { # name: $found, $version
	found=
	version=
	"$plugin" list </dev/null >"$T/list" 2>/dev/null || return 0
	while IFS='	' read -r plugin_name plugin_is <&5; do
		[ "$plugin_name" = "$1" ] && found=1 version=$plugin_is
	done 5<"$T/list"
}

plugin_do() { # install|remove name version
	try "$plugin" prepare || return 1
	if [ "$1" = install ] && [ -n "$3" ]; then
		try "$plugin" install "$2" --module-version "$3"
	else
		try "$plugin" "$1" "$2"
	fi
	plugin_rc=$?
	plugin_why=$why
	try "$plugin" finalize && [ $plugin_rc -eq 0 ] && return 0
	[ $plugin_rc -eq 0 ] || why=$plugin_why
	return 1
}

# =name =version|- =manager|- installed|absent
do_package() {
	package_field=$1 package_as=$4 package_manager=$3
	dec "$1"
	package_name=$dec
	dec "$2"
	package_version=$dec
	if ! plugin_of "$3"; then
		dec "$3"
		fault package "$package_name" "there is no /etc/tedge/sm-plugins/$dec"
		return
	fi
	if [ -n "$plugin" ]; then
		plugin_version "$package_name"
	elif has dpkg-query && has apt-get; then
		version=$(installed "$package_name")
		found=$version
	else
		fault package "$package_name" "there is no apt"
		return
	fi
	if [ "$package_as" = absent ]; then
		[ -n "$found" ] || return 0
		change remove package "$package_name" "=$version" -
		package_word=$package_name-
	elif [ -z "$found" ]; then
		change add package "$package_name" - "$2"
		package_word=$package_name${package_version:+=$package_version}
	elif [ -n "$package_version" ] && [ "$package_version" != "$version" ]; then
		change change package "$package_name" "=$version" "=$package_version"
		package_word=$package_name=$package_version
	else
		return 0
	fi
	[ -n "$dry" ] && return 0
	if [ -z "$plugin" ]; then
		apt_list="${apt_list:-} $package_word"
		[ -z "$found" ] && [ "$package_as" = installed ] &&
			apt_new="${apt_new:-} $package_field"
		[ -z "$found" ] || apt_old="${apt_old:-} $package_name=$version"
		return 0
	fi
	next
	package_was=-
	[ -z "$found" ] || package_was="=$version"
	printf %s "${package_was#=}" >"$U/$n.data"
	keep plugin "$package_manager" "$package_field" \
		"$([ "$package_was" = - ] && echo absent || echo installed)"
	if [ "$package_as" = absent ]; then
		plugin_do remove "$package_name" ''
		return
	fi
	plugin_do install "$package_name" "$package_version" || return 1
	[ -n "$found" ] || own package "$package_field"
	[ -n "$found" ] || put "$V/manager.$(printf %s "$package_field" |
		sha256sum | cut -c 1-32)" "$package_manager"
}

# All of apt's in one call, so that it sees them together.
do_packages() {
	[ -z "$dry" ] || return 0
	[ -n "${apt_list:-}" ] || return 0
	next
	all_packages >"$U/$n.before"
	mkdir -p "$U/$n.debs"
	keep packages
	packages_n=$n
	# What is changed may not be had any more when it is wanted back.
	for package_was in ${apt_old:-}; do
		(cd "$U/$n.debs" && apt download "$package_was" >/dev/null 2>&1)
	done
	case $changed in
	*=/etc/apt/*) try apt update || return 1 ;;
	esac
	if ! try apt install --allow-downgrades $apt_list; then
		# What is not found may be new.
		grep -q -e 'Unable to' -e 'was not found' -e 'no installation' \
			"$T/out" && try apt update &&
			try apt install --allow-downgrades $apt_list || return 1
	fi
	all_packages >"$U/$packages_n.after.new" &&
		mv -f "$U/$packages_n.after.new" "$U/$packages_n.after"
	for package_field in ${apt_new:-}; do
		own package "$package_field"
	done
	for package_field in ${apt_gone:-}; do
		disown package "$package_field"
	done
	return 0
}

remove_package() { # =name
	remove_as=$V/manager.$(printf %s "$1" | sha256sum | cut -c 1-32)
	remove_by=-
	[ -f "$remove_as" ] && read -r remove_by <"$remove_as"
	do_package "$1" - "$remove_by" absent || return 1
	[ -n "$dry" ] && return 0
	if [ "$remove_by" = - ]; then
		apt_gone="${apt_gone:-} $1"
	else
		disown package "$1"
	fi
	return 0
}

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
		[ -n "$dry" ] || disown group "$1"
		return 0
	fi
	change remove group "$dec" - -
	[ -n "$dry" ] && return 0
	next
	getent group "$dec" | cut -d : -f 4 >"$U/$n.data"
	keep group "$1" "$(getent group "$dec" | cut -d : -f 3)"
	try groupdel "$dec" && disown group "$1"
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
	[ -n "$dry" ] || disown user "$1"
}

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
	[ -n "$dry" ] || disown service "$1"
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

# --- containers --------------------------------------------------------------

engine() {
	has podman && printf podman && return
	has docker && printf docker
}

# name: $box "", "stopped" or "running"; $box_sum what it was made of
box_is() {
	box= box_sum=
	box_say=$("$box_by" container inspect --format \
		'{{.State.Running}} {{index .Config.Labels "marram.declared"}}' \
		"$1" 2>/dev/null) || return 0
	box=stopped
	[ "${box_say%% *}" = true ] && box=running
	box_sum=${box_say#* }
}

# =name sum count =option... =image =argument...
do_container() {
	dec "$1"
	box_field=$1 box_name=$dec box_want=$2 box_count=$3
	shift 3
	box_by=$(engine)
	if [ -z "$box_by" ]; then
		if [ -n "$dry" ] && { declared package =podman ||
			declared package =docker.io; }; then
			change add container "$box_name" - -
			return 0
		fi
		fault container "$box_name" "there is neither podman nor docker"
		return
	fi
	box_is "$box_name"
	[ "$box" = running ] && [ "$box_sum" = "$box_want" ] && return 0
	# The image stands behind the options.
	box_shift=0
	for box_image; do
		[ $box_shift -eq "$box_count" ] && break
		box_shift=$((box_shift + 1))
	done
	dec "$box_image"
	if [ -z "$box" ]; then
		change add container "$box_name" - "=$dec"
	elif [ "$box_sum" = "$box_want" ]; then
		change change container "$box_name" =stopped =running
	else
		change change container "$box_name" - "=$dec"
	fi
	[ -n "$dry" ] && return 0
	settle=1
	if [ -n "$box" ] && [ "$box_sum" = "$box_want" ]; then
		next
		keep container-start "$box_field"
		try "$box_by" start "$box_name"
		return
	fi
	# The words of the command, each decoded, behind one another.
	box_left=$#
	set -- "$@" run -d --name "$box_name" \
		--label "marram.declared=$box_want" --restart=always
	while [ $box_left -gt 0 ]; do
		dec "$1"
		shift
		set -- "$@" "$dec"
		box_left=$((box_left - 1))
	done
	park_container "$box_field" "$box_name" || return 1
	try "$box_by" "$@" || return 1
	[ -n "$box" ] || own container "$box_field"
	[ "$box_by" = docker ] || ! has_systemd ||
		systemctl enable podman-restart.service >/dev/null 2>&1
	return 0
}

# The old one is put aside, and kept as long as it may be wanted back.
park_container() { # =name name
	box_is "$2"
	next
	keep container "$1" "${box:-absent}"
	[ -n "$box" ] || return 0
	[ "$box" = stopped ] || try "$box_by" stop "$2" || return 1
	try "$box_by" rename "$2" "$2-marram-$run"
}

remove_container() { # =name
	box_by=$(engine)
	[ -n "$box_by" ] || return 0
	dec "$1"
	box_is "$dec"
	if [ -n "$box" ]; then
		change remove container "$dec" - -
		[ -n "$dry" ] && return 0
		park_container "$1" "$dec" || return 1
	fi
	[ -n "$dry" ] || disown container "$1"
}

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

# --- taking back ---------------------------------------------------------------

undo_one() {
	case $1 in
	file)
		dec "$2"
		if [ -e "$U/$n.data" ] || [ -L "$U/$n.data" ]; then
			[ -d "$R${dec%/*}" ] || mkdir -p -m 755 "$R${dec%/*}"
			rm -f "$R${dec%/*}/.marram.undo"
			cp -a "$U/$n.data" "$R${dec%/*}/.marram.undo" &&
				mv -f "$R${dec%/*}/.marram.undo" "$R$dec"
		else
			rm -f "$R$dec"
		fi
		changed="$changed$2 "
		;;
	folder) # not empty: somebody uses it
		rmdir "$R$(cat "$U/$n.data")" 2>/dev/null
		return 0
		;;
	owned)
		cp "$U/$n.data" "$V/owned" && if [ -s "$U/$n.current" ]; then
			cp "$U/$n.current" "$V/current"
		else
			rm -f "$V/current"
		fi
		;;
	plugin)
		plugin_of "$2"
		dec "$3"
		if [ "$4" = absent ]; then
			plugin_do remove "$dec" ''
		else
			plugin_do install "$dec" "$(cat "$U/$n.data")"
		fi
		;;
	packages) undo_packages ;;
	group)
		dec "$2"
		if [ "$3" = - ]; then
			[ -z "$(getent group "$dec")" ] || try groupdel "$dec"
		elif [ -n "$(getent group "$dec")" ]; then
			try groupmod -g "$3" "$dec"
		else
			undo_group "$3" "$dec"
		fi
		;;
	user) undo_user "$2" "$3" ;;
	host) try hostname "$(cat "$U/$n.data")" ;;
	service)
		dec "$2"
		[ "$4" = 1 ] || systemctl stop "$dec" >/dev/null 2>&1
		[ "$3" = 1 ] || systemctl disable "$dec" >/dev/null 2>&1
		[ "$5" = 0 ] || try systemctl mask "$dec"
		;;
	service-late)
		dec "$2"
		[ -n "$reloaded" ] || reload_units
		reloaded=1
		unit_is "$dec" ''
		if [ "$3" = 1 ] && [ -z "$unit_enabled" ]; then
			try systemctl enable "$dec" || return 1
		fi
		[ "$4" = 1 ] || return 0
		if [ -z "$unit_running" ]; then
			try systemctl start "$dec"
		elif grep -Fxq -e "$2" "$D/restarted" 2>/dev/null; then
			try systemctl restart "$dec"
		fi
		;;
	container)
		dec "$2"
		box_by=$(engine)
		box_is "$dec-marram-$run"
		if [ "$3" = absent ]; then
			box_is "$dec"
			[ -z "$box" ] || try "$box_by" rm -f "$dec"
			return
		fi
		[ -n "$box" ] && {
			"$box_by" rm -f "$dec" >/dev/null 2>&1
			try "$box_by" rename "$dec-marram-$run" "$dec" || return 1
		}
		[ "$3" = stopped ] || try "$box_by" start "$dec"
		;;
	container-start)
		dec "$2"
		box_by=$(engine)
		try "$box_by" stop "$dec"
		;;
	esac
}

# What is there and was not goes, what was there and is not comes back.
undo_packages() {
	all_packages >"$T/now"
	[ -f "$U/$n.after" ] || cp "$T/now" "$U/$n.after"
	packages_back= packages_gone=
	while IFS== read -r package_name package_version <&5; do
		grep -Fxq -e "$package_name=$package_version" "$T/now" || continue
		package_was=$(awk -F= -v p="$package_name" '$1 == p { print $2 }' \
			"$U/$n.before")
		if [ -n "$package_was" ]; then
			packages_back="$packages_back $package_name=$package_was"
		else
			packages_gone="$packages_gone $package_name"
		fi
	done 5<<-END
		$(grep -Fxv -f "$U/$n.before" "$U/$n.after")
	END
	while IFS== read -r package_name package_version <&5; do
		[ -n "$package_name" ] || continue
		grep -q "^$package_name=" "$T/now" ||
			packages_back="$packages_back $package_name=$package_version"
	done 5<<-END
		$(grep -Fxv -f "$U/$n.after" "$U/$n.before")
	END
	# Not by apt, which does nothing before dpkg has ended what was cut off:
	# that would try once more what is to go.
	if [ -n "$packages_gone" ] && ! try dpkg --purge $packages_gone; then
		for package_name in $packages_gone; do
			packages_back="$packages_back $package_name-"
		done
	fi
	[ -n "$packages_back" ] || return 0
	try apt install --allow-downgrades --purge $packages_back && return 0
	# dpkg was cut off. Not before: what is broken would be tried once more.
	try dpkg --configure -a
	try apt install --allow-downgrades --purge $packages_back && return 0
	# The network may be what is broken: those that were kept.
	set +f
	set -- "$U/$n.debs"/*.deb
	set -f
	[ -f "$1" ] && try dpkg -i --force-downgrade "$@"
	try apt install --no-download --allow-downgrades --purge $packages_back
}

undo_group() { # gid name: with those who were in it
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

undo_run() { # run
	run=$1
	D=$V/run/$run U=$V/run/$run/undo
	changed= reloaded= bad=
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

# --- a run -----------------------------------------------------------------------

state_of() {
	cat "$V/run/$1/state" 2>/dev/null
}

# run to from...: one of many may be the one that turns it.
turn() {
	turn_run=$1 turn_to=$2 turn_rc=1
	shift 2
	exec 9>>"$V/lock"
	flock 9
	turn_now=$(state_of "$turn_run")
	for turn_from; do
		[ "$turn_now" = "$turn_from" ] && turn_rc=0
	done
	[ $turn_rc -ne 0 ] || put "$V/run/$turn_run/state" "$turn_to"
	exec 9>&-
	return $turn_rc
}

born() { # when a process began; nothing of one that is dead
	sed -n -e 's/.*) //' -e '/^[ZX]/!p' "/proc/$1/stat" 2>/dev/null |
		cut -d ' ' -f 20
}

guarded() { # run
	read -r guard_pid guard_born 2>/dev/null <"$V/run/$1/guard" || return 1
	[ -n "$guard_born" ] && [ "$(born "$guard_pid")" = "$guard_born" ]
}

now() {
	cut -d . -f 1 /proc/uptime
}

# Outside of the session, which may end any time.
start_guard() { # run
	guarded "$1" && return
	guard_unit=marram-fleet-$1-$(now)
	if has_systemd && systemd-run --quiet --collect --unit="$guard_unit" \
		-p KillMode=process -p Restart=on-failure -p RestartSec=1 \
		--setenv=MARRAM_ROOT="$R" --setenv=MARRAM_PATH="$PATH" \
		/bin/sh "$V/apply.sh" guard "$1" >/dev/null 2>&1; then
		return
	fi
	setsid /bin/sh "$V/apply.sh" guard "$1" </dev/null >/dev/null 2>&1 &
}

# What takes it back when the machine starts again.
install_hook() {
	if has_systemd; then
		hook=$R/etc/systemd/system/marram-fleet-boot.service
		cat >"$T/hook" <<-'END'
			[Unit]
			Description=Takes back a change of this machine that nobody confirmed
			ConditionPathExists=/var/lib/marram-fleet/pending
			After=local-fs.target

			[Service]
			Type=exec
			ExecStart=/bin/sh /var/lib/marram-fleet/apply.sh boot

			[Install]
			WantedBy=multi-user.target
		END
		cmp -s "$T/hook" "$hook" && return
		cat "$T/hook" >"$hook" && chmod 644 "$hook" &&
			systemctl daemon-reload &&
			systemctl enable marram-fleet-boot.service >/dev/null 2>&1
	elif has update-rc.d || has rc-update; then
		hook=$R/etc/init.d/marram-fleet
		[ -x "$hook" ] && return
		cat >"$hook" <<-'END'
			#!/bin/sh
			### BEGIN INIT INFO
			# Provides:          marram-fleet
			# Required-Start:    $local_fs
			# Required-Stop:
			# Default-Start:     2 3 4 5
			# Default-Stop:
			# Short-Description: Takes back a change that nobody confirmed
			### END INIT INFO
			[ "$1" = start ] || exit 0
			setsid /bin/sh /var/lib/marram-fleet/apply.sh boot </dev/null >/dev/null 2>&1 &
		END
		chmod 755 "$hook" || return 1
		if has update-rc.d; then
			update-rc.d marram-fleet defaults >/dev/null 2>&1
		else
			rc-update add marram-fleet default >/dev/null 2>&1
		fi
	else
		say "warning: nothing here takes it back after a restart: neither systemd nor init.d"
	fi
}

work() {
	run=$1 D=$V/run/$1 U=$V/run/$1/undo
	temp
	mkdir -p "$U"
	next
	touch "$V/owned"
	cp "$V/owned" "$U/$n.data"
	[ ! -s "$V/current" ] || cp "$V/current" "$U/$n.current"
	keep owned
	has_systemd && keep_services
	why=
	if walk; then
		put "$V/current" "$built"
		grep -Fxq -e "$run" "$V/order" 2>/dev/null ||
			printf '%s\n' "$run" >>"$V/order"
		turn "$run" applied applying
		exit
	fi
	say "failed: ${why:-for a reason it did not say}"
	put "$D/why" "${why:-for a reason it did not say}"
	exit 1
}

# From where a run stands to its end.
guard() {
	trap '' HUP
	run=$1
	G=$V/run/$run
	guarded "$run" && exit 0
	printf '%s %s\n' "$$" "$(born $$)" >"$G/guard"
	exec >>"$G/log" 2>&1 </dev/null
	read -r limit confirm <"$G/window" || limit=0 confirm=0

	if turn "$run" applying armed; then
		setsid /bin/sh "$V/apply.sh" work "$run" &
		worker=$!
		printf '%s\n' "$worker" >"$G/worker"
		end=$(($(now) + limit))
		while kill -0 $worker 2>/dev/null; do
			if [ -f "$G/want-undo" ] || [ "$(now)" -ge $end ]; then
				[ -f "$G/want-undo" ] || put "$G/why" \
					"took longer than $limit s"
				kill -KILL "-$worker" 2>/dev/null
			fi
			sleep 0.2 2>/dev/null || sleep 1
		done
		wait $worker
		[ "$(state_of "$run")" = applied ] &&
			put "$G/deadline" "$(($(now) + confirm))"
	elif [ "$(state_of "$run")" = applying ]; then
		# One before us was killed; so is its work.
		read -r worker <"$G/worker" && kill -KILL "-$worker" 2>/dev/null
		put "$G/why" "its guard was killed"
	fi
	while [ "$(state_of "$run")" = applied ] && [ ! -f "$G/want-undo" ]; do
		read -r end 2>/dev/null <"$G/deadline" || {
			end=$(($(now) + confirm))
			put "$G/deadline" "$end"
		}
		if [ "$(now)" -ge "$end" ]; then
			put "$G/why" "nobody confirmed it within $confirm s"
			break
		fi
		sleep 0.5 2>/dev/null || sleep 1
	done
	undo "$run"
}

# Everything since before `run`.
undo() {
	undo_to=$1
	if [ "$(state_of "$undo_to")" = confirmed ] &&
		[ ! -f "$V/run/$undo_to/want-undo" ]; then
		exit 0
	fi
	was=$(state_of "$undo_to")
	turn "$undo_to" undoing armed applying applied undoing stuck confirmed ||
		exit 0
	[ -n "$T" ] || temp
	undo_list=$undo_to
	[ ! -f "$V/order" ] || undo_list="$(sed -n "/^$undo_to\$/,\$p" "$V/order" |
		sed '1!G;h;$!d')"
	undo_list=${undo_list:-$undo_to}
	undo_bad=
	for undo_now in $undo_list; do
		say "$undo_now is taken back"
		if undo_run "$undo_now"; then
			grep -Fxv -e "$undo_now" "$V/order" >"$V/order.new" 2>/dev/null
			mv -f "$V/order.new" "$V/order"
			[ "$undo_now" = "$undo_to" ] ||
				put "$V/run/$undo_now/state" undone
		else
			undo_bad=1
			break
		fi
	done
	rm -f "$V/run/$undo_to/want-undo"
	if [ -n "$undo_bad" ]; then
		put "$V/run/$undo_to/state" stuck
		exit 0 # the pending one stays, for the next start
	fi
	put "$V/run/$undo_to/state" undone
	unpend "$undo_to"
	exit 0
}

unpend() {
	[ "$(cat "$V/pending" 2>/dev/null)" != "$1" ] || rm -f "$V/pending"
}

# The log of a run, until it is in one of the states named.
follow() { # run state...
	follow_run=$1
	shift
	follow_at=0
	follow_alone=0
	[ ! -f "$V/run/$follow_run/followed" ] ||
		read -r follow_at <"$V/run/$follow_run/followed"
	while :; do
		follow_now=$(state_of "$follow_run")
		follow_size=$(wc -c <"$V/run/$follow_run/log" 2>/dev/null || echo 0)
		if [ "$follow_size" -gt "$follow_at" ]; then
			tail -c "+$((follow_at + 1))" "$V/run/$follow_run/log" |
				head -c $((follow_size - follow_at))
			follow_at=$follow_size
			printf '%s\n' "$follow_at" >"$V/run/$follow_run/followed"
		fi
		for follow_state; do
			[ "$follow_now" = "$follow_state" ] && return
		done
		if guarded "$follow_run"; then
			follow_alone=0
		else
			follow_alone=$((follow_alone + 1))
		fi
		[ $follow_alone -ge 25 ] && start_guard "$follow_run" &&
			follow_alone=0
		sleep 0.2 2>/dev/null || sleep 1
	done
}

ended() { # run: how it stands, for who asked
	case $(state_of "$1") in
	applied | confirmed) exit 0 ;;
	stuck) die 3 "failed, and could not be taken back whole: $(
		cat "$V/run/$1/why" 2>/dev/null
		grep '^can not be taken back' "$V/run/$1/log" | tail -n 3
	)" ;;
	*) die 1 "$(cat "$V/run/$1/why" 2>/dev/null || echo "it was taken back")" ;;
	esac
}

named() {
	case $1 in
	'' | -* | *[!0-9A-Za-z-]*) die 2 "a run has a name of letters and digits" ;;
	esac
}

# --- commands ------------------------------------------------------------------

ask() {
	temp
	D=$T/bundle
	mkdir "$D" && tar -xf - -C "$D" || die 2 "tar failed"
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
	mkdir "$V/bundle/$1.new" && tar -xf - -C "$V/bundle/$1.new" ||
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
	for status_run in $(cat "$V/order" 2>/dev/null); do
		printf '%s\t%s\n' "$status_run" "$(state_of "$status_run")"
	done
}

case ${1:-} in
ask | boot | status) "$1" ;;
copy | confirm | rollback | work | guard) "$1" "${2:-}" ;;
apply) apply "${2:-}" "${3:-}" "${4:-1800}" "${5:-60}" ;;
*) die 2 "usage: apply.sh ask|copy|apply|confirm|rollback|boot|status" ;;
esac

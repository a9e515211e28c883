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
# The parts in this folder are put together when the program is built: one for
# each kind of thing, which does it, removes it and takes it back; then the plan,
# the runs, and the commands.
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
log= # of the run that this is the work of
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

# Runs a program; what it says is shown, in a run while it says it. $why when it
# fails. No pipe: what a package starts and leaves behind would keep it open.
try() {
	if [ -n "$log" ]; then
		try_at=$(wc -c <"$log")
		"$@" >>"$log" 2>&1 </dev/null
		try_rc=$?
		tail -c "+$((try_at + 1))" "$log" >"$T/out"
	else
		"$@" >"$T/out" 2>&1 </dev/null
		try_rc=$?
		tail -n 200 "$T/out"
	fi
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

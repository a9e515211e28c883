# What is done on a NixOS device by SSH; POSIX shell, as root.
#
#   current              the system that runs
#   closure              what it is made of
#   status RUN OFFSET    how far that attempt is, and its log from an offset on
#   remember RUN         what it has now is noted, to go back to
#   begin RUN NEW SECS MOST
#                        switches to NEW, without a trace in the boot loader; if
#                        that takes longer than MOST seconds, or nobody confirms
#                        within SECS then, it is taken back
#   confirm RUN          it stays: profile and boot loader
#   undo RUN             back to what was noted
#
# A machine that starts again boots what was confirmed last; so a restart takes
# back what was not, without anything of ours. Who has the last word, confirm or
# the guard, is decided by a file that only one of them can rename: `armed`.
set -u
top=${MARRAM_FLEET_DIR:-/var/lib/marram-fleet}
self=$top/nixos.sh
profile=/nix/var/nix/profiles/system
roots=/nix/var/nix/gcroots
PATH=$PATH:/run/current-system/sw/bin:/run/current-system/sw/sbin
export PATH

fail()
{
	code=$1
	shift
	echo "$*" >&2
	exit "$code"
}

boot_id()
{
	echo "${MARRAM_BOOT_ID:-$(cat /proc/sys/kernel/random/boot_id)}"
}

# Runs this script beside the connection, and beside the services that the
# switch may restart. With `keep` in front it is run again when it was killed.
detach()
{
	name=$1
	shift
	if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
		again=no
		[ "$1" != keep ] || { again=on-failure && shift; }
		systemd-run --quiet --collect --setenv=PATH="$PATH" \
		    -p Restart=$again -p RestartSec=3 \
		    --unit="marram-fleet-$name" -- sh "$self" "$@"
	elif command -v setsid >/dev/null; then
		setsid sh "$self" "$@" </dev/null >/dev/null 2>&1 &
	else
		nohup sh "$self" "$@" </dev/null >/dev/null 2>&1 &
	fi
}

use_run()
{
	case $1 in
	'' | *[!0-9a-z]*) fail 2 "no name of an attempt: $1" ;;
	esac
	run=$1
	dir=$top/$run
}

# One word, the exit of going back, and that of the switch; -1: there is none.
# Each is read once: it may come while we look.
state_of()
{
	back=$(cat "$dir/back" 2>/dev/null || echo -1)
	exit=$(cat "$dir/exit" 2>/dev/null || echo -1)
	if [ ! -d "$dir" ]; then
		word=none
	elif [ "$back" != -1 ]; then
		word=back
	elif [ -e "$dir/taken" ]; then
		word=undoing
	elif [ -e "$dir/confirmed" ]; then
		word=confirmed
	elif [ -e "$dir/confirming" ]; then
		word=confirming
	elif [ ! -e "$dir/armed" ]; then
		word=remembered
	elif [ "$(cat "$dir/boot")" != "$(boot_id)" ]; then
		word=restarted
	elif [ "$exit" = -1 ]; then
		word=switching
	elif [ "$exit" = 0 ]; then
		word=applied
	else
		word=failed
	fi
	echo "$word $back $exit"
}

# Attempts before the last few are forgotten, with what they kept from being
# collected as garbage.
forget_old()
{
	n=0
	# shellcheck disable=SC2045 # names of ours
	for old in $(ls -t "$top"); do
		[ -e "$top/$old/old" ] || continue
		n=$((n + 1))
		[ $n -gt "$kept" ] || continue
		rm -f "$roots/marram-fleet-$old-old" "$roots/marram-fleet-$old-new"
		rm -rf "${top:?}/$old"
	done
}

note()
{
	[ -d "$dir" ] && return 0
	was=$(readlink -f /run/current-system) || fail 3 "no system runs here"
	mkdir -p "$dir.new" || exit 3
	echo "$was" >"$dir.new/old"
	boot_id >"$dir.new/boot"
	: >"$dir.new/log"
	ln -sfn "$was" "$roots/marram-fleet-$run-old"
	mv "$dir.new" "$dir" || exit 3
	forget_old
}

begin()
{
	new=$1
	seconds=$2
	most=$3
	case $(state_of) in
	none* | remembered*) ;;
	*) exit 0 ;; # it was begun
	esac
	[ -x "$new/bin/switch-to-configuration" ] ||
	    fail 3 "$new is no system of NixOS"
	for other in "$top"/*/armed; do
		[ -e "$other" ] || continue
		other=${other%/armed}
		[ "$(cat "$other/boot")" = "$(boot_id)" ] || continue
		fail 4 "another attempt is not confirmed yet: ${other##*/}"
	done
	note
	echo "$new" >"$dir/new"
	ln -sfn "$new" "$roots/marram-fleet-$run-new"
	: >"$dir/armed"
	sync
	detach "guard-$run" keep guard "$run" "$seconds" "$most"
	detach "switch-$run" switch "$run"
}

# Detached.
switch()
{
	new=$(cat "$dir/new")
	echo $$ >"$dir/pid"
	"$new/bin/switch-to-configuration" test >>"$dir/log" 2>&1
	echo $? >"$dir/exit.new"
	mv "$dir/exit.new" "$dir/exit"
}

switch_was_killed()
{
	[ -e "$dir/pid" ] && ! kill -0 "$(cat "$dir/pid")" 2>/dev/null &&
	    [ ! -e "$dir/exit" ]
}

# Detached.
guard()
{
	again=
	[ ! -e "$dir/late" ] || again=1
	left=$2
	while [ ! -e "$dir/exit" ] && [ -e "$dir/armed" ] && [ $left -gt 0 ]; do
		sleep 1
		left=$((left - 1))
		! switch_was_killed || echo 137 >"$dir/exit"
	done
	[ $left -gt 0 ] || end_switch 124
	left=$1
	why="nobody confirmed"
	[ "$(cat "$dir/exit" 2>/dev/null)" = 0 ] || {
		left=0
		why="the switch failed"
	}
	while [ -e "$dir/armed" ] && [ "$left" -gt 0 ]; do
		sleep 1
		left=$((left - 1))
	done
	: >"$dir/late"
	if mv "$dir/armed" "$dir/taken" 2>/dev/null; then
		echo "$why: taken back" >>"$dir/log"
	elif [ ! -e "$dir/taken" ] || [ -e "$dir/back" ] || [ -z "$again" ]; then
		exit 0 # it was confirmed, or somebody else takes it back
	fi # else a guard before us did, and was killed
	go_back
}

# What still works on the new system ends before: it would come behind us. With
# this exit, if it has none.
end_switch()
{
	[ -e "$dir/pid" ] && [ ! -e "$dir/exit" ] || return 0
	pid=$(cat "$dir/pid")
	kill -TERM "-$pid" 2>/dev/null || return 0
	left=50
	while kill -0 "-$pid" 2>/dev/null && [ $left -gt 0 ]; do
		sleep 0.1 2>/dev/null || sleep 1
		left=$((left - 1))
	done
	kill -KILL "-$pid" 2>/dev/null
	echo "the switch was ended" >>"$dir/log"
	[ $# = 0 ] || [ -e "$dir/exit" ] || echo "$1" >"$dir/exit"
}

# confirm and go_back, one after the other.
one_at_a_time()
{
	exec 9>>"$dir/lock"
	! command -v flock >/dev/null || flock -w 300 9
}

go_back()
{
	end_switch
	one_at_a_time
	was=$(cat "$dir/old")
	how="test"
	if [ -e "$dir/confirmed" ] || [ -e "$dir/confirming" ]; then
		how=switch
		nix-env -p "$profile" --set "$was" >>"$dir/log" 2>&1 9>&-
	fi
	"$was/bin/switch-to-configuration" $how >>"$dir/log" 2>&1 9>&-
	echo $? >"$dir/back.new"
	rm -f "$dir/armed"
	mv "$dir/back.new" "$dir/back"
	rm -f "$roots/marram-fleet-$run-new"
}

confirm()
{
	case $(state_of) in
	confirmed*) exit 0 ;;
	remembered*) exit 0 ;; # its agent has done it
	confirming*) # to say so of what does not run would be no truth
		[ "$(cat "$dir/boot")" = "$(boot_id)" ] ||
		    [ "$(readlink -f /run/current-system)" = \
			"$(cat "$dir/new")" ] ||
		    fail 5 "it started again with what it had before"
		;;
	applied*)
		mv "$dir/armed" "$dir/confirming" 2>/dev/null ||
		    fail 5 "it has taken itself back"
		;;
	none*) fail 5 "nothing of this attempt is known here" ;;
	*) fail 5 "it has taken itself back" ;;
	esac
	one_at_a_time
	[ ! -e "$dir/taken" ] || fail 5 "it was taken back"
	new=$(cat "$dir/new")
	if nix-env -p "$profile" --set "$new" >>"$dir/log" 2>&1 9>&- &&
	    "$new/bin/switch-to-configuration" boot >>"$dir/log" 2>&1 9>&-; then
		[ ! -e "$dir/confirming" ] ||
		    mv "$dir/confirming" "$dir/confirmed"
		sync
		exit 0
	fi
	tail -n 5 "$dir/log" >&2
	fail 6 "it can not be made what is booted"
}

undo()
{
	case $(state_of) in
	none*) exit 0 ;; # nothing was done
	back* | undoing*) exit 0 ;;
	restarted*)
		echo 0 >"$dir/back"
		rm -f "$dir/armed"
		exit 0
		;;
	switching* | applied* | failed*)
		mv "$dir/armed" "$dir/taken" 2>/dev/null || exit 0
		;;
	*)
		: >"$dir/taken"
		[ -e "$dir/new" ] || : >"$dir/confirmed"
		;;
	esac
	detach "back-$run" keep back "$run"
}

command=$1
case $command in
keep) # in the place of systemd
	shift
	until sh "$self" "$@"; do
		sleep 1
	done
	exit
	;;
current)
	readlink -f /run/current-system
	exit
	;;
closure)
	nix-store -q -R /run/current-system
	exit
	;;
esac
use_run "$2"
kept=5
case $command in
status)
	state_of
	[ ! -e "$dir/log" ] || tail -c "+$(($3 + 1))" "$dir/log"
	;;
remember)
	kept=$3
	note
	cat "$dir/old"
	;;
begin) begin "$3" "$4" "$5" ;;
confirm) confirm ;;
undo) undo ;;
switch) switch ;;
guard) guard "$3" "$4" ;;
back) go_back ;;
*) fail 2 "no such command: $command" ;;
esac

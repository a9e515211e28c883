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
	setsid /bin/sh "$V/apply.sh" watch "$1" </dev/null >/dev/null 2>&1 &
}

# In the place of systemd: a guard that was killed is followed by another.
watch() { # run
	trap '' HUP
	until /bin/sh "$V/apply.sh" guard "$1"; do
		sleep 1
	done
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
	run=$1 D=$V/run/$1 U=$V/run/$1/undo log=$V/run/$1/log
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
					"took longer than $limit s (fleet.deploy.applyTime)"
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

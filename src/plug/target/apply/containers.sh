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
	[ -n "$dry" ] || unown container "$1"
}

undo_container() { # =name absent|stopped|running: what it was
	dec "$1"
	box_by=$(engine)
	box_is "$dec-marram-$run"
	if [ "$2" = absent ]; then
		box_is "$dec"
		[ -z "$box" ] || try "$box_by" rm -f "$dec"
		return
	fi
	[ -n "$box" ] && {
		"$box_by" rm -f "$dec" >/dev/null 2>&1
		try "$box_by" rename "$dec-marram-$run" "$dec" || return 1
	}
	[ "$2" = stopped ] || try "$box_by" start "$dec"
}

undo_container_start() { # =name
	dec "$1"
	box_by=$(engine)
	try "$box_by" stop "$dec"
}

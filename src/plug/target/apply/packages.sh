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
		unown package "$package_field"
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
		unown package "$1"
	fi
	return 0
}

undo_plugin() { # =manager =name installed|absent: what it was
	plugin_of "$1"
	dec "$2"
	if [ "$3" = absent ]; then
		plugin_do remove "$dec" ''
	else
		plugin_do install "$dec" "$(cat "$U/$n.data")"
	fi
}

# What is there and was not goes, what was there and is not comes back.
undo_packages() {
	all_packages >"$T/now"
	[ -f "$U/$n.after" ] || cp "$T/now" "$U/$n.after"
	packages_back= packages_gone=
	while IFS="=" read -r package_name package_version <&5; do
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
	while IFS="=" read -r package_name package_version <&5; do
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

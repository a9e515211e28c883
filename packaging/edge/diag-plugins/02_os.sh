#!/bin/sh
# The machine: system, load, memory, disks, network.
# Called as NAME collect --output-dir DIR --config-dir DIR. What is printed is kept
# as output.log; exit status 2: it has nothing to say on this machine.
[ "$1" = collect ] || { echo "usage: $0 collect --output-dir DIR --config-dir DIR" >&2; exit 1; }
shift
while [ $# -gt 1 ]; do
	case "$1" in
	--output-dir) out=$2 ;;
	--config-dir) config=$2 ;;
	esac
	shift 2
done

show() {
	command -v "$1" >/dev/null 2>&1 || return
	echo "--- $*"
	"$@" 2>&1
	echo
}

show uname -a
show cat /etc/os-release
show date
show uptime
show free
show cat /proc/meminfo
show df -h
show mount
# without their arguments, which may hold secrets
show ps -e -o pid,ppid,user,rss,time,comm
show ip address
show ip route
show cat /etc/resolv.conf
exit 0

#!/bin/sh
# The machine: system, load, memory, disks, network.
. "${0%/*}/common.ignore"

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

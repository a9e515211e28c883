#!/bin/sh
# The logs of operations.
. "${0%/*}/common.ignore"

logs=$(tedge --config-dir "$config" config get logs.path) || exit 1
[ -d "$logs/agent" ] || exit 2
cp -R "$logs/agent" "$out/agent" || exit 1
ls -l "$out/agent"

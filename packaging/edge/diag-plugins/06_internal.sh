#!/bin/sh
# What the agent remembers.
. "${0%/*}/common.ignore"

state=$(tedge --config-dir "$config" config get agent.state.path) || exit 1
[ -d "$state" ] || state=$config/.agent
[ -d "$state" ] || exit 2
ls -lR "$state"
cp -R "$state" "$out/agent-state"

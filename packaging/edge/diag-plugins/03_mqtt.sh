#!/bin/sh
# What is retained on the device's bus, and what passes for a moment.
# (Of that only te/: a token of a cloud may pass elsewhere.)
. "${0%/*}/common.ignore"

heard retained '#' --retained-only -W 2
heard live 'te/#' -W 5

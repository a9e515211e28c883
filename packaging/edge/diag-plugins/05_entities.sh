#!/bin/sh
# Devices and services as the agent knows them.
. "${0%/*}/common.ignore"

heard registrations 'te/+/+/+/+' --retained-only -W 2
heard twins 'te/+/+/+/+/twin/+' --retained-only -W 2

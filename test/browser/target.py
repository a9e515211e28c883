"""target.py FOLDER KEY: a machine for the browser's tests, reached by SSH (see
fleet_linux.py), that lets the key of a unit in. Says one line of JSON when it is up,
runs a script for each line of JSON that it reads, and is gone when its input ends."""
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import fleet_linux  # noqa: E402

# It is installed when somebody has made /srv/pump, and says so while it waits.
PUMP = """#!/bin/sh
echo the pump is looked for
until [ -e /srv/pump ]; do sleep 0.1; done
echo the pump is there
"""


class Registered:
    """What a device wants of a fleet; it is entered by a person, in a page."""
    status, data = 200, {"id": ""}


class Fleet:
    unit = ""

    def __init__(self, folder, key):
        self.folder, self.key = pathlib.Path(folder), key

    def call(self, *_):
        return Registered


def say(**what):
    print(json.dumps(what), flush=True)


def main(folder, key):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is below ends with it
    if fleet_linux.MISSING:
        return say(missing=fleet_linux.MISSING)
    shop = pathlib.Path(folder) / "shop"
    fleet_linux.make_repository(shop)
    fleet_linux.make_package(shop, "marram-pump", "1.0", script=PUMP)
    fleet_linux.index(shop)
    device = fleet_linux.Device(Fleet(folder, key), "", "target")
    try:
        say(port=device.port, key=" ".join(
            device.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]))
        for line in sys.stdin:
            done = device.run(json.loads(line))
            say(status=done.returncode, out=done.stdout, err=done.stderr)
    finally:
        device.scrap()


main(*sys.argv[1:])

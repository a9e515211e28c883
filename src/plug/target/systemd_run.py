#!/usr/bin/python3
"""systemd-run of a device that is only a folder. A unit is nobody's child, has
no environment but what it was given, and is started again when it has failed and
that was asked for. Each start is a line of {dir}/units: name and Restart=."""
import json
import os
import subprocess
import sys
import time

ROOT = os.environ["MARRAM_ROOT"]  # by which the test finds whoever runs
CLEAN = (0, -1, -2, -13, -15)  # SIGHUP, SIGINT, SIGPIPE, SIGTERM


def read(args):
    unit = {"Restart": "no", "RestartSec": "0.1", "KillMode": "control-group"}
    env = {"MARRAM_ROOT": ROOT, "PATH": "/usr/bin:/bin",
           **{k: os.environ[k] for k in ["NIX_CONFIG"] if k in os.environ}}
    while args and args[0].startswith("-"):
        word = args.pop(0)
        key, _, value = word.partition("=")
        if word == "--":
            break
        if key == "--unit":
            unit["name"] = value
        elif key == "--setenv":
            name, _, value = value.partition("=")
            env[name] = value
        elif word == "-p":
            name, _, value = args.pop(0).partition("=")
            if name not in unit:
                sys.exit("Unknown assignment: " + name)
            unit[name] = value
        elif word not in ("--quiet", "--collect"):
            sys.exit("unrecognized option " + word)
    return {**unit, "argv": args, "env": env}


def manage(unit):
    os.setsid()
    while True:
        with open(ROOT + "/../units", "a") as told:
            told.write("%s %s\n" % (unit["name"], unit["Restart"]))
        status = subprocess.run(unit["argv"], env=unit["env"], cwd="/",
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True).returncode
        if unit["Restart"] != "on-failure" or status in CLEAN:
            return
        time.sleep(float(unit["RestartSec"]))


if "MARRAM_UNIT" in os.environ:
    manage(json.loads(os.environ["MARRAM_UNIT"]))
else:
    # its words are not those of the unit: who looks for that finds only it
    subprocess.Popen([sys.argv[0]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL,
                     env={**os.environ, "MARRAM_UNIT": json.dumps(read(sys.argv[1:]))})

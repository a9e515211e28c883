#!/usr/bin/env python3
"""Refuses an #include that runs up the tree, or into a sibling of core/.

A folder may use those below it: app, core, plug, net, codec, base. The device
side may not reach core or plug. In core/, siblings see each other's one public
header (core/X/X.h, and what lies in core/rest), along the arrows below.
"""
import pathlib
import re
import sys

ORDER = ["base", "codec", "net", "plug", "core", "app"]
MAY = {name: set(ORDER[: i + 1]) for i, name in enumerate(ORDER)}
MAY["app"].add("edge")
MAY["edge"] = {"base", "codec", "net", "edge"}
MAY["sdk"] = {"base", "codec", "net", "sdk"}
CORE = {
    "rest": set(),
    "auth": {"rest"},
    "route": {"rest", "auth"},
    "data": {"rest", "auth"},
    "coremgr": {"rest", "auth", "route", "data"},
    "hub": {"rest", "auth", "route", "data"},
    "backup": {"rest"},
    "fleet": {"rest", "auth", "route", "data", "hub"},
}
src = pathlib.Path(__file__).resolve().parent.parent / "src"
wrong = 0


def complain(path, number, text):
    global wrong
    wrong += 1
    print("src/%s:%d: %s" % (path.relative_to(src), number, text))


def check(path, number, target):
    if "/" not in target:
        return  # a generated header
    here = path.relative_to(src).parts
    there = target.split("/")
    if there[0] not in MAY.get(here[0], set()):
        complain(path, number,
                 '%s/ may not use "%s"' % (here[0], target))
    elif here[0] == there[0] == "core" and here[1] != there[1]:
        if there[1] not in CORE[here[1]]:
            complain(path, number,
                     'core/%s may not use core/%s' % (here[1], there[1]))
        elif there[1] != "rest" and there[2] != there[1] + ".h":
            complain(path, number, '"%s" is private' % target)
    elif here[0] == "app" and there[0] == "core":
        if there[1] != "rest" and there[2] != there[1] + ".h":
            complain(path, number, '"%s" is private' % target)
    if not (src / target).exists():
        complain(path, number, '"%s" does not exist' % target)


for path in sorted(src.rglob("*.[ch]")):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            check(path, number, found.group(1))
sys.exit(1 if wrong else 0)

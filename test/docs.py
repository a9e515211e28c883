#!/usr/bin/env python3
"""Keeps the generated pages in step with the tables they are made from.

docs.py [--write] PROGRAM: compares, or writes, docs/reference/ and the types of
the web application.
"""
import json
import pathlib
import re
import subprocess
import sys

import schema

root = pathlib.Path(__file__).resolve().parent.parent
write = "--write" in sys.argv
program = sys.argv[-1]


def settings():
    return subprocess.run([program, "config", "reference"], text=True,
                          check=True, capture_output=True).stdout


def of_edge(*words):
    return subprocess.run([pathlib.Path(program).resolve().with_name(
        "marram-edge"), *words], text=True, check=True,
                          capture_output=True).stdout


def counters():
    text = ("# Counters\n\nShown at `/metrics`. Made from the "
            "`counters.def` of each module.\n")
    for path in sorted((root / "src").rglob("counters.def")):
        group = path.parent.name
        text += ("\n## %s\n\n| Name | Unit | What it counts |\n|---|---|---|\n"
                 % group)
        row = re.compile(r'(COUNTER|GAUGE)\((\w+), "([^"]*)",\s*'
                         r'((?:"(?:[^"\\]|\\.)*"\s*)+)\)')
        for kind, name, unit, help_ in row.findall(path.read_text()):
            words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', help_))
            tail = "_total" if kind == "COUNTER" else ""
            text += "| `marram_%s_%s%s` | %s | %s |\n" % (
                group, name, tail, unit, words)
    return text


def types():
    return schema.make(json.loads(subprocess.run(
        [program, "config", "openapi"], text=True, check=True,
        capture_output=True).stdout))


wrong = 0
for name, make in (("docs/reference/settings.md", settings),
                   ("docs/reference/edge-settings.md",
                    lambda: of_edge("config", "reference")),
                   ("docs/reference/edge-commands.md",
                    lambda: of_edge("commands", "reference")),
                   ("docs/reference/counters.md", counters),
                   ("web/src/lib/schema.ts", types)):
    path = root / name
    text = make()
    if write:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        print("%s is not in step with the tables; run "
              "test/docs.py --write %s" % (name, program))
        wrong += 1
sys.exit(wrong)

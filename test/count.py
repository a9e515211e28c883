#!/usr/bin/env python3
"""Adds up a JUnit file: prints "PASSED FAILED SKIPPED"."""
import re
import sys
import xml.etree.ElementTree as tree

passed = failed = skipped = 0
try:
    text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
    # what a failing test printed in colours is no XML
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)
    cases = tree.fromstring(text.encode()).iter("testcase")
    for case in cases:
        if case.find("skipped") is not None:
            skipped += 1
        elif (case.find("failure") is not None
              or case.find("error") is not None):
            failed += 1
        else:
            passed += 1
except (OSError, tree.ParseError) as why:
    print("no results in %s: %s" % (sys.argv[1], why), file=sys.stderr)
    failed += 1
print(passed, failed, skipped)

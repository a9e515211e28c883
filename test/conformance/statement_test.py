"""Every normative statement of MQTT 3.1.1 and 5.0, by its number, against the
server: cases_311.txt and cases_5.txt in the notation of script.py.

    MQTTD=build/test/conformance/mqttd python3 -m pytest statement_test.py
"""
import os
import re

import pytest

from script import Run, read_cases
from wire import Server

HERE = os.path.dirname(os.path.abspath(__file__))

# How many statements each section has: appendix B of the two standards.
LISTED = {
    "311": """1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5
        3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1
        3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1
        3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6
        4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1""",
    "5": """1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:2 3.1.2:30
        3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3
        3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2
        3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1
        3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 4.2:1 4.3.1:1 4.3.2:5
        4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4
        4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4""",
}
CASES = {v: read_cases(os.path.join(HERE, "cases_%s.txt" % v)) for v in LISTED}


def listed(version):
    for entry in LISTED[version].split():
        section, first, _, last = re.match(
            r"([\d.]+):(\d+)(-(\d+))?$", entry).groups()
        span = (int(first), int(last)) if last else (1, int(first))
        for i in range(span[0], span[1] + 1):
            yield "%s-%d" % (section, i)


@pytest.mark.parametrize("version", LISTED)
def test_each_statement_is_in_the_table_once(version):
    assert [c.number for c in CASES[version]] == list(listed(version))


@pytest.mark.parametrize("version", LISTED)
def test_what_is_not_tried_says_why(version):
    for case in CASES[version]:
        assert (case.because is None) == (case.binds == "server"), case.number
        assert (case.lines == []) == (case.binds != "server"), case.number


@pytest.mark.parametrize("version,case", [
    pytest.param(version, case, id="%s-%s" % (version, case.number))
    for version, cases in CASES.items() for case in cases
    if case.binds == "server"])
def test_the_server_does_as_the_standard_says(version, case):
    server = Server(*case.options, "--websocket", 1)
    try:
        Run(server, 5 if version == "5" else 4).case(case)
    finally:
        server.end()

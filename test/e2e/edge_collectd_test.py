"""The mapper of collectd in a real marram-edge."""
import json
import time

import pytest

from conftest import until
from edge import Edge


@pytest.fixture
def edge(tmp_path):
    e = Edge(tmp_path / "edge").start()
    e.good("part", "start", "tedge-mapper-collectd")
    yield e
    e.stop()


def test_a_batch_becomes_a_measurement(edge):
    heard = edge.client("te/device/main///m/", "te/errors")
    until("it listens", lambda: "tedge-mapper-collectd\tup" in edge.good(
        "part", "status").out)
    first = time.time()
    heard.say("collectd/host/cpu/load", "%.3f:0.25" % first)
    heard.say("collectd/host/memory/free", "%.3f:1024\0" % (first + 0.01))
    got = json.loads(heard.wait("te/device/main///m/")[0])
    assert got.pop("time").endswith("Z")
    assert got == {"cpu": {"load": 0.25}, "memory": {"free": 1024}}
    heard.say("collectd/host/cpu", "1:2")
    assert heard.wait("te/errors")[0].startswith(
        "Message received on invalid collectd topic: collectd/host/cpu. ")
    heard.close()
    assert len(heard.on("te/device/main///m/")) == 1

"""Parts of marram-edge: enabled, started, stopped, and what they say last."""
import json
import shutil

from conftest import until
from edge import Edge

PART = "tedge-mapper-collectd"
HEALTH = "te/device/main/service/%s/status/health" % PART


def status(edge):
    return dict(line.split("\t")[:2]
                for line in edge.good("part", "status").out.splitlines())


def health(edge):
    """What is retained, as somebody finds it who comes anew."""
    c = edge.client(HEALTH)
    said = json.loads(c.wait(HEALTH)[0])["status"]
    c.close()
    return said


def test_a_part_is_enabled_before_the_first_start(tmp_path):
    edge = Edge(tmp_path / "edge")
    shutil.rmtree(tmp_path / "edge" / "data")
    edge.good("part", "enable", PART)
    edge.start()
    try:
        until("it runs", lambda: status(edge)[PART] == "up")
        edge.good("part", "disable", PART)
        assert status(edge)[PART] == "stopped"
        edge.restart()
        assert status(edge)[PART] == "stopped"
    finally:
        edge.stop()


def test_what_stops_says_so(tmp_path):
    edge = Edge(tmp_path / "edge").start()
    try:
        edge.good("part", "start", PART)
        until("it is up", lambda: health(edge) == "up")
        edge.good("part", "stop", PART)
        until("it is down", lambda: health(edge) == "down")
        edge.good("part", "enable", PART)
        until("it is up again", lambda: health(edge) == "up")
        edge.stop()
        edge.good("part", "disable", PART)
        edge.start()
        assert health(edge) == "down"
    finally:
        edge.stop()


def test_a_name_that_is_none_is_refused(tmp_path):
    edge = Edge(tmp_path / "edge").start()
    try:
        for word in "start", "stop", "restart", "enable":
            said = edge.tedge("part", word, "tedge-sed")
            assert said.status == 1
            assert 'there is no part "tedge-sed"' in said.err
            said = edge.tedge("part", word, "tedge-mapper-sed")
            assert said.status == 1
            why = "there is no part" if word in ("stop", "restart") else (
                "mappers/sed' does not exist")
            assert why in said.err, said
            assert said.out == "", said
            for profile in ("../x", "a b", "", "a" * 65):
                said = edge.tedge("part", word, "tedge-mapper-c8y@" + profile)
                assert said.status == 1 and "there is no part" in said.err, said
    finally:
        edge.stop()

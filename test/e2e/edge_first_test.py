"""The examples of thin-edge.io's first documentation, as it prints them: typed
on the command line, and what comes out on the topics of the clouds."""
import json
import re

import pytest

from conftest import until
from edge import Edge

C8Y = "c8y/measurement/measurements/create"
AZ = "az/messages/events/"
LOCAL = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d"


@pytest.fixture
def edge(tmp_path):
    e = Edge(tmp_path / "edge", {"c8y.url": "127.0.0.1:1",
                                 "az.url": "127.0.0.1:1"})
    e.certificate("device01")
    for part in "tedge-agent", "tedge-mapper-c8y", "tedge-mapper-az":
        e.good("part", "enable", part)
    e.start()
    healthy = [e.client("te/device/main/service/%s/status/health" % part)
               for part in ("tedge-mapper-c8y", "tedge-mapper-az")]
    for c in healthy:
        c.wait(c.topics[0])
        c.close()
    yield e
    e.stop()


class Packets:
    """What is heard, with the quality of service of each packet."""

    def __init__(self, edge, *topics):
        self.heard, self.local = [], edge.client(*topics)
        self.local.client.on_message = self.on_message

    def on_message(self, _client, _data, m):
        self.heard.append((m.topic, m.payload.decode(), m.qos))

    def wait(self, topic, n=1):
        until("%d on %s" % (n, topic),
              lambda: sum(t == topic for t, _, _ in self.heard) >= n)
        return [(p, q) for t, p, q in self.heard if t == topic]


def test_a_measurement_is_translated_for_both_clouds(edge):
    heard = Packets(edge, C8Y, AZ)
    edge.good("mqtt", "pub", "tedge/measurements", '{"temperature": 23}',
              "--qos", 1)
    (payload, qos), = heard.wait(C8Y)
    assert re.fullmatch(
        r'\{"type":"ThinEdgeMeasurement","time":"%s",'
        r'"temperature":\{"temperature":\{"value":23\}\}\}' % LOCAL,
        payload), payload
    assert qos == 1
    payload, qos = [x for x in heard.wait(AZ) if "temperature" in x[0]][0]
    assert re.fullmatch(r'\{"temperature":23,"time":"%s"\}' % LOCAL, payload)
    assert qos == 1
    heard.local.close()


def test_the_two_errors_are_told(edge):
    heard = Packets(edge, "tedge/errors", C8Y)
    said = edge.tedge  # as people type them
    assert said("mqtt", "pub", "tedge/measurements",
                '{"temperature": 23,"pressure": 220').status == 0
    assert said("mqtt", "pub", "tedge/measurements",
                '{"temperature": 23,"time": 220}').status == 0
    # once, though two mappers hear it
    assert said("mqtt", "pub", "tedge/measurements", "[1]").status == 0
    errors = heard.wait("tedge/errors", 3)
    assert len(errors) == 3, errors
    assert "it cannot be an array" in errors.pop()[0], errors
    assert {text for text, _ in errors} == {
        'Invalid JSON: Unexpected end of JSON: '
        '{"temperature":23,"pressure":220',
        "Not a timestamp: the time value must be an ISO8601 timestamp string "
        "in the YYYY-MM-DDThh:mm:ss.sss.±hh:mm format, not a number."}
    assert {qos for _, qos in errors} == {1}
    assert not [x for x in heard.heard if x[0] == C8Y]
    heard.local.close()


def test_without_a_time_if_that_is_set(edge):
    edge.good("config", "set", "az.mapper.timestamp", "false")
    heard = Packets(edge, AZ)
    edge.good("mqtt", "pub", "tedge/measurements", '{"temperature": 23}')
    until("it has one until the restart", lambda: any(
        '"temperature":23,"time"' in p for p, _ in heard.wait(AZ)))
    edge.good("part", "restart", "tedge-mapper-az")
    edge.good("mqtt", "pub", "tedge/measurements", '{"temperature": 24}')
    until("it has none", lambda: '{"temperature":24}' in [
        p for p, _ in heard.wait(AZ)])
    heard.local.close()


def test_nothing_is_converted_twice(edge):
    heard = Packets(edge, C8Y, "te/device/main///m/")
    edge.good("mqtt", "pub", "tedge/measurements", '{"temperature": 23}')
    assert heard.wait("te/device/main///m/")[0][0] == '{"temperature": 23}'
    edge.good("mqtt", "pub", "te/device/main///m/", '{"last": 1}')
    until("the last is there", lambda: any(
        "last" in p for p, _ in heard.wait(C8Y)))
    values = [json.loads(p) for t, p, _ in heard.heard if t == C8Y]
    assert [sorted(set(v) - {"time", "type"}) for v in values] == [
        ["temperature"], ["last"]]
    heard.local.close()


def test_the_settings_of_a_cloud_may_lie_in_a_file_of_its_own(tmp_path):
    """Where `tedge config upgrade` of thin-edge.io 2 has put them."""
    e = Edge(tmp_path / "edge", {"az.url": "old.example.com"})
    e.certificate("device01")
    own = e.config / "mappers/az/mapper.toml"
    own.parent.mkdir(parents=True)
    own.write_text('cloud_type = "az"\nurl = "127.0.0.1:1"\n'
                   'timestamp = false\n')
    said = e.good("connect", "az", "--offline").err
    assert "mapper configuration file: %s\n" % own in said
    assert "cloud host: 127.0.0.1:1" in said
    e.start()
    try:
        health = "te/device/main/service/tedge-mapper-az/status/health"
        local = e.client(AZ, health)
        local.wait(health)
        e.good("mqtt", "pub", "tedge/measurements", '{"temperature": 23}')
        until("it is told", lambda: '{"temperature":23}' in local.on(AZ))
        local.close()
    finally:
        e.stop()
    e.good("config", "set", "az.mapper.timestamp", "true")
    assert 'timestamp = true' in own.read_text()
    assert e.good("config", "get", "az.url").out == "127.0.0.1:1\n"
    assert e.good("mapper", "list").out.split("\t")[:2] == [
        "az", "127.0.0.1:1"]

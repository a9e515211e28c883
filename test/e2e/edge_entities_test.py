"""Who there is on a device: registered by MQTT, by HTTP and by itself; what is
kept, and what goes with it. Asked with curl, mosquitto_pub and `tedge http`."""
import json
import subprocess

import pytest

from conftest import LIMIT, until
from edge import Edge

API = "/te/v1/entities"


class Device(Edge):
    """With the agent on."""

    def __init__(self, folder, settings=None):
        super().__init__(folder, {"sudo.enable": False, **(settings or {})})
        (self.folder / "data" / "parts").write_text("tedge-agent\n")
        self.url = "http://127.0.0.1:%d" % self.settings["http.bind.port"]
        self.set(http__client__port=self.settings["http.bind.port"])
        self.bus, self.said = None, 0

    def start(self):
        super().start()
        self.bus = self.client("te/#", "tedge/#")
        self.bus.wait("te/device/main/service/tedge-agent/status/health")
        until("HTTP answers", lambda: self.curl("/te/v1/health")[0] == 200)
        return self

    def stop(self, *how):
        if self.bus is not None:
            self.bus.close()
            self.bus = None
        return super().stop(*how)

    def curl(self, path, *more, url=None):
        """Status and text."""
        done = subprocess.run(
            ["curl", "-sS", "-w", "\n%{http_code}", "--path-as-is", *more,
             (url or self.url) + path], capture_output=True, text=True,
            timeout=LIMIT)
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), text

    def ask(self, method, path, body=None):
        more = () if body is None else ("--data-raw", json.dumps(body))
        status, text = self.curl(API + path, "-X", method, *more)
        return status, json.loads(text) if text else None

    def ids(self, query=""):
        status, all_ = self.ask("GET", query)
        assert status == 200, all_
        return [e["@topic-id"] for e in all_]

    def pub(self, topic, payload="", *more):
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t",
                        topic, "-m", payload, *more], check=True,
                       timeout=LIMIT)

    def retained(self, topic):
        """What one who comes now is given: it comes before what is said
        once the subscription stands."""
        one = self.client(topic, "test/end")
        try:
            one.say("test/end", "now")
            one.wait("test/end")
            return {t: p for t, p in one.heard if t != "test/end"}
        finally:
            one.close()

    def has_heard(self):
        """The agent has what was published before this: it is given all in
        the order in which the broker took it."""
        self.said += 1
        self.pub("te/device/main///twin/said", str(self.said))
        until("the agent is there", lambda: self.ask(
            "GET", "/device/main///twin/said") == (200, self.said))


@pytest.fixture
def device(tmp_path):
    d = Device(tmp_path / "edge").start()
    yield d
    d.stop()


@pytest.fixture(params=["our broker", "Mosquitto"])
def bus_device(request, tmp_path):
    """With either broker."""
    d, mosquitto = Device(tmp_path / "edge"), None
    if request.param == "Mosquitto":
        (tmp_path / "m.conf").write_text(
            "listener %d 127.0.0.1\nallow_anonymous true\nuser root\n"
            % d.port)
        mosquitto = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(tmp_path / "m.conf")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        d.set(mqtt__broker__built_in=False, mqtt__client__port=d.port)
        until("Mosquitto listens", lambda: subprocess.run(
            ["mosquitto_pub", "-p", str(d.port), "-t", "x", "-m", "y"],
            stderr=subprocess.DEVNULL).returncode == 0)
    try:
        yield d.start()
        if mosquitto:
            assert "MQTT on" not in d.logged()
    finally:
        d.stop()
        if mosquitto:
            mosquitto.terminate()
            mosquitto.wait(LIMIT)


def test_what_is_heard_first_registers_who_said_it(bus_device):
    device = bus_device
    device.pub("te/device/c1/service/s1/m/", '{"t":1}')
    device.bus.wait("te/device/c1/service/s1")
    assert json.loads(device.bus.wait("te/device/c1//")[0]) == {
        "@type": "child-device", "@parent": "device/main//", "name": "c1"}
    assert {"device/c1//", "device/c1/service/s1"} <= set(device.ids())
    assert device.ask("GET", "/device/c1/service/s1") == (200, {
        "@topic-id": "device/c1/service/s1", "@parent": "device/c1//",
        "@type": "service"})
    # our own services are there, too
    assert "device/main/service/tedge-agent" in device.ids(
        "?parent=device/main&type=service")


def test_http_and_mqtt_show_the_same(device):
    assert device.ask("POST", "", {
        "@topic-id": "device/c1", "@type": "child-device", "@id": "x1",
        "name": "One"}) == (201, {"@topic-id": "device/c1//"})
    assert json.loads(device.bus.wait("te/device/c1//")[0]) == {
        "@type": "child-device", "@id": "x1", "name": "One"}
    assert device.bus.wait("te/device/c1///twin/name") == ['"One"']
    # a registration by MQTT, below it
    device.pub("te/device/c2//", json.dumps(
        {"@type": "child-device", "@parent": "device/c1//"}), "-r")
    until("c2 is there", lambda: "device/c2//" in device.ids())
    assert device.ids("?root=device/c1") == ["device/c1//", "device/c2//"]
    # twin both ways
    device.pub("te/device/c2///twin/hw", '{"model":"x"}', "-r")
    until("the twin is there", lambda: device.ask(
        "GET", "/device/c2///twin/hw") == (200, {"model": "x"}))
    assert device.ask("PUT", "/device/c2///twin/hw", {"model": "y"})[0] == 200
    device.bus.wait("te/device/c2///twin/hw", 2)
    assert device.retained("te/device/c2///twin/+") == {
        "te/device/c2///twin/hw": '{"model":"y"}'}
    assert device.ask("DELETE", "/device/c2///twin/hw")[0] == 204
    assert device.bus.wait("te/device/c2///twin/hw", 3)[-1] == ""
    # another parent
    status, told = device.ask("PATCH", "/device/c2",
                              {"@parent": "device/main//"})
    assert status == 200 and told["@parent"] == "device/main//"
    assert device.ask("PATCH", "/device/c1", {"@parent": "device/c1"}) == (
        400, {"error": "Entity: 'device/c1//' can not be its own parent"})


def test_removal_takes_everything_along(bus_device):
    device = bus_device
    device.pub("te/device/c1//", '{"@type":"child-device"}', "-r")
    device.pub("te/device/c1/service/s", '{"@type":"service"}', "-r")
    device.pub("te/device/c1///a/hot", '{"severity":"major"}', "-r")
    device.pub("te/device/c1///twin/x", "1", "-r")
    device.pub("te/device/c1/service/s/status/health", '{"status":"up"}',
               "-r")
    device.has_heard()  # what comes later would register it again
    status, gone = device.ask("DELETE", "/device/c1")
    assert status == 200
    assert [e["@topic-id"] for e in gone] == ["device/c1//",
                                              "device/c1/service/s"]
    assert device.ask("DELETE", "/device/c1") == (204, None)
    for topic in ("te/device/c1///a/hot", "te/device/c1///twin/x",
                  "te/device/c1/service/s/status/health", "te/device/c1//"):
        until("%s is cleared" % topic, lambda t=topic:
              device.bus.on(t)[-1:] == [""])
    assert device.retained("te/device/c1/#") == {}
    assert device.ask("DELETE", "/device/main") == (
        400, {"error": "The main device can not be removed"})


def test_registrations_outlive_a_restart_and_wait_for_parents(device):
    device.pub("te/plant/1/a/b", json.dumps(
        {"@type": "child-device", "@parent": "plant/0/a/b"}))
    device.pub("te/plant/1/a/b/m/", '{"t":1}')
    device.pub("te/plant/0/a/b", '{"@type":"child-device"}')
    until("both are there", lambda: "plant/1/a/b" in device.ids())
    device.restart()
    assert device.ids("?root=plant/0/a/b") == ["plant/0/a/b", "plant/1/a/b"]
    kept = device.config / ".agent" / "entity_store.jsonl"
    lines = kept.read_text().splitlines()
    assert json.loads(lines[0]) == {"version": "1.0"}
    assert "te/plant/0/a/b" in [
        json.loads(line)["topic"]["name"] for line in lines[1:]]
    # another scheme is not registered by itself
    device.pub("te/plant/9/a/b/m/", '{"t":1}')
    assert device.bus.wait("te/errors")[0].startswith(
        "Auto registration of the entity with topic id plant/9/a/b failed")


def test_the_settings_of_the_agent_are_shown_and_stay(bus_device):
    device = bus_device
    topic = "te/device/main/service/tedge-agent/config"
    mine = device.bus.wait(topic)[0]
    until("HTTP has it", lambda: device.ask(
        "GET", "/device/main/service/tedge-agent/config/mqtt.topic_root") ==
        (200, "te"))
    assert device.ask("GET", "/device/main/service/tedge-agent/config/"
                      "mqtt.client.auth.password_file")[0] == 404
    assert device.ask("PUT", "/device/main/service/tedge-agent/config/x",
                      1)[0] == 405
    device.pub(topic, '{"mqtt.topic_root":"other"}', "-r")
    assert device.bus.wait(topic, 3)[-1] == mine


def test_the_first_scheme_is_heard_on_the_second(bus_device):
    device = bus_device
    device.pub("tedge/measurements/c5", '{"t": 23}')
    assert device.bus.wait("te/device/c5///m/") == ['{"t": 23}']
    device.pub("tedge/alarms/major/hot", '{"text":"h"}', "-r")
    device.bus.wait("te/device/main///a/hot")
    assert json.loads(device.retained("te/device/main///a/+")[
        "te/device/main///a/hot"]) == {"text": "h", "severity": "major"}
    device.pub("tedge/alarms/major/hot", "", "-r")
    device.bus.wait("te/device/main///a/hot", 2)
    assert device.retained("te/device/main///a/+") == {}
    device.pub("tedge/events/login", '{"text":"in"}')
    device.pub("tedge/measurements", '{"-bad": 1}')
    device.pub("tedge/measurements", '{"good": 1}')
    device.bus.wait("te/device/main///e/login")
    assert device.bus.wait("te/device/main///m/") == ['{"good": 1}']
    device.pub("te/errors", "it failed")
    device.bus.wait("tedge/errors")
    assert device.bus.wait("te/errors") == ["it failed"]


def test_tedge_http_asks_the_same(device):
    said = device.good("http", "post", API, json.dumps(
        {"@topic-id": "device/c1", "@type": "child-device"}))
    assert json.loads(said.out) == {"@topic-id": "device/c1//"}
    said = device.good("http", "get", API + "/device/c1")
    assert json.loads(said.out)["@type"] == "child-device"
    device.good("http", "put", API + "/device/c1///twin/a", "--data", "[1]")
    device.good("http", "patch", API + "/device/c1", '{"@parent":'
                '"device/main//"}')
    said = device.tedge("http", "post", API, json.dumps(
        {"@topic-id": "device/c1", "@type": "child-device"}))
    assert said.status == 1 and said.out == ""
    assert "HTTP client error: 409 Conflict" in said.err
    assert "already registered" in said.err
    said = device.good("http", "delete", API + "/device/c1")
    assert json.loads(said.out)[0]["@topic-id"] == "device/c1//"
    assert device.tedge("http", "get", "/other").status == 1
    assert "Not a local HTTP uri: /other" in device.tedge(
        "http", "get", "/other").err
    assert device.tedge("http", "post", API).status != 0
    assert device.tedge("http", "post", API, "x", "--data", "y").status != 0
    device.stop()
    said = device.tedge("http", "get", API)
    assert said.status == 1 and "is it running?" in said.err


def test_a_store_of_thin_edge_is_taken_over_and_a_clean_start_forgets(
        tmp_path):
    d = Device(tmp_path / "edge")
    (d.config / ".agent").mkdir()
    (d.config / ".agent" / "entity_store.jsonl").write_text(
        '{"version":"1.0"}\n' + json.dumps(
            {"topic": {"name": "te/device/old//"}, "qos": 1, "retain": True,
             "payload": '{"@type":"child-device","@id":"o"}'}) + "\n")
    try:
        d.start()
        assert "device/old//" in d.ids()
        d.stop()
        d.set(agent__entity_store__clean_start=True)
        d.start()
        assert "device/old//" not in d.ids()
    finally:
        d.stop()


def test_a_restart_of_the_agent_alone_brings_http_back(device):
    device.good("part", "restart", "tedge-agent")
    until("HTTP answers", lambda: device.curl("/te/v1/health")[0] == 200)
    device.good("part", "stop", "tedge-agent")
    assert device.curl("/te/v1/health")[0] == 0
    device.good("part", "start", "tedge-agent")
    until("HTTP answers", lambda: device.curl("/te/v1/health")[0] == 200)


def test_the_store_has_a_limit(tmp_path):
    d = Device(tmp_path / "edge", {"agent.entity_store.max_size": 65536})
    try:
        d.start()
        assert d.ask("PUT", "/device/main///twin/big", "x" * 70000)[0] == 507
        assert d.ask("PUT", "/device/main///twin/big", "x" * 30000)[0] == 200
    finally:
        d.stop()

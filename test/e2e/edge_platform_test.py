"""One platform and three devices on one machine, all of them real: they enrol
with the gateway's key, are claimed in the inbox, what they measure becomes
fields and reaches an application, and software is changed by order of the
platform, well and badly."""
import json
import pathlib
import signal
import tempfile

import pytest

from conftest import Client, until
from edge import free_port
from edge_agent_test import Device
from edge_gateway_test import KEY, node, operation, order
from gateways_test import Garden

# What is installed is a file for each package in a folder.
SOFTWARE = """
store={store}
case "$1" in
list) for f in "$store"/*; do [ -e "$f" ] && printf '%s\\t%s\\n' \
"$(basename "$f")" "$(cat "$f")"; done; exit 0 ;;
prepare|finalize) exit 0 ;;
install) [ "$2" = broken ] && {{ echo "no such package: $2" >&2; exit 5; }}
  echo "${{4:-1.0}}" > "$store/$2" ;;
remove) rm "$store/$2" ;;
update-list) exit 1 ;;
*) exit 1 ;;
esac
"""


class Field:
    """The platform, a gateway whose devices wait in the inbox, and devices."""

    def __init__(self, start, folder):
        # the devices know one address, also of a platform that was away
        self.garden = Garden(start("--mqtt-port", str(free_port())))
        self.folder = folder
        self.gateway = self.garden.gateway(
            "field", {"type": "marram_edge", "protocol": {"type": "mqtt"}},
            password=KEY, claim="inbox")
        self.devices = {}

    def device(self, name, before=lambda d: None):
        d = Device(self.folder / name, {
            "device.id": name, "marram.unit": "garden",
            "marram.gateway": "field", "marram.url":
            "mqtt://127.0.0.1:%d" % self.garden.server.mqtt_port,
            "mqtt.bridge.reconnect_policy.initial_interval": "1s",
            "mqtt.bridge.reconnect_policy.maximum_interval": "1s"})
        store = self.folder / name / "installed"
        store.mkdir()
        (store / "rolldice").write_text("1.16\n")
        d.plugin("dice", SOFTWARE.format(store=store))
        before(d)
        d.start()
        d.good("connect", "marram", "--key", KEY)
        self.devices[name] = d
        return d

    def claim(self, *names):
        def look():
            found = {x["networkAddr"]: x["id"]
                     for x in self.garden.listed("inbox")}
            return all(n in found for n in names) and found
        found = until("%s are in the inbox" % (names,), look)
        self.garden.hub("POST", "inbox/claim", {"data": {
            "ids": [found[n] for n in names]}})
        return [node(self.garden, n)["id"] for n in names]

    def stop(self):
        for d in self.devices.values():
            d.stop()


@pytest.fixture
def field(start):
    # paths of sockets are short
    with tempfile.TemporaryDirectory(prefix="field-") as folder:
        f = Field(start, pathlib.Path(folder))
        yield f
        f.stop()


def supports(garden, name, what):
    return until("%s supports %s" % (name, what), lambda: node(
        garden, name)["others"].get("supports_" + what) is not None)


def software(garden, device):
    return sorted((m["name"], m["version"])
                  for page in garden.listed("software", device=device)
                  for m in page["modules"])


def update(*modules):
    return {"updateList": [{"type": "dice", "modules": list(modules)}]}


def test_three_devices_from_enrolment_to_an_update(field):
    garden = field.garden
    names = ["gw01", "gw02", "gw03"]
    app = garden.application()
    garden.broker("POST", "network-route", {"data": {
        "networkId": field.gateway, "applicationId": app}})
    mail = Client(garden.server, "application.garden.app",
                  topics=["broker.application.garden.app.uldata"])
    for name in names:
        field.device(name)
    assert sorted(x["name"] for x in garden.hub(
        "GET", "enrolment/list?gateway=" + field.gateway).data) == names
    ids = dict(zip(names, field.claim(*names)))

    # telemetry becomes fields, and goes to the application
    for i, name in enumerate(names):
        d = field.devices[name]
        d.good("mqtt", "pub", "te/device/main///m/env",
               json.dumps({"temperature": 20 + i}))
        d.good("mqtt", "pub", "tedge/measurements", '{"old": %d}' % i)
        d.bus.say("te/device/main///a/hot", json.dumps({
            "text": "too hot", "severity": "major"}), retain=True)
        garden.field("field.%s.env.temperature" % name, 20 + i)
        garden.field("field.%s.data.old" % name, i)
        garden.field("field.%s.alarm_hot.active" % name, True)
        garden.field("field.%s.tedge-agent.status" % name, "up")
        assert node(garden, name)["state"]["status"] == "up"

    def heard():
        return {m["networkAddr"] for m in mail.messages()
                if m["extension"]["topic"] == "m/env"}
    until("the application has them", lambda: heard() == set(names))

    # what is installed, and a change of it that goes well
    for name in names:
        supports(garden, name, "software_update")
        until("its list", lambda: software(garden, ids[name]) == [
            ("rolldice", "1.16")])
    for name in names:
        made = order(garden, ids[name], "software_update", update(
            {"name": "tree", "version": "2.1", "action": "install"}))
        operation(garden, made, "successful")
        until("it is listed", lambda: software(garden, ids[name]) == [
            ("rolldice", "1.16"), ("tree", "2.1")])
        assert (field.folder / name / "installed" / "tree").exists()

    # and one that does not, with its reason
    made = order(garden, ids["gw02"], "software_update", update(
        {"name": "broken", "action": "install"}))
    row = operation(garden, made, "failed")
    assert "1 error" in row["reason"], row
    assert "no such package: broken" in json.dumps(row["result"]), row
    made = order(garden, ids["gw02"], "software_update", update(
        {"name": "rolldice", "action": "remove"}))
    operation(garden, made, "successful")
    until("it is gone", lambda: software(garden, ids["gw02"]) == [
        ("tree", "2.1")])

    # what a device does not do
    made = order(garden, ids["gw03"], "sing")
    assert operation(garden, made, "failed")["reason"] == (
        "the device does not support sing")

    # its commands are cleared when the platform knows the end
    d = field.devices["gw02"]
    fresh = d.client("te/device/main///cmd/software_update/+")
    until("no command is left", lambda: not [
        p for _, p in fresh.heard if p])

    # gone, and back
    d.stop()
    until("it is down", lambda: node(
        garden, "gw02")["state"]["status"] == "down")
    made = order(garden, ids["gw02"], "software_update", update(
        {"name": "later", "action": "install"}))
    d.start()
    operation(garden, made, "successful")
    until("it is up", lambda: node(
        garden, "gw02")["state"]["status"] == "up")


def test_a_child_and_its_service_are_claimed_by_themselves(field):
    garden, d = field.garden, field.device("gw01")
    d.bus.say("te/device/pump//", json.dumps({
        "@type": "child-device", "name": "Pump"}), retain=True)
    d.bus.say("te/device/pump///m/", '{"bar": 3}')
    d.bus.say("te/device/pump/service/plc/status/health",
              '{"status":"up"}', retain=True)
    field.claim("gw01", "gw01:device:pump")
    d.bus.say("te/device/pump///m/", '{"bar": 4}')
    garden.field("field.gw01:device:pump.data.bar", 4)
    garden.field("field.gw01:device:pump.plc.status", "up")
    until("its name", lambda: node(
        garden, "gw01:device:pump")["name"] == "Pump")


def test_a_configuration_is_handed_over(field):
    garden = field.garden
    d = field.device("gw01", lambda d: (
        d.config / "plugins/tedge-configuration-plugin.toml").write_text(
            'files = [{ path = "%s", type = "mine" }]\n' % (
                d.folder / "mine.conf")))
    (d.folder / "mine.conf").write_text("lamp = on\n")
    dev, = field.claim("gw01")
    supports(garden, "gw01", "config_snapshot")
    made = order(garden, dev, "config_snapshot", {"type": "mine"})
    row = operation(garden, made, "successful")
    assert "key" not in json.dumps(row), row
    path = "/hub/api/v1/operation/%s/file" % row["id"]
    got = garden.server.call("GET", path, token=garden.token)
    assert got.text == "lamp = on\n"
    # nobody else puts one there, and nobody any more
    for key in ["", "?key=", "?key=" + "0" * 64]:
        assert garden.server.call("PUT", path + key, raw=b"x").status == 403
    made = order(garden, dev, "config_snapshot", {"type": "other"})
    operation(garden, made, "failed")
    assert garden.server.call("GET", "/hub/api/v1/operation/%s/file" %
                              made.data["id"], token=garden.token).status == 404


def test_what_is_measured_while_the_platform_is_away_comes_later(field):
    garden, d = field.garden, field.device("gw01")
    field.claim("gw01")
    garden.server.stop()
    for i in range(500):
        d.bus.say("te/device/main///m/k", '{"n": %d}' % i, wait=False)
    d.bus.say("te/device/main///m/k", '{"n": 500}')
    d.restart(signal.SIGKILL)
    garden.server.start()
    garden.token = garden.server.login()
    garden.field("field.gw01.k.n", 500)
    rows = garden.server.call(
        "GET", "/data/api/v1/network-uldata/list?unit=%s&network=field"
        "&sort=proc:asc&limit=0" % garden.unit, token=garden.token).data
    seen = [(json.loads(bytes.fromhex(r["data"]))["n"], r["proc"])
            for r in rows if r["extension"].get("topic") == "m/k"]
    first = {}
    for n, at in seen:
        first.setdefault(n, at)
    assert sorted(first) == list(range(501))
    times = [first[n] for n in range(501)]
    assert times == sorted(times)  # in their order, to the millisecond
    assert len(seen) - 501 <= 100  # what was on its way is repeated

"""Formatters of fields, what devices ask for, and what they tell of
themselves."""
import json
import signal

from conftest import Client, until
from rules_test import PLACE, device, task, traces  # noqa: F401
from values_test import hub, listed, probe, uplink  # noqa: F401


def formatter(site, field, text):
    f = listed(site, "field", fieldId=field)[0]
    hub(site, "PATCH", "field/" + f["id"], {"data": {
        "formatter": {"onReceive": text}}}, 204)
    assert hub(site, "GET", "field/" + f["id"]).data["formatter"] == {
        "onReceive": text}


def values(site):
    return {f["sourceId"] + "." + f["fieldId"]: f["current"]["value"]
            for f in listed(site, "field", limit=100)}


def test_a_formatter_has_the_last_word(device):  # noqa: F811
    p = device.probe
    device.send(temperature=20, word="x")
    formatter(p, "temperature",
              "console.assert; typeof value + ' ' + value + ' ' + lastValue "
              "+ ' ' + previousValue; value * 2 + (lastValue || 0)")
    formatter(p, "word", "value.toUpperCase()")
    device.send(temperature=1, word="abc")
    assert values(p) == {"data.temperature": 22, "data.word": "ABC"}
    device.send(temperature=2, word="d")
    assert values(p) == {"data.temperature": 26, "data.word": "D"}
    assert p.server.counter("hub_formatted_total") == 4
    # what it made survives, and it is asked again
    p.server.restart(signal.SIGKILL)
    p.token = p.server.login()
    device.network = p.network()
    assert values(p) == {"data.temperature": 26, "data.word": "D"}
    device.send(temperature=3)
    assert values(p)["data.temperature"] == 32
    formatter(p, "temperature", "")
    device.send(temperature=3)
    assert values(p)["data.temperature"] == 3


def test_a_formatter_may_make_other_fields(device):  # noqa: F811
    p = device.probe
    device.send(packed="0|0", other=5)
    formatter(p, "packed", """
const [a, b] = value.split('|').map(Number);
[{value: a, fieldId: 'a', sourceId: 'un.packed', unit: 'V', name: 'First',
  metricType: 'gauge', labels: {'Room.No': 7, ignore_unit: 'true'},
  others: {Raw: value}},
 {value: b, fieldId: 'b'}]""")
    formatter(p, "other", "({value: Number(value) + 1})")
    device.send(packed="4|8", other=5)
    assert values(p) == {"data.packed": "0|0", "un_packed.a": 4, "data.b": 8,
                         "data.other": 6}
    a = listed(p, "field", fieldId="a")[0]
    assert (a["unit"], a["name"], a["metricType"]) == ("V", "First", "gauge")
    assert a["labels"] == {"room/no": "7", "ignore_unit": "true"}
    assert a["others"] == {"raw": "4|8"}
    # a label keeps what people have set
    hub(p, "PATCH", "field/" + a["id"], {"data": {"labels": {
        "room/no": "mine", "ignore_room/no": "true"}}}, 204)
    device.send(packed="5|8")
    a = listed(p, "field", fieldId="a")[0]
    assert a["labels"]["room/no"] == "mine"
    assert a["current"]["value"] == 5 and a["others"] == {"raw": "5|8"}


def test_what_a_formatter_can_not_do_is_told(device):  # noqa: F811
    p = device.probe
    device.send(bad=0, good=0)
    for text, why in (("\nnope()", "line 2"), ("null", "gave no value"),
                      ("({x: 1})", "no object with a `value`"),
                      ("[1]", "no object with a `value`"),
                      ("({value: 1, metricType: 'x'})", "metric type `x`"),
                      ("({value: 1, labels: 1})", "labels or others")):
        formatter(p, "bad", text)
        device.send(bad=1, good=device.n)
        assert values(p) == {"data.bad": 0, "data.good": device.n - 1}
        state = listed(p, "node")[0]["state"]
        assert state["status"] == "error"
        assert state["message"].startswith("formatter of data.bad: ")
        assert why in state["message"]
    assert p.server.counter("hub_format_failed_total") == 6
    formatter(p, "bad", "value")
    device.send(bad=1)
    assert listed(p, "node")[0]["state"]["status"] == "up"


def test_messages_of_a_device_keep_their_order(device):  # noqa: F811
    p = device.probe
    device.send(n=0)
    formatter(p, "n", "for (let i = 0; i < value * 1e4; i++); value")
    for n in range(20, 0, -1):
        device.network.publish(p.net_topic("uldata"), uplink(
            {"n": n}, at="2026-05-02T00:00:%02dZ" % (20 - n)), wait=False)
    until("all", lambda: values(p)["data.n"] == 1)
    f = listed(p, "field")[0]
    assert f["previous"]["value"] == 2
    ask = ("metric?unit=%s&quickId=field:%sn&start=2026-05-02T00:00:00Z"
           "&stop=2026-05-03T00:00:00Z&window=" % (p.unit, PLACE))
    got = hub(p, "GET", ask, status=200).data["field:" + PLACE + "n"]
    assert [r["metric"]["value"] for r in got] == list(range(20, 0, -1))


def test_an_endless_formatter_holds_nobody_else(probe):  # noqa: F811
    other = probe.add("device", {
        "unitId": probe.unit, "networkId": probe.net, "networkAddr": "02",
        "profile": "probe"})["deviceId"]
    network = probe.network()
    topic = probe.net_topic("uldata")
    network.publish(topic, uplink({"loop": 1, "fine": 1}))
    formatter(probe, "loop", "while (true);")
    for n in range(3):
        network.publish(topic, uplink(
            {"loop": 2, "fine": n + 2}, at="2026-05-01T09:0%d:00Z" % n),
            wait=False)
    network.publish(topic, uplink({"x": 7}, addr="02"))
    assert [f["current"]["value"] for f in listed(
        probe, "field", device=other)] == [7]
    until("the rest", lambda: values(probe)["data.fine"] == 4)
    assert values(probe)["data.loop"] == 1
    node = [n for n in listed(probe, "node") if n["id"] == probe.device][0]
    assert node["state"]["status"] == "error"
    network.close()


def test_a_device_asks_for_a_field_and_is_told(device):  # noqa: F811
    p = device.probe
    hub(p, "PATCH", "profile/" + p.profile, {"data": {
        "codec": "javascript", "script": """
function decodeUplink(input) {
  if (input.bytes[0] === 63) return {data: {}, requests: ["level", "a.b"]};
  return {data: {level: input.bytes[0]}};
}
function encodeDownlink(input) { return {bytes: [input.data.level]}; }"""}},
        204)
    topic = p.net_topic("uldata")
    task(device, eventFilter={"eventTypes": ["requested"]}, variables={},
         evaluationConfig={"rule": {}}, handlers=[], handlerParameters={})
    device.network.publish(topic, uplink(b"\x07"))
    app = Client(p.server, "test-app-mqtt", topics=[
        "marram/demo/event/field", "marram/demo/value/#"])
    device.network.publish(topic, uplink(b"?", at="2026-05-01T09:00:00Z"))
    down = device.network.wait(1, "dldata")[0]
    assert down["data"] == "07"
    event = traces(device, 1)[0]["event"]
    assert (event["type"], event["entityQuickId"]) == (
        "requested", "field:" + PLACE + "level")
    heard = until("it", lambda: [json.loads(m) for t, m in app.heard
                                 if t == "marram/demo/event/field"])
    assert [e["type"] for e in heard] == ["requested"]
    assert not [t for t, _ in app.heard if "/value/" in t]
    assert p.server.counter("hub_requests_total") == 2
    app.close()


def test_the_battery_is_the_devices_and_has_a_history(device):  # noqa: F811
    p = device.probe
    hub(p, "PATCH", "profile/" + p.profile, {"data": {"fields": {
        "batt": {"nodeOther": "battery_level", "unit": "%"}}}}, 204)
    device.send(batt=80, t=1)
    device.send(batt=79)
    assert listed(p, "node")[0]["others"] == {"battery_level": 79}
    r = p.server.call(
        "GET", "/prom/api/v1/query?time=2026-05-01T00:03:00Z&query="
        "battery_level%7Bfieldname%3D%22battery_level%22%7D", token=p.token)
    found = r.json()["data"]["result"]
    assert [(s["metric"]["device"], s["metric"]["gateway"], s["metric"]["id"],
             s["value"][1]) for s in found] == [
        ("01000461", "test-net-mqtt", p.device, "79")]
    p.server.restart(signal.SIGKILL)
    p.token = p.server.login()
    assert listed(p, "node")[0]["others"] == {"battery_level": 79}

"""Values: from a payload to fields, and to who listens."""
import json
import signal
import urllib.parse

import pytest

from conftest import Client, until


def uplink(data, addr="01000461", at="2026-05-01T08:00:00.000Z", **more):
    if not isinstance(data, (str, bytes)):
        data = json.dumps(data)
    raw = data if isinstance(data, bytes) else data.encode()
    return dict(time=at, networkAddr=addr, data=raw.hex(), **more)


def hub(site, method, path, body=None, status=None):
    r = site.server.call(method, "/hub/api/v1/" + path, body,
                         token=site.token)
    if status:
        assert r.status == status, r.text
    return r


def listed(site, kind, **query):
    text = "".join("&%s=%s" % kv for kv in query.items())
    return hub(site, "GET", "%s/list?unit=%s%s" % (kind, site.unit, text),
               status=200).data


@pytest.fixture
def probe(site):
    """A device of the site whose payloads are JSON."""
    site.profile = hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe",
        "fields": {"temperature": {"unit": "°C", "name": "Air"}}}},
        200).data["id"]
    site.call("PATCH", "device/" + site.device,
              {"data": {"profile": "probe"}})
    return site


def test_a_payload_becomes_fields(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink(
        {"temperature": 21.5, "open": True, "mode": "eco",
         "air": {"humidity": 40, "deep": {"x": [1, 2]}}, "none": None}))
    fields = {f["sourceId"] + "." + f["fieldId"]: f
              for f in listed(probe, "field")}
    assert {k: (f["metricType"], f["current"]["value"])
            for k, f in fields.items()} == {
        "data.temperature": ("gauge_float", 21.5),
        "data.open": ("binary", True), "data.mode": ("string", "eco"),
        "air.humidity": ("gauge_float", 40),
        "air.deep_x_0": ("gauge_float", 1),
        "air.deep_x_1": ("gauge_float", 2)}
    t = fields["data.temperature"]
    assert (t["unit"], t["name"]) == ("°C", "Air")
    assert t["gatewayId"] == "test-net-mqtt" and t["nodeId"] == "01000461"
    assert t["deviceId"] == probe.device
    assert t["current"]["isReceived"] is True
    assert t["current"]["timestamp"] == "2026-05-01T08:00:00.000Z"
    assert t["previous"]["value"] is None
    assert [s["sourceId"] for s in listed(probe, "source")] == ["air", "data"]
    node = listed(probe, "node")[0]
    assert node["id"] == probe.device
    assert node["state"]["status"] == "up"
    assert node["lastSeen"] == "2026-05-01T08:00:00.000Z"
    network.close()


def test_measurements_of_thin_edge_become_fields(probe):
    hub(probe, "PATCH", "profile/" + probe.profile,
        {"data": {"codec": "thin_edge_json"}}, 204)
    network = probe.network()

    def send(**message):
        network.publish(probe.net_topic("uldata"), uplink(message))

    def fields():
        return {f["sourceId"] + "." + f["fieldId"]: (
            f["current"]["value"], f["current"]["timestamp"])
            for f in listed(probe, "field")}

    def state():
        return listed(probe, "node")[0]["state"]

    send(time="2026-05-01T09:59:30.5+02:00", type="outdoor", temperature=25,
         current={"L1": 9.5, "L.2": 10.3}, note="passed over",
         properties={"x": True})
    at = "2026-05-01T07:59:30.500Z"
    assert fields() == {"data.temperature": (25, at),
                        "current.L1": (9.5, at), "current.L_2": (10.3, at)}
    unit = [f["unit"] for f in listed(probe, "field",
                                      fieldId="temperature")]
    assert unit == ["°C"]  # the profile knows it
    send(time=1777622400.25, temperature=26)
    assert fields()["data.temperature"] == (26, "2026-05-01T08:00:00.250Z")
    # without a time it is that of the message
    network.publish(probe.net_topic("uldata"), uplink(
        {"temperature": 27}, at="2026-05-01T08:00:01.000Z"))
    assert fields()["data.temperature"] == (27, "2026-05-01T08:00:01.000Z")
    # nothing of a bad one is taken, and the device says why
    send(temperature=28, current={"L1": {"deep": 1}})
    assert "Expect single-value measurement" in state()["message"]
    send(temperature=28, time="4026-05-01T08:00:00Z")
    assert "not of 1970 to 2199" in state()["message"]
    assert fields()["data.temperature"][0] == 27
    network.close()


def test_current_and_previous_follow_the_time_of_the_messages(probe):
    network = probe.network()
    for minute, value in ((0, 20), (1, 21), (2, 21), (1, 99)):
        network.publish(probe.net_topic("uldata"), uplink(
            {"temperature": value}, at="2026-05-01T08:%02d:00Z" % minute))
    f = listed(probe, "field")[0]
    assert f["current"] == {"value": 21, "isReceived": True,
                            "timestamp": "2026-05-01T08:02:00.000Z"}
    assert f["previous"]["value"] == 21
    assert f["noChangeSince"] == "2026-05-01T08:01:00.000Z"
    network.close()


def test_what_people_have_pinned_stays(probe):
    network = probe.network()
    topic = probe.net_topic("uldata")
    network.publish(topic, uplink({"temperature": 20}))
    f = listed(probe, "field")[0]
    hub(probe, "PATCH", "field/" + f["id"], {"data": {
        "name": "Hall", "unit": "K", "labels": {"ignore_unit": "true"}}}, 204)
    network.publish(topic, uplink({"temperature": 21},
                                  at="2026-05-01T08:01:00Z"))
    f = listed(probe, "field")[0]
    assert (f["name"], f["unit"], f["current"]["value"]) == ("Hall", "K", 21)
    hub(probe, "PATCH", "field/" + f["id"], {"data": {"labels": {}}}, 204)
    network.publish(topic, uplink({"temperature": 22},
                                  at="2026-05-01T08:02:00Z"))
    f = listed(probe, "field")[0]
    assert (f["name"], f["unit"], f["current"]["value"]) == ("Hall", "°C", 22)
    network.close()


def test_applications_of_the_unit_hear_of_values(probe):
    network = probe.network()
    app = Client(probe.server, "test-app-mqtt",
                 topics=["marram/demo/value/#", "marram/demo/event/field"])
    network.publish(probe.net_topic("uldata"), uplink({"temperature": 20}))
    network.publish(probe.net_topic("uldata"), uplink(
        {"temperature": 21}, at="2026-05-01T08:01:00Z"))
    place = "marram/demo/value/test-net-mqtt/01000461/data/temperature"
    values = until("values", lambda: [
        json.loads(p) for t, p in app.heard if t == place][1:] and [
        json.loads(p) for t, p in app.heard if t == place])
    assert values == [
        {"value": 20, "timestamp": "2026-05-01T08:00:00.000Z"},
        {"value": 21, "timestamp": "2026-05-01T08:01:00.000Z"}]
    events = [json.loads(p) for t, p in app.heard
              if t == "marram/demo/event/field"]
    assert [e["type"] for e in events] == ["created", "updated"]
    assert events[1]["entityQuickId"] == \
        "field:test-net-mqtt.01000461.data.temperature"
    assert events[1]["entity"]["previous"]["value"] == 20
    # another unit's events are not for it, nor are they for networks
    other = Client(probe.server, "test-app-mqtt", topics=["marram/other/#"])
    assert other.granted == {"marram/other/#": 128}
    foreign = Client(probe.server, "test-net-mqtt",
                     topics=["marram/demo/value/#"])
    assert foreign.granted == {"marram/demo/value/#": 128}
    other.close()
    foreign.close()
    network.close()
    app.close()


def test_what_cannot_be_read_harms_nobody(probe):
    network = probe.network()
    before = probe.server.counter("hub_unreadable_total")
    network.publish(probe.net_topic("uldata"), uplink("no json"))
    assert probe.server.counter("hub_unreadable_total") == before + 1
    network.publish(probe.net_topic("uldata"),
                    uplink({"temperature": "warm", "ok": 1}))
    assert [f["fieldId"] for f in listed(probe, "field")] == \
        ["ok", "temperature"]
    network.publish(probe.net_topic("uldata"), uplink(
        {"ok": "broken"}, at="2026-05-01T08:01:00Z"))
    assert probe.server.counter("hub_bad_values_total") == 1
    ok = listed(probe, "field", fieldId="ok")[0]
    assert ok["current"]["value"] == 1
    network.close()


def test_acknowledged_values_survive_a_kill(probe):
    network = probe.network()
    for n in range(50):
        network.publish(probe.net_topic("uldata"), uplink(
            {"n": n, "f%d" % n: 1}, at="2026-05-01T08:%02d:00Z" % n))
    network.close()
    probe.server.restart(signal.SIGKILL)
    probe.token = probe.server.login()
    fields = {f["fieldId"]: f for f in listed(probe, "field", limit=1000)}
    assert len(fields) == 51
    assert fields["n"]["current"]["value"] == 49
    assert fields["n"]["previous"]["value"] == 48


def test_unknown_addresses_wait_in_the_inbox(site):
    network = site.network()
    topic = site.net_topic("uldata")
    network.publish(topic, uplink({"t": 1}, addr="AB01"))
    network.publish(topic, uplink({"t": 2}, addr="ab01"))
    network.publish(topic, uplink(b"\x01\x67\x01\x10", addr="ab02"))
    items = {i["networkAddr"]: i for i in listed(site, "inbox")}
    assert set(items) == {"ab01", "ab02"}
    assert items["ab01"]["guess"] == "json"
    assert items["ab01"]["networkCode"] == "test-net-mqtt"
    claimed = hub(site, "POST", "inbox/claim", {"data": {
        "ids": [items["ab01"]["id"], items["ab02"]["id"], "nobody"],
        "profile": "probe"}}, 200).data
    assert [c.get("code") for c in claimed] == [None, None, "err_not_found"]
    assert listed(site, "inbox") == []
    devices = site.server.call(
        "GET", "/broker/api/v1/device/list?unit=" + site.unit,
        token=site.token).data
    made = {d["networkAddr"]: d for d in devices}
    assert made["ab01"]["profile"] == "probe"
    assert made["ab01"]["deviceId"] == claimed[0]["deviceId"]
    hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, 200)
    network.publish(topic, uplink({"t": 3}, addr="ab01"))
    assert listed(site, "field")[0]["current"]["value"] == 3
    assert listed(site, "inbox") == []
    network.close()


def test_a_deleted_device_takes_its_fields_along(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink({"t": 1}))
    assert len(listed(probe, "field")) == 1
    probe.call("DELETE", "device/" + probe.device)
    until("its fields are gone", lambda: listed(probe, "field") == [])
    assert listed(probe, "node") == []
    network.close()


def test_values_are_for_members_of_the_unit_only(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink({"t": 1}))
    field = listed(probe, "field")[0]["id"]
    admin = probe.token
    probe.server.call("POST", "/auth/api/v1/user", {"data": {
        "account": "eve", "password": "eve"}}, token=admin)
    eve = probe.server.login("eve", "eve")
    for method, path, status in (
            ("GET", "field/list", 400),
            ("GET", "field/list?unit=" + probe.unit, 400),
            ("GET", "field/" + field, 404),
            ("PATCH", "field/" + field, 404),
            ("DELETE", "field/" + field, 204)):
        body = {"data": {"name": "x"}} if method == "PATCH" else None
        r = probe.server.call(method, "/hub/api/v1/" + path, body, token=eve)
        assert r.status == status, (method, path, r.text)
    assert len(listed(probe, "field")) == 1
    network.close()


def test_home_assistant_finds_devices(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink(
        {"temperature": 20.5, "relay": False, "air": {"humidity": 40}}))
    relay = listed(probe, "field", fieldId="relay")[0]["id"]
    hub(probe, "PATCH", "field/" + relay, {"data": {
        "labels": {"writable": "true"}}}, 204)
    until("the change", lambda: listed(
        probe, "field", fieldId="relay")[0]["labels"] == {"writable": "true"})
    app = Client(probe.server, "test-app-mqtt", topics=[
        "marram/demo/ha/#", "marram/demo/state/#"])
    config = until("a switch", lambda: [
        c for c in [json.loads(p) for t, p in app.heard
                    if t.startswith("marram/demo/ha/device/marram_")]
        if c["cmps"]["data_relay"]["p"] == "switch"])[-1]
    assert config["stat_t"] == "marram/demo/state/test-net-mqtt/01000461"
    assert config["dev"]["mdl"] == "probe"
    assert config["o"]["name"] == "marram"
    t = config["cmps"]["data_temperature"]
    assert (t["p"], t["name"], t["dev_cla"], t["unit_of_meas"],
            t["stat_cla"]) == ("sensor", "Air", "temperature", "°C",
                               "measurement")
    assert t["val_tpl"] == '{{ value_json["data"]["temperature"] }}'
    assert len({c["uniq_id"] for c in config["cmps"].values()}) == 3
    state = [json.loads(p) for t, p in app.heard if t == config["stat_t"]]
    assert state[-1] == {"data": {"temperature": 20.5, "relay": False},
                         "air": {"humidity": 40}}
    # what it sends reaches the device
    app.publish(config["cmps"]["data_relay"]["cmd_t"], "true")
    down = network.wait(1, "dldata")[0]
    assert json.loads(bytes.fromhex(down["data"])) == {"relay": True}
    # it forgets what has gone
    probe.call("DELETE", "device/" + probe.device)
    until("empty", lambda: [t for t, p in app.heard if not p
                            and t.startswith("marram/demo/ha/device/")
                            and t.endswith("/config")])
    network.close()
    app.close()


def test_a_device_can_be_set_after_a_restart_and_with_a_new_profile(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink({"relay": False}))
    network.close()
    probe.server.restart()
    probe.token = probe.server.login()
    act = {"data": {"unitId": probe.unit, "payload": "true", "resource":
                    "field:test-net-mqtt.01000461.data.relay"}}
    hub(probe, "POST", "action", act, 204)
    network = probe.network()
    down = network.wait(1, "dldata")[0]
    assert json.loads(bytes.fromhex(down["data"])) == {"relay": True}
    # the device has another profile: how it is told is that one's
    probe.call("PATCH", "device/" + probe.device, {"data": {"profile": "mute"}})
    until("it is known", lambda: hub(probe, "POST", "action", act).status
          == 404)
    network.close()


def test_a_device_on_a_public_network_is_its_units(site):
    public = site.call("POST", "network", {"data": {
        "code": "pub", "hostUri": "mqtt://localhost"}}).data["networkId"]
    site.call("PATCH", "network/" + public, {"data": {"password": "password"}})
    site.add("device", {"unitId": site.unit, "networkId": public,
                        "networkAddr": "aa", "profile": "p"})
    hub(site, "POST", "profile", {"data": {"unitId": site.unit, "code": "p"}},
        200)
    app = Client(site.server, "test-app-mqtt", topics=["marram/demo/value/#"])
    net = Client(site.server, "network._.pub",
                 topics=["broker.network._.pub.dldata"])
    net.publish("broker.network._.pub.uldata", uplink({"t": 1}, addr="aa"))
    until("the value", lambda: [t for t, _ in app.heard
                                if t == "marram/demo/value/pub/aa/data/t"])
    hub(site, "POST", "action", {"data": {
        "unitId": site.unit, "payload": "2", "resource":
        "field:pub.aa.data.t"}}, 204)
    assert net.wait(1, "dldata")[0]["networkAddr"] == "aa"
    app.close()
    net.close()


def test_dashboards_are_kept(site):
    widgets = [{"id": "1", "type": "widget_charts_panel", "title": "Hall",
                "layout": {"w": 50, "h": 20, "x": 0, "y": 0}, "config": {}}]
    made = hub(site, "POST", "dashboard", {"data": {
        "unitId": site.unit, "title": "Home", "widgets": widgets}}, 200).data
    assert hub(site, "GET", "dashboard/" + made["id"]).data["widgets"] == \
        widgets
    hub(site, "PATCH", "dashboard/" + made["id"], {"data": {
        "favorite": True, "widgets": []}}, 204)
    got = listed(site, "dashboard")[0]
    assert (got["favorite"], got["widgets"]) == (True, [])
    r = hub(site, "PATCH", "dashboard/" + made["id"], {"data": {
        "widgets": {}}})
    assert r.status == 400 and "list of widgets" in r.text
    assert hub(site, "DELETE", "dashboard/" + made["id"]).status == 204
    assert listed(site, "dashboard") == []
    again = {"id": made["id"], "unitId": site.unit, "title": "Home"}
    hub(site, "POST", "dashboard", {"data": again}, 200)  # undone
    assert hub(site, "POST", "dashboard", {"data": again}).code == \
        "err_hub_exist"


def test_a_change_of_what_was_changed_since_is_refused(site):
    made = hub(site, "POST", "dashboard", {"data": {
        "unitId": site.unit, "title": "Home"}}, 200).data
    path = "/hub/api/v1/dashboard/" + made["id"]
    shown = site.server.call("GET", path, token=site.token)
    seen = shown.headers["ETag"]
    assert seen == '"%s"' % shown.json()["data"]["modifiedOn"]

    def change(title, tag):
        return site.server.call("PATCH", path, {"data": {"title": title}},
                                token=site.token, headers={"If-Match": tag})
    assert change("Mine", seen).status == 204
    for tag in (seen, '"soon"', "soon"):
        r = change("Theirs", tag)
        assert (r.status, r.code) == (412, "err_changed") and "again" in r.text
    assert hub(site, "GET", "dashboard/" + made["id"]).data["title"] == "Mine"
    assert change("Any", "*").status == 204


def test_a_device_that_moves_takes_its_fields_along(probe):
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink({"temperature": 20}))
    until("its field", lambda: listed(probe, "field", nodeId="01000461"))
    old = listed(probe, "field", nodeId="01000461")[0]
    moved = probe.call("PATCH", "device/" + probe.device, {"data": {
        "networkAddr": "0badcafe"}})
    assert moved.status == 204, moved.text
    until("it is elsewhere", lambda: listed(probe, "field",
                                            nodeId="0badcafe"))
    assert listed(probe, "field", nodeId="01000461") == []
    new = listed(probe, "field", nodeId="0badcafe")[0]
    assert new["id"] == old["id"]
    # it is set where it is now
    hub(probe, "POST", "action", {"data": {
        "unitId": probe.unit, "payload": "5",
        "resource": "field:test-net-mqtt.0badcafe.data.temperature"}}, 204)
    assert network.wait(1, "dldata")[0]["networkAddr"] == "0badcafe"
    # and another may have its old place
    probe.add("device", {"unitId": probe.unit, "networkId": probe.net,
                         "networkAddr": "01000461", "profile": "probe"})
    network.publish(probe.net_topic("uldata"), uplink({"temperature": 7}))
    until("two", lambda: len(listed(probe, "field")) >= 2)
    probe.server.restart()
    probe.token = probe.server.login()
    assert {(f["nodeId"], f["current"]["value"])
            for f in listed(probe, "field") if f["fieldId"] == "temperature"
            } == {("0badcafe", 20), ("01000461", 7)}
    network.close()

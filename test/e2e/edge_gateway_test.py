"""The platform's side of Linux devices: enrolment, what they tell, what they
are told to do. The device is an imitation; edge_platform_test.py has real
ones."""
import json
import time

import pytest

from conftest import LIMIT, Client, until
from edge_device import EdgeDevice
from gateways_test import Garden
from live_test import Live

KEY = "key of the field"


@pytest.fixture
def garden(start):
    return Garden(start())


def gateway(garden, code="field", password=KEY, **more):
    return garden.gateway(code, {"type": "marram_edge",
                                 "protocol": {"type": "mqtt"}},
                          password=password, **more)


def device(garden, name, code="field", key=KEY, **more):
    return EdgeDevice(garden.server, "garden", code, name, key=key, **more)


def node(garden, address, code="field"):
    return until("the node " + address, lambda: garden.listed(
        "node", gatewayId=code, nodeId=address))[0]


def order(garden, device_id, operation, payload=None, status=200, **more):
    return garden.hub("POST", "operation", {"data": {
        "unitId": garden.unit, "deviceId": device_id, "operation": operation,
        **({"payload": payload} if payload is not None else {}), **more}},
        status)


def operation(garden, made, status):
    return until("it is " + status, lambda: [
        x for x in [garden.hub("GET", "operation/" + made.data["id"]).data]
        if x["status"] == status])[0]


def test_a_device_enrols_with_the_key_once_and_by_its_own_secret_then(garden):
    field = gateway(garden)
    first = device(garden, "gw01")
    assert first.status == 0
    rows = garden.hub("GET", "enrolment/list?gateway=" + field).data
    assert [(r["networkAddr"], r["name"]) for r in rows] == [("gw01", "gw01")]
    assert "secret" not in rows[0]
    first.close()
    # its secret is enough now, whatever becomes of the key
    garden.hub("PATCH", "gateway/" + field, {"data": {
        "password": "another key"}}, 204)
    again = device(garden, "gw01", key=None)
    assert again.status == 0
    # who has the key is not gw01; and the old key adds nobody
    thief = device(garden, "gw01", key="another key", secret="t" * 40)
    assert thief.status == 4
    assert device(garden, "gw02").status == 4
    assert device(garden, "gw02", key=None).status == 4
    assert device(garden, "gw02", key="another key").status == 0
    # a short secret, a bad id, an unknown gateway
    assert device(garden, "gw03", key="another key", secret="s").status == 4
    assert device(garden, "gw03:x", key="another key").status == 4
    assert device(garden, "gw03", "nowhere", key="another key").status == 4
    # forgotten: it is thrown out, and may enrol anew
    garden.hub("DELETE", "enrolment/" + rows[0]["id"], None, 204)
    assert again.gone.wait(LIMIT)
    again.close(False)
    assert device(garden, "gw01", key=None).status == 4
    assert device(garden, "gw01", key="another key",
                  secret="t" * 40).status == 0


def test_a_device_opens_its_own_topics_only(garden):
    gateway(garden)
    one, other = device(garden, "gw01"), device(garden, "gw02")
    assert one.subscribed(one.root + "down/#") == 1
    for topic in [other.root + "down/#", "marram/garden/gateway/field/#", "#",
                  "marram/garden/gateway/field/+/down/#",
                  "broker.network.garden.field.dldata",
                  "marram/garden/event/#"]:
        assert one.subscribed(topic) == 0x80, topic
    one.client.publish(other.root + "up/main/-/m/x", '{"t":1}', 1)
    one.say("m/x", {"t": 2})
    garden.field("field.gw01.x.t", 2)
    assert not garden.listed("field", gatewayId="field", nodeId="gw02",
                             sourceId="x")
    # the gateway's own account is for enrolling, and for nothing else
    assert Client(garden.server, "network.garden.field", KEY).refused


def test_what_a_device_tells_becomes_nodes_fields_and_uplink(garden):
    field = gateway(garden)
    app = garden.application()
    garden.broker("POST", "network-route", {"data": {
        "networkId": field, "applicationId": app}})
    mail = Client(garden.server, "application.garden.app",
                  topics=["broker.application.garden.app.uldata"])
    gw = device(garden, "gw01")
    gw.say("entity", {"@type": "device", "name": "Pump house", "type": "rpi"})
    gw.say("m/", {"temperature": 21.5, "three": {"l1": 1, "l2": 2}})
    gw.say("m/env", {"time": "2026-01-02T03:04:05Z", "hum": 40,
                     "in": {"hum": 50}})
    gw.say("e/door", {"text": "opened", "by": "me", "time": 1700000000})
    gw.say("a/hot", {"text": "too hot", "severity": "major"})
    gw.say("status/health", {"status": "up", "pid": 7}, service="nginx")
    gw.say("m/load", {"cpu": 3}, service="nginx")
    gw.say("twin/firmware", {"name": "debian", "version": "12"})
    gw.say("cmd/software_update", {"types": ["apt"]})
    gw.say("m/", {"bar": 3}, device="device:pump")
    value = lambda quick: garden.field(quick)["current"]  # noqa: E731
    assert value("field.gw01.data.temperature")["value"] == 21.5
    assert value("field.gw01.three.l2")["value"] == 2
    assert value("field.gw01.env.hum")["value"] == 40
    assert value("field.gw01.env.hum")["timestamp"].startswith(
        "2026-01-02T03:04:05")
    assert value("field.gw01.env.in_hum")["value"] == 50
    assert value("field.gw01.event_door.by")["value"] == "me"
    assert value("field.gw01.alarm_hot.active")["value"] is True
    assert value("field.gw01.alarm_hot.severity")["value"] == "major"
    assert value("field.gw01.nginx.up")["value"] is True
    assert value("field.gw01.nginx.load_cpu")["value"] == 3
    assert value("field.gw01:device:pump.data.bar")["value"] == 3
    gw.say("a/hot", "")
    garden.field("field.gw01.alarm_hot.active", False)
    garden.field("field.gw01.alarm_hot.severity", "cleared")
    known = node(garden, "gw01")
    assert known["name"] == "Pump house"
    assert known["state"]["status"] == "up"
    assert known["others"]["firmware"] == {"name": "debian", "version": "12"}
    assert known["others"]["supports_software_update"] == {"types": ["apt"]}
    # an application gets the frames
    texts = [m for m in mail.wait(10) if m["extension"]["topic"] == "m/"]
    assert json.loads(bytes.fromhex(texts[0]["data"]))["temperature"] == 21.5
    # what can not be read is told, and harms nobody
    gw.say("m/", "no json")
    until("it is told", lambda: node(garden, "gw01")["state"]["message"])
    gw.say("m/", {"temperature": 22})
    garden.field("field.gw01.data.temperature", 22)
    # gone without a word: the last will says so
    gw.close(False)
    until("it is down",
          lambda: node(garden, "gw01")["state"]["status"] == "down")


def test_it_waits_in_the_inbox_and_tells_again_when_it_is_claimed(garden):
    gateway(garden, claim="inbox")
    gw = device(garden, "Gw01")
    gw.say("twin/name", "\"Attic\"")
    item = until("it is in the inbox", lambda: garden.listed("inbox"))[0]
    assert item["networkAddr"] == "gw01"
    # its gateway reads what it says: no codec is guessed, though it is JSON
    gw.say("m/", {"t": 1})
    assert garden.listed("inbox")[0]["guess"] == ""
    assert not garden.listed("node")
    done = garden.hub("POST", "inbox/claim", {"data": {"ids": [item["id"]]}})
    assert "deviceId" in done.data[0]
    until("it is asked", lambda: ("down/main/-/sync", {}) in gw.told)
    gw.say("twin/name", "\"Attic\"")
    until("its name", lambda: [
        n for n in garden.listed("node") if n["name"] == "Attic"])
    assert not garden.listed("inbox")


UPDATE = {"updateList": [{"type": "apt", "modules": [
    {"name": "tree", "action": "install"}]}]}


def test_an_operation_ends_as_its_device_says(garden):
    gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    dev = node(garden, "gw01")["id"]
    live = Live(garden.server, garden.token)
    live.subscribe(entityTypes=["operation"])
    made = order(garden, dev, "software_update", UPDATE)
    no, payload = gw.order("software_update")
    assert no == made.data["id"] and payload == UPDATE
    assert operation(garden, made, "pending")["userId"] == "admin"
    state = lambda status, **more: gw.say(  # noqa: E731
        "cmd/software_update/" + no, {"status": status, **UPDATE, **more})
    state("executing")
    operation(garden, made, "executing")
    state("failed", reason="there is no tree")
    row = operation(garden, made, "failed")
    assert row["reason"] == "there is no tree"
    # what comes later, or from another, changes nothing
    state("successful")
    made = order(garden, dev, "restart")
    no, payload = gw.order("restart")
    assert payload == {}
    thief = device(garden, "gw02")
    thief.say("cmd/restart/" + no, {"status": "successful"})
    until("gw02 is there", lambda: garden.listed("node", nodeId="gw02"))
    assert operation(garden, made, "pending")
    gw.say("cmd/restart/" + no, {"status": "successful", "took": 3})
    assert operation(garden, made, "successful")["result"] == {"took": 3}
    assert [x["status"] for x in garden.listed("operation", device=dev)] == [
        "successful", "failed"]
    seen = [live.event()]
    while seen[-1]["entity"]["status"] != "successful":
        seen.append(live.event())
    assert seen[0]["type"] == "created"
    assert seen[-1]["entityId"] == made.data["id"]


def test_what_another_device_says_of_an_operation_does_not_end_it(garden):
    gateway(garden)
    gw, thief = device(garden, "gw01"), device(garden, "gw02")
    gw.say("m/", {"t": 1})
    node(garden, "gw01")
    began = time.time()
    # 3 s after a start what may have got lost is sent again
    until("that is over", lambda: time.time() > began + 4)
    made = order(garden, node(garden, "gw01")["id"], "restart")
    no, _ = gw.order("restart")
    thief.say("cmd/restart/" + no, {"status": "successful"})
    thief.say("m/", {"t": 1})
    garden.field("field.gw02.data.t", 1)
    # it was heard before that; and is asked for again when gw01 is back
    gw.close()
    gw = device(garden, "gw01", key=None)
    assert gw.order("restart")[0] == no
    gw.say("cmd/restart/" + no, {"status": "successful"})
    operation(garden, made, "successful")


def test_a_long_reason_is_cut_between_letters(garden):
    gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    made = order(garden, node(garden, "gw01")["id"], "restart")
    no, _ = gw.order("restart")
    for i in range(3):
        gw.say("cmd/restart/" + no, {"status": "executing", "step": i})
    gw.say("cmd/restart/" + no, {"status": "failed",
                                 "reason": "x" + "ä" * 1500})
    row = operation(garden, made, "failed")
    assert row["reason"] == "x" + "ä" * 999
    assert row["result"] == {}


def test_what_took_too_long_while_the_platform_was_away_has_failed(start):
    garden = Garden(start("--hub.operation-time", "1s"))
    gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    made = order(garden, node(garden, "gw01")["id"], "restart")
    gw.order("restart")
    garden.server.stop(9)
    gw.close(False)
    over = time.time() + 3  # more than twice its time
    until("its time is over", lambda: time.time() > over)
    garden.server.start()
    garden.token = garden.server.login()
    row = operation(garden, made, "failed")
    assert "hub.operationTime" in row["reason"]


def test_an_operation_waits_for_a_device_that_is_away_and_is_done_once(garden):
    gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    dev = node(garden, "gw01")["id"]
    gw.close()
    until("it is down",
          lambda: node(garden, "gw01")["state"]["status"] == "down")
    made = order(garden, dev, "restart")
    garden.server.restart()
    garden.token = garden.server.login()
    gw = device(garden, "gw01", key=None)
    no, _ = gw.order("restart")
    assert no == made.data["id"]
    gw.say("cmd/restart/" + no, {"status": "successful"})
    operation(garden, made, "successful")

@pytest.mark.parametrize("claim", ["inbox", "auto"])
@pytest.mark.parametrize("away", [True, False])
def test_who_is_forgotten_stays_so(garden, claim, away):
    """What it last said of being online is retained: nobody comes back by
    that."""
    gateway(garden, claim=claim)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    if claim == "inbox":
        item = until("it is in the inbox", lambda: garden.listed("inbox"))[0]
        garden.hub("POST", "inbox/claim", {"data": {"ids": [item["id"]]}})
        gw.say("m/", {"t": 1})
    found = node(garden, "gw01")
    if away:
        gw.close()
        until("it is down",
              lambda: node(garden, "gw01")["state"]["status"] == "down")
    row = garden.hub("GET", "enrolment/list?unit=" + garden.unit).data[0]
    garden.broker("DELETE", "device/" + found["id"])
    until("it is gone", lambda: not garden.listed("node"))
    garden.hub("DELETE", "enrolment/" + row["id"], None, 204)
    if not away:
        assert gw.gone.wait(LIMIT)
        gw.close(False)
    # nothing is left of it on the bus, for whoever reads there
    other = device(garden, "gw02")
    other.say("m/", {"t": 2})
    place = "inbox" if claim == "inbox" else "node"
    address = "networkAddr" if claim == "inbox" else "nodeId"

    def known():
        return [x[address] for x in garden.listed(place)]
    until("gw02 is heard", lambda: "gw02" in known())
    assert known() == ["gw02"]
    garden.server.restart()
    garden.token = garden.server.login()
    assert device(garden, "gw02", key=None).status == 0
    device(garden, "gw03").say("m/", {"t": 3})
    until("gw03 is heard", lambda: "gw03" in known())
    assert sorted(known()) == ["gw02", "gw03"]


@pytest.mark.parametrize("away", [True, False])
def test_an_operation_that_is_deleted_is_taken_back(garden, away):
    """Before the device has it nothing of it is left; then its end is nobody's
    any more."""
    field = gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    node(garden, "gw01")
    began = time.time()
    # 3 s after a start what may have got lost is sent again
    until("that is over", lambda: time.time() > began + 5)
    dev = node(garden, "gw01")["id"]

    def waiting():
        return garden.hub("GET", "gateway/" + field).data["counters"][
            "waiting"]
    if away:
        gw.close()
        until("it is down",
              lambda: node(garden, "gw01")["state"]["status"] == "down")
    made = order(garden, dev, "restart")
    kept = order(garden, dev, "software_list")
    if not away:
        no, _ = gw.order("restart")
        assert no == made.data["id"]
    until("both wait in the gateway", lambda: waiting() == 2)
    garden.hub("DELETE", "operation/" + made.data["id"], None, 204)
    until("one waits in the gateway", lambda: waiting() == 1)
    if not away:
        gw.close()
    gw = device(garden, "gw01", key=None)
    assert gw.order("software_list")[0] == kept.data["id"]
    gw.say("cmd/software_list/" + kept.data["id"], {"status": "successful"})
    operation(garden, kept, "successful")
    assert [t for t, _ in gw.told if "/cmd/restart/" in t] == []
    # and is not sent again after a start
    gw.close()
    garden.server.restart()
    garden.token = garden.server.login()
    began = time.time()
    gw = device(garden, "gw01", key=None)
    until("it is over again", lambda: time.time() > began + 5)
    last = order(garden, dev, "software_list")
    until("the last", lambda: [
        t for t, _ in gw.told if t.endswith(last.data["id"])])
    assert [t for t, _ in gw.told if "/cmd/restart/" in t] == []


def test_what_can_not_be_ordered_is_refused_with_its_reason(garden):
    gateway(garden, "hasty")
    gw = device(garden, "gw01", "hasty")
    gw.say("m/", {"t": 1})
    dev = node(garden, "gw01", "hasty")["id"]
    assert order(garden, "nobody", "restart", status=404)
    assert "a-z" in order(garden, dev, "Re/start", status=400).text
    assert order(garden, dev, "restart", payload=[], status=400)
    assert order(garden, dev, "restart", service="a/b", status=400)
    for _ in range(20):
        order(garden, dev, "restart")
    assert "operationsOpen" in order(garden, dev, "restart", status=400).text


def test_software_is_listed_page_by_page(garden):
    gateway(garden)
    gw = device(garden, "gw01")
    gw.say("software/0/2", [{"type": "apt", "name": "a", "version": "1"}])
    gw.say("software/1/2", [{"type": "snap", "name": "b", "version": "2"}])
    dev = node(garden, "gw01")["id"]

    def names():
        return [m["name"] for page in garden.listed("software", device=dev)
                for m in page["modules"]]
    until("both are listed", lambda: names() == ["a", "b"])
    gw.say("software/0/1", [{"type": "apt", "name": "c", "version": "1"}])
    until("one is left", lambda: names() == ["c"])
    gw.say("software/9/2", [])  # no page of a list
    gw.say("m/", {"t": 1})
    garden.field("field.gw01.data.t", 1)
    assert names() == ["c"]


def test_a_gateway_that_goes_takes_its_devices_along(garden):
    field = gateway(garden)
    gw = device(garden, "gw01")
    gw.say("m/", {"t": 1})
    node(garden, "gw01")
    garden.hub("DELETE", "gateway/" + field, None, 204)
    assert gw.gone.wait(LIMIT)
    gw.close(False)
    assert device(garden, "gw01", key=None).status == 4


def test_what_was_acknowledged_survives_a_kill(garden):
    """QoS 1 of a device is answered when it is stored."""
    gateway(garden)
    gw = device(garden, "gw01")
    for i in range(200):
        gw.client.publish(gw.root + "up/main/-/m/k", '{"n": %d}' % i, 1)
    gw.say("m/k", {"n": 200})
    garden.server.restart(9)
    garden.token = garden.server.login()
    assert garden.field("field.gw01.k.n")["current"]["value"] == 200

"""Gateways: networks that the platform drives itself, from the wire to rules
and back. What stands at the wire's end speaks the real protocol."""
import email
import http.server
import json
import socketserver
import sqlite3
import threading

import pytest

from chirpstack import ChirpStack
from conftest import LIMIT, Client, until
from gateway_doubles_test import port as broker  # noqa: F401
from live_test import Live
from mqtt_peer import Peer
from mysensors_node import (I_BATTERY_LEVEL, V_STATUS, V_TEMP, Radio, crc16)
from tasmota import Tasmota


class Garden:
    """A unit, and gateways in it."""

    def __init__(self, server):
        self.server, self.token = server, server.login()
        self.unit = self.broker("POST", "unit", {"data": {
            "code": "garden"}}).data["unitId"]

    def broker(self, method, path, body=None):
        return self.server.call(method, "/broker/api/v1/" + path, body,
                                self.token)

    def hub(self, method, path, body=None, status=200, **more):
        answer = self.server.call(method, "/hub/api/v1/" + path, body,
                                  self.token, **more)
        assert answer.status == status, answer.text
        return answer

    def listed(self, kind, **query):
        query = "&".join("%s=%s" % item for item in query.items())
        return self.hub("GET", "%s/list?unit=%s&%s" % (
            kind, self.unit, query)).data

    def gateway(self, code, provider, **more):
        return self.hub("POST", "gateway", {"data": {
            "unitId": self.unit, "code": code, "provider": provider,
            "reconnectDelay": "1s", **more}}).data["id"]

    def state(self, gateway):
        return self.hub("GET", "gateway/" + gateway).data["state"]

    def field(self, quick, value=None):
        """The field, once it is there (and has this value)."""
        g, n, s, f = quick.split(".")

        def look():
            found = [x for x in self.listed("field", gatewayId=g, nodeId=n,
                                            sourceId=s, fieldId=f)]
            return [x for x in found
                    if value is None or x["current"]["value"] == value]
        return until("the field %s" % quick, look)[0]

    def act(self, resource, payload, status=204):
        return self.hub("POST", "action", {"data": {
            "unitId": self.unit, "resource": resource,
            "payload": payload}}, status)

    def application(self, code="app"):
        """One that hears all of a network."""
        made = self.server.call("POST", "/coremgr/api/v1/application", {
            "data": {"code": code, "unitId": self.unit,
                     "hostUri": "mqtt://localhost"}}, self.token).data
        self.server.call(
            "PATCH", "/coremgr/api/v1/application/" + made["applicationId"],
            {"data": {"password": "password"}}, self.token)
        return made["applicationId"]


@pytest.fixture
def garden(start):
    return Garden(start("--hub.gateway.allow-ports", "/dev/pts/*"))


@pytest.fixture
def mailbox():
    """An SMTP server that keeps what it gets."""
    mails = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            def say(text):
                self.wfile.write(text.encode() + b"\r\n")
            say("220 mailbox")
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                if word == b"EHLO":
                    say("250 mailbox")
                elif word == b"DATA":
                    say("354 go on")
                    text = b""
                    for part in self.rfile:
                        if part == b".\r\n":
                            break
                        text += part
                    mails.append(email.message_from_bytes(
                        text).get_payload(decode=True).decode())
                    say("250 taken")
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.mails = mails
    yield server
    server.shutdown()
    server.server_close()


def mysensors(radio):
    protocol = ({"type": "serial", "portname": radio.path}
                if radio.fd is not None else
                {"type": "ethernet", "server": "tcp://127.0.0.1:%d"
                 % radio.port})
    return {"type": "mysensors_v2", "timeout": "1s", "protocol": protocol}


CHILDREN = {1: (6, "Hall"), 2: (3, "Lamp")}


def hot(garden, code="ms", **more):
    """A task: above 30 in two of three evaluations."""
    return garden.hub("POST", "task", {"data": {
        "id": "hot", "unitId": garden.unit, "ignoreDuplicate": True,
        "eventFilter": {"eventTypes": ["created", "updated"],
                        "entityTypes": ["field"],
                        "filters": {"fieldId": "V_TEMP"}},
        "variables": {"t": {
            "type": "resource_by_quick_id", "resourceType": "field",
            "quickId": code + ".1.1.V_TEMP", "keyPath": "current.value"}},
        "evaluationConfig": {"rule": {"matchAll": True, "conditions": [
            {"variable": "t", "operator": "gt", "value": "30"}]}},
        "dampening": {"type": "consecutive", "occurrences": 3},
        "handlers": ["resource_handler", "post"],
        "handlerParameters": {
            "lamp": {"type": "resource_by_quick_id", "resourceType": "field",
                     "quickId": code + ".1.2.V_STATUS", "payload": "true"},
            "mail": {"type": "email", "to": ["warden@garden.example"],
                     "subject": "Hall", "body": "It is {{ .t }} °C"}},
        **more}}).data["id"]


def test_a_story_of_mysensors_on_a_serial_port(garden, mailbox):
    garden.hub("POST", "handler", {"data": {
        "id": "post", "unitId": garden.unit, "type": "email", "spec": {
            "host": "127.0.0.1", "port": mailbox.server_address[1],
            "security": "none", "fromEmail": "hub@garden.example"}}})
    live = Live(garden.server, garden.token)
    live.subscribe(unit=garden.unit)

    # a node asks for an id, presents itself, sends temperature
    radio = Radio.pty()
    gateway = garden.gateway("ms", mysensors(radio))
    until("the port is open",
          lambda: garden.state(gateway)["status"] == "up")
    node = radio.node()
    node.join("Hall", "1.0", CHILDREN)
    assert node.id == 1 and node.units == "M"
    node.internal(I_BATTERY_LEVEL, "87")
    node.send(2, V_STATUS, "0")
    node.send(1, V_TEMP, "21.5")

    # the field appears, with its history
    field = garden.field("ms.1.1.V_TEMP", 21.5)
    assert (field["metricType"], field["unit"]) == ("gauge_float", "°C")
    assert garden.field("ms.1.2.V_STATUS", False)["metricType"] == "binary"
    until("its node is known", lambda: garden.listed("node")[0]["others"].get(
        "battery_level") == 87)
    told = garden.listed("node")[0]
    assert told["name"] == "Hall"
    assert told["labels"]["library_version"] == "2.3.2"
    assert told["state"]["status"] == "up"
    assert {s["name"] for s in garden.listed("source")} == {"Hall", "Lamp"}
    history = garden.hub("POST", "metric", {"data": {
        "unitId": garden.unit, "queries": [{
            "name": "t", "quickId": "field:ms.1.1.V_TEMP", "window": ""}]}})
    assert '"value":21.5' in history.text.replace(" ", ""), history.text

    # a task fires once; a command goes back to the relay, and a mail out
    hot(garden)
    for value in ("31", "32", "33", "34"):
        node.send(1, V_TEMP, value)
        garden.field("ms.1.1.V_TEMP", float(value))
    assert node.wait_set(2, V_STATUS) == "1"
    until("the mail", lambda: len(mailbox.mails) == 1)
    assert "It is 33" in mailbox.mails[0]
    # the lamp echoes it: so it is on
    garden.field("ms.1.2.V_STATUS", True)

    # the whole trace is readable
    traces = until("what became of it", lambda: [
        t for t in [garden.listed("trace", rule="task:hot")]
        if len(t) == 4 and all(a["status"] == "ok" for a in t[1]["actions"])
        and any(d["result"] == "ok" for a in t[1]["actions"]
                for d in a.get("downlinks", []))])[0]
    assert [t["isFired"] for t in reversed(traces)] == \
        [False, False, True, False]
    assert traces[1]["variables"]["t"] == 33
    assert {a["handler"] for a in traces[1]["actions"]} == {
        "resource_handler", "post"}
    assert len(mailbox.mails) == 1
    assert radio.faults == []

    # all of it was seen live, in order
    live.silent()
    seen = [f["data"] for f in live.heard if f["type"] == "event"]

    def place(after, kind, what, event=None):
        """Where it is seen, behind another."""
        return next(n for n, e in enumerate(seen)
                    if n > after and e["entityType"] == kind and
                    event in (None, e["type"]) and what(e["entity"]))
    up = place(-1, "gateway", lambda g: g["state"]["status"] == "up")
    heard = place(up, "node", lambda n: True, "created")
    made = place(heard, "field", lambda f: f["fieldId"] == "V_TEMP",
                 "created")
    hot33 = place(made, "field", lambda f: f["fieldId"] == "V_TEMP" and
                  f["current"]["value"] == 33)
    place(hot33, "trace", lambda t: t["isFired"])
    place(hot33, "field", lambda f: f["fieldId"] == "V_STATUS" and
          f["current"]["value"] is True)
    live.close()


# --- sleep, firmware ----------------------------------------------------------

def lamp(garden, value, code="ms"):
    garden.act("field:%s.1.2.V_STATUS" % code, value)


def asleep(garden, gateway):
    return garden.hub("GET", "gateway/%s/sleeping" % gateway).data


def joined(garden, radio, code="ms", **more):
    gateway = garden.gateway(code, mysensors(radio), **more)
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    node = radio.node()
    node.join("Hall", "1.0", CHILDREN)
    node.send(2, V_STATUS, "0")
    garden.field(code + ".1.2.V_STATUS", False)
    return gateway, node


def test_a_node_that_sleeps_gets_the_newest_when_it_wakes(garden):
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    node.sleep()
    until("it is known to sleep", lambda: garden.listed("node")[0][
        "labels"].get("sleep_node") == "true")
    for value in ("false", "false", "true"):
        lamp(garden, value)
    until("the newest waits, alone", lambda: [
        bytes.fromhex(w["data"]).decode()
        for w in asleep(garden, gateway)] == ["1;2;1;1;2;1"])
    assert [line for line in radio.lines if line.startswith("1;2;1")] == []
    node.wake()
    node.internal(32, "500")
    assert node.wait_set(2, V_STATUS) == "1"
    garden.field("ms.1.2.V_STATUS", True)
    assert asleep(garden, gateway) == []
    assert garden.state(gateway)["status"] == "up"


def test_what_waits_for_a_node_is_seen_and_dropped(garden):
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    node.sleep()
    until("it is known to sleep", lambda: garden.listed("node")[0][
        "labels"].get("sleep_node") == "true")
    lamp(garden, "true")
    until("one waits", lambda: len(asleep(garden, gateway)) == 1)
    garden.hub("DELETE", "gateway/%s/sleeping?nodeId=1" % gateway, status=204)
    assert asleep(garden, gateway) == []


BLINK = bytes(range(256)) + b"marram" * 20


def intel_hex(data):
    lines = []
    for at in range(0, len(data), 16):
        part = data[at:at + 16]
        body = bytes([len(part), at >> 8, at & 255, 0]) + part
        lines.append(":" + (body + bytes([-sum(body) & 255])).hex().upper())
    return "\n".join(lines + [":00000001FF", ""]).encode()


def test_a_node_takes_a_firmware_over_the_air(garden):
    radio = Radio.tcp()
    _, node = joined(garden, radio)
    garden.hub("POST", "firmware", {"data": {
        "id": "blink", "unitId": garden.unit,
        "labels": {"ms_type_id": "10", "ms_version_id": "2"}}})
    sent = garden.hub("POST", "firmware/blink/file?name=blink.hex",
                      raw=intel_hex(BLINK)).data
    assert sent["file"]["internalName"] == "blink.hex"
    assert sent["file"]["checksum"].startswith("sha256:")
    known = garden.listed("node")[0]
    garden.hub("PATCH", "node/" + known["id"], {"data": {"labels": {
        **known["labels"], "assigned_firmware": "blink"}}}, 204)
    booted = threading.Thread(target=node.wait_boot, daemon=True)
    booted.start()
    garden.act("node:ms.1", "reboot")
    booted.join(LIMIT)
    assert node.running[:2] == [10, 2]
    assert node.image[:len(BLINK)] == BLINK
    assert len(node.image) % 128 == 0 and crc16(node.image) == node.running[3]
    until("it is told", lambda: garden.listed("node")[0]["others"].get(
        "ota_progress") in (100, "100"))
    assert radio.faults == []
    # the file comes back as it went, and goes with its row
    assert garden.server.call(
        "GET", "/hub/api/v1/firmware/blink/file",
        token=garden.token).text.encode() == intel_hex(BLINK)
    stored = garden.server.folder / "data" / "firmware" / "blink.hex"
    assert stored.exists()
    garden.hub("DELETE", "firmware/blink", status=204)
    assert not stored.exists()


def test_a_firmware_without_a_file_says_so(garden):
    garden.hub("POST", "firmware", {"data": {
        "id": "none", "unitId": garden.unit}})
    answer = garden.hub("GET", "firmware/none/file", status=404)
    assert "no file" in answer.text
    answer = garden.hub("POST", "firmware/none/file", raw=b"", status=400)
    assert "empty" in answer.text


# --- the life of a gateway ----------------------------------------------------

def test_a_lost_gateway_is_down_and_comes_back(garden):
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    port = radio.port
    radio.listener.close()
    radio.conn.shutdown(2)
    until("it is down", lambda: garden.state(gateway)["status"] == "down")
    assert "127.0.0.1" in garden.state(gateway)["message"] or \
        garden.state(gateway)["message"]
    again = Radio.tcp(port)
    until("it is up again", lambda: garden.state(gateway)["status"] == "up")
    again.nodes, node.radio = [node], again
    again.wait_up()
    node.send(1, V_TEMP, "7")
    garden.field("ms.1.1.V_TEMP", 7)


def test_it_is_enabled_disabled_and_deleted_with_its_devices(garden):
    radio = Radio.tcp()
    gateway, _ = joined(garden, radio)
    garden.act("gateway:ms", "disable")
    until("it is off", lambda: garden.state(gateway) ["message"] ==
          "disabled")
    refused = garden.hub("POST", "action", {"data": {
        "unitId": garden.unit, "resource": "gateway:ms",
        "payload": "discover_nodes"}}, 400)
    assert "disabled" in refused.text
    garden.hub("PATCH", "gateway/" + gateway, {"data": {"enabled": True}},
               204)
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    no = garden.hub("POST", "action", {"data": {
        "unitId": garden.unit, "resource": "gateway:ms",
        "payload": "dance"}}, 400)
    assert "discover_nodes" in no.text
    devices = garden.broker("GET", "device/list?unit=" + garden.unit).data
    assert [(d["networkCode"], d["networkAddr"]) for d in devices] == [
        ("ms", "1")]
    garden.hub("DELETE", "gateway/" + gateway, status=204)
    assert garden.broker("GET", "device/list?unit=" + garden.unit).data == []
    until("its fields are gone", lambda: garden.listed("field") == [])
    garden.hub("GET", "gateway/" + gateway, status=404)


def test_gateways_and_firmware_end_with_their_unit(garden):
    """A unit made later, of the same names, hears nothing of the old one's
    devices and finds none of its files."""
    radio = Radio.tcp()
    joined(garden, radio)
    garden.hub("POST", "firmware", {"data": {
        "id": "blink", "unitId": garden.unit}})
    garden.hub("POST", "firmware/blink/file?name=b.bin", raw=b"secret bytes")
    stored = garden.server.folder / "data" / "firmware" / "blink.bin"
    assert stored.exists()
    assert garden.broker("DELETE", "unit/" + garden.unit).status == 204
    until("its line is closed", lambda: not radio.up.is_set())
    until("its file is gone", lambda: not stored.exists())
    garden.unit = garden.broker("POST", "unit", {"data": {
        "code": "garden"}}).data["unitId"]
    other = Radio.tcp()
    gateway = garden.gateway("ms", mysensors(other))
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    other.wait_up()
    node = other.node()
    node.join("Shed", "1.0", CHILDREN)
    node.send(1, V_TEMP, "4")
    garden.field("ms.1.1.V_TEMP", 4)
    assert not radio.up.is_set()


def test_a_network_can_not_make_up_devices_without_end(start):
    """Beyond the limit they are listed in the inbox; what devices tell of
    themselves, and how they call themselves, has limits, too."""
    garden = Garden(start("--hub.gateway.allow-ports", "/dev/pts/*",
                          "--hub.gateway.devices", "3",
                          "--hub.notes-max", "1KiB"))
    radio = Radio.tcp()
    gateway = garden.gateway("ms", mysensors(radio))
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    radio.wait_up()
    node = radio.node()
    for node.id in range(1, 9):
        node.send(1, V_TEMP, "2%d" % node.id)
        if node.id < 4:
            garden.field("ms.%d.1.V_TEMP" % node.id)
    until("the others are listed", lambda: sorted(
        i["networkAddr"] for i in garden.listed("inbox")) ==
        ["4", "5", "6", "7", "8"])
    devices = garden.broker("GET", "device/list?unit=" + garden.unit).data
    assert sorted(d["networkAddr"] for d in devices) == ["1", "2", "3"]
    state = garden.state(gateway)
    assert state["status"] == "up", state
    assert "hub.gateway.devices" in state["message"], state
    assert garden.server.counter("hub_unborn_total") == 5
    # one is deleted, another takes its place
    garden.broker("DELETE", "device/" + devices[0]["deviceId"])
    gone = int(devices[0]["networkAddr"])
    until("it is gone", lambda: len(garden.listed("node")) == 2)
    node.id = 8
    node.send(1, V_TEMP, "9")
    garden.field("ms.8.1.V_TEMP", 9)
    assert gone not in [int(d["nodeId"]) for d in garden.listed("node")]


def test_devices_of_a_gateway_are_known_as_they_come_and_go(garden):
    """Made and deleted by people while it runs."""
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    device = garden.broker(
        "GET", "device/list?unit=" + garden.unit).data[0]["deviceId"]
    assert garden.broker("DELETE", "device/" + device).status == 204
    until("it is gone", lambda: garden.listed("node") == [])
    node.send(1, V_TEMP, "5")
    garden.field("ms.1.1.V_TEMP", 5)
    assert garden.broker("POST", "device", {"data": {
        "unitId": garden.unit, "networkId": gateway, "networkAddr": "2",
        "name": "Shed"}}).status == 200
    node.id = 2
    node.send(1, V_TEMP, "6")
    garden.field("ms.2.1.V_TEMP", 6)
    names = [d["name"] for d in garden.broker(
        "GET", "device/list?unit=" + garden.unit).data]
    assert sorted(names) == ["", "Shed"], names


def test_what_can_not_be_is_refused_and_says_why(garden):
    for provider, why in (
            ({"type": "flute"}, "flute"),
            ({"type": "mysensors_v2"}, "protocol"),
            ({"type": "mysensors_v2", "protocol": {
                "type": "ethernet", "server": "nowhere"}}, "server"),
            ({"type": "mysensors_v2", "protocol": {
                "type": "serial", "portname": "/etc/passwd"}},
             "hub.gateway.allowPorts")):
        answer = garden.hub("POST", "gateway", {"data": {
            "unitId": garden.unit, "code": "x", "provider": provider}}, 400)
        assert why in answer.json()["message"], answer.text
    radio = Radio.tcp()
    garden.gateway("ms", mysensors(radio))
    garden.hub("POST", "gateway", {"data": {
        "unitId": garden.unit, "code": "ms",
        "provider": mysensors(radio)}}, 400)
    # a code is a network's or a gateway's
    answer = garden.broker("POST", "network", {"data": {
        "code": "ms", "unitId": garden.unit, "hostUri": "mqtt://localhost"}})
    assert (answer.status, answer.code) == (400, "err_broker_network_exist")


def test_secrets_of_a_gateway_are_not_shown_and_lie_sealed(garden):
    gateway = garden.gateway("cloud", {
        "type": "tasmota", "protocol": {
            "type": "mqtt", "broker": "tcp://127.0.0.1:1",
            "username": "u", "password": "open sesame"}}, enabled=False)
    shown = garden.hub("GET", "gateway/" + gateway)
    assert "sesame" not in shown.text
    assert shown.data["provider"]["protocol"]["username"] == "u"
    # left out, it stays
    garden.hub("PATCH", "gateway/" + gateway, {"data": {"provider": {
        "type": "tasmota", "protocol": {
            "type": "mqtt", "broker": "tcp://127.0.0.1:1",
            "username": "v"}}}}, 204)
    folder = garden.server.folder / "data"
    garden.server.stop()
    stored = b"".join(f.read_bytes() for f in folder.rglob("*.db*"))
    assert b"sesame" not in stored
    assert b"sealed:1:" in stored


def test_secrets_of_a_gateway_are_hidden_however_they_are_written(garden):
    """A number, headers by any name, in a member whose name has a dot."""
    endpoint = {"url": "http://127.0.0.1:1/", "password": "sesame-in",
                "executionInterval": "1h", "script": "1",
                "headers": {"X-Mine": "sesame-header"}}
    gateway = garden.gateway("web", {
        "type": "generic_http", "protocol": {
            "type": "http", "headers": {"X-All": "sesame-all"},
            "queryParameters": {"key": "sesame-key"}, "token": 7335501,
            "endpoints": {"api.v1": endpoint}}}, enabled=False)
    shown = garden.hub("GET", "gateway/" + gateway)
    assert "sesame" not in shown.text and "7335501" not in shown.text
    provider = shown.data["provider"]
    # as it was shown it is written back: what was hidden stays
    provider["protocol"]["endpoints"]["api.v1"]["script"] = "2"
    garden.hub("PATCH", "gateway/" + gateway,
               {"data": {"provider": provider}}, 204)
    folder = garden.server.folder / "data"
    backup = garden.server.call("GET", "/hub/api/v1/gateway/list?unit="
                                + garden.unit, token=garden.token)
    assert "sesame" not in backup.text
    garden.server.stop()
    stored = b"".join(f.read_bytes() for f in folder.rglob("*.db*"))
    assert b"sesame" not in stored, stored[stored.index(b"sesame")-300:][:900]
    assert b"7335501" not in stored
    row = sqlite3.connect(next(folder.rglob("broker*.db"))).execute(
        "SELECT provider FROM gateway").fetchone()[0]
    kept = json.loads(row)["protocol"]
    assert kept["headers"].startswith("sealed:1:")
    assert kept["token"].startswith("sealed:1:")
    kept = kept["endpoints"]["api.v1"]
    assert kept["script"] == "2"
    assert kept["password"].startswith("sealed:1:")
    assert kept["headers"].startswith("sealed:1:")


def test_who_is_heard_may_wait_in_the_inbox(garden):
    radio = Radio.tcp()
    gateway = garden.gateway("ms", mysensors(radio), claim="inbox")
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    radio.wait_up()
    node = radio.node()
    node.id = 9
    node.send(1, V_TEMP, "20")
    item = until("it is listed", lambda: garden.listed("inbox"))[0]
    assert (item["networkCode"], item["networkAddr"]) == ("ms", "9")
    assert garden.broker("GET", "device/list?unit=" + garden.unit).data == []
    claimed = garden.hub("POST", "inbox/claim", {"data": {
        "ids": [item["id"]], "name": "Shed"}}).data
    assert claimed[0]["deviceId"]
    node.send(1, V_TEMP, "21")
    garden.field("ms.9.1.V_TEMP", 21)


def test_applications_hear_a_gateways_devices_and_send_to_them(garden):
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    app = garden.application()
    made = garden.broker("POST", "network-route", {"data": {
        "networkId": gateway, "applicationId": app}})
    assert made.status == 200, made.text
    topics = ["broker.application.garden.app." + q
              for q in ("uldata", "dldata-resp", "dldata-result")]
    client = Client(garden.server, "application.garden.app", topics=topics)
    node.send(1, V_TEMP, "19.5")
    up = client.wait(1, "uldata")[0]
    assert (up["networkCode"], up["networkAddr"]) == ("ms", "1")
    assert bytes.fromhex(up["data"]).decode() == "1;1;1;0;0;19.5"
    client.publish("broker.application.garden.app.dldata", {
        "correlationId": "1", "deviceId": up["deviceId"],
        "data": b"1;2;1;1;2;1".hex()})
    assert "dataId" in client.wait(1, "dldata-resp")[0]
    assert node.wait_set(2, V_STATUS) == "1"
    assert client.wait(1, "dldata-result")[0]["status"] == 0
    client.close()


def test_what_was_taken_survives_kill_9(start):
    options = ("--hub.gateway.allow-ports", "/dev/pts/*")
    server = start(*options)
    garden = Garden(server)
    radio = Radio.tcp()
    gateway, node = joined(garden, radio)
    node.send(1, V_TEMP, "18")
    garden.field("ms.1.1.V_TEMP", 18)
    server.restart(9)
    garden.token = server.login()
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    assert garden.field("ms.1.1.V_TEMP")["current"]["value"] == 18
    radio.up.wait(LIMIT)
    # it is known: its id is given to nobody else
    other = radio.node()
    until("it has connected again", lambda: radio.up.is_set())
    other.get_id()
    assert other.id == 2
    node.send(1, V_TEMP, "17")
    garden.field("ms.1.1.V_TEMP", 17)


# --- Tasmota, ChirpStack, scripts ---------------------------------------------

def mqtt(port, **more):
    return {"type": "mqtt", "broker": "tcp://127.0.0.1:%d" % port, **more}


def test_a_story_of_tasmota(garden, broker):
    gateway = garden.gateway("tas", {"type": "tasmota",
                                     "protocol": mqtt(broker)})
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    plug = Tasmota(broker, relays=2)
    plug.tell()
    place = "tas.tasmota_a1b2c3."
    assert garden.field(place + "Control.POWER1", False)["metricType"] == \
        "binary"
    heat = garden.field(place + "DS18B20.Temperature", 20.6)
    assert (heat["metricType"], heat["unit"]) == ("gauge_float", "°C")
    until("its name", lambda: garden.listed("node")[0]["name"] == "Plug")
    garden.act("field:" + place + "Control.POWER2", "true")
    until("it obeys", lambda: plug.relays == ["OFF", "ON"])
    garden.field(place + "Control.POWER2", True)
    garden.act("node:tas.tasmota_a1b2c3", "reboot")
    until("it restarts", lambda: plug.restarts == 1)
    plug.vanish()
    until("it is down", lambda: garden.listed("node")[0]["state"][
        "status"] == "down")


EUI = "0102030405060708"
CODEC = """function decodeUplink(input) {
  var b = input.bytes;
  return {data: {temperature: ((b[0] << 24 >> 16) | b[1]) / 100,
                 valve: !!b[2]}};
}
function encodeDownlink(input) {
  return {fPort: 7, bytes: [input.data.valve ? 1 : 0]};
}"""


def test_a_story_of_chirpstack(garden, broker):
    garden.hub("POST", "profile", {"data": {
        "unitId": garden.unit, "code": "probe", "codec": "javascript",
        "script": CODEC, "fields": {
            "temperature": {"unit": "°C", "name": "Air",
                            "metricType": "gauge_float"}}}})
    gateway = garden.gateway("lora", {"type": "chirpstack",
                                      "protocol": mqtt(broker)},
                             labels={"device_profile": "probe"})
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    net = ChirpStack(broker)
    net.add(EUI, device_class="CLASS_C")
    net.up(EUI, bytes([0x08, 0x66, 0]), port=2)
    place = "lora.%s." % EUI
    heat = garden.field(place + "data.temperature", 21.5)
    assert (heat["unit"], heat["name"]) == ("°C", "Air")
    assert garden.field(place + "radio.rssi")["current"]["value"] == -48
    for i in range(1, 21):
        net.up(EUI, bytes([0x08, 0x66 + i, 0]), port=2)
        garden.field(place + "data.temperature", (2150 + i) / 100)
    history = until("a chart's worth", lambda: [h for h in [garden.hub(
        "POST", "metric", {"data": {"unitId": garden.unit, "queries": [{
            "name": "t", "quickId": "field:" + place + "data.temperature",
            "window": ""}]}}).text] if h.count('"value"') == 21])[0]
    assert "21.7" in history
    # an entity of Home Assistant, with its class and unit
    garden.application("ha")
    ear = Client(garden.server, "application.garden.ha",
                 topics=["marram/garden/ha/device/#"])
    config = until("its discovery", lambda: [
        json.loads(p) for _, p in ear.heard if p])[0]
    sensor = next(c for c in config["cmps"].values()
                  if c.get("unit_of_meas") == "°C")
    assert (sensor["p"], sensor["dev_cla"]) == ("sensor", "temperature")
    ear.close()
    # down through the codec, with its result
    garden.act("field:" + place + "data.valve", "true")
    until("it was sent", lambda: [
        d for d in garden.server.call(
            "GET", "/data/api/v1/network-dldata/list?unit=" + garden.unit,
            token=garden.token).data if d["status"] == 0])
    net.status(EUI, battery=88)
    until("its battery", lambda: garden.listed("node")[0]["others"].get(
        "battery_level") == 88)


def test_a_network_by_scripts(garden, broker):
    up = """const m = JSON.parse(dataIn); const r = {dataOut: [
      {nodeId: m.id, sourceId: "air", type: "set", payloads: [
        {key: "temp", value: m.t, metricType: "gauge_float", unit: "°C"}]}]};
      r"""
    down = """const r = {topicOut: "cmd/" + dataIn.nodeId,
      dataOut: dataIn.payloads[0].key + "=" + dataIn.payloads[0].value}; r"""
    gateway = garden.gateway("gen", {
        "type": "generic_mqtt", "script": {"onReceive": up},
        "nodes": {"default": {"topic": "cmd", "script": down}},
        "protocol": mqtt(broker, subscribe="sensors/#")})
    until("it is up", lambda: garden.state(gateway)["status"] == "up")

    class Sensor(Peer):
        filters = {"cmd/#": lambda *_: None}
    peer = Sensor(broker)
    peer.say("sensors/x", {"id": "barn", "t": 12.5})
    assert garden.field("gen.barn.air.temp", 12.5)["unit"] == "°C"
    garden.act("field:gen.barn.air.temp", "13")
    assert peer.wait("cmd/barn") == ["temp=13"]
    # a script that throws harms nobody
    peer.say("sensors/x", "{")
    peer.say("sensors/x", {"id": "barn", "t": 14})
    garden.field("gen.barn.air.temp", 14)
    peer.close()


def test_a_web_service_is_asked_by_and_by(garden):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"t": 7.5}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    garden.gateway("web", {
        "type": "generic_http", "protocol": {"type": "http", "endpoints": {
            "now": {"url": "http://127.0.0.1:%d/now" % web.server_port,
                    "executionInterval": "1s", "script": """
              const d = JSON.parse(dataIn.StringBody());
              const r = {dataOut: [{nodeId: "station", sourceId: "out",
                type: "set", payloads: [{key: "temp", value: d.t,
                metricType: "gauge_float", unit: "°C"}]}]}; r"""}}}})
    garden.field("web.station.out.temp", 7.5)
    web.shutdown()
    web.server_close()


def test_values_are_forwarded_from_one_gateway_to_another(garden, broker):
    radio = Radio.tcp()
    _, node = joined(garden, radio)
    gateway = garden.gateway("tas", {"type": "tasmota",
                                     "protocol": mqtt(broker)})
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    plug = Tasmota(broker)
    plug.tell()
    there = "field:tas.tasmota_a1b2c3.Control.POWER"
    garden.field(there[6:], False)

    def forward(name, src, dst, **more):
        garden.hub("POST", "forward-payload", {"data": {
            "id": name, "unitId": garden.unit, "srcFieldId": src,
            "dstFieldId": dst, **more}})
    forward("off", "field:ms.1.2.V_STATUS", there, enabled=False)
    forward("self", there, there)
    forward("missing", "field:ms.1.2.V_STATUS", "field:tas.nobody.a.b")
    node.send(2, V_STATUS, "1")
    garden.field("ms.1.2.V_STATUS", True)
    assert plug.relays == ["OFF"]
    forward("on", "field:ms.1.2.V_STATUS", there)
    node.send(2, V_STATUS, "0")
    node.send(2, V_STATUS, "1")
    until("the plug follows", lambda: plug.relays == ["ON"])
    # a loop of two ends: a value that changes nothing goes no further
    forward("back", there, "field:ms.1.2.V_STATUS")
    node.send(2, V_STATUS, "0")
    until("the plug follows", lambda: plug.relays == ["OFF"])
    garden.field("ms.1.2.V_STATUS", False)


def test_devices_speak_to_our_own_server(garden):
    """Each gateway has topics of its own there, and an account that opens
    them and nothing else."""
    root = "marram/garden/gateway/tas/"
    gateway = garden.gateway("tas", {"type": "tasmota", "protocol": {
        "type": "mqtt"}}, password="plugs only")
    assert "plugs only" not in garden.hub("GET", "gateway/" + gateway).text
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    port = garden.server.mqtt_port
    plug = Tasmota(port, full_topic=root + "%prefix%/%topic%/",
                   discovery=False, user="network.garden.tas",
                   password="plugs only")
    plug.tell()
    place = "tas.tasmota_a1b2c3.Control.POWER"
    garden.field(place, False)
    garden.act("field:" + place, "true")
    until("it obeys", lambda: plug.relays == ["ON"])
    garden.field(place, True)
    # another unit's devices hear and say nothing here
    other = garden.broker("POST", "unit", {"data": {"code": "other"}}).data
    garden.hub("POST", "gateway", {"data": {
        "unitId": other["unitId"], "code": "tas", "password": "theirs",
        "provider": {"type": "tasmota", "protocol": {"type": "mqtt"}}}})
    spy = Client(garden.server, "network.other.tas", "theirs",
                 topics=[root + "#"])
    assert spy.granted == {root + "#": 128}
    spy.close()
    # a new password ends what was signed in with the old one
    garden.hub("PATCH", "gateway/" + gateway, {"data": {
        "password": "new ones"}}, 204)
    refused = Client(garden.server, "network.garden.tas", "plugs only")
    assert refused.refused is not None


def test_what_comes_live_to_our_own_server_is_news_though_it_be_retained(
        garden):
    root = "marram/garden/gateway/ms/"
    gateway = garden.gateway("ms", {"type": "mysensors_v2", "protocol": {
        "type": "mqtt", "subscribe": "out/#", "publish": "in"}},
        password="nodes only")
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    radio = Radio.mqtt(garden.server.mqtt_port, out=root + "out",
                       to=root + "in", user="network.garden.ms",
                       password="nodes only")
    radio.wait_up()
    asked = []
    radio._hear = lambda line: asked.append(line)
    radio.client.publish(root + "out/255/255/3/0/3", "",
                         retain=False)
    until("it is given an id", lambda: len(asked) == 1)
    radio.client.publish(root + "out/1/255/3/0/6", "0", retain=True)
    until("it is told the units", lambda: len(asked) == 2)
    radio.client.disconnect()


def test_home_assistant_sets_a_field_of_a_gateways_device(garden):
    radio = Radio.tcp()
    _, node = joined(garden, radio)
    field = garden.field("ms.1.2.V_STATUS")
    garden.hub("PATCH", "field/" + field["id"], {"data": {"labels": {
        **field["labels"], "writable": "true"}}}, 204)
    garden.application("ha")
    ear = Client(garden.server, "application.garden.ha",
                 topics=["marram/garden/ha/device/#",
                         "marram/garden/state/#"])

    def switch():
        told = [json.loads(p) for t, p in ear.heard
                if p and t.endswith("/config")]
        return [c for d in told[-1:] for c in d["cmps"].values()
                if c["p"] == "switch"]
    node.send(2, V_STATUS, "0")
    lamp = until("its switch", switch)[0]
    ear.client.publish(lamp["cmd_t"], lamp["pl_on"], 1)
    assert node.wait_set(2, V_STATUS) == "1"
    until("it is told on", lambda: [
        p for t, p in ear.heard if "/state/" in t
        and json.loads(p).get("2", {}).get("V_STATUS") is True])
    ear.close()


SCRIPTS = {
    "memory": "const a = []; while (true) a.push(new Array(1 << 20).fill(7))",
    "loop": "while (true) {}",
    "regex": "for (;;) /^(a|a|aa|b?a)*$/.test('a'.repeat(5000) + 'c')",
    "fork": "require('child_process').fork('x')",
}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_hostile_script_delays_nobody_else(start, name):
    server = start("--hub.script.timeout", "3s")
    garden, victim = Garden(server), None
    garden.hub("POST", "profile", {"data": {
        "unitId": garden.unit, "code": "bad", "codec": "javascript",
        "script": "function decodeUplink() { %s; return {data: {}} }"
        % SCRIPTS[name]}})
    victim = garden.broker("POST", "unit", {"data": {
        "code": "victim"}}).data["unitId"]
    garden.hub("POST", "profile", {"data": {
        "unitId": victim, "code": "good", "codec": "javascript",
        "script": "function decodeUplink(i) "
        "{ return {data: {n: i.bytes[0]}} }"}})
    accounts = {}
    for unit, code, profile in ((garden.unit, "garden", "bad"),
                                (victim, "victim", "good")):
        net = server.call("POST", "/coremgr/api/v1/network", {"data": {
            "code": "net", "unitId": unit, "hostUri": "mqtt://localhost"}},
            garden.token).data["networkId"]
        server.call("PATCH", "/coremgr/api/v1/network/" + net,
                    {"data": {"password": "password"}}, garden.token)
        garden.broker("POST", "device", {"data": {
            "unitId": unit, "networkId": net, "networkAddr": "01",
            "profile": profile}})
        accounts[code] = Client(server, "network.%s.net" % code)

    def say(code, n, wait):
        return accounts[code].publish("broker.network.%s.net.uldata" % code, {
            "time": "2026-05-01T10:00:%02d.000Z" % n, "networkAddr": "01",
            "data": "%02x" % n}, wait)
    hung = [say("garden", i, False) for i in range(2)]
    for i in range(20):  # each is acknowledged when its value is stored
        say("victim", i, True)
    for one in hung:  # and the hostile ones in the end, too
        one.wait_for_publish(LIMIT)
        assert one.is_published()
    fields = server.call("GET", "/hub/api/v1/field/list?unit=" + victim,
                         token=garden.token).data
    assert fields[0]["current"]["value"] == 19
    state = garden.listed("node")[0]["state"]
    assert state["status"] == "error" and state["message"], state
    for one in accounts.values():
        one.close()

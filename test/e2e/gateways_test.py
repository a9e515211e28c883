"""Gateways: networks that the platform drives itself, from the wire to rules
and back. What stands at the wire's end speaks the real protocol."""
import email
import json
import socketserver
import threading

import pytest

from conftest import Client, until
from live_test import Live
from mysensors_node import (I_BATTERY_LEVEL, V_STATUS, V_TEMP, Radio, crc16)


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

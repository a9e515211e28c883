"""Each type of handler, from a rule to what stands at the other end."""
import json
import queue
import subprocess
import sys
import threading
import time

import pytest

from certificates import Authority
from conftest import LIMIT, ROOT, Client, Site, until
from gateway_doubles_test import port as broker  # noqa: F401
from mqtt_peer import Peer
from rules_test import (PLACE, Field, device, schedule, task,  # noqa: F401
                        traces)
from values_test import hub, listed, probe  # noqa: F401
from webhook_test import Web, web  # noqa: F401


class Double:
    """The other side: src/plug/handler/peers.py, and what it was told."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "src/plug/handler/peers.py"),
             *map(str, words)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=LIMIT)

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def double():
    made = []

    def begin(*words):
        made.append(Double(*words))
        return made[-1]

    yield begin
    for one in made:
        one.end()


@pytest.fixture
def begin(start):
    """A device on a server with settings."""
    devices = []

    def make(*options):
        server = start(*options)
        site = Site(server, server.login())
        hub(site, "POST", "profile", {"data": {
            "unitId": site.unit, "code": "probe"}}, 200)
        site.call("PATCH", "device/" + site.device,
                  {"data": {"profile": "probe"}})
        devices.append(Field(site))
        devices[-1].send(temperature=0, relay=False)
        return devices[-1]

    yield make
    for one in devices:
        one.network.close()


def handler(dev, name, kind, spec=None, status=200, **more):
    return hub(dev.probe, "POST", "handler", {"data": dict({
        "id": name, "unitId": dev.probe.unit, "type": kind,
        "spec": spec or {}}, **more)}, status)


def state(dev, name):
    return hub(dev.probe, "GET", "handler/" + name).data["state"]


def tell(dev, name, parameter, n=1):
    """A task tells the handler once; what became of it."""
    task(dev, "to-" + name + str(n), handlers=[name], autoDisable=True,
         handlerParameters={"x": parameter})
    dev.send(temperature=40)
    return until("its trace", lambda: [
        t["actions"] for t in listed(dev.probe, "trace",
                                     rule="task:to-%s%d" % (name, n))
        if t["isFired"]])[0]


# --- resources ----------------------------------------------------------------

def test_fields_by_labels_are_set_after_a_delay(device):  # noqa: F811
    p = device.probe
    device.send(temperature=0, lamp=False, fan=False, other=False)
    for name in ("lamp", "fan"):
        f = listed(p, "field", fieldId=name)[0]
        hub(p, "PATCH", "field/" + f["id"], {"data": {
            "labels": {"group": "g"}}}, 204)
    begun = time.monotonic()
    got = tell(device, "resource_handler", {
        "type": "resource_by_labels", "resourceType": "field",
        "labels": {"group": "g"}, "payload": "true", "preDelay": "4s"})
    early = device.network.messages("dldata")
    if time.monotonic() < begun + 4:
        assert got[0]["message"] == "in a while" and early == []
    assert sorted(map(str, device.downs(2))) == [
        "{'fan': True}", "{'lamp': True}"]


def test_rules_and_handlers_are_switched_by_a_rule(device):  # noqa: F811
    p = device.probe
    device.send(temperature=0, relay=False)
    handler(device, "h", "noop")
    task(device, "other")
    assert schedule(device, "s", "repeat", {"interval": "1h"}).status == 200
    task(device, "off", autoDisable=True, handlerParameters={
        name: {"type": "resource_by_quick_id", "resourceType": kind,
               "quickId": name, "payload": "disable"}
        for kind, name in (("task", "other"), ("schedule", "s"),
                           ("handler", "h"))})
    device.send(temperature=40)
    assert {a["status"] for a in traces(device, 1, "off")[0]["actions"]} == {
        "ok"}
    for kind, name in (("task", "other"), ("schedule", "s"),
                       ("handler", "h")):
        until("it is off", lambda: not hub(
            p, "GET", "%s/%s" % (kind, name)).data["enabled"])
    # and back, all of them: none ends at the first change
    for resource in ("task:other", "schedule:s", "handler:h"):
        hub(p, "POST", "action", {"data": {
            "unitId": p.unit, "resource": resource, "payload": "enable"}},
            204)
    for kind, name in (("task", "other"), ("schedule", "s"),
                       ("handler", "h")):
        assert hub(p, "GET", "%s/%s" % (kind, name)).data["enabled"]


# --- e-mail -------------------------------------------------------------------

@pytest.mark.parametrize("mode,auth,heard", [
    ("tls", "crammd5", "TLS AUTH-CRAM-MD5 FROM"),
    ("starttls", "plain", "STARTTLS AUTH-PLAIN FROM"),
    ("none", "", "FROM"),
])
def test_mail_goes_each_way(device, double, tmp_path, mode, auth,  # noqa: F811
                            heard):
    cert, key = Authority(tmp_path / "ca").sign("localhost")
    peer = double("smtp", *([cert, key, mode] if mode != "none" else []))
    device.send(temperature=0)
    spec = {"host": "localhost", "port": peer.port, "security": mode,
            "insecure": True, "fromEmail": "hub@example.com",
            "toEmails": "ann@example.org"}
    if auth:
        spec.update(authType=auth, username="hub@example.com",
                    password="hunter2-secret")
    handler(device, "mail", "email", spec)
    got = tell(device, "mail", {"type": "email", "subject": "t {{ .t }}",
                                "body": "It is {{ .t }}"})
    assert got[0]["status"] == "ok", got
    line = peer.line()
    assert line.startswith(heard + " <hub@example.com> TO <ann@example.org>")
    assert "Subject: t 40" in line
    assert state(device, "mail")["status"] == "ok"


def test_a_login_that_is_refused_shows_in_the_state(
        device, double, tmp_path):  # noqa: F811
    cert, key = Authority(tmp_path / "ca").sign("localhost")
    peer = double("smtp", cert, key, "tls")
    device.send(temperature=0)
    handler(device, "mail", "email", {
        "host": "localhost", "port": peer.port, "security": "tls",
        "insecure": True, "username": "hub@example.com",
        "password": "wrong-hidden", "fromEmail": "hub@example.com",
        "toEmails": "ann@example.org"})
    got = tell(device, "mail", {"type": "email", "subject": "x"})
    assert got[0]["status"] == "error"
    shown = until("its state", lambda: [
        s for s in [state(device, "mail")] if s["status"] == "error"])[0]
    assert "535" in shown["message"] or "login" in shown["message"].lower()
    assert "hidden" not in shown["message"] + got[0]["message"]


# --- Telegram -----------------------------------------------------------------

def test_a_bot_tells_chats(begin, double):
    peer = double("http")
    dev = begin("--hub.handler.telegram-url",
                "http://127.0.0.1:%d" % peer.port)
    handler(dev, "bot", "telegram", {"token": "123:goodtoken",
                                     "chatIds": ["7", "8"]})
    until("it is known", lambda: state(dev, "bot")["status"] == "ok")
    got = tell(dev, "bot", {"type": "telegram", "parseMode": "HTML",
                            "text": "<b>{{ .t }}</b>"})
    assert got[0]["status"] == "ok", got
    assert [peer.line(), peer.line()] == [
        "telegram 7 HTML <b>40</b>", "telegram 8 HTML <b>40</b>"]
    # a chat that refuses is told, and keeps no other from hearing
    got = tell(dev, "bot", {"type": "telegram", "chatIds": ["-404", "9"],
                            "text": "x"}, 2)
    assert got[0]["status"] == "error"
    assert "chat -404" in got[0]["message"]
    assert "chat not found" in got[0]["message"]
    assert "goodtoken" not in got[0]["message"]
    assert peer.line() == "telegram 9 - x"


def test_a_wrong_token_shows_in_the_state(begin, double):
    peer = double("http")
    dev = begin("--hub.handler.telegram-url",
                "http://127.0.0.1:%d" % peer.port)
    handler(dev, "bot", "telegram", {"token": "123:badtoken",
                                     "chatIds": ["7"]})
    shown = until("it is refused", lambda: [
        s for s in [state(dev, "bot")] if s["status"] == "error"])[0]
    assert "Unauthorized" in shown["message"]
    assert "badtoken" not in shown["message"]


# --- webhook ------------------------------------------------------------------

def test_a_parameter_changes_a_webhook_only_where_it_may(
        device, web):  # noqa: F811
    device.send(temperature=0)
    over = {"type": "webhook", "api": "/theirs", "method": "PUT",
            "headers": {"X-Own": "1"}, "queryParameters": {"q": "2"},
            "customData": True, "data": {"t": "{{ .t }}"}}
    for name, may in (("fixed", False), ("open", True)):
        handler(device, name, "webhook", {
            "server": web.url, "api": "/ours", "allowOverwrite": may,
            "headers": {"X-Key": "k"}})
        assert tell(device, name, over)[0]["status"] == "ok"
    (method, path, body, headers), = web.at("/ours")
    assert (method, path, headers["X-Key"]) == ("POST", "/ours", "k")
    assert "X-Own" not in headers and json.loads(body) == {"t": "40"}
    (method, path, body, headers), = web.at("/theirs")
    assert (method, path) == ("PUT", "/theirs?q=2")
    assert (headers["X-Own"], headers["X-Key"]) == ("1", "k")


def test_a_webhook_is_tried_again_when_it_may_pass(begin, web):  # noqa: F811
    dev = begin("--hub.handler.retry-min", "10ms",
                "--hub.handler.retries", "2")
    for path, status in (("/busy", 503), ("/no", 403)):
        web.says(path, "no", status)
        handler(dev, path[1:], "webhook", {"server": web.url, "api": path})
        got = tell(dev, path[1:], {"type": "webhook"})
        assert got[0]["status"] == "error"
        assert "HTTP %d" % status in got[0]["message"]
        assert "HTTP %d" % status in state(dev, path[1:])["message"]
    assert (len(web.at("/busy")), len(web.at("/no"))) == (3, 1)


# --- MQTT ---------------------------------------------------------------------

def test_13_messages_reach_another_mqtt_server(device, broker):  # noqa: F811
    class Ear(Peer):
        filters = {"home/#": lambda *_: None}
    ear = Ear(broker)
    device.send(temperature=0)
    handler(device, "there", "mqtt", {
        "broker": "tcp://127.0.0.1:%d" % broker, "publish": "home/t",
        "qos": 1})
    got = tell(device, "there", {"type": "mqtt", "data": "{{ .t }}"})
    assert got[0]["status"] == "ok", got
    got = tell(device, "there", {"type": "mqtt", "publish": "home/other",
                                 "qos": 2, "data": "x"}, 2)
    assert got[0]["status"] == "ok", got
    assert ear.wait("home/t") == ["40"]
    assert ear.wait("home/other") == ["x"]
    assert state(device, "there")["status"] == "ok"
    ear.close()


def test_13_messages_go_out_on_our_own_server(device):  # noqa: F811
    """On topics of their own unit, as well kept as they ask for; never on
    those of others."""
    p = device.probe
    device.send(temperature=0)
    app = Client(p.server, "test-app-mqtt", topics=["marram/demo/#"])
    heard = []
    app.client.message_callback_add(
        "marram/demo/alarm", lambda _c, _d, m: heard.append(
            (m.payload, m.qos)))
    handler(device, "here", "mqtt", {"publish": "marram/demo/alarm",
                                     "qos": 1})
    got = tell(device, "here", {"type": "mqtt", "data": "{{ .t }}"})
    assert got[0]["status"] == "ok", got
    until("it is heard", lambda: heard)
    assert heard == [(b"40", 1)]
    for n, topic in enumerate(("marram/other/alarm", "marram/demo2/x",
                               "broker.network.demo.test-net-mqtt.dldata",
                               "$SYS/x"), 2):
        got = tell(device, "here", {"type": "mqtt", "publish": topic,
                                    "data": "x"}, n)
        assert got[0]["status"] == "error", topic
        assert "is not this unit's" in got[0]["message"]
    assert device.network.messages("dldata") == []
    app.close()


# --- nothing ------------------------------------------------------------------

def test_noop_takes_whatever_comes(device):  # noqa: F811
    device.send(temperature=0)
    handler(device, "n", "noop")
    got = tell(device, "n", {"type": "anything", "x": "{{ .t }}"})
    assert [(a["handler"], a["status"]) for a in got] == [("n", "ok")]
    assert state(device, "n")["status"] == "ok"

"""What happens, told by WebSocket: /ws."""
import json
import socket
import struct
import subprocess
import threading
import time

import pytest
import websocket

from certificates import Authority
from conftest import LIMIT, Site, until
from values_test import hub, listed, uplink

QUICK = "field:test-net-mqtt.01000461.data."
RULES = ["profile", "data_repository", "task", "schedule", "forward_payload",
         "dashboard", "handler"]
PARTS = ["node", "source", "field"]


class Live:
    """A client of /ws that reads when it is asked to."""

    def __init__(self, server, token=None, url=None, **more):
        more.setdefault("timeout", 25)  # less than between pings
        if token:
            more["header"] = {"Authorization": "Bearer " + token}
        self.ws = websocket.create_connection(
            url or "ws://127.0.0.1:%d/ws" % server.http_port,
            suppress_origin="origin" not in more, **more)
        self.heard = []
        if token:
            assert self.get()["type"] == "authenticated"

    def send(self, **frame):
        self.ws.send(json.dumps(frame))

    def get(self):
        text = self.ws.recv()
        assert text, "the connection has ended"
        self.heard.append(json.loads(text))
        return self.heard[-1]

    def ask(self, **frame):
        """Sends, and reads up to the answer."""
        self.send(**frame)
        while True:
            got = self.get()
            if got["type"] != "event" and got.get("id") == frame.get("id"):
                return got

    def subscribe(self, name="1", **more):
        got = self.ask(type="subscribe", id=name, **more)
        assert got == {"type": "subscribed", "id": name}

    def event(self):
        got = self.get()
        assert got["type"] == "event", got
        return got["data"]

    def events(self, n):
        return [self.event() for _ in range(n)]

    def silent(self):
        """Reads everything that was on its way: was it no event?"""
        n = len(self.heard)
        assert self.ask(type="ping", id="p") == {"type": "pong", "id": "p"}
        return not [f for f in self.heard[n:] if f["type"] == "event"]

    def end(self):
        """Reads up to the close frame; its code."""
        while True:
            opcode, data = self.ws.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return struct.unpack("!H", data[:2])[0]
            self.heard.append(json.loads(data))

    def close(self):
        self.ws.close()


def short(event):
    return (event["type"], event["entityQuickId"])


@pytest.fixture
def live(request):
    """Makes clients that end with the test."""
    made = []

    def make(*args, **more):
        made.append(Live(*args, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def add_profile(site):
    hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, 200)
    site.call("PATCH", "device/" + site.device,
              {"data": {"profile": "probe"}})
    return site


@pytest.fixture
def probe(site):
    return add_profile(site)


@pytest.fixture
def begin(start):
    """A site of a server with settings."""
    def make(*options):
        server = start(*options)
        return add_profile(Site(server, server.login()))

    return make


class Sender:
    """Sends values, each a minute later."""

    def __init__(self, site):
        self.site, self.client, self.n = site, site.network(), 0

    def send(self, wait=True, **values):
        self.n += 1
        self.client.publish(self.site.net_topic("uldata"), uplink(
            values, at="2026-%02d-%02dT%02d:%02d:00Z" % (
                1 + self.n // 40320, 1 + self.n // 1440 % 28,
                self.n // 60 % 24, self.n % 60)), wait=wait)


@pytest.fixture
def sender(probe):
    s = Sender(probe)
    yield s
    s.client.close()


# --- who may ---------------------------------------------------------------

def test_a_token_comes_in_three_ways(site, live):
    live(site.server, site.token).subscribe()
    page = live(site.server, subprotocols=["marram.v1", site.token],
                origin="http://localhost:%d" % site.server.http_port)
    assert page.ws.getsubprotocol() == "marram.v1"
    assert page.get() == {"type": "authenticated", "account": "admin"}
    page.subscribe()
    first = live(site.server)
    first.send(type="auth", token=site.token)
    assert first.get() == {"type": "authenticated", "account": "admin"}
    first.subscribe()
    assert site.server.counter("hub_live_connections") == 3
    assert site.server.counter("hub_live_subscriptions") == 3
    first.close()
    until("the end", lambda: site.server.counter(
        "hub_live_connections") == 2)
    assert site.server.counter("hub_live_subscriptions") == 2


def test_who_has_no_token_is_shown_out(begin, live):
    quick = begin("--hub.live.login-timeout", "300ms")
    site = begin()  # which waits until something was said
    for server, ask in (
            (site.server, {"header": {"Authorization": "Bearer wrong"}}),
            (site.server, {"subprotocols": ["marram.v1", "wrong"]}),
            (quick.server, {})):
        client = live(server, **ask)
        assert client.end() == 4401
        assert [f["type"] for f in client.heard] == ["error"]
        assert client.heard[0]["code"] == "err_auth"
        assert "try again" not in client.heard[0]["message"]
    for text in ('{"type":"subscribe","id":"1"}', "no json", "[1",
                 '{"type":"auth","token":"' + "x" * 64 + '"}'):
        client = live(site.server)
        client.ws.send(text)
        assert client.end() == 4401
    # and never in the address
    with pytest.raises(websocket.WebSocketBadStatusException):
        live(site.server, header={"Authorization": "Basic eDp5"})
    client = live(quick.server, url="ws://127.0.0.1:%d/ws?token=%s"
                  "&access_token=%s" % (quick.server.http_port, quick.token,
                                        quick.token))
    assert client.end() == 4401
    for one, denied in ((site, 6), (quick, 2)):
        server = one.server
        assert server.counter("hub_live_denied_total") == denied
        until("the end", lambda: server.counter(
            "hub_live_connections") == 0)
        assert one.token not in server.logged()


def test_what_is_no_websocket_is_refused(site):
    r = site.server.call("GET", "/ws", token=site.token)
    assert r.status == 426 and r.code == "err_param"
    assert site.server.call("POST", "/ws", {}).status == 405
    assert "/ws" in site.server.call("GET", "/openapi.json").json()["paths"]


def test_it_goes_over_tls(start, live, tmp_path):
    authority = Authority(tmp_path / "ca")
    cert, key = authority.sign("localhost", file="server")
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0",
                   "--listen", "127.0.0.1")
    site = add_profile(Site(server, server.login()))
    client = live(server, site.token,
                  url="wss://localhost:%d/ws" % server.port("https"),
                  sslopt={"ca_certs": str(authority.ca)})
    client.subscribe(unit=site.unit, entityTypes=["field"])
    sender = Sender(site)
    for n in range(100):
        sender.send(**{"f%d" % i: n for i in range(20)})
    heard = [-1]
    while heard[-1] < 99:  # some states may have been left out by now
        entity = client.event()["entity"]
        if entity["fieldId"] == "f7":
            heard.append(entity["current"]["value"])
    assert heard == sorted(set(heard))
    sender.client.close()
    assert server.stop() == 0


def test_origins_are_looked_at(begin, live):
    site = begin("--server.cors-origins", "https://board.example")
    live(site.server, site.token, origin="https://board.example")
    live(site.server, site.token,
         origin="http://127.0.0.1:%d" % site.server.http_port)
    for origin in ("https://evil.example", "null",
                   "http://127.0.0.1:%d.evil" % site.server.http_port):
        with pytest.raises(websocket.WebSocketBadStatusException) as e:
            live(site.server, site.token, origin=origin)
        assert e.value.status_code == 403


def test_an_ended_token_ends_the_connection(begin, live):
    site = begin("--hub.live.check-interval", "200ms")
    token = site.server.login()
    client = live(site.server, token)
    client.subscribe()
    other = live(site.server, site.token)
    assert site.server.call("POST", "/auth/api/v1/auth/logout",
                            token=token).status == 204
    assert client.end() == 4401
    assert client.heard[-1]["code"] == "err_auth"
    other.subscribe()  # another token of the same user is as good as before
    assert other.silent()


def test_a_connection_outlives_its_token_with_a_new_one(begin, live):
    site = begin("--hub.live.check-interval", "200ms")
    token = site.server.login()
    client = live(site.server, token)
    client.subscribe()
    client.send(type="auth", token="wrong")
    assert client.get()["code"] == "err_auth"
    client.send(type="auth", token=site.token)
    assert client.get()["type"] == "authenticated"
    site.server.call("POST", "/auth/api/v1/auth/logout", token=token)
    end = time.monotonic() + 1
    while time.monotonic() < end:  # five checks, and it is still there
        assert client.silent()


# --- what is told ----------------------------------------------------------

def test_values_come_first_and_then_what_happens(probe, sender, live):
    sender.send(t=1, u="a")
    client = live(probe.server, probe.token)
    client.subscribe(unit=probe.unit, entityTypes=["field"], initial=True)
    got = {e["entityQuickId"]: e for e in client.events(2)}
    assert {k: (e["type"], e["entity"]["current"]["value"])
            for k, e in got.items()} == {
        QUICK + "t": ("requested", 1), QUICK + "u": ("requested", "a")}
    assert client.get() == {"type": "initial", "id": "1", "count": 2}
    sender.send(t=2)
    sender.send(t=3, v=True)
    events = client.events(3)
    assert [short(e) for e in events] == [
        ("updated", QUICK + "t"), ("updated", QUICK + "t"),
        ("created", QUICK + "v")]
    assert [e["entity"]["current"]["value"] for e in events] == [2, 3, True]
    field = listed(probe, "field", fieldId="t")[0]
    assert events[1]["entity"] == field
    assert events[1]["entityId"] == field["id"]
    assert events[1]["entityType"] == "field"


def test_nothing_is_missed_between_what_is_there_and_what_happens(
        probe, sender, live):
    stop = threading.Event()
    sent = []

    def run():
        while not stop.is_set():
            sent.append(len(sent) + 1)
            sender.send(n=sent[-1])

    sender.send(n=0)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(20):
            client = live(probe.server, probe.token)
            client.subscribe(quickIds=[QUICK + "n"], unit=probe.unit,
                             initial=True)
            first = client.event()
            assert first["type"] == "requested"
            values = [first["entity"]["current"]["value"]]
            while len(values) < 10:
                got = client.get()
                if got["type"] == "event":
                    values.append(got["data"]["entity"]["current"]["value"])
            assert values == list(range(values[0], values[0] + 10))
    finally:
        stop.set()
        thread.join()


def test_many_values_come_in_slices(probe, sender, live):
    for i in range(10):
        sender.send(**{"f%d_%d" % (i, k): k for k in range(50)})
    client = live(probe.server, probe.token)
    client.subscribe(initial=True)
    got = client.events(500)
    assert len({e["entityQuickId"] for e in got}) == 500
    assert client.get() == {"type": "initial", "id": "1", "count": 500}
    client.subscribe("2", initial=True, filters={"fieldId": "f3_7"})
    assert client.event()["entityQuickId"] == QUICK + "f3_7"
    assert client.get() == {"type": "initial", "id": "2", "count": 1}


def test_subscriptions_choose(probe, sender, live):
    sender.send(a=1, b=1)
    client = live(probe.server, probe.token)
    client.subscribe("quick", unit=probe.unit, quickIds=[QUICK + "a"])
    sender.send(a=2, b=2)
    assert short(client.event()) == ("updated", QUICK + "a")
    client.subscribe("path", unit=probe.unit, entityTypes=["field"],
                     filters={"fieldId": "b", "current.value": 4})
    sender.send(b=3)
    sender.send(b=4)
    assert client.event()["entity"]["current"]["value"] == 4
    # two that want the same hear of it once
    client.subscribe("all", unit=probe.unit)
    sender.send(a=5)
    assert short(client.event()) == ("updated", QUICK + "a")
    assert client.silent()
    assert client.ask(type="unsubscribe", id="all") == {
        "type": "unsubscribed", "id": "all"}
    assert client.ask(type="unsubscribe", id="quick")["id"] == "quick"
    client.subscribe("new", unit=probe.unit, eventTypes=["created"])
    sender.send(a=6)
    sender.send(c=1)
    assert [e["type"] for e in client.events(1)] == ["created"]
    assert client.silent()


def test_who_says_something_wrong_is_told_what(site, live):
    client = live(site.server, site.token)
    client.subscribe("1")
    for ask, code, why in (
            ({"type": "subscribe"}, "err_param", "missing `id`"),
            ({"type": "subscribe", "id": "1"}, "err_exist", "unsubscribe"),
            ({"type": "subscribe", "id": "2", "entityTypes": ["x"]},
             "err_param", "`x` is no kind"),
            ({"type": "subscribe", "id": "2", "unit": "none"},
             "err_hub_unit_not_exist", "no such unit"),
            ({"type": "unsubscribe", "id": "3"}, "err_not_found", "no such"),
            ({"type": "what", "id": "3"}, "err_param", "must be auth")):
        got = client.ask(**ask)
        assert got["type"] == "error" and got["code"] == code
        assert why in got["message"]
    client.ws.send("no json")
    assert client.get()["code"] == "err_param"
    assert client.silent()
    client.ws.send_binary(b"x")
    assert client.end() == 1003
    large = live(site.server, site.token)
    large.ws.send("x" * 70000)
    assert large.end() == 1009


def test_changes_by_calls_are_told(site, live):
    client = live(site.server, site.token)
    client.subscribe(unit=site.unit, entityTypes=RULES)

    def made(kind, name, data, change):
        got = hub(site, "POST", kind, {"data": {
            "unitId": site.unit, **data}}, 200).data["id"]
        hub(site, "PATCH", "%s/%s" % (kind, got), {"data": change}, 204)
        hub(site, "DELETE", "%s/%s" % (kind, got), status=204)
        # handlers and schedules have a state that changes by itself
        events = []
        while not events or events[-1]["type"] != "deleted":
            events.append(client.event())
        assert {short(e)[1] for e in events} == {"%s:%s" % (name, got)}
        assert {e["entityType"] for e in events} == {name}
        kinds = [e["type"] for e in events]
        assert kinds[0] == "created" and "updated" in kinds[1:-1], kinds
        after = [e for e in events if e["type"] == "updated"][-1]
        for key, value in change.items():
            assert after["entity"][key] == value
            assert events[-1]["entity"][key] == value
        return events

    made("profile", "profile", {"code": "p"}, {"name": "P"})
    made("data-repository", "data_repository", {"id": "r"},
         {"data": {"x": 1}})
    made("task", "task", {"id": "t"}, {"description": "d"})
    made("schedule", "schedule",
         {"id": "s", "type": "cron", "spec": {"cronExpression": "0 0 1 1 *"}},
         {"description": "d"})
    made("forward-payload", "forward_payload",
         {"id": "f", "srcFieldId": "a", "dstFieldId": "b"},
         {"description": "d"})
    made("dashboard", "dashboard", {"title": "one"}, {"title": "two"})
    events = made("handler", "handler", {
        "id": "h", "type": "webhook", "spec": {
            "url": "http://127.0.0.1:1/", "headers": {}}},
        {"description": "d"})
    assert "password" not in json.dumps(events)


def test_changes_of_devices_and_their_parts_are_told(probe, sender, live):
    sender.send(t=1)
    client = live(probe.server, probe.token)
    client.subscribe(unit=probe.unit, entityTypes=PARTS)
    for kind, quick in (("node", "node:test-net-mqtt.01000461"),
                        ("source", None), ("field", QUICK + "t")):
        row = listed(probe, kind)[0]
        hub(probe, "PATCH", "%s/%s" % (kind, row["id"]),
            {"data": {"name": "new"}}, 204)
        event = client.event()
        assert event["type"] == "updated" and event["entityType"] == kind
        assert event["entityQuickId"] == quick or kind == "source"
        assert event["entityId"] == row["id"]
        assert event["entity"]["name"] == "new"
    assert client.silent()
    hub(probe, "DELETE", "field/" + listed(probe, "field")[0]["id"],
        status=204)
    assert short(client.event()) == ("deleted", QUICK + "t")
    sender.send(t=2)
    assert short(client.event()) == ("created", QUICK + "t")
    hub(probe, "DELETE", "node/" + probe.device, status=204)
    assert [short(e) for e in client.events(2)] == [
        ("deleted", QUICK + "t"), ("deleted", "node:test-net-mqtt.01000461")]


def test_secrets_of_handlers_are_not_told(site, live):
    client = live(site.server, site.token)
    client.subscribe(unit=site.unit, entityTypes=["handler"])
    hub(site, "POST", "handler", {"data": {
        "id": "mail", "unitId": site.unit, "type": "email", "spec": {
            "host": "127.0.0.1", "port": 1, "username": "u",
            "password": "very-secret", "fromEmail": "a@b.c",
            "toEmails": "d@e.f"}}}, 200)
    hub(site, "DELETE", "handler/mail", status=204)
    events = []
    while not events or events[-1]["type"] != "deleted":
        events.append(client.event())
    assert len(events) >= 2
    assert "very-secret" not in json.dumps(events)


def test_the_inbox_and_rules_are_told(probe, sender, live):
    hub(probe, "POST", "task", {"data": {
        "id": "t", "unitId": probe.unit, "triggerOnEvent": True,
        "eventFilter": {"entityTypes": ["field"]},
        "variables": {}, "evaluationType": "javascript",
        "evaluationConfig": {"javascript": "true"}}}, 200)
    client = live(probe.server, probe.token)
    client.subscribe("i", unit=probe.unit, entityTypes=["inbox"])
    sender.client.publish(probe.net_topic("uldata"),
                          uplink({"x": 1}, addr="77"))
    event = client.event()
    assert (event["type"], event["entityType"]) == ("created", "inbox")
    assert event["entity"]["networkAddr"] == "77"
    done = hub(probe, "POST", "inbox/claim", {"data": {
        "ids": [event["entityId"]]}}, 200).data[0]
    assert "code" not in done
    gone = client.event()
    assert short(gone) == ("deleted", event["entityQuickId"])
    client.subscribe("r", unit=probe.unit, entityTypes=["task", "trace"])
    sender.send(t=1)
    events = client.events(2)
    assert sorted((e["type"], e["entityType"]) for e in events) == [
        ("created", "trace"), ("updated", "task")]
    trace = next(e for e in events if e["entityType"] == "trace")
    assert trace["entity"]["rule"] == "task:t"
    client.subscribe("n", unit=probe.unit,
                     entityTypes=["node"], eventTypes=["deleted"])
    probe.call("DELETE", "device/" + probe.device)
    while short(client.event()) != (
            "deleted", "node:test-net-mqtt.01000461"):
        pass


def test_what_is_told_can_be_read(probe, sender, live):
    hub(probe, "POST", "task", {"data": {
        "id": "t", "unitId": probe.unit, "triggerOnEvent": True,
        "eventFilter": {"entityTypes": ["field"]}, "variables": {},
        "evaluationType": "javascript",
        "evaluationConfig": {"javascript": "true"}}}, 200)
    client = live(probe.server, probe.token)
    client.subscribe(unit=probe.unit, entityTypes=["field", "trace"])
    for n in range(40):
        sender.send(wait=False, **{"v%d" % n: n})
        seen = set()
        while seen != {"field", "trace"}:
            event = client.event()
            rows = listed(probe, event["entityType"], limit=1000)
            assert event["entityId"] in [r["id"] for r in rows], n
            if event["entityType"] == "field":
                row = [r for r in rows if r["id"] == event["entityId"]]
                assert row[0]["current"]["value"] == n
            seen.add(event["entityType"])


# --- whose it is -----------------------------------------------------------

def test_units_are_kept_apart(begin, live):
    site = begin("--hub.live.check-interval", "200ms")
    other = add_profile(Site(site.server, site.token, "other", "app-two",
                             "net-two"))
    users = {}
    for name, unit in (("ann", site.unit), ("bob", other.unit)):
        user = site.add("user", {"account": name,
                                 "password": "secret-1"})["userId"]
        assert site.call("PATCH", "unit/" + unit, {"data": {
            "memberIds": [user]}}).status == 204
        users[name] = live(site.server,
                           site.server.login(name, "secret-1"))
    ann, bob = users["ann"], users["bob"]
    got = ann.ask(type="subscribe", id="x", unit=other.unit)
    assert got["code"] == "err_hub_unit_not_exist"
    got = ann.ask(type="subscribe", id="x")
    assert got["code"] == "err_param" and "unit" in got["message"]
    ann.subscribe(unit=site.unit, entityTypes=PARTS)
    bob.subscribe(unit=other.unit, initial=True)
    assert bob.get() == {"type": "initial", "id": "1", "count": 0}
    root = live(site.server, site.token)
    root.subscribe(entityTypes=PARTS)
    one, two = Sender(site), Sender(other)
    for n in range(5):
        one.send(v=n)
        two.send(v=n)
    for client, unit, net in ((ann, site, "test-net-mqtt"),
                              (bob, other, "net-two")):
        heard = []
        while len(heard) < 5:
            e = client.event()
            assert e["entity"]["unitId"] == unit.unit
            if e["entityType"] == "field":
                assert e["entity"]["gatewayId"] == net
                heard.append(e["entity"]["current"]["value"])
        assert heard == [0, 1, 2, 3, 4]
    heard = []
    while len(heard) < 10:
        e = root.event()
        if e["entityType"] == "field":
            heard.append(e["entity"]["unitId"])
    assert heard.count(site.unit) == 5
    # who is no member any more hears nothing more
    assert site.call("PATCH", "unit/" + site.unit, {"data": {
        "memberIds": []}}).status == 204
    lost = ann.get()
    assert (lost["type"], lost["id"]) == ("error", "1")
    assert lost["code"] == "err_hub_unit_not_exist"
    one.send(v=9)
    assert root.event()["entity"]["current"]["value"] == 9
    assert ann.silent()
    one.client.close()
    two.client.close()


# --- who can not keep up ---------------------------------------------------

class FastReader:
    """Reads on a thread of its own, and looks at it later."""

    def __init__(self, client):
        self.bytes = bytearray()
        self.sock = client.ws.sock
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while data := self.sock.recv(1 << 20):
                self.bytes += data
        except OSError:
            pass  # it was closed

    def frames(self):
        """The payloads of the text frames; a server does not mask."""
        found, at, data = [], 0, bytes(self.bytes)
        while at + 4 <= len(data):
            size, head = data[at + 1], 2
            if size == 126:
                size, head = struct.unpack_from("!H", data, at + 2)[0], 4
            if at + head + size > len(data):
                break
            if data[at] & 15 == websocket.ABNF.OPCODE_TEXT:
                found.append(data[at + head:at + head + size])
            at += head + size
        return found


def slow_client(live, site, **more):
    return live(site.server, site.token, sockopt=(
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),), **more)


def test_a_slow_client_harms_nobody_and_gets_the_newest(probe, live):
    site = probe
    slow, fast = slow_client(live, site), live(site.server, site.token)
    for client in (slow, fast):
        client.subscribe(unit=site.unit, entityTypes=["field"],
                         eventTypes=["updated"])
    sender = Sender(site)
    names = ["f%d" % i for i in range(20)]
    rounds = 200
    seen = {name: [] for name in names}

    reader = FastReader(fast)
    for n in range(rounds):  # nobody waits for the slow one
        sender.send(**{name: n for name in names})
    wanted = (rounds - 1) * len(names)
    until("all events", lambda: len(reader.frames()) >= wanted)
    for frame in reader.frames():
        e = json.loads(frame)["data"]["entity"]
        seen[e["fieldId"]].append(e["current"]["value"])
    assert all(v == list(range(1, rounds)) for v in seen.values())
    assert site.server.counter("hub_live_coalesced_total") > 100
    last = {}
    order = []
    while any(last.get(name) != rounds - 1 for name in names):
        got = slow.get()
        assert got["type"] == "event", got
        e = got["data"]["entity"]
        assert e["current"]["value"] > last.get(e["fieldId"], 0)
        last[e["fieldId"]] = e["current"]["value"]
        order.append(e["fieldId"])
    assert len(order) < rounds * len(names) // 2
    assert site.server.counter("hub_live_dropped_total") == 0
    sender.client.close()


def test_who_is_slower_than_that_is_told_what_it_missed(begin, live):
    site = begin("--hub.live.queue-max", "64KiB")
    slow = slow_client(live, site)
    slow.subscribe(unit=site.unit, entityTypes=["field"])
    sender = Sender(site)
    made = 0
    for n in range(30):  # each field once: nothing to coalesce
        sender.send(**{"f%d_%d" % (n, k): k for k in range(30)})
        made += 30
    until("drops", lambda: site.server.counter(
        "hub_live_dropped_total") > 100)
    events = dropped = 0
    while events + dropped < made:
        got = slow.get()
        if got["type"] == "lagged":
            dropped += got["dropped"]
        else:
            events += 1
    assert events + dropped == made
    assert dropped == site.server.counter("hub_live_dropped_total")
    # it goes on
    sender.send(again=1)
    assert slow.event()["entity"]["fieldId"] == "again"
    # and can ask for what is there now, however slow it is
    slow.subscribe("2", unit=site.unit, initial=True)
    fields = {slow.event()["entity"]["fieldId"] for _ in range(made + 1)}
    assert len(fields) == made + 1
    assert slow.get() == {"type": "initial", "id": "2", "count": made + 1}
    sender.client.close()


def test_a_client_that_is_silent_is_dropped(begin, live):
    site = begin("--hub.live.ping-interval", "2s")
    dead, alive = (live(site.server, site.token) for _ in range(2))
    # this one's library answers pings only while it reads
    def there():
        assert alive.silent()
        return site.server.counter("hub_live_connections") == 1

    until("the dead one to go", there)
    assert site.server.counter("hub_live_dead_total") == 1
    del dead


def test_limits_hold(begin, live):
    site = begin("--hub.live.connections", "3", "--hub.live.logins", "1",
                 "--hub.live.subscriptions", "2",
                 "--hub.live.initial-max", "2")
    sender = Sender(site)
    sender.send(a=1, b=2, c=3)
    client = live(site.server, site.token)
    client.subscribe("1")
    client.subscribe("2", initial=True)
    assert [e["type"] for e in client.events(2)] == ["requested"] * 2
    assert client.get()["code"] == "err_limit"
    got = client.ask(type="subscribe", id="3")
    assert got["code"] == "err_limit" and "too many" in got["message"]
    assert client.ask(type="unsubscribe", id="1")["type"] == "unsubscribed"
    client.subscribe("3", quickIds=[QUICK + "a"], initial=True)
    assert client.event()["entity"]["current"]["value"] == 1
    waiting = live(site.server)  # has not shown a token

    def refused():
        with pytest.raises(websocket.WebSocketBadStatusException) as e:
            live(site.server, site.token)
        assert e.value.status_code == 503

    until("it to be counted",
          lambda: site.server.counter("hub_live_connections") == 2)
    refused()
    waiting.send(type="auth", token=site.token)
    waiting.get()
    live(site.server, site.token)
    refused()
    assert site.server.counter("hub_live_refused_total") == 2
    sender.client.close()


def test_all_are_told_when_the_server_ends(site, live):
    client = live(site.server, site.token)
    client.subscribe(unit=site.unit)
    assert site.server.stop() == 0
    assert client.end() == 1001


def test_it_can_be_turned_off(start):
    server = start("--hub.live.connections", "0")
    assert server.call("GET", "/ws").status == 404


def test_a_shell_follows(probe, sender):
    """What docs/guide/live.md says of wsdump."""
    run = subprocess.Popen(
        ["wsdump", "-r", "ws://127.0.0.1:%d/ws" % probe.server.http_port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = []
    reader = threading.Thread(
        target=lambda: said.extend(iter(run.stdout.readline, "")))
    reader.start()
    run.stdin.write('{"type":"auth","token":"%s"}\n'
                    '{"type":"subscribe","id":"1","unit":"%s",'
                    '"entityTypes":["field"]}\n' % (probe.token, probe.unit))
    run.stdin.flush()
    until("the subscription", lambda: '{"type":"subscribed","id":"1"}\n'
          in said)
    sender.send(t=1)
    until("the event", lambda: '"value":1' in said[-1])
    run.kill()
    run.wait(LIMIT)
    reader.join()


# --- what lies beside the networks, and versions ---------------------------

def told(client, n):
    return [(e["type"], e["entityType"], e["entityId"])
            for e in client.events(n)]


def test_devices_networks_and_routes_are_told(site, live):
    client = live(site.server, site.token)
    kinds = ["unit", "network", "application", "device", "device_route",
             "network_route"]
    client.subscribe(unit=site.unit, entityTypes=kinds)
    site.call("PATCH", "device/" + site.device, {"data": {"name": "Lamp"}})
    event = client.event()
    assert (event["type"], event["entityType"], event["entityId"],
            event["entityQuickId"]) == (
        "updated", "device", site.device, "device:" + site.device)
    assert event["entity"]["name"] == "Lamp"
    site.call("DELETE", "device/" + site.device)
    assert sorted(told(client, 2)) == [
        ("deleted", "device", site.device),
        ("deleted", "device_route", site.route)]
    device = site.add("device", {
        "unitId": site.unit, "networkId": site.net,
        "networkAddr": "0a"})["deviceId"]
    route = site.add("network-route", {
        "networkId": site.net, "applicationId": site.app})["routeId"]
    site.call("PATCH", "unit/" + site.unit, {"data": {"name": "Home"}})
    assert told(client, 3) == [("created", "device", device),
                               ("created", "network_route", route),
                               ("updated", "unit", site.unit)]
    site.call("POST", "device/bulk", {"data": {
        "unitId": site.unit, "networkId": site.net,
        "networkAddrs": ["0a", "0b"]}})
    assert [e[:2] for e in told(client, 1)] == [("created", "device")]
    site.call("DELETE", "network/" + site.net)
    assert sorted(e[:2] for e in told(client, 4)) == [
        ("deleted", "device"), ("deleted", "device"),
        ("deleted", "network"), ("deleted", "network_route")]
    app = site.make("application", "another")
    assert told(client, 1) == [("created", "application", app)]
    assert client.silent()


def test_versions_are_told(site, live):
    client = live(site.server, site.token)
    client.subscribe(unit=site.unit, entityTypes=["version"],
                     filters={"objectType": "device",
                              "objectId": site.device})
    client.subscribe("2", unit=site.unit, entityTypes=["version"],
                     filters={"objectType": "task"})
    site.call("PATCH", "network/" + site.net, {"data": {"name": "x"}})
    answer = site.call("PATCH", "device/" + site.device,
                       {"data": {"name": "Lamp"}})
    event = client.event()
    assert event["entityId"] == answer.headers["X-Marram-Version"]
    assert (event["entity"]["number"], event["entity"]["verb"],
            event["entity"]["account"]) == (2, "changed", "admin")
    assert "object" not in event["entity"]
    hub(site, "POST", "task", {"data": {
        "unitId": site.unit, "id": "t"}}, 200)
    assert client.event()["entity"]["objectType"] == "task"
    assert client.silent()


def test_they_are_of_the_units_that_one_may_read(site, live):
    server = site.server
    r = server.call("POST", "/coremgr/api/v1/user", {"data": {
        "account": "ann", "password": "ann"}}, site.token)
    assert r.status == 200, r.text
    ann = server.login("ann", "ann")
    own = Site(server, ann, code="anns")
    client = live(server, ann)
    refused = client.ask(type="subscribe", id="0", unit=site.unit,
                         entityTypes=["device", "version"])
    assert refused["type"] == "error"
    client.subscribe(unit=own.unit, entityTypes=["device", "version"])
    site.call("PATCH", "device/" + site.device, {"data": {"name": "x"}})
    assert client.silent()
    own.call("PATCH", "device/" + own.device, {"data": {"name": "x"}})
    assert [e[:2] for e in told(client, 2)] == [
        ("updated", "device"), ("created", "version")]

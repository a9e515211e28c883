"""Faults that MyController has, one test for each that rules, schedules,
handlers or forwards could have: its number in our notes, and what is better
here."""
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys

import pytest

from certificates import Authority
from conftest import LIMIT, PROGRAM, ROOT, Client, Site, until
from format_test import formatter
from gateways_test import Garden, garden, mysensors  # noqa: F401
from mysensors_node import I_ID_REQUEST, I_ID_RESPONSE, V_STATUS, Radio
from rules_test import (PLACE, Field, device, schedule, task,  # noqa: F401
                        traces, web)
from values_test import hub, listed, probe, uplink  # noqa: F401


def test_1_dampening_goes_on_after_many_runs(device):  # noqa: F811
    """Only the newest runs are remembered: after a hundred of them consecutive
    and evaluation still see what has just been."""
    device.send(temperature=0, relay=False)
    task(device, "c", dampening={"type": "consecutive", "occurrences": 3},
         handlers=[])
    task(device, "e", dampening={"type": "evaluation", "occurrences": 2,
                                 "evaluation": 3}, handlers=[])
    for _ in range(100):
        device.send(temperature=10)
    for t in (40, 41, 42, 10):
        device.send(temperature=t)
    for name, want in (("c", {42}), ("e", {41, 42})):
        found = until("all", lambda: [
            f for f in [listed(device.probe, "trace", rule="task:" + name,
                               limit=1000)] if len(f) == 104])[0]
        assert {t["variables"]["t"] for t in found if t["isFired"]} == want
    state = [t["state"] for t in listed(device.probe, "task")
             if t["id"] == "c"][0]
    assert len(state["executionsHistory"]) == 10


def test_2_a_condition_that_lasts_fires_each_time(device):  # noqa: F811
    """The timer of active_duration is set whenever the condition becomes true,
    also after the task was changed."""
    device.send(temperature=0, relay=False)
    task(device, dampening={"type": "active_duration",
                            "activeDuration": "1s"})
    for n in range(1, 4):
        device.send(temperature=40)
        assert device.downs(n) == [{"relay": True}] * n
        device.send(temperature=10)
        hub(device.probe, "PATCH", "task/t", {"data": {
            "description": str(n)}}, 204)


def test_4_many_devices_go_down_and_the_look_ends(start):
    """What is due is looked at once; with 120 devices the platform goes on."""
    server = start("--hub.node-state.interval", "100ms",
                   "--hub.node-state.inactive", "1s")
    site = Site(server, server.login())
    hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, 200)
    made = site.call("POST", "device/bulk", {"data": {
        "unitId": site.unit, "networkId": site.net, "networkAddrs": [
            "%04x" % n for n in range(120)], "profile": "probe"}})
    assert made.status == 204, made.text
    network = site.network()
    for n in range(120):
        network.publish(site.net_topic("uldata"), uplink(
            {"t": n}, addr="%04x" % n), wait=False)
    until("all are down", lambda: server.counter(
        "hub_silent_total") >= 120)
    nodes = listed(site, "node", limit=1000)
    assert len(nodes) == 120
    until("all are stored as such", lambda: {
        n["state"]["status"] for n in listed(site, "node", limit=1000)}
        == {"down"})
    network.publish(site.net_topic("uldata"), uplink(
        {"t": 1000}, addr="0001", at="2026-05-01T09:00:00Z"))
    until("it is read", lambda: [
        f for f in listed(site, "field", nodeId="0001")
        if f["current"]["value"] == 1000])
    network.close()


def test_6_a_formatter_that_throws_holds_nobody(probe):  # noqa: F811
    """It costs the value of its field; the device's other values, its next
    messages and other devices go on, and its state says why."""
    probe.add("device", {"unitId": probe.unit, "networkId": probe.net,
                         "networkAddr": "02", "profile": "probe"})
    network = probe.network()
    topic = probe.net_topic("uldata")
    network.publish(topic, uplink({"bad": 0, "good": 0}))
    formatter(probe, "bad", "throw new Error('poison')")
    for n in range(1, 4):
        network.publish(topic, uplink({"bad": n, "good": n},
                                      at="2026-05-01T09:0%d:00Z" % n))
    network.publish(topic, uplink({"x": 1}, addr="02"))
    got = {f["fieldId"]: f["current"]["value"] for f in listed(probe, "field")}
    assert got == {"bad": 0, "good": 3, "x": 1}
    state = [n["state"] for n in listed(probe, "node")
             if n["id"] == probe.device][0]
    assert "poison" in state["message"]
    network.close()


def test_9_messages_keep_their_order(device):  # noqa: F811
    """300 values as fast as they go: events, current and previous are in the
    order they were sent."""
    p = device.probe
    app = Client(p.server, "test-app-mqtt", topics=["marram/demo/value/#"])
    device.send(n=0)
    for n in range(1, 300):
        sent = device.network.publish(p.net_topic("uldata"), uplink(
            {"n": n}, at="2026-05-02T00:%02d:%02d.000Z" % divmod(n, 60)),
            wait=False)
    sent.wait_for_publish(LIMIT)
    f = listed(p, "field")[0]
    assert (f["current"]["value"], f["previous"]["value"]) == (299, 298)
    heard = until("all", lambda: [
        v for v in [[json.loads(m)["value"] for _, m in app.heard]]
        if len(v) == 300])[0]
    assert heard == list(range(300))
    app.close()


def test_10_events_of_sources_say_so(device):  # noqa: F811
    """Their entityType is source, and so is their topic."""
    app = Client(device.probe.server, "test-app-mqtt",
                 topics=["marram/demo/event/#"])
    device.send(temperature=1)
    heard = until("the source", lambda: [
        json.loads(m) for t, m in app.heard
        if t == "marram/demo/event/source"])
    assert heard[0]["entityType"] == "source"
    assert heard[0]["entity"]["sourceId"] == "data"
    for t, m in app.heard:
        assert t == "marram/demo/event/" + json.loads(m)["entityType"]
    app.close()


def test_15_headers_of_webhooks_are_sent(device, web):  # noqa: F811
    """With query parameters and without."""
    p = device.probe
    seen = []
    inner = web.RequestHandlerClass.do_POST

    def do_post(self):
        seen.append((self.path, self.headers["X-Key"]))
        inner(self)

    web.RequestHandlerClass.do_POST = do_post
    device.send(temperature=0)
    for name, query in (("a", {}), ("b", {"q": "1"})):
        hub(p, "POST", "handler", {"data": {
            "id": name, "unitId": p.unit, "type": "webhook", "spec": {
                "server": web.url, "api": "/" + name,
                "headers": {"X-Key": "k"}, "queryParameters": query}}}, 200)
    task(device, handlers=["a", "b"], handlerParameters={
        "x": {"type": "webhook"}})
    device.send(temperature=40)
    until("both", lambda: len(seen) == 2)
    assert sorted(seen) == [("/a", "k"), ("/b?q=1", "k")]


KINDS = [
    ("task", "task", {"evaluationType": "webhook", "evaluationConfig": {
        "webhook": {"url": "http://localhost:1", "headers": {
            "Authorization": "hidden-two", "Accept": "x"}}}}),
    ("schedule", "schedule", {"type": "repeat", "spec": {"interval": "1h"},
                              "variables": {"w": {
                                  "type": "webhook", "headers": {
                                      "X-API-Key": "hidden-three"}}}}),
    ("handler", "handler", {"type": "webhook", "spec": {
        "server": "http://localhost:1", "headers": {"a": "hidden-one"}}}),
    ("forward-payload", "forward_payload", {
        "srcFieldId": "field:a.b.c.d", "dstFieldId": "field:a.b.c.e"}),
    ("data-repository", "data_repository", {}),
    ("dashboard", "dashboard", {"title": "x"}),
]


def test_18_whatever_is_made_changed_or_deleted_is_told(site):
    """Created, updated and deleted, for every kind, also when the id was
    chosen by people; without secrets."""
    app = Client(site.server, "test-app-mqtt", topics=["marram/demo/event/#"])
    for path, kind, more in KINDS:
        made = hub(site, "POST", path, {"data": dict(
            more, unitId=site.unit, **(
                {} if kind == "dashboard" else {"id": "mine"}))}, 200).data
        hub(site, "PATCH", "%s/%s" % (path, made["id"]), {"data": {
            "description": "new"}}, 204)
        assert hub(site, "DELETE", "%s/%s" % (path, made["id"])).status == 204
        events = until("three of " + kind, lambda: [
            e for e in [[json.loads(m) for t, m in app.heard
                         if t == "marram/demo/event/" + kind]]
            if len(e) == 3])[0]
        assert [e["type"] for e in events] == ["created", "updated", "deleted"]
        for e in events:
            assert e["entityType"] == kind and e["entityId"] == made["id"]
            assert e["entityQuickId"] == "%s:%s" % (kind, made["id"])
        assert events[1]["entity"]["description"] == "new"
    task = [json.loads(m) for t, m in app.heard if t.endswith("/task")][0]
    assert "headers" not in task["entity"]["evaluationConfig"]["webhook"]
    assert not [m for _, m in app.heard if b"hidden" in m or b"sealed:" in m]
    app.close()


def test_18_tasks_hear_of_shared_data_that_is_deleted(device):  # noqa: F811
    """And of its making, by their own names."""
    p = device.probe
    device.send(temperature=0)
    task(device, eventFilter={"entityTypes": ["data_repository"]},
         variables={}, evaluationConfig={"rule": {}}, handlers=[],
         handlerParameters={})
    hub(p, "POST", "data-repository", {"data": {
        "id": "d", "unitId": p.unit, "data": {"x": 1}}}, 200)
    traces(device, 1)  # an event tells what is there when it is told
    hub(p, "PATCH", "data-repository/d", {"data": {"data": {
        "x": 2, "token": "seen"}}}, 204)
    traces(device, 2)
    hub(p, "DELETE", "data-repository/d")
    found = traces(device, 3)[::-1]
    assert [t["event"]["type"] for t in found] == [
        "created", "updated", "deleted"]
    assert [t["event"]["entity"]["data"]["x"] for t in found] == [1, 2, 2]
    assert found[1]["event"]["entity"]["data"]["token"] == "seen"


def test_20_the_name_of_a_field_is_peoples(device):  # noqa: F811
    """No message changes it, with no label needed."""
    p = device.probe
    device.send(temperature=1)
    f = listed(p, "field")[0]
    hub(p, "PATCH", "field/" + f["id"], {"data": {"name": "Mine"}}, 204)
    device.send(temperature=2)
    f = listed(p, "field")[0]
    assert (f["name"], f["current"]["value"]) == ("Mine", 2)


def test_22_mail_goes_by_starttls(device, tmp_path):  # noqa: F811
    """Port 587 means STARTTLS: mail is sent by it, with a password."""
    p = device.probe
    authority = Authority(tmp_path / "ca")
    cert, key = authority.sign("localhost")
    peer = subprocess.Popen(
        [sys.executable, str(ROOT / "src/plug/handler/peers.py"), "smtp",
         str(cert), str(key), "starttls"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(peer.stdout.readline().split()[1])
        device.send(temperature=0)
        hub(p, "POST", "handler", {"data": {
            "id": "mail", "unitId": p.unit, "type": "email", "spec": {
                "host": "localhost", "port": port, "insecure": True,
                "username": "hub@example.com", "password": "hunter2-secret",
                "fromEmail": "hub@example.com",
                "toEmails": "ann@example.org"}}}, 200)
        task(device, handlers=["mail"], handlerParameters={
            "m": {"type": "email", "subject": "t is {{ .t }}"}})
        device.send(temperature=40)
        line = peer.stdout.readline()
        assert line.startswith("STARTTLS AUTH-PLAIN FROM <hub@example.com>")
        assert "Subject: t is 40" in line
    finally:
        peer.kill()
        peer.wait()
        peer.stdout.close()


@pytest.mark.parametrize("state", ["{}", "null"])
def test_23_a_task_without_state_runs(device, state):  # noqa: F811
    """As an import may leave it: nothing of its state is there."""
    p = device.probe
    device.send(temperature=0, relay=False)
    task(device)
    device.network.close()
    p.server.stop()
    path = pathlib.Path(p.server.folder) / "data" / "hub.db"
    with sqlite3.connect(path) as db:
        was = db.execute("SELECT state FROM task").fetchone()[0]
        assert "executedCount" in was
        db.execute("UPDATE task SET state = ?", (state,))
    db.close()
    p.server.start()
    p.token = p.server.login()
    device.network = p.network()
    device.send(temperature=40)
    assert device.downs() == [{"relay": True}]
    known = until("its state", lambda: [
        t["state"] for t in listed(p, "task")
        if t["state"]["executedCount"] == 1])[0]
    assert known["lastStatus"] is True
    assert len(traces(device, 1)) == 1


def test_5_a_position_needs_no_height(device):  # noqa: F811
    """`lat;lon` is one, with a history of both; a height is there when it was
    sent. What is none is counted, and changes nothing."""
    p = device.probe
    hub(p, "PATCH", "profile/" + p.profile, {"data": {"fields": {
        "place": {"metricType": "geo"}}}}, 204)

    def history():
        return [r["metric"]["value"] for r in hub(
            p, "GET", "metric?unit=%s&quickId=field:%splace&window="
            "&start=2026-05-01T00:00:00Z&stop=2026-05-02T00:00:00Z" % (
                p.unit, PLACE), status=200).data["field:" + PLACE + "place"]]

    device.send(place="48.5;11.25")
    assert listed(p, "field")[0]["current"]["value"] == "48.5;11.25"
    assert sorted(history()) == [11.25, 48.5]
    device.send(place="48.5;11.25;520")
    assert sorted(history()) == [11.25, 11.25, 48.5, 48.5, 520]
    before = p.server.counter("hub_bad_values_total")
    for bad in ("48.5", "north;east", "91;0", "0;181", ";", "1;2;3;4",
                "1;2;high", 7, ""):
        device.send(place=bad)
    assert p.server.counter("hub_bad_values_total") == before + 9
    f = listed(p, "field")[0]
    assert f["current"]["value"] == "48.5;11.25;520"
    assert len(history()) == 5


def test_7_what_was_deleted_stays_deleted(start):
    """The engine in memory, killed after a dump: nothing comes back, and its
    files are their owner's."""
    server = start("--hub.db.engine", "memory",
                   "--hub.db.memory.dump-interval", "20ms")
    site = Site(server, server.login())
    for name in ("gone", "kept"):
        hub(site, "POST", "data-repository", {"data": {
            "id": name, "unitId": site.unit, "data": {"x": 1}}}, 200)
    dumps = server.folder / "data" / "memory" / "hub"

    def dumped():
        newest = {}
        for f in dumps.glob("gen-*[0-9]/dataRepository__*.json"):
            newest[int(f.parent.name[4:])] = f
        try:
            return newest[max(newest)].read_text() if newest else ""
        except FileNotFoundError:  # it has become an older one
            return ""

    until("a dump of both", lambda: "gone" in dumped())
    assert hub(site, "DELETE", "data-repository/gone").status == 204
    until("a dump without", lambda: "kept" in dumped() and
          "gone" not in dumped())
    for f in dumps.rglob("*"):
        try:
            assert f.stat().st_mode & 0o077 == 0, f
        except FileNotFoundError:
            pass
    server.restart(9)
    site.token = server.login()
    assert [r["id"] for r in listed(site, "data-repository")] == ["kept"]


def connected(garden, code):  # noqa: F811
    radio = Radio.tcp()
    gateway = garden.gateway(code, mysensors(radio))
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    radio.wait_up()
    return gateway, radio


def test_8_each_of_many_gateways_is_switched(garden):  # noqa: F811
    """One after the other, each does what it is told, and so do those behind
    the first one that changes."""
    gateways = {code: connected(garden, code)[0] for code in "abc"}
    for payload, status in (("disable", "down"), ("enable", "up")):
        for code in gateways:
            garden.act("gateway:" + code, payload)
        for code, gateway in gateways.items():
            until("%s is %s" % (code, status), lambda: garden.state(gateway)[
                "status"] == status)
            assert garden.hub("GET", "gateway/" + gateway).data[
                "enabled"] is (payload == "enable")


def test_11_a_sleeper_gets_the_newest(start):
    """A queue that is full drops the oldest."""
    garden = Garden(start("--hub.gateway.sleeping", "3"))
    radio = Radio.tcp()
    gateway = garden.gateway("ms", mysensors(radio))
    until("it is up", lambda: garden.state(gateway)["status"] == "up")
    node = radio.node()
    node.join("Hall", "1.0", {n: (3, "Lamp") for n in range(1, 6)})
    for n in range(1, 6):
        node.send(n, V_STATUS, "0")
        garden.field("ms.1.%d.V_STATUS" % n, False)
    node.sleep()
    until("it is known to sleep", lambda: garden.listed("node")[0][
        "labels"].get("sleep_node") == "true")
    for n in range(1, 6):
        garden.act("field:ms.1.%d.V_STATUS" % n, "true")

    def waiting():
        return [bytes.fromhex(m["data"]).decode() for m in garden.hub(
            "GET", "gateway/%s/sleeping" % gateway).data]
    newest = ["1;%d;1;1;2;1" % n for n in (3, 4, 5)]
    until("the newest wait", lambda: waiting() == newest)
    node.wake()
    node.internal(32, "500")
    for n in (3, 4, 5):
        assert node.wait_set(n, V_STATUS) == "1"


def test_12_ids_are_given_apart(garden):  # noqa: F811
    """Gateways know nothing of one another's, and two who ask at once get two
    ids."""
    (_, one), (_, two) = connected(garden, "a"), connected(garden, "b")
    for radio in (one, two):
        first, second = radio.node(), radio.node()
        second.id = 200  # not listening yet: who asked first is answered
        first.internal(I_ID_REQUEST)
        first.internal(I_ID_REQUEST)
        given = {int(first.wait(3, I_ID_RESPONSE)[4]) for _ in range(2)}
        assert given == {1, 2}
        assert radio.faults == []


def test_17_pages_end(device):  # noqa: F811
    """Past the end there is nothing."""
    p = device.probe
    device.send(temperature=0, a=1, b=2, c=3)
    fields = listed(p, "field", limit=2, sort="fieldId:asc")
    assert [f["fieldId"] for f in fields] == ["a", "b"]
    rest = listed(p, "field", limit=2, offset=2, sort="fieldId:asc")
    assert [f["fieldId"] for f in rest] == ["c", "temperature"]
    assert listed(p, "field", limit=2, offset=4) == []
    assert listed(p, "field", limit=2, offset=1000) == []
    count = hub(p, "GET", "field/count?unit=%s" % p.unit, status=200).data
    assert count["count"] == 4


def test_19_restarts_of_a_gateway_leave_nothing(garden):  # noqa: F811
    """After many the program has as many threads and descriptors as before."""
    gateway, _ = connected(garden, "ms")
    process = pathlib.Path("/proc/%d" % garden.server.process.pid)

    def leads_to(fd):
        try:
            return os.readlink(fd)
        except FileNotFoundError:
            return ".db"

    def held():  # a worker may open a database for the first time
        return (len(list((process / "task").iterdir())),
                len([f for f in (process / "fd").iterdir()
                     if ".db" not in leads_to(f)]))

    def again():
        for payload, status in (("disable", "down"), ("enable", "up")):
            garden.act("gateway:ms", payload)
            until("it is " + status, lambda: garden.state(gateway)[
                "status"] == status)

    again()
    before = held()
    for _ in range(20):
        again()
    # a connection that ends a moment later is waited for
    until("no more than before", lambda: held()[0] <= before[0] and
          held()[1] <= before[1])


def test_25_nobody_far_away_is_asked(device):  # noqa: F811
    """With the settings as they are, every socket of the program is on this
    machine, and none that is a setting leads elsewhere but where a handler of
    people's asks for it."""
    p = device.probe
    device.send(temperature=1)
    inodes = set()
    for f in pathlib.Path("/proc/%d/fd" % p.server.process.pid).iterdir():
        try:
            inodes.add(str(f.readlink()))
        except FileNotFoundError:
            pass
    here = {"0100007F", "00000000000000000000000001000000",
            "0000000000000000FFFF00000100007F"}
    looked = 0
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in open("/proc/net/" + kind).readlines()[1:]:
            words = line.split()
            if "socket:[%s]" % words[9] not in inodes:
                continue
            looked += 1
            assert words[1].split(":")[0] in here, line
            if words[3] != "0A" and kind.startswith("tcp"):
                assert words[2].split(":")[0] in here, line
    assert looked >= 2
    sample = subprocess.run([PROGRAM, "config", "sample"], check=True,
                            capture_output=True, text=True).stdout
    far = {url for url in re.findall(r"https?://[\w.-]+", sample)
           if "localhost" not in url and "127.0.0.1" not in url and
           "example" not in url}
    assert far == {"https://api.telegram.org"}

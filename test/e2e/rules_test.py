"""Rules: tasks, what they see, decide and do; forwards; actions."""
import datetime
import http.server
import json
import signal
import sqlite3
import threading

import pytest

from conftest import LIMIT, Site, until
from values_test import hub, listed, probe, uplink  # noqa: F401

PLACE = "test-net-mqtt.01000461.data."


@pytest.fixture
def web():
    """A server that remembers what it was sent."""
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, body.decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.heard = heard
    server.url = "http://127.0.0.1:%d" % server.server_port
    yield server
    server.shutdown()


class Field:
    """A field of the probe's device, and its network."""

    def __init__(self, probe):
        self.probe, self.network, self.n = probe, probe.network(), 0

    def send(self, **values):
        self.n += 1
        self.network.publish(self.probe.net_topic("uldata"), uplink(
            values, at="2026-05-01T%02d:%02d:00Z" % divmod(self.n, 60)))

    def downs(self, n=1):
        return [json.loads(bytes.fromhex(d["data"]))
                for d in self.network.wait(n, "dldata")]


def field_on(server):
    """The same, on a site of its own."""
    site = Site(server, server.login())
    hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, 200)
    site.call("PATCH", "device/" + site.device,
              {"data": {"profile": "probe"}})
    return Field(site)


def probe_on(start, *options):
    dev = field_on(start(*options))
    dev.send(temperature=0, relay=False)
    return dev


@pytest.fixture
def device(probe):  # noqa: F811
    f = Field(probe)
    yield f
    f.network.close()


def above_30(device, payload, **more):
    """A task that sets the relay when it is warm."""
    return {"unitId": device.probe.unit,
            "variables": {"t": {
                "type": "resource_by_quick_id", "resourceType": "field",
                "quickId": PLACE + "temperature",
                "keyPath": "current.value"}},
            "evaluationConfig": {"rule": {"matchAll": True, "conditions": [
                {"variable": "t", "operator": "gt", "value": "30"}]}},
            "handlers": ["resource_handler"],
            "handlerParameters": {"on": {
                "type": "resource_by_quick_id", "resourceType": "field",
                "quickId": PLACE + "relay", "payload": payload}}, **more}


def task(device, name="t", **more):
    body = above_30(device, "true", **{
        "id": name, "eventFilter": {
            "eventTypes": ["created", "updated"], "entityTypes": ["field"],
            "filters": {"fieldId": "temperature"}}, **more})
    return hub(device.probe, "POST", "task", {"data": body}, 200).data["id"]


def traces(device, n, name="t"):
    """The newest first."""
    return until("%d traces" % n, lambda: [
        t for t in [listed(device.probe, "trace", rule="task:" + name)]
        if len(t) >= n])[0]


def test_a_task_sets_a_field_and_leaves_a_trace(device):
    device.send(temperature=20, relay=False)
    task(device)
    device.send(temperature=25)
    device.send(temperature=31)
    assert device.downs() == [{"relay": True}]
    two, one = traces(device, 2)
    assert (one["isTriggered"], one["isFired"]) == (False, False)
    assert (two["isTriggered"], two["isFired"]) == (True, True)
    assert two["variables"]["t"] == 31
    assert two["event"]["entity"]["current"]["value"] == 31
    assert [(a["handler"], a["parameter"], a["status"])
            for a in two["actions"]] == [("resource_handler", "on", "ok")]
    # the value changes when the device says so
    relay = listed(device.probe, "field", fieldId="relay")[0]
    assert relay["current"]["value"] is False
    state = until("its state", lambda: [
        t["state"] for t in listed(device.probe, "task")
        if t["state"]["executedCount"] == 2])[0]
    assert state["lastStatus"] is True
    assert [h["triggered"] for h in state["executionsHistory"]] == \
        [False, True]


DAMPENINGS = [
    ("none", {}, "0110", "0110"),
    ("consecutive", {"occurrences": 3}, "110111110", "000001110"),
    ("evaluation", {"occurrences": 2, "evaluation": 3},
     "1010010110100", "0010000110100"),
    # more runs than the history is long
    ("consecutive", {"occurrences": 2}, "0" * 15 + "11" + "0" * 15 + "11",
     "0" * 15 + "01" + "0" * 15 + "01"),
]


@pytest.mark.parametrize("kind,more,sent,fired", DAMPENINGS)
def test_dampening(device, kind, more, sent, fired):
    device.send(temperature=0, relay=False)
    task(device, dampening={"type": kind, **more})
    for bit in sent:
        device.send(temperature=40 if bit == "1" else 10)
    found = traces(device, len(sent))[::-1]
    assert "".join("%d" % t["isTriggered"] for t in found) == sent
    assert "".join("%d" % t["isFired"] for t in found) == fired


def test_a_condition_that_lasts_fires_without_another_event(device):
    device.send(temperature=0, relay=False)
    task(device, dampening={"type": "active_duration",
                            "activeDuration": "1s"})
    device.send(temperature=40)
    assert device.downs() == [{"relay": True}]
    device.send(temperature=10)
    device.send(temperature=40)
    assert device.downs(2) == [{"relay": True}] * 2


def test_duplicates_can_be_ignored_and_a_task_can_end_itself(device):
    device.send(temperature=0, relay=False)
    task(device, "once", autoDisable=True)
    task(device, "first", ignoreDuplicate=True)
    for t in (40, 41, 10, 42):
        device.send(temperature=t)
    assert [t["isFired"] for t in traces(device, 4, "first")][::-1] == \
        [True, False, False, True]
    assert [t["isFired"] for t in traces(device, 1, "once")] == [True]
    state = until("it is disabled", lambda: [
        t for t in listed(device.probe, "task")
        if t["id"] == "once" and not t["enabled"]])
    assert state


def test_a_script_decides_and_adds_variables(device, web):
    device.send(temperature=0)
    hub(device.probe, "POST", "handler", {"data": {
        "id": "hook", "unitId": device.probe.unit, "type": "webhook",
        "spec": {"server": web.url, "api": "/x"}}}, 200)
    task(device, evaluationType="javascript", evaluationConfig={
        "javascript": "const v = taskEvent.Entity.Current.Value;"
                      "({isTriggered: v > 30 && t === v, over: v - 30})"},
         handlers=["hook"], handlerParameters={"tell": {
             "type": "webhook", "customData": True,
             "data": "{{ .t }} is {{ .over }} over"}})
    device.send(temperature=29)
    device.send(temperature=33)
    until("the call", lambda: web.heard)
    assert web.heard == [("/x", "33 is 3 over")]
    assert traces(device, 2)[0]["actions"][0]["status"] == "ok"


def test_a_broken_rule_says_why(device):
    device.send(temperature=0)
    task(device, "missing", variables={"x": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "nothing", "keyPath": "current.value"}})
    task(device, "throws", evaluationType="javascript", evaluationConfig={
        "javascript": "\nnope()"})
    task(device, "nobody", handlers=["nobody"])
    device.send(temperature=40)
    assert "there is no field" in traces(device, 1, "missing")[0]["message"]
    assert "line 2" in traces(device, 1, "throws")[0]["message"]
    assert traces(device, 1, "nobody")[0]["actions"][0]["message"] == \
        "there is no such handler"


def test_forwards(device):
    p = device.probe
    device.send(temperature=0, copy=0, other=0)
    for name, src, dst in (("f", "temperature", "copy"),
                           ("self", "other", "other"),
                           ("void", "other", "nothing")):
        hub(p, "POST", "forward-payload", {"data": {
            "id": name, "unitId": p.unit,
            "srcFieldId": "field:" + PLACE + src,
            "dstFieldId": "field:" + PLACE + dst}}, 200)
    device.send(temperature=7, other=1)
    assert device.downs() == [{"copy": 7}]
    hub(p, "PATCH", "forward-payload/f", {"data": {"enabled": False}}, 204)
    device.send(temperature=8)
    hub(p, "PATCH", "forward-payload/f", {"data": {"enabled": True}}, 204)
    device.send(temperature=9)
    assert device.downs(2) == [{"copy": 7}, {"copy": 9}]


def test_actions_by_quick_id(device):
    p = device.probe
    device.send(relay=False, level=5)
    hub(p, "POST", "data-repository", {"data": {
        "id": "limits", "unitId": p.unit, "data": {"fan": {"low": 1}}}}, 200)

    def act(resource, payload, status=204, **more):
        r = hub(p, "POST", "action", {"data": dict(
            unitId=p.unit, resource=resource, payload=payload, **more)})
        assert r.status == status, r.text
        return r

    act("field:" + PLACE + "relay", "toggle")
    act("field:" + PLACE + "level", "7")
    assert device.downs(2) == [{"relay": True}, {"level": 7}]
    act("data_repository:limits", "30", keyPath="fan.high")
    act("data_repository:limits", "[1,2]", keyPath="list")
    assert hub(p, "GET", "data-repository/limits").data["data"] == {
        "fan": {"low": 1, "high": "30"}, "list": [1, 2]}
    act("field:" + PLACE + "nothing", "1", 404)
    act("field:" + PLACE + "level", "high", 400)
    act("cloud:x", "1", 400)


def test_a_codec_in_javascript(device):
    p = device.probe
    hub(p, "PATCH", "profile/" + p.profile, {"data": {
        "codec": "javascript", "script": """
function decodeUplink(input) {
  if (input.bytes[0] === 255) { while (true) {} }
  return {data: {temperature: input.bytes[0] / 2, port: input.fPort}};
}
function encodeDownlink(input) {
  return {bytes: [1, input.data.temperature * 2], fPort: 9};
}"""}}, 204)
    topic = p.net_topic("uldata")
    device.network.publish(topic, uplink(b"\x2b", extension={"fPort": 2}))
    fields = {f["fieldId"]: f["current"]["value"]
              for f in listed(p, "field")}
    assert fields == {"temperature": 21.5, "port": 2}
    device.network.publish(topic, uplink(b"\xff"), wait=False)
    device.network.publish(topic, uplink(b"\x2c", at="2026-05-01T09:00:00Z"))
    assert listed(p, "field", fieldId="temperature")[0]["current"][
        "value"] == 22
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "resource": "field:" + PLACE + "temperature",
        "payload": "21"}}, 204)
    down = device.network.wait(1, "dldata")[0]
    assert (down["data"], down["extension"]) == ("012a", {"fPort": 9})


def test_values_have_a_history(device):
    p = device.probe
    for n in range(10):
        device.send(temperature=n, open=n > 4)
    ask = ("metric?unit=%s&quickId=field:%s%%s&start=2026-05-01T00:00:00Z"
           "&stop=2026-05-02T00:00:00Z" % (p.unit, PLACE))
    name = "field:" + PLACE + "temperature"
    got = hub(p, "GET", ask % "temperature" + "&window=5m&functions=mean,max",
              status=200).data[name]
    assert got[0] == {"timestamp": "2026-05-01T00:00:00.000Z",
                      "metricType": "gauge_float",
                      "metric": {"mean": 1.5, "max": 3}}
    raw = hub(p, "GET", ask % "open" + "&window=", status=200).data[
        "field:" + PLACE + "open"]
    assert [(r["timestamp"][11:16], r["metric"]["value"]) for r in raw] == [
        ("00:01", 0), ("00:06", 1)]
    p.server.restart()
    p.token = p.server.login()
    assert hub(p, "GET", ask % "temperature" +
               "&window=5m&functions=mean,max").data[name] == got


def test_secrets_of_handlers_are_not_shown(device):
    p = device.probe
    hub(p, "POST", "handler", {"data": {
        "id": "mail", "unitId": p.unit, "type": "email",
        "spec": {"host": "127.0.0.1", "port": 1, "username": "u",
                 "password": "hidden-one", "fromEmail": "a@example.org",
                 "toEmails": "b@example.org"}}}, 200)
    shown = hub(p, "GET", "handler/mail").data
    assert "password" not in shown["spec"]
    assert shown["spec"]["username"] == "u"
    hub(p, "PATCH", "handler/mail", {"data": {"spec": dict(
        shown["spec"], port=2)}}, 204)
    assert "hidden-one" not in p.server.logged()
    operations = until("the operation", lambda: [
        t for t in [p.server.call(
            "GET", "/data/api/v1/coremgr-opdata/list", token=p.token).text]
        if "mail" in t])[0]
    assert "hidden-one" not in operations


def schedule(device, name, kind, spec, **more):
    return hub(device.probe, "POST", "schedule", {"data": dict({
        "id": name, "unitId": device.probe.unit, "type": kind, "spec": spec,
        "handlers": ["resource_handler"],
        "handlerParameters": {"on": {
            "type": "resource_by_quick_id", "resourceType": "field",
            "quickId": PLACE + "relay", "payload": "{{ .how }}"}},
        "customVariableType": "javascript",
        "customVariableConfig": {
            "javascript": "({how: schedule.state.executedCount % 2 === 1})"}},
        **more)})


def test_a_schedule_repeats_and_ends(device):
    p = device.probe
    device.send(relay=False)
    assert schedule(device, "s", "repeat", {
        "interval": "200ms", "repeatCount": 3}).status == 200
    assert device.downs(3) == [
        {"relay": True}, {"relay": False}, {"relay": True}]
    s = until("it has ended", lambda: [
        s for s in listed(p, "schedule") if not s["enabled"]])[0]
    assert s["state"]["executedCount"] == 3
    until("its traces", lambda: len(listed(
        p, "trace", rule="schedule:s")) == 3)
    assert len(device.downs(3)) == 3


def test_a_schedule_outside_of_its_validity_does_nothing(device):
    device.send(relay=False)
    assert schedule(device, "past", "cron", {"cronExpression": "* * * * * *"},
                    validity={"enabled": True, "date": {
                        "from": "2020-01-01", "to": "2020-01-02"}}
                    ).status == 200
    assert schedule(device, "now", "cron", {
        "cronExpression": "* * * * * *"}).status == 200
    assert device.downs(2)[0] == {"relay": True}

    def counts():
        state = {s["id"]: s["state"]["executedCount"]
                 for s in listed(device.probe, "schedule")}
        return state if state["now"] >= 2 else None

    assert until("two runs", counts)["past"] == 0


def test_a_wrong_schedule_is_refused(device):
    r = schedule(device, "bad", "cron", {"cronExpression": "nonsense"})
    assert r.status == 400 and "spec.cronExpression" in r.text
    r = schedule(device, "bad", "sunset", {})
    assert r.status == 400 and "hub.latitude" in r.text
    assert listed(device.probe, "schedule") == []


def test_a_unit_takes_its_rules_along(device):
    p = device.probe
    device.send(temperature=0)
    task(device)
    schedule(device, "s", "repeat", {"interval": "200ms"})
    until("it runs", lambda: listed(p, "trace", rule="schedule:s"))
    p.call("DELETE", "unit/" + p.unit)
    left = lambda: [  # noqa: E731
        kind for kind in ("profile", "node", "field", "task", "schedule",
                          "trace")
        if hub(p, "GET", kind + "/list", status=200).data]
    until("nothing is left", lambda: left() == [])


def test_tasks_hear_of_devices_sources_and_shared_data(device):
    p = device.probe
    always = {"variables": {}, "evaluationConfig": {"rule": {}},
              "handlers": [], "handlerParameters": {}}
    for kind in ("node", "source", "data_repository"):
        task(device, kind, eventFilter={"entityTypes": [kind]}, **always)
    device.send(temperature=1)
    node = traces(device, 1, "node")[0]["event"]
    assert (node["type"], node["entityQuickId"]) == (
        "created", "node:test-net-mqtt.01000461")
    source = traces(device, 1, "source")[0]["event"]
    assert source["entityQuickId"] == "source:test-net-mqtt.01000461.data"
    device.network.publish(p.net_topic("uldata"), uplink(
        "no json", at="2026-05-01T09:00:00Z"))
    state = traces(device, 2, "node")[0]["event"]["entity"]["state"]
    assert (state["status"], state["message"]) == (
        "error", "the payload is not JSON")
    device.network.publish(p.net_topic("uldata"), uplink(
        "nor this", at="2026-05-01T09:01:00Z"))
    device.n = 600
    device.send(temperature=2)
    assert [t["event"]["entity"]["state"]["status"]
            for t in traces(device, 3, "node")] == ["up", "error", "up"]
    hub(p, "POST", "data-repository", {"data": {
        "id": "d", "unitId": p.unit, "data": {"x": 1}}}, 200)
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "resource": "data_repository:d", "keyPath": "x",
        "payload": "2"}}, 204)
    assert [t["event"]["entity"]["data"]["x"]
            for t in traces(device, 2, "data_repository")] == ["2", 1]


def test_an_action_waits_for_its_delay_and_starts_anew(device):
    device.send(temperature=0, relay=False)
    task(device, handlerParameters={"on": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "relay", "payload": "true", "preDelay": "4s"}})
    device.send(temperature=40)
    device.send(temperature=41)
    until("the first has lost its place", lambda: [
        t["actions"][0]["message"] for t in traces(device, 2)][1] ==
        "a later run took its place")
    assert device.downs() == [{"relay": True}]
    until("its trace", lambda: traces(device, 2)[0]["actions"][0]["message"]
          == "done after its preDelay")
    hub(device.probe, "POST", "action", {"data": {
        "unitId": device.probe.unit, "payload": "5",
        "resource": "field:" + PLACE + "temperature"}}, 204)
    # one only: the second took the place of the first
    assert device.downs(2) == [{"relay": True}, {"temperature": 5}]


def test_a_task_that_disabled_itself_comes_back(device):
    device.send(temperature=0, relay=False)
    task(device, autoDisable=True, reEnable=True, reEnableDuration="300ms")
    device.send(temperature=40)
    until("it is disabled and enabled again", lambda: [
        t for t in listed(device.probe, "task")
        if t["enabled"] and t["state"]["lastSuccess"]])
    device.send(temperature=41)
    assert len(device.downs(2)) == 2


def test_a_task_that_sets_itself_off_is_stopped(device):
    p = device.probe
    hub(p, "POST", "data-repository", {"data": {
        "id": "d", "unitId": p.unit, "data": {"x": 1}}}, 200)
    task(device, eventFilter={"entityTypes": ["data_repository"]},
         variables={}, evaluationConfig={"rule": {}}, handlerParameters={
             "again": {"type": "resource_by_quick_id", "keyPath": "x",
                       "resourceType": "data_repository", "quickId": "d",
                       "payload": "2"}})
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "resource": "data_repository:d", "keyPath": "x",
        "payload": "0"}}, 204)
    until("it is stopped", lambda: p.server.counter(
        "hub_evaluations_dropped_total") == 1)


def test_fields_are_found_by_their_labels(device):
    p = device.probe
    device.send(temperature=0, lamp=False, fan=False, other=False)
    labels = {"lamp": {"group": "g", "room": "hall"},
              "fan": {"group": "g", "room": "attic"},
              "temperature": {"kind": "t"}}
    for name, own in labels.items():
        f = listed(p, "field", fieldId=name)[0]
        hub(p, "PATCH", "field/" + f["id"], {"data": {"labels": own}}, 204)
    by = {"type": "resource_by_labels", "resourceType": "field"}
    task(device, variables={
        "t": dict(by, labels={"kind": "t"}, keyPath="current.value"),
        "n": dict(by, resourceType="node", labels={}, keyPath="nodeId")},
        handlerParameters={
            "all": dict(by, labels={"group": "g"}, payload="true")})
    device.send(temperature=40)
    assert sorted(str(d) for d in device.downs(2)) == [
        "{'fan': True}", "{'lamp': True}"]
    t = traces(device, 1)[0]
    assert (t["variables"]["t"], t["variables"]["n"]) == (40, "01000461")
    # one message for each, and each has its result
    downs = t["actions"][0]["downlinks"]
    assert sorted(d["field"] for d in downs) == [
        PLACE + "fan", PLACE + "lamp"]
    # both labels must fit; none that fits is an error
    task(device, "narrow", handlerParameters={
        "one": dict(by, labels={"group": "g", "room": "attic"},
                    payload="false"),
        "none": dict(by, labels={"group": "nobody"}, payload="1")})
    hub(p, "PATCH", "task/t", {"data": {"enabled": False}}, 204)
    device.send(temperature=41)
    assert device.downs(3)[-1] == {"fan": False}
    actions = {a["parameter"]: a for a in traces(device, 1, "narrow")[0][
        "actions"]}
    assert actions["one"]["status"] == "ok"
    assert "no field has the labels" in actions["none"]["message"]
    task(device, "lost", variables={
        "x": dict(by, labels={"kind": "none"}, keyPath="current.value")})
    device.send(temperature=42)
    assert "variable x: there is no field" in traces(device, 1, "lost")[0][
        "message"]


def test_variables_of_every_kind(device):
    p = device.probe
    device.send(temperature=0)
    hub(p, "POST", "handler", {"data": {
        "id": "h", "unitId": p.unit, "type": "webhook", "labels": {"k": "h"},
        "spec": {"server": "http://localhost:1", "headers": {
            "Authorization": "hidden-one"}}}}, 200)
    hub(p, "POST", "data-repository", {"data": {
        "id": "d", "unitId": p.unit, "labels": {"k": "d"},
        "data": {"x": [1, 2]}}}, 200)
    hub(p, "POST", "forward-payload", {"data": {
        "id": "f", "unitId": p.unit, "labels": {"k": "f"},
        "srcFieldId": "field:a.b.c.d", "dstFieldId": "field:a.b.c.e"}}, 200)
    s = listed(p, "source")[0]
    hub(p, "PATCH", "source/" + s["id"], {"data": {
        "labels": {"k": "s"}}}, 204)

    def quick(kind, name, path=""):
        return {"type": "resource_by_quick_id", "resourceType": kind,
                "quickId": name, "keyPath": path}

    def labels(kind, label, path):
        return {"type": "resource_by_labels", "resourceType": kind,
                "labels": {"k": label}, "keyPath": path}

    task(device, variables={
        "node": quick("node", "test-net-mqtt.01000461", "state.status"),
        "source": quick("source", "test-net-mqtt.01000461.data", "sourceId"),
        "data": quick("data_repository", "d", "data.x.1"),
        "inside": quick("field", PLACE + "temperature.current.value"),
        "task": quick("task", "t", "id"),
        "handler": quick("handler", "h"),
        "by_handler": labels("handler", "h", "id"),
        "by_data": labels("data_repository", "d", "id"),
        "by_source": labels("source", "s", "sourceId"),
        "by_forward": labels("forward_payload", "f", "dstFieldId")},
        evaluationConfig={"rule": {}})
    device.send(temperature=1)
    t = traces(device, 1)[0]
    assert t["message"] == ""
    v = t["variables"]
    assert v["handler"]["spec"] == {"server": "http://localhost:1"}
    del v["handler"], v["taskEvent"]
    assert v == {"node": "up", "source": "data", "data": 2, "inside": 1,
                 "task": "t", "by_handler": "h", "by_data": "d",
                 "by_source": "data", "by_forward": "field:a.b.c.e"}


def test_a_condition_that_lasts_does_so_over_a_restart(device):
    device.send(temperature=0, relay=False)
    task(device, dampening={"type": "active_duration",
                            "activeDuration": "5s"})
    device.send(temperature=40)
    traces(device, 1)
    device.network.close()
    p = device.probe
    p.server.restart(signal.SIGKILL)
    p.token = p.server.login()
    device.network = p.network()
    assert device.downs() == [{"relay": True}]
    # it has fired: a restart or a change brings it about no more
    hub(p, "PATCH", "task/t", {"data": {"description": "x"}}, 204)
    device.network.close()
    p.server.restart(signal.SIGKILL)
    p.token = p.server.login()
    device.network = p.network()
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "payload": "5",
        "resource": "field:" + PLACE + "temperature"}}, 204)
    assert device.downs()[-1] == {"temperature": 5}
    assert len([t for t in listed(p, "trace", rule="task:t")
                if t["isFired"]]) == 1


def test_templates_see_the_event_and_the_task(device, web):
    p = device.probe
    device.send(temperature=0)
    hub(p, "POST", "handler", {"data": {
        "id": "hook", "unitId": p.unit, "type": "webhook",
        "spec": {"server": web.url}}}, 200)
    task(device, description="Too warm", handlers=["hook"],
         handlerParameters={"x": {
             "type": "webhook", "customData": True,
             "data": "{{ .task.description }}: {{ .Task.ID }} "
                     "{{ .taskEvent.Entity.FieldID }}"}})
    device.send(temperature=40)
    until("the call", lambda: web.heard)
    assert web.heard[0][1] == "Too warm: t temperature"
    assert "task" not in traces(device, 1)[0]["variables"]


def utc():
    return datetime.datetime.now(datetime.timezone.utc)


def by_days(soon):
    """Schedules that are due then, and those of another day."""
    other = soon + datetime.timedelta(days=1)
    time, day = soon.strftime("%H:%M:%S"), soon.strftime("%a").lower()
    tomorrow = other.strftime("%a").lower()
    return {
        "daily": {"frequency": "daily", "time": time},
        "listed": {"frequency": "daily", "dayOfWeek": "%s,%s" % (
            tomorrow, day), "time": time},
        "weekly": {"frequency": "weekly", "dayOfWeek": day, "time": time},
        "monthly": {"frequency": "monthly", "dateOfMonth": soon.day,
                    "time": time},
        "once": {"frequency": "on_date", "time": time,
                 "date": soon.strftime("%Y-%m-%d")}}, {
        "weekly2": {"frequency": "weekly", "dayOfWeek": tomorrow,
                    "time": time},
        "monthly2": {"frequency": "monthly", "dateOfMonth": other.day,
                     "time": time},
        "once2": {"frequency": "on_date", "time": time,
                  "date": other.strftime("%Y-%m-%d")}}


def test_schedules_by_days(start):
    server = start("--hub.time-zone", "UTC")
    dev = field_on(server)
    site = dev.probe
    dev.send(relay=False)
    for ahead in (4, 40):  # until they are known before they are due
        soon = utc() + datetime.timedelta(seconds=ahead)
        due, not_due = by_days(soon)
        for name, spec in {**not_due, **due}.items():
            r = schedule(dev, name, "simple", spec)
            assert r.status == 200, r.text
        if utc() < soon.replace(microsecond=0):
            break
        for name in {**due, **not_due}:
            hub(site, "DELETE", "schedule/" + name, status=204)

    def ran():
        return {s["id"] for s in listed(site, "schedule")
                if s["state"]["executedCount"]}

    until("all that are due", lambda: ran() >= set(due))
    dev.network.wait(len(due), "dldata")
    # those that are not due would have been, together with these
    last = soon + datetime.timedelta(seconds=2)
    until("it is over", lambda: utc() > last)
    found = {s["id"]: s for s in listed(site, "schedule")}
    assert {n for n in found if found[n]["state"]["executedCount"]} == set(due)
    for name in due:
        run = datetime.datetime.fromisoformat(
            found[name]["state"]["lastRun"].replace("Z", "+00:00"))
        late = (run - soon.replace(microsecond=0)).total_seconds()
        assert 0 <= late < LIMIT
        assert found[name]["enabled"] == (name != "once")
    dev.network.close()


def test_a_failed_group_is_written_again(device):
    """While another process holds the database nothing is acknowledged; then
    what had failed is written as a whole, not as changes to missing rows."""
    p = device.probe
    device.send(first=1)
    lock = sqlite3.connect(p.server.folder / "data" / "hub.db",
                           isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    topic = p.net_topic("uldata")
    lost = device.network.publish(topic, uplink(
        {"first": 2, "second": 5}, at="2026-05-01T09:00:00Z"), wait=False)
    until("it has failed", lambda: p.server.counter("hub_failed_total"))
    assert not lost.is_published()
    assert [f["fieldId"] for f in listed(p, "field")] == ["first"]
    lock.execute("ROLLBACK")
    lock.close()
    # its sender was disconnected, comes again and repeats it
    until("it is acknowledged", lost.is_published)
    assert {f["fieldId"]: f["current"]["value"]
            for f in listed(p, "field")} == {"first": 2, "second": 5}
    device.network.close()
    p.server.restart(signal.SIGKILL)
    p.token = p.server.login()
    device.network = p.network()
    assert {f["fieldId"]: f["current"]["value"]
            for f in listed(p, "field")} == {"first": 2, "second": 5}

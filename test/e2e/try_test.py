"""Rules tried out: what they would do, without doing it."""
import socket
import threading

import pytest

from conftest import until
from rules_test import (PLACE, above_30, device, schedule,  # noqa: F401
                        task, traces, web)
from values_test import hub, listed, probe  # noqa: F401


def wish(device, **more):  # noqa: F811
    return above_30(device, "{{ .t }}", **more)


def tried(device, status=200, token=None, **more):  # noqa: F811
    r = device.probe.server.call(
        "POST", "/hub/api/v1/task/try", {"data": wish(device, **more)},
        token=token or device.probe.token)
    assert r.status == status, r.text
    return r.data if status == 200 else r


def test_a_task_is_tried_and_nothing_is_done(device):  # noqa: F811
    device.send(temperature=31, relay=False)
    got = tried(device)
    assert (got["isTriggered"], got["message"]) == (True, "")
    assert got["variables"]["t"] == 31
    assert got["actions"] == [{
        "handler": "resource_handler", "parameter": "on",
        "value": {"type": "resource_by_quick_id", "resourceType": "field",
                  "quickId": PLACE + "relay", "payload": "31"},
        "status": "ok", "message": ""}]
    device.send(temperature=12)
    got = tried(device)
    assert (got["isTriggered"], got["variables"]["t"]) == (False, 12)
    # what it would send is shown all the same
    assert got["actions"][0]["value"]["payload"] == "12"
    assert device.probe.server.counter("hub_evaluations_total") == 0
    assert listed(device.probe, "task") == []
    assert listed(device.probe, "trace") == []
    assert device.network.messages("dldata") == []


def test_a_trial_has_the_event_of_a_field_that_is_there(device):  # noqa: F811
    device.send(temperature=31, relay=False)
    script = {"evaluationType": "javascript", "evaluationConfig": {
        "javascript": "({isTriggered: taskEvent.entity.fieldId === 'relay',"
                      " seen: task.id})"}, "id": "mine"}
    relay = tried(device, quickId="field:" + PLACE + "relay", **script)
    assert relay["isTriggered"] is True
    assert relay["variables"]["seen"] == "mine"
    assert relay["event"]["entityQuickId"] == "field:" + PLACE + "relay"
    other = tried(device, eventFilter={"filters": {
        "fieldId": "temperature"}}, **script)
    assert other["event"]["entity"]["fieldId"] == "temperature"
    assert other["isTriggered"] is False
    r = tried(device, 400, quickId="field:" + PLACE + "none")
    assert "quickId: there is no field" in r.text


def test_a_trial_says_what_is_wrong(device):  # noqa: F811
    device.send(temperature=31, relay=False)
    missing = tried(device, variables={"x": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "nothing", "keyPath": "current.value"}})
    assert "variable x: there is no field" in missing["message"]
    assert missing["isTriggered"] is False
    thrown = tried(device, evaluationType="javascript", evaluationConfig={
        "javascript": "\nnope()"})
    assert "line 2" in thrown["message"]
    got = tried(device, handlers=["nobody"])
    assert got["actions"][0]["message"] == "there is no such handler"
    got = tried(device, handlerParameters={"on": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "gone", "payload": "1"}})
    assert got["actions"][0]["message"] == \
        "there is no field " + PLACE + "gone"
    got = tried(device, handlerParameters={"on": {
        "type": "resource_by_quick_id", "payload": "{{ nonsense"}})
    assert got["actions"][0]["status"] == "error"
    r = tried(device, 400, dampening={"activeDuration": "soon"})
    assert "is no duration" in r.text


def test_a_trial_ends_in_time(start):
    from conftest import Site
    server = start("--hub.tryTimeout", "300ms")
    site = Site(server, server.login())
    r = server.call("POST", "/hub/api/v1/task/try", {"data": {
        "unitId": site.unit, "evaluationType": "javascript",
        "evaluationConfig": {"javascript": "while (true) {}"}}},
        token=site.token)
    assert r.status == 503 and "hub.tryTimeout" in r.text


def login(server, admin, account):
    user = server.call("POST", "/auth/api/v1/user", {"data": {
        "account": account, "password": "secret"}}, token=admin).data["userId"]
    return user, server.login(account, "secret")


def test_only_who_may_change_may_try(device):  # noqa: F811
    p = device.probe
    device.send(temperature=31)
    hub(p, "POST", "handler", {"data": {
        "id": "quiet", "unitId": p.unit, "type": "noop"}}, 200)
    reader, readers = login(p.server, p.token, "reader")
    _, stranger = login(p.server, p.token, "stranger")
    assert p.server.call("PATCH", "/coremgr/api/v1/unit/" + p.unit, {"data": {
        "memberIds": [reader]}}, token=p.token).status == 204
    body = {"data": {"unitId": p.unit, "type": "cron",
                     "spec": {"cronExpression": "* * * * *"}}}
    for token in (readers, stranger):
        assert tried(device, 400, token=token) is not None
        assert p.server.call("POST", "/hub/api/v1/schedule/try", body,
                             token=token).status == 400
        assert p.server.call("POST", "/hub/api/v1/handler/quiet/test",
                             {"data": {}}, token=token).status == 404
        assert p.server.call("POST", "/hub/api/v1/action", {"data": {
            "unitId": p.unit, "resource": "schedule:x", "payload": "run"}},
            token=token).status == 400
    assert p.server.call("POST", "/hub/api/v1/task/try",
                         {"data": wish(device)}).status == 400


def next_runs(device, kind, spec, status=200, **more):  # noqa: F811
    r = hub(device.probe, "POST", "schedule/try", {"data": dict(
        unitId=device.probe.unit, type=kind, spec=spec, **more)})
    assert r.status == status, r.text
    return r.data["next"] if status == 200 else r.text


def test_when_a_schedule_would_run(start):
    from conftest import Site
    server = start("--hub.timeZone", "Europe/Berlin")
    site = Site(server, server.login())

    class At:
        probe = site
    nights = next_runs(At, "cron", {"cronExpression": "30 22 * * *"})
    assert len(nights) == 5
    assert {n[11:16] for n in nights} <= {"20:30", "21:30"}
    assert sorted(nights) == nights
    days = next_runs(At, "simple", {
        "frequency": "on_date", "date": "2099-05-01", "time": "12:00"})
    assert days == []  # beyond what is looked at
    spring = next_runs(
        At, "cron", {"cronExpression": "0 12 * * *"},
        validity={"enabled": True, "date": {"from": "2090-04-01",
                                            "to": "2090-04-02"}})
    assert spring == []
    assert next_runs(At, "cron", {"cronExpression": "0 12 * * *"}, validity={
        "enabled": True, "date": {"to": "2020-01-01"}}) == []
    assert "spec.cronExpression" in next_runs(
        At, "cron", {"cronExpression": "x"}, 400)
    assert listed(site, "schedule") == []


def test_a_schedule_runs_when_it_is_told_to(device):  # noqa: F811
    p = device.probe
    device.send(relay=False)
    assert schedule(device, "s", "simple", {
        "frequency": "on_date", "date": "2099-05-01",
        "time": "12:00"}).status == 200
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "resource": "schedule:s", "payload": "run"}}, 204)
    assert device.downs() == [{"relay": False}]
    trace = until("its trace", lambda: listed(
        p, "trace", rule="schedule:s"))[0]
    assert trace["isFired"] is True and trace["took"] >= 0
    row = hub(p, "GET", "schedule/s").data
    # its own time is still to come
    assert row["enabled"] and row["state"]["executedCount"] == 0
    r = hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "resource": "schedule:none", "payload": "run"}})
    assert r.status == 404


def test_traces_by_verdict(device):  # noqa: F811
    device.send(temperature=0, relay=False)
    task(device)
    for t in (40, 10, 10):
        device.send(temperature=t)
    traces(device, 3)
    for query, n in (({"isFired": "true"}, 1), ({"isFired": "false"}, 2),
                     ({"isTriggered": "true"}, 1),
                     ({"contains": "task:t"}, 3), ({"contains": "x"}, 0)):
        assert len(listed(device.probe, "trace", **query)) == n, query
    assert hub(device.probe, "GET", "trace/list?isFired=maybe").status == 400


def stages(p, name, body=None, status=200):
    r = hub(p, "POST", "handler/%s/test" % name, {"data": body or {}})
    assert r.status == status, r.text
    return [(s["stage"], s["status"]) for s in r.data["stages"]] \
        if status == 200 else r.text


def test_a_handler_is_tested(device, web):  # noqa: F811
    p = device.probe
    device.send(relay=False)

    def handler(name, kind, enabled=True, **spec):
        hub(p, "POST", "handler", {"data": {
            "id": name, "unitId": p.unit, "type": kind, "enabled": enabled,
            "spec": spec}}, 200)

    good = [("open", "ok"), ("take", "ok"), ("send", "ok")]
    handler("quiet", "noop")
    assert stages(p, "quiet") == good
    handler("hook", "webhook", server=web.url, api="/x")
    assert stages(p, "hook") == good
    assert web.heard == [("/x", "test: true\n")]
    assert stages(p, "hook", {"parameter": {
        "type": "email"}}) == [("open", "ok"), ("take", "error")]
    handler("off", "noop", enabled=False)
    assert stages(p, "off") == [("open", "error")]
    handler("wrong", "email")
    assert stages(p, "wrong") == [("open", "error")]
    handler("here", "resource")
    assert "missing `parameter`" in stages(p, "here", status=400)
    assert stages(p, "here", {"parameter": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "relay", "payload": "true"}}) == good
    assert device.downs() == [{"relay": True}]
    stages(p, "none", status=404)


def test_a_test_that_takes_long_is_not_waited_for(start):
    from conftest import Site
    server = start("--hub.tryTimeout", "2s")
    site = Site(server, server.login())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hub(site, "POST", "handler", {"data": {
            "id": "mute", "unitId": site.unit, "type": "webhook", "spec": {
                "server": "http://127.0.0.1:%d" % mute.getsockname()[1]}}},
            200)
        assert stages(site, "mute") == [
            ("open", "ok"), ("take", "ok"), ("send", "waiting")]
        # its end, when the server ends, is nobody's


def test_types_of_handlers_are_told(site):
    types = {t["type"]: t for t in hub(
        site, "GET", "handler-type/list", status=200).data}
    assert {"resource", "email", "webhook", "telegram", "mqtt", "backup",
            "noop"} <= set(types)
    mail = types["email"]
    assert mail["takes"] == "email" and mail["secrets"] == ["password"]
    assert mail["spec"]["properties"]["port"]["default"] == 465
    assert mail["parameter"]["properties"]["to"]["type"] == "array"
    assert types["resource"]["spec"] is None


@pytest.mark.parametrize("kind", ["task", "handler"])
def test_many_trials_at_once(device, kind):  # noqa: F811
    device.send(temperature=31, relay=False)
    p = device.probe
    hub(p, "POST", "handler", {"data": {
        "id": "quiet", "unitId": p.unit, "type": "noop"}}, 200)
    got = []

    def one():
        got.append(p.server.call(
            "POST", "/hub/api/v1/" + (
                "task/try" if kind == "task" else "handler/quiet/test"),
            {"data": wish(device) if kind == "task" else {}},
            token=p.token).status)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(got) <= {200, 503} and 200 in got

"""What becomes of what rules do: actions that wait over the end of the program,
and results of downlinks in traces."""
import json
import signal
import time

import pytest

from conftest import Client, until
from routing_test import data_list
from rules_test import PLACE, device, probe_on, task, traces  # noqa: F401
from values_test import hub, listed, probe, uplink  # noqa: F401


def later(ms, **more):
    return {"handlerParameters": {"on": dict({
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "relay", "payload": "true",
        "preDelay": "%dms" % ms}, **more)}}


def messages(dev, name="t"):
    return [[a["message"] for a in t["actions"]]
            for t in listed(dev.probe, "trace", rule="task:" + name)]


def kill(dev, wait_until=0):
    dev.network.close()
    dev.probe.server.stop(signal.SIGKILL)
    until("it is due", lambda: time.time() > wait_until)
    dev.probe.server.start()
    dev.probe.token = dev.probe.server.login()


def test_what_waits_survives_a_kill_and_is_done_once(device):  # noqa: F811
    device.send(temperature=0, relay=False)
    task(device, **later(5000))
    device.send(temperature=40)
    # the trace and what waits are one commit
    assert [a["message"] for a in traces(device, 1)[0]["actions"]] == [
        "in a while"]
    kill(device)
    device.network = device.probe.network()
    assert device.downs() == [{"relay": True}]
    assert [a["message"] for a in traces(device, 2)[0]["actions"]] == [
        "done after its preDelay"]
    assert "before the program was started" in traces(device, 2)[0]["message"]
    kill(device)
    device.network = device.probe.network()
    hub(device.probe, "POST", "action", {"data": {
        "unitId": device.probe.unit, "payload": "5",
        "resource": "field:" + PLACE + "temperature"}}, 204)
    assert device.downs()[-1] == {"temperature": 5}
    assert len(messages(device)) == 2


@pytest.mark.parametrize("late,done", [("1m", True), ("0s", False)])
def test_what_fell_due_meanwhile_is_done_late_or_dropped(start, late, done):
    dev = probe_on(start, "--hub.pre-delay-late", late)
    task(dev, **later(4000))
    dev.send(temperature=40)
    traces(dev, 1)
    kill(dev, time.time() + 4)
    p = dev.probe
    dev.network = p.network()
    if done:
        assert dev.downs() == [{"relay": True}]
    else:
        assert "it is dropped" in p.server.logged()
    assert p.server.counter("hub_delayed_dropped_total") == (not done)
    kill(dev)
    dev.network = p.network()
    hub(p, "POST", "action", {"data": {
        "unitId": p.unit, "payload": "5",
        "resource": "field:" + PLACE + "temperature"}}, 204)
    assert dev.downs()[-1] == {"temperature": 5}
    assert p.server.counter("hub_delayed_dropped_total") == 0
    assert len(messages(dev)) == 1 + done
    dev.network.close()


def test_few_actions_may_wait(start):
    dev = probe_on(start, "--hub.pre-delay-max", "1")
    task(dev, "a", **later(60000))
    dev.send(temperature=40)
    traces(dev, 1, "a")
    hub(dev.probe, "PATCH", "task/a", {"data": {"enabled": False}}, 204)
    task(dev, "b", **later(60000))
    dev.send(temperature=41)
    got = traces(dev, 1, "b")[0]["actions"][0]
    assert got["status"] == "error" and "hub.preDelayMax" in got["message"]
    dev.network.close()


def result(dev, down, status, network=None, **more):
    (network or dev.network).publish(
        dev.probe.net_topic("dldata-result"),
        dict(dataId=down["dataId"], status=status, **more))


def test_results_of_downlinks_are_in_the_trace(device):  # noqa: F811
    p = device.probe
    device.send(temperature=0, relay=False, other=0)
    task(device, handlerParameters={
        "on": {"type": "resource_by_quick_id", "resourceType": "field",
               "quickId": PLACE + "relay", "payload": "true"},
        "off": {"type": "resource_by_quick_id", "resourceType": "field",
                "quickId": PLACE + "other", "payload": "5"}})
    device.send(temperature=40)
    one, two = device.network.wait(2, "dldata")

    def actions():
        return {a["parameter"]: a for a in traces(device, 1)[0]["actions"]}

    on = actions()["on"]
    assert (on["status"], on["message"]) == ("ok", "")
    assert on["downlinks"] == [{
        "field": PLACE + "relay", "dataId": one["dataId"],
        "result": "waiting", "status": 0, "message": ""}]
    result(device, one, -1, message="on its way")
    until("it is on its way", lambda: actions()["on"]["downlinks"][0][
        "message"] == "on its way")
    assert actions()["on"]["downlinks"][0]["result"] == "waiting"
    result(device, one, 0)
    until("it is told", lambda: actions()["on"]["downlinks"][0]["result"]
          == "ok")
    result(device, two, 2, message="out of reach")
    off = until("the other", lambda: [
        a for a in [actions()["off"]] if a["status"] == "error"])[0]
    assert off["message"] == "out of reach"
    assert (off["downlinks"][0]["result"], off["downlinks"][0]["status"]) \
        == ("error", 2)
    assert actions()["on"]["status"] == "ok"
    for name, n in (("", 2), ("_ok", 1), ("_failed", 1)):
        assert p.server.counter("hub_downlinks%s_total" % name) == n
    # once only
    before = p.server.counter("route_result_bad_total")
    result(device, one, 3)
    until("it is refused", lambda: p.server.counter(
        "route_result_bad_total") == before + 1)
    assert actions()["on"]["status"] == "ok"
    # and in the raw history
    rows = until("the history", lambda: [
        r for r in data_list(p, "network-dldata")
        if r["dataId"] == two["dataId"] and r["status"] == 2])
    assert rows[0]["resp"] is not None


def test_results_count_from_the_network_that_was_told(device):  # noqa: F811
    p = device.probe
    task(device)
    device.send(temperature=0, relay=False)
    device.send(temperature=40)
    down = device.network.wait(1, "dldata")[0]
    p.make("network", "other-net")
    other = p.network("other-net")
    before = p.server.counter("route_result_bad_total")
    other.publish(p.net_topic("dldata-result", "other-net"),
                  {"dataId": down["dataId"], "status": 0})
    until("it is refused", lambda: p.server.counter(
        "route_result_bad_total") == before + 1)
    result(device, down, 1, message="no")
    until("the right one", lambda: traces(device, 2)[0]["actions"][0][
        "message"] == "no")
    other.close()


def test_a_codec_that_can_not_encode_is_told_in_the_trace(
        device):  # noqa: F811
    p = device.probe
    device.send(temperature=0, relay=False)
    hub(p, "PATCH", "profile/" + p.profile, {"data": {
        "codec": "javascript", "script":
        "function decodeUplink(i) { return {data: JSON.parse("
        "String.fromCharCode(...i.bytes))}; }\n"
        "function encodeDownlink() { throw new Error('never'); }"}}, 204)
    task(device)
    device.send(temperature=40)
    a = until("the failure", lambda: [
        t["actions"][0] for t in traces(device, 1)
        if t["actions"][0]["status"] == "error"])[0]
    assert "never" in a["message"]
    assert a["downlinks"][0]["result"] == "error"
    assert p.server.counter("hub_downlinks_failed_total") == 1


def test_few_results_are_waited_for(start):
    dev = probe_on(start, "--hub.downlinks-max", "1")
    task(dev)
    dev.send(temperature=40)
    dev.network.wait(1, "dldata")
    dev.send(temperature=41)
    one, two = dev.network.wait(2, "dldata")
    until("the older one is given up", lambda: traces(dev, 2)[1]["actions"][
        0]["downlinks"][0]["result"] == "unknown")
    result(dev, two, 0)
    until("the newer one", lambda: traces(dev, 2)[0]["actions"][0][
        "downlinks"][0]["result"] == "ok")
    dev.network.close()


def test_the_end_comes_while_a_result_is_waited_for(start):
    dev = probe_on(start)
    task(dev)
    dev.send(temperature=40)
    dev.network.wait(1, "dldata")
    dev.network.close()
    assert dev.probe.server.stop() == 0

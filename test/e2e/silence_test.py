"""Devices that are not heard of are down."""
import signal
import time

from conftest import until
from rules_test import field_on, task, traces
from values_test import hub, listed, uplink

QUICK = ("--hub.node-state.interval", "100ms")


def status(site, device=None):
    return [n["state"]["status"] for n in listed(site, "node")
            if n["id"] == (device or site.device)][0]


def is_up_for_a_while(dev, **values):
    """Unless this machine needs more than its time to look."""
    begun = time.monotonic()
    dev.send(**values)
    assert status(dev.probe) == "up" or time.monotonic() - begun > 2


def test_a_silent_device_is_down_until_it_is_heard_again(start):
    dev = field_on(start(*QUICK, "--hub.node-state.inactive", "2s"))
    p = dev.probe
    other = p.add("device", {"unitId": p.unit, "networkId": p.net,
                             "networkAddr": "02", "profile": "probe"})[
        "deviceId"]
    dev.network.publish(p.net_topic("uldata"), uplink({"x": 7}, addr="02"))
    until("it is known", lambda: listed(p, "node"))
    hub(p, "PATCH", "node/" + other, {"data": {"labels": {
        "inactive_duration": "1h"}}}, 204)
    # it may have been silent for too long before that
    dev.network.publish(p.net_topic("uldata"), uplink(
        {"x": 8}, addr="02", at="2026-05-01T00:30:00Z"))
    until("it is up", lambda: status(p, other) == "up")
    before = p.server.counter("hub_silent_total")
    task(dev, eventFilter={"entityTypes": ["node"], "filters": {
        "nodeId": "01000461", "state.status": "down"}}, variables={},
        evaluationConfig={"rule": {}}, handlers=[], handlerParameters={})
    is_up_for_a_while(dev, temperature=1)
    until("it is down", lambda: status(p) == "down")
    state = [n for n in listed(p, "node") if n["id"] == p.device][0]["state"]
    assert state["message"] == "marked by server"
    assert traces(dev, 1)[0]["event"]["entity"]["state"]["status"] == "down"
    assert status(p, other) == "up"
    assert p.server.counter("hub_silent_total") == before + 1
    is_up_for_a_while(dev, temperature=2)
    until("it is down again", lambda: status(p) == "down")
    # one whose payload could not be read is not up, and stays as it is
    hub(p, "PATCH", "node/" + other, {"data": {"labels": {}}}, 204)
    until("the other, too", lambda: status(p, other) == "down")
    dev.network.close()


def test_what_is_heard_in_time_stays_up(start):
    dev = field_on(start(*QUICK, "--hub.node-state.inactive", "4s"))
    p = dev.probe
    other = p.add("device", {"unitId": p.unit, "networkId": p.net,
                             "networkAddr": "02", "profile": "probe"})[
        "deviceId"]
    began, gaps = [time.monotonic()], []
    dev.send(temperature=0)
    dev.network.publish(p.net_topic("uldata"), uplink({"x": 7}, addr="02"))

    def beat():
        began.append(time.monotonic())
        dev.send(temperature=dev.n)
        is_up = status(p) == "up"
        gaps.append(time.monotonic() - began[-2])
        assert is_up or gaps[-1] > 4, gaps
        return status(p, other) == "down"

    until("one that is not heard is down", beat)
    # if this machine was not too busy to send in time
    assert p.server.counter("hub_silent_total") == 1 or max(gaps) > 4
    dev.network.close()


def test_the_time_the_program_did_not_run_is_no_silence(start):
    server = start(*QUICK, "--hub.node-state.inactive", "1h")
    dev = field_on(server)
    p = dev.probe
    other = p.add("device", {"unitId": p.unit, "networkId": p.net,
                             "networkAddr": "02", "profile": "probe"})[
        "deviceId"]
    dev.send(temperature=1)  # sent months ago, by its own time
    dev.network.publish(p.net_topic("uldata"), uplink(
        {"x": 7}, addr="02", at="2026-05-01T00:02:00Z"))
    dev.network.close()
    server.restart(signal.SIGKILL)
    p.token = server.login()
    assert (status(p), status(p, other)) == ("up", "up")
    hub(p, "PATCH", "node/" + other, {"data": {"labels": {
        "inactive_duration": "1ms"}}}, 204)
    until("a look", lambda: status(p, other) == "down")
    assert status(p) == "up"

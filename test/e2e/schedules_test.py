"""Each type of schedule and of evaluation, as the whole program runs them."""
import datetime
import math

import pytest

from conftest import LIMIT, Site, until
from handlers_test import begin, handler  # noqa: F401
from rules_test import (PLACE, device, schedule, task, traces)  # noqa: F401
from values_test import hub, listed, probe  # noqa: F401
from webhook_test import Web, web  # noqa: F401


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def runs(dev):
    return {s["id"]: s["state"]["executedCount"]
            for s in listed(dev.probe, "schedule")}


def add(dev, name, kind, spec, **more):
    r = schedule(dev, name, kind, spec, **{
        "customVariableType": "none", "handlers": [], **more})
    assert r.status == 200, r.text


def test_cron_in_all_its_spellings(device):  # noqa: F811
    device.send(relay=False)
    add(device, "six", "cron", {"cronExpression": "*/1 * * * * *"})
    add(device, "every", "cron", {"cronExpression": "@every 1s"})
    add(device, "never", "cron", {"cronExpression": "0 0 30 2 *"})
    add(device, "names", "cron", {"cronExpression": "* * * * JAN-DEC *"})
    until("those that are due", lambda: all(
        runs(device)[n] >= 2 for n in ("six", "every", "names")))
    assert runs(device)["never"] == 0


def clock(hours):
    return (now() + datetime.timedelta(hours=hours)).strftime("%H:%M")


def day(days):
    return (now() + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def test_validity_has_days_and_hours(begin):  # noqa: F811
    dev = begin("--hub.time-zone", "UTC")
    dates = {"from": day(-1), "to": day(1)}
    inside = {"from": clock(-1), "to": clock(1)}
    outside = {"from": clock(2), "to": clock(3)}
    cases = {
        "days": ({"date": dates}, True),
        "hours": ({"date": dates, "time": inside,
                   "validateTimeEveryday": True}, True),
        "other-hours": ({"date": dates, "time": outside,
                         "validateTimeEveryday": True}, False),
        # of the first day and the last one only
        "between": ({"date": dates, "time": outside}, True),
        "past": ({"date": {"from": day(-3), "to": day(-2)}}, False),
        "later": ({"date": {"from": day(2), "to": day(3)}}, False),
    }
    for name, (validity, _) in cases.items():
        add(dev, name, "cron", {"cronExpression": "* * * * * *"},
            validity=dict(validity, enabled=True))
    due = {name for name, (_, is_due) in cases.items() if is_due}
    until("two of each", lambda: all(runs(dev)[n] >= 2 for n in due))
    assert {n for n, count in runs(dev).items() if count} == due


def sun(latitude, longitude, rises):
    """When it is up today, to some minutes: NOAA's short formula."""
    t = now()
    g = 2 * math.pi / 365 * (t.timetuple().tm_yday - 1)
    eq = 229.18 * (0.000075 + 0.001868 * math.cos(g) - 0.032077 * math.sin(g)
                   - 0.014615 * math.cos(2 * g) - 0.040849 * math.sin(2 * g))
    d = (0.006918 - 0.399912 * math.cos(g) + 0.070257 * math.sin(g)
         - 0.006758 * math.cos(2 * g) + 0.000907 * math.sin(2 * g))
    lat = math.radians(latitude)
    angle = math.degrees(math.acos(
        math.cos(math.radians(90.833)) / (math.cos(lat) * math.cos(d))
        - math.tan(lat) * math.tan(d)))
    minutes = 720 - 4 * (longitude + (angle if rises else -angle)) - eq
    return t.replace(hour=0, minute=0, second=0, microsecond=0) + \
        datetime.timedelta(minutes=minutes)


@pytest.mark.parametrize("kind", ["sunrise", "sunset"])
def test_the_sun_and_an_offset(begin, web, kind):  # noqa: F811
    dev = begin("--hub.time-zone", "UTC", "--hub.latitude", "48.1",
                "--hub.longitude", "11.6")
    handler(dev, "tell", "webhook", {"server": web.url, "api": "/sun"})
    tell = {"handlers": ["tell"], "customVariableType": "none",
            "handlerParameters": {"x": {
        "type": "webhook", "customData": True,
        "data": '{{ %s.Format "2006-01-02T15:04:05Z07:00" }}' % kind}}}
    assert schedule(dev, "ask", "repeat", {
        "interval": "100ms", "repeatCount": 1}, **tell).status == 200
    until("when it is", lambda: web.at("/sun"))
    at = datetime.datetime.fromisoformat(
        web.at("/sun")[0][2].replace("Z", "+00:00"))
    known = sun(48.1, 11.6, kind == "sunrise")
    assert abs((at - known).total_seconds()) < 240, (at, known)
    # an offset that brings it about in a few seconds; not before it is known
    for ahead in (4, 30):
        soon = now().replace(microsecond=0) + datetime.timedelta(
            seconds=ahead)
        offset = int((soon - at).total_seconds())
        add(dev, "due", kind, {"frequency": "daily",
                               "offset": "%ds" % offset})
        if now() < soon:
            break
        hub(dev.probe, "DELETE", "schedule/due", status=204)
    add(dev, "not", kind, {"frequency": "daily",
                           "offset": "%ds" % (offset + 3600)})
    add(dev, "plain", kind, {"frequency": "daily", "offset": ""})
    until("it has run", lambda: runs(dev)["due"] == 1)
    last = [s["state"]["lastRun"] for s in listed(dev.probe, "schedule")
            if s["id"] == "due"][0]
    run = datetime.datetime.fromisoformat(last.replace("Z", "+00:00"))
    assert -2 <= (run - soon).total_seconds() <= LIMIT
    assert runs(dev)["not"] == 0


def test_a_script_that_throws_ends_a_run(device):  # noqa: F811
    device.send(relay=False)
    add(device, "s", "repeat", {"interval": "100ms", "repeatCount": 1},
        customVariableType="javascript", customVariableConfig={"javascript": "throw new Error('no tea')"})
    s = until("it has run", lambda: [
        s["state"] for s in listed(device.probe, "schedule")
        if s["state"]["lastRun"]])[0]
    assert s["lastStatus"] is False and "no tea" in s["message"]
    assert device.network.messages("dldata") == []


# --- evaluations --------------------------------------------------------------

OPERATORS = [  # of 40, of "Warm Hall" and of true
    ("t", "eq", "40", "41"), ("t", "", "40.0", "4"), ("t", "ne", "1", "40"),
    ("t", "gt", "39", "40"), ("t", "gte", "40", "41"),
    ("t", "lt", "41", "40"), ("t", "lte", "40", "39"),
    ("t", "in", "[1, 40]", "[1, 2]"), ("t", "nin", "[1, 2]", "[1, 40]"),
    ("t", "range_in", "[39, 41]", "[40, 50]"),
    ("t", "range_not_in", "[41, 50]", "[40, 50]"),
    ("s", "regex", "^warm", "^hall"), ("s", "eq", "Warm Hall", "warm hall"),
    ("s", "exists", "", None), ("e", "exists", None, ""),
    ("b", "eq", "true", "false"), ("b", "in", "[true]", "[false]"),
    ("t", "eq", "{{ .t }}", "{{ .s }}"),
]


def test_every_operator(device):  # noqa: F811
    device.send(temperature=0)
    known = {"t": {"type": "resource_by_quick_id", "resourceType": "field",
                   "quickId": PLACE + "temperature",
                   "keyPath": "current.value"},
             "s": {"type": "string", "value": "Warm Hall"},
             "e": {"type": "string", "value": ""},
             "b": {"type": "string", "value": "true"}}
    want = {}
    for n, (variable, operator, yes, no) in enumerate(OPERATORS):
        for value, is_so in ((yes, True), (no, False)):
            if value is None:
                continue
            name = "t%d%s" % (n, "y" if is_so else "n")
            want[name] = is_so
            task(device, name, variables=known, handlers=[],
                 evaluationConfig={"rule": {"conditions": [{
                     "variable": variable, "operator": operator,
                     "value": value}]}})
    device.send(temperature=40)
    got = until("all", lambda: [
        found for found in [listed(device.probe, "trace", limit=1000)]
        if len(found) == len(want)])[0]
    assert {t["rule"][5:]: t["isTriggered"] for t in got} == want


def test_a_task_looks_by_the_clock(device):  # noqa: F811
    device.send(temperature=40, relay=False)
    task(device, triggerOnEvent=False, executionInterval="200ms",
         ignoreDuplicate=True)
    assert device.downs() == [{"relay": True}]
    found = traces(device, 3)
    assert found[0]["event"] is None and found[0]["isTriggered"] is True
    assert [t["isFired"] for t in found[-3:]] == [False, False, True]


def test_a_break_begins_the_time_anew(device):  # noqa: F811
    """active_duration: what was true only for a while never fires."""
    device.send(temperature=0, relay=False)
    task(device, dampening={"type": "active_duration",
                            "activeDuration": "4s"})
    task(device, "later", dampening={"type": "none"}, evaluationConfig={
        "rule": {"conditions": [{"variable": "t", "operator": "lt",
                                 "value": "20"}]}},
         handlerParameters={"x": {
             "type": "resource_by_quick_id", "resourceType": "field",
             "quickId": PLACE + "relay", "payload": "false",
             "preDelay": "5s"}})
    device.send(temperature=40)
    device.send(temperature=10)
    # five seconds after the break only this has come
    assert device.downs() == [{"relay": False}]
    assert not [t for t in listed(device.probe, "trace", rule="task:t")
                if t["isFired"]]
    device.send(temperature=41)
    assert device.downs(2)[1] == {"relay": True}

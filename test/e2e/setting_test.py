"""Settings that change while the program runs."""
import datetime
import json
import urllib.parse

from conftest import Client, Site, until
from values_test import hub, probe, uplink  # noqa: F401

API = "/hub/api/v1/setting"


def get(server, token, name):
    r = server.call("GET", "%s/%s" % (API, name), token=token)
    assert r.status == 200, r.text
    return r.data


def put(server, token, name, value, status=204):
    r = server.call("PATCH", "%s/%s" % (API, name),
                    {"data": {"value": value}}, token=token)
    assert r.status == status, r.text
    return r


def login_page(server):
    state = urllib.parse.urlencode({
        "response_type": "code", "client_id": "public",
        "redirect_uri": server.REDIRECT})
    r = server.call("GET", "/auth/oauth2/login?" + urllib.parse.urlencode(
        {"state": state}))
    assert r.status == 200
    return r.text


def test_they_say_what_they_are_and_where_from(start):
    server = start("--hub.trace-retention", "2d",
                   env={"HUB_TRACE_MAX": "500"})
    token = server.login()
    rows = {r["id"]: r for r in server.call(
        "GET", API + "/list?limit=0", token=token).data}
    assert {"hub.timeZone", "hub.latitude", "auth.loginMessage",
            "data.retention", "log.level"} <= set(rows)
    assert "hub.db.engine" not in rows  # not while it runs
    age = rows["hub.traceRetention"]
    assert (age["value"], age["default"], age["source"], age["type"]) == (
        "2d", "7d", "flag", "time")
    assert age["min"] == 60000 and age["help"]
    assert rows["hub.traceMax"]["source"] == "environment"
    assert rows["data.retention"]["source"] == "default"
    assert rows["log.level"]["choices"][0] == "off"
    count = server.call("GET", API + "/count", token=token).data["count"]
    assert count == len(rows)
    found = server.call("GET", API + "/list?contains=TRACE&sort=id:desc",
                        token=token).data
    assert [r["id"] for r in found] == ["hub.traceRetention", "hub.traceMax"]
    assert server.call("GET", API + "/hub.db.engine",
                       token=token).status == 404


def test_a_change_counts_above_all_and_outlives_a_restart(start):
    server = start("--hub.trace-retention", "2d")
    token = server.login()
    put(server, token, "hub.traceRetention", "3h")
    row = get(server, token, "hub.traceRetention")
    assert (row["value"], row["start"], row["source"]) == (
        "3h", "2d", "runtime")
    assert row["userId"] == "admin" and row["modifiedOn"]
    server.restart()
    row = get(server, token, "hub.traceRetention")
    assert (row["value"], row["start"], row["source"]) == (
        "3h", "2d", "runtime")
    found = server.call("GET", API + "/list?source=runtime", token=token).data
    assert [r["id"] for r in found] == ["hub.traceRetention"]
    put(server, token, "hub.traceRetention", None)
    row = get(server, token, "hub.traceRetention")
    assert (row["value"], row["source"], row["userId"]) == ("2d", "flag", None)
    put(server, token, "hub.traceMax", "1000")
    assert server.call("DELETE", API + "/hub.traceMax",
                       token=token).status == 204
    assert get(server, token, "hub.traceMax")["source"] == "default"
    server.restart()
    assert get(server, token, "hub.traceRetention")["source"] == "flag"


def test_what_does_not_fit_is_refused_and_changes_nothing(server):
    token = server.login()
    for name, value, why in (
            ("hub.traceRetention", "soon", "30s, 5m, 1h"),
            ("hub.traceRetention", "1s", "must be 60000"),
            ("hub.traceMax", "many", "whole number"),
            ("hub.homeAssistant", "perhaps", "true or false"),
            ("hub.timeZone", "Mars/Olympus", "no time zone `Mars/Olympus`"),
            ("hub.timeZone", "../../etc/passwd", "no time zone"),
            ("hub.latitude", "91", "-90 to 90"),
            ("hub.longitude", "east", "-180 to 180"),
            ("log.level", "loud", "must be one of off")):
        before = get(server, token, name)
        r = put(server, token, name, value, 400)
        assert r.code == "err_param"
        assert name in r.json()["message"] and why in r.json()["message"]
        assert get(server, token, name) == before
    put(server, token, "hub.timezone", "UTC", 404)
    assert server.call("PATCH", API + "/hub.traceMax", {"data": {}},
                       token=token).status == 400


def test_only_administrators_see_and_change_them(server):
    token = server.login()
    for roles in ({}, {"manager": True}, {"dev": True}):
        name = "u%d" % len(json.dumps(roles))
        made = server.call("POST", "/auth/api/v1/user", {"data": {
            "account": name, "password": "secret"}}, token=token)
        if roles:
            server.call("PATCH", "/auth/api/v1/user/" + made.data["userId"],
                        {"data": {"roles": roles}}, token=token)
        theirs = server.login(name, "secret")
        assert server.call("GET", API + "/list", token=theirs).status == 403
        put(server, theirs, "hub.traceMax", "1000", 403)
        assert server.call("DELETE", API + "/hub.traceMax",
                           token=theirs).status == 403
    assert get(server, token, "hub.traceMax")["source"] == "default"


def test_the_sign_in_page_shows_its_message(server):
    token = server.login()
    assert "message\"" not in login_page(server)
    put(server, token, "auth.loginMessage", "Closed on <Sunday>")
    page = login_page(server)
    assert "Closed on &lt;Sunday&gt;" in page
    assert "<Sunday>" not in page
    put(server, token, "auth.loginMessage", None)
    assert "Closed" not in login_page(server)


def test_schedules_go_by_the_new_clock_at_once(start):
    server = start("--hub.time-zone", "UTC")
    site = Site(server, server.login())

    def now():
        return datetime.datetime.now(datetime.timezone.utc)

    for ahead in (3, 30):  # until both are known in time
        put(server, site.token, "hub.timeZone", "UTC")
        # in a few seconds, by a clock that is five hours ahead
        due = now().replace(microsecond=0) + datetime.timedelta(seconds=ahead)
        then = due + datetime.timedelta(hours=5)
        r = server.call("POST", "/hub/api/v1/schedule", {"data": {
            "id": "tea%d" % ahead, "unitId": site.unit, "type": "simple",
            "enabled": True, "spec": {"frequency": "daily",
                                      "time": then.strftime("%H:%M:%S")}}},
            token=site.token)
        assert r.status == 200, r.text
        put(server, site.token, "hub.timeZone", "Etc/GMT-5")
        if now() < due:
            break
    until("tea", lambda: server.call(
        "GET", "/hub/api/v1/schedule/tea%d" % ahead,
        token=site.token).data["state"]["executedCount"] == 1)


def test_sunrise_waits_for_a_place(server):
    site = Site(server, server.login())

    def add(name):
        return server.call("POST", "/hub/api/v1/schedule", {"data": {
            "id": name, "unitId": site.unit, "type": "sunrise",
            "spec": {"frequency": "daily"}}}, token=site.token)

    put(server, site.token, "hub.latitude", "48.1")
    assert add("a").status == 400  # half a place is none
    put(server, site.token, "hub.longitude", "11.6")
    assert add("a").status == 200
    put(server, site.token, "hub.latitude", "")
    assert add("b").status == 400


def test_the_log_says_less_when_it_is_told_to(server):
    token = server.login()

    def lines(what):
        return server.logged().count("/auth/api/v1/%s" % what)

    assert server.call("GET", "/auth/api/v1/user?loud",
                       token=token).status == 200
    until("a line", lambda: lines("user?loud") == 1)
    put(server, token, "log.level", "warn")
    assert server.call("GET", "/auth/api/v1/user?quiet",
                       token=token).status == 200
    assert server.call("GET", "/auth/api/v1/nothing",
                       token=token).status == 404
    until("a line", lambda: lines("nothing") == 1)
    assert lines("user?quiet") == 0


def test_home_assistant_forgets_devices_and_finds_them_again(probe):  # noqa: F811
    server = probe.server
    network = probe.network()
    network.publish(probe.net_topic("uldata"), uplink({"temperature": 20}))
    app = Client(server, "test-app-mqtt", topics=["marram/demo/ha/#"])

    def last(empty):
        found = [p for t, p in app.heard if t.endswith("/config")]
        return found and (not found[-1]) is empty

    until("the device", lambda: last(empty=False))
    put(server, probe.token, "hub.homeAssistant", "false")
    until("its end", lambda: last(empty=True))
    put(server, probe.token, "hub.homeAssistant", "true")
    until("the device", lambda: last(empty=False))
    network.close()
    app.close()


def test_a_setting_that_does_not_fit_any_more_is_told(server):
    """As after a time zone has gone from the machine."""
    import sqlite3
    token = server.login()
    put(server, token, "hub.traceMax", "1000")
    put(server, token, "hub.traceRetention", "1d")
    server.stop()
    with sqlite3.connect(server.folder / "data" / "hub.db") as db:
        db.execute("UPDATE setting SET value = 'x' WHERE id = 'hub.traceMax'")
    db.close()
    server.start()
    assert "hub.traceMax that was kept has no effect" in server.logged()
    assert get(server, token, "hub.traceMax")["source"] == "default"
    assert get(server, token, "hub.traceRetention")["value"] == "1d"

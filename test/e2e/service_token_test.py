"""Service tokens: what Grafana, Telegraf and scripts sign in with."""
import base64
import json
import shutil
import subprocess
import time

import pytest

from conftest import LIMIT, Site, until

API = "/auth/api/v1/service-token"
NOW = int(time.time()) // 60 * 60


def make(site, token=None, name="grafana", **more):
    r = site.server.call("POST", API, {"data": {
        "name": name, "neverExpire": True, **more}},
        token=token or site.token)
    assert r.status == 200, r.text
    assert r.data["token"].startswith("marram_pat_")
    return r.data["id"], r.data["token"]


def basic(token):
    return {"Authorization": "Basic " + base64.b64encode(
        ("any:" + token).encode()).decode()}


def curl(site, path, *options):
    done = subprocess.run(
        ["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", "--max-time", "20",
         *options, site.server.url + path],
        capture_output=True, text=True, timeout=LIMIT)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


def write(site, token, line="room v=1", org="demo", headers=None):
    return site.server.call(
        "POST", "/api/v2/write?precision=s&org=" + org,
        raw=("%s %d" % (line, NOW)).encode(),
        headers=headers or {"Authorization": "Token " + token}).status


def ask(site, token, query="room_v"):
    r = site.server.call("GET", "/prom/api/v1/query?time=%d&query=%s"
                         % (NOW, query), token=token)
    assert r.status == 200, r.text
    return [s["metric"]["unit"] for s in r.json()["data"]["result"]]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_writes_and_asks_with_one(site):
    _, token = make(site, scopes=["metric.get", "metric.post"])
    status, body = curl(
        site, "/api/v2/write?org=demo&precision=s", "-H",
        "Authorization: Token " + token, "--data-binary",
        "weather,station=roof temperature=21.5 %d" % NOW)
    assert status == 204, body
    for how in (["-H", "Authorization: Bearer " + token],
                ["-u", "grafana:" + token]):
        status, body = curl(
            site, "/prom/api/v1/query?query=weather_temperature&time=%d"
            % NOW, *how)
        assert status == 200, body
        found = json.loads(body)["data"]["result"]
        assert found[0]["value"] == [NOW, "21.5"]
    # and nothing else
    status, body = curl(site, "/coremgr/api/v1/unit/list", "-H",
                        "Authorization: Bearer " + token)
    assert status == 403 and "invalid scope" in body


def test_it_is_a_password_where_passwords_are_asked_for(site):
    _, token = make(site)
    r = site.server.call("POST", "/write?db=demo&precision=s",
                         raw=b"room v=1 %d" % NOW, headers=basic(token))
    assert r.status == 204, r.text
    r = site.server.call("POST", "/prom/api/v1/query",
                         form={"query": "room_v", "time": str(NOW)},
                         headers=basic(token))
    assert r.status == 200 and len(r.json()["data"]["result"]) == 1
    # an access token of somebody who signed in stays a bearer's
    assert site.server.call("GET", "/prom/api/v1/query?query=1",
                            headers=basic(site.token)).status == 401
    # and the API knows no passwords
    assert site.server.call("GET", "/coremgr/api/v1/unit/list",
                            headers=basic(token)).status == 401


def test_it_has_the_rights_of_its_user_and_of_its_unit(site):
    add = site.server.call("POST", "/auth/api/v1/user", {"data": {
        "account": "ann", "password": "secret"}}, token=site.token)
    other = Site(site.server, site.token, code="other")
    _, every = make(site, name="all")
    _, bound = make(site, name="bound", unitId=other.unit)
    _, hers = make(site, name="hers", userId=add.data["userId"])
    assert write(site, every) == 204
    assert write(site, every, org="other") == 204
    assert write(site, bound) == 404
    assert write(site, bound, org="other") == 204
    assert write(site, hers) == 404
    assert sorted(ask(site, every)) == ["demo", "other"]
    assert ask(site, bound) == ["other"]
    assert ask(site, hers) == []

    def devices(token, unit):
        r = site.server.call(
            "GET", "/broker/api/v1/device/count?unit=" + unit, token=token)
        return r.data["count"] if r.status == 200 else r.status

    assert devices(every, site.unit) == 1
    assert devices(bound, other.unit) == 1
    assert devices(bound, site.unit) == 400
    units = site.server.call("GET", "/broker/api/v1/unit/list", token=bound)
    assert [u["code"] for u in units.data] == ["other"]
    assert site.server.call("POST", "/broker/api/v1/unit", {"data": {
        "code": "more"}}, token=bound).status == 403
    assert site.server.call("GET", "/data/api/v1/coremgr-opdata/list",
                            token=bound).status == 403
    profiles = "/hub/api/v1/profile/count?unit="
    assert site.server.call("GET", profiles + other.unit,
                            token=bound).data == {"count": 0}
    assert site.server.call("GET", profiles + site.unit,
                            token=bound).status == 400
    assert site.server.call("GET", "/hub/api/v1/setting/list",
                            token=bound).status == 403
    # a membership that comes is a right that comes
    r = site.server.call("PATCH", "/broker/api/v1/unit/" + site.unit, {
        "data": {"memberIds": [add.data["userId"]]}}, token=site.token)
    assert r.status == 204, r.text
    assert ask(site, hers) == ["demo"]


def test_what_ends_it_does_so_at_once(site):
    ident, token = make(site)
    assert write(site, token) == 204
    assert site.server.call("DELETE", API + "/" + ident,
                            token=site.token).status == 204
    assert write(site, token) == 401
    for ahead in (3, 30):  # until it is tried in time
        end = int(time.time()) + ahead
        r = site.server.call("POST", API, {"data": {
            "name": "short", "expiresOn": time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))}}, token=site.token)
        if r.status == 200 and write(site, r.data["token"]) == 204:
            break
        assert time.time() >= end, r.text
    until("its end", lambda: write(site, r.data["token"]) == 401)


def test_it_outlives_a_restart_and_is_in_no_log(site):
    ident, token = make(site)
    assert write(site, token) == 204
    site.server.restart()
    assert write(site, token) == 204
    assert site.server.call("DELETE", API + "/" + ident,
                            token=site.token).status == 204
    assert token not in site.server.logged()

    def operations():
        r = site.server.call("GET", "/data/api/v1/coremgr-opdata/list",
                             token=site.token)
        assert token not in r.text
        mine = [o for o in r.data if o["path"].startswith(API)]
        return len(mine) == 2 and mine

    done = until("the record", operations)
    assert {o["method"] for o in done} == {"POST", "DELETE"}

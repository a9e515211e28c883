"""The operation log: every change by a person, by whichever API; and found again."""
import time

from conftest import until

LIST = "/data/api/v1/coremgr-opdata/list?limit=0&"


def operations(server, token, query=""):
    r = server.call("GET", LIST + query, token=token)
    assert r.status == 200, r.text
    return r.data


def add_user(server, token, account, **roles):
    r = server.call("POST", "/auth/api/v1/user", {"data": {
        "account": account, "password": "hush-hush"}}, token)
    assert r.status == 200, r.text
    if roles:
        assert server.call("PATCH", "/auth/api/v1/user/" + r.data["userId"],
                           {"data": {"roles": roles}}, token).status == 204
    return r.data["userId"]


def test_changes_are_on_record_by_whichever_api_they_come(site):
    server, token = site.server, site.token
    user = add_user(server, token, "ann")
    assert server.call("PATCH", "/broker/api/v1/unit/" + site.unit, {
        "data": {"name": "Other"}}, token).status == 204
    assert server.call("PATCH", "/hub/api/v1/setting/log.level", {
        "data": {"value": "warn"}}, token).status == 204
    hers = server.login("ann", "hush-hush")
    assert server.call("DELETE", "/auth/api/v1/user/" + user,
                       token=hers).status == 403
    # what ends the caller's own token is on record, too
    assert server.call("PATCH", "/auth/api/v1/user", {"data": {
        "password": "more-hush"}}, hers).status == 204
    hers = server.login("ann", "more-hush")
    assert server.call("POST", "/auth/api/v1/auth/logout",
                       token=hers).status == 204
    assert server.call("GET", "/broker/api/v1/unit/list",
                       token=token).status == 200

    def done():
        rows = operations(server, token)
        return [r for r in rows if r["path"].endswith("logout")] and rows

    rows = until("the record", done)
    seen = {(r["userId"], r["method"], r["path"], r["status"]) for r in rows}
    assert {("admin", "POST", "/auth/api/v1/user", 200),
            ("admin", "PATCH", "/broker/api/v1/unit/" + site.unit, 204),
            ("admin", "PATCH", "/hub/api/v1/setting/log.level", 204),
            (user, "DELETE", "/auth/api/v1/user/" + user, 403),
            (user, "PATCH", "/auth/api/v1/user", 204),
            (user, "POST", "/auth/api/v1/auth/logout", 204)} <= seen
    assert "hush" not in str(rows)
    assert not [r for r in rows if r["method"] == "GET"]


def test_lines_of_values_are_no_changes_by_people(site):
    r = site.server.call("POST", "/auth/api/v1/service-token", {"data": {
        "name": "telegraf", "neverExpire": True}}, site.token)
    r = site.server.call("POST", "/write?db=demo", raw=b"room temperature=21",
                         token=r.data["token"])
    assert r.status == 204, r.text
    assert site.server.call("POST", "/broker/api/v1/unit", {"data": {
        "code": "last"}}, site.token).status == 200
    rows = until("the record", lambda: [
        o for o in operations(site.server, site.token)
        if o["path"] == "/broker/api/v1/unit" and
        "last" in str(o.get("body"))] and operations(site.server, site.token))
    assert not [o for o in rows if o["path"].startswith("/write")]


def test_they_are_found_by_who_how_where_and_with_what_answer(site):
    server, token = site.server, site.token
    began = int(time.time() * 1000)
    user = add_user(server, token, "ann", dev=True)
    hers = server.login("ann", "hush-hush")
    made = server.call("POST", "/broker/api/v1/unit", {
        "data": {"code": "hers"}}, hers).data["unitId"]
    assert server.call("DELETE", "/broker/api/v1/unit/" + made,
                       token=hers).status == 204
    assert server.call("POST", "/broker/api/v1/unit", {
        "data": {"code": "!"}}, hers).status == 400

    def found(query, who=token):  # some may be of the same millisecond
        return sorted((r["method"], r["status"])
                      for r in operations(server, who, query))

    until("the record", lambda: len(found("user=" + user)) == 3)
    three = [("DELETE", 204), ("POST", 200), ("POST", 400)]
    assert found("user=" + user) == three
    assert found("user=%s&method=POST" % user) == three[1:]
    assert found("user=%s&path=UNIT/" % user) == three[:1]
    assert found("user=%s&status=4xx" % user) == three[2:]
    assert found("user=%s&status=204" % user) == three[:1]
    assert found("user=%s&client=none" % user) == []
    assert found("user=%s&client=public" % user) == three
    assert found("user=%s&tfield=req&tstart=%d" % (user, began)) == three
    assert found("user=%s&tfield=req&tend=%d" % (user, began - 1)) == []
    n = server.call("GET", "/data/api/v1/coremgr-opdata/count?status=4xx&"
                    "user=" + user, token=token).data
    assert n == {"count": 1}
    for bad in ("x", "44xx", "xx", "-1", "0xx"):
        assert server.call("GET", LIST + "status=" + bad,
                           token=token).status == 400, bad
    # who is no administrator sees the own ones, whatever is asked for
    assert found("user=admin", hers) == three
    saved = server.call("GET", LIST + "format=csv&user=" + user, token=token)
    assert len(saved.text.strip().split("\n")) == 4


def test_somebody_signs_out_everywhere(site):
    server = site.server
    add_user(server, site.token, "ann")
    one, two = (server.login("ann", "hush-hush") for _ in range(2))
    unit = "/broker/api/v1/unit/list"
    assert server.call("GET", unit, token=two).status == 200
    assert server.call("POST", "/auth/api/v1/auth/logout-all",
                       token=one).status == 204
    for token in (one, two):
        assert server.call("GET", unit, token=token).status == 401
    assert server.call("GET", unit, token=site.token).status == 200
    r = server.call("POST", "/auth/api/v1/service-token", {"data": {
        "name": "script", "neverExpire": True}}, site.token)
    assert server.call("POST", "/auth/api/v1/auth/logout-all",
                       token=r.data["token"]).status == 403

"""Versions of what people make: who changed what; back again."""
import json
import signal

import pytest

import backup_test
from cli_test import Cli
from conftest import Site, all_bytes, until
from values_test import hub, listed, uplink

BROKER, HUB, MIRROR = "/broker/api/v1/", "/hub/api/v1/", "/coremgr/api/v1/"


class Versions:
    """What one user sees of the versions below one prefix."""

    def __init__(self, server, token, prefix):
        self.server, self.token, self.prefix = server, token, prefix

    def call(self, method, path, body=None, status=200):
        r = self.server.call(method, self.prefix + path, body, self.token)
        assert r.status == status, (r.status, r.text)
        return r

    def list(self, status=200, **query):
        r = self.call("GET", "version/list?" + "&".join(
            "%s=%s" % kv for kv in query.items()), status=status)
        return r.data if status == 200 else r

    def of(self, kind, id, **more):
        return self.list(type=kind, id=id, sort="number:asc", limit=0, **more)

    def get(self, id, status=200):
        r = self.call("GET", "version/" + id, status=status)
        return r.data if status == 200 else r

    def diff(self, id, other=None):
        rows = self.call("GET", "version/%s/diff%s" % (
            id, "?with=" + other if other else "")).data
        return {d["path"]: (d.get("before"), d.get("after")) for d in rows}

    def restore(self, id, status=200):
        r = self.call("POST", "version/%s/restore" % id, status=status)
        return r.data if status == 200 else r

    def undo(self, id, status=200):
        r = self.call("POST", "version/%s/undo" % id, status=status)
        return r.data if status == 200 else r


def made(answer):
    assert answer.status in (200, 204), answer.text
    return answer.headers["X-Marram-Version"]


@pytest.fixture
def broker(site):
    return Versions(site.server, site.token, BROKER)


@pytest.fixture
def rules(site):
    return Versions(site.server, site.token, HUB)


def test_each_change_of_a_device_is_a_version(site, broker):
    assert [(v["number"], v["verb"]) for v in
            broker.of("device", site.device)] == [(1, "created")]
    version = made(site.call("PATCH", "device/" + site.device, {"data": {
        "name": "Lamp", "info": {"room": "attic", "tags": ["a", "b"]}}}))
    site.call("PATCH", "device/" + site.device, {"data": {"name": "Lamp"}})
    rows = broker.of("device", site.device)
    assert [(v["number"], v["verb"], v["account"], v["unitId"])
            for v in rows] == [(1, "created", "admin", site.unit),
                               (2, "changed", "admin", site.unit)]
    assert rows[1]["versionId"] == version and "object" not in rows[1]
    whole = broker.get(version)
    assert whole["object"]["name"] == "Lamp"
    assert whole["object"]["info"] == {"room": "attic", "tags": ["a", "b"]}
    assert broker.diff(version) == {
        "name": ("", "Lamp"), "info.room": (None, "attic"),
        "info.tags": (None, ["a", "b"])}
    assert broker.diff(rows[0]["versionId"], version) == {
        "name": ("Lamp", ""), "info.room": ("attic", None),
        "info.tags": (["a", "b"], None)}
    assert "networkAddr" in broker.diff(rows[0]["versionId"])

    done = broker.restore(rows[0]["versionId"])
    assert (done["done"], done["kept"], done["failed"]) == (
        "changed", [], [])
    assert {d["path"] for d in done["changed"]} == {
        "name", "info.room", "info.tags"}
    device = site.call("GET", "device/" + site.device).data
    assert (device["name"], device["info"]) == ("", {})
    last = broker.of("device", site.device)[-1]
    assert (last["number"], last["verb"], last["comment"]) == (
        3, "restored", "version 1")
    assert last["versionId"] == done["versionId"]
    # once more there is nothing to do, and no version
    assert broker.restore(rows[0]["versionId"])["done"] == "nothing"
    assert broker.list(type="device", id=site.device, limit=0)[0][
        "number"] == 3
    assert broker.call("GET", "version/count?type=device&id="
                       + site.device).data["count"] == 3
    # the mirror has the same
    mirror = Versions(site.server, site.token, MIRROR)
    assert mirror.of("device", site.device) == broker.of(
        "device", site.device)


def test_a_device_comes_back_with_its_routes(site, broker):
    app = site.application()
    site.call("PATCH", "device/" + site.device, {"data": {"name": "Lamp"}})
    before = site.call("GET", "device/" + site.device).data
    version = made(site.call("DELETE", "device/" + site.device))
    rows = broker.list(change=broker.get(version)["changeId"])
    assert {(v["objectType"], v["objectId"], v["verb"]) for v in rows} == {
        ("device", site.device, "deleted"),
        ("device-route", site.route, "deleted")}
    assert broker.diff(version)["name"] == ("Lamp", None)
    done = broker.undo(version)
    assert done["done"] == "restored" and done["failed"] == []
    assert done["restored"] == [
        {"objectType": "device-route", "objectId": site.route}]
    after = site.call("GET", "device/" + site.device).data
    assert after.pop("modifiedAt") != before.pop("modifiedAt")
    assert after == before
    assert site.call("GET", "device-route/" + site.route).status == 200
    # and messages go their way again
    network = site.network()
    network.publish(site.net_topic("uldata"), {
        "time": "2026-05-01T08:00:00.000Z", "networkAddr": "01000461",
        "data": "00"})
    assert app.wait(1, "uldata")[0]["deviceId"] == site.device


def test_a_network_comes_back_with_all_and_its_password(site, broker):
    route = site.add("network-route", {
        "networkId": site.net, "applicationId": site.app})["routeId"]
    version = made(site.call("DELETE", "network/" + site.net))
    assert site.call("GET", "device/" + site.device).status == 404
    done = broker.restore(version)
    assert done["done"] == "restored" and done["failed"] == []
    assert {(r["objectType"], r["objectId"]) for r in done["restored"]} == {
        ("device", site.device), ("device-route", site.route),
        ("network-route", route)}
    network, app = site.network(), site.application()
    network.publish(site.net_topic("uldata"), {
        "time": "2026-05-01T08:00:00.000Z", "networkAddr": "01000461",
        "data": "00"})
    assert app.wait(1, "uldata")[0]["deviceId"] == site.device
    # of the account nothing is shown
    assert all("ueue" not in v["objectType"]
               for v in broker.list(limit=0))
    assert "assword" not in json.dumps(
        [broker.get(v["versionId"]) for v in broker.list(limit=0)])


def test_an_application_and_a_unit_come_back(site, broker):
    version = made(site.call("DELETE", "application/" + site.app))
    done = broker.restore(version)
    assert done["done"] == "restored" and done["failed"] == []
    assert site.call("GET", "device-route/" + site.route).status == 200
    site.application().close()

    rule = hub(site, "POST", "dashboard", {"data": {
        "unitId": site.unit, "title": "House"}}, 200).data["id"]
    version = made(site.call("DELETE", "unit/" + site.unit))
    assert site.call("GET", "network/" + site.net).status == 404
    rules = Versions(site.server, site.token, HUB)
    until("the hub's part of the unit has gone",
          lambda: rules.of("dashboard", rule)[-1]["verb"] == "deleted")
    done = broker.restore(version)
    assert done["done"] == "restored" and done["failed"] == []
    assert {r["objectType"] for r in done["restored"]} == {
        "network", "application", "device", "device-route"}
    site.application().close()
    site.network().close()
    gone = rules.of("dashboard", rule)[-1]
    assert gone["account"] is None
    assert rules.restore(gone["versionId"])["done"] == "restored"
    assert hub(site, "GET", "dashboard/" + rule, status=200).data[
        "title"] == "House"


def test_what_can_not_come_back_is_named(site, broker):
    version = made(site.call("DELETE", "network/" + site.net))
    site.call("DELETE", "application/" + site.app)
    done = broker.restore(version)
    assert done["done"] == "restored"
    assert [(f["objectType"], f["objectId"], f["code"])
            for f in done["failed"]] == [(
                "device-route", site.route,
                "err_broker_application_not_exist")]
    route = broker.of("device-route", site.route)[-1]
    assert broker.restore(route["versionId"], status=400).code == \
        "err_broker_application_not_exist"


def test_bulk_calls_are_one_change(site, broker):
    many = {"unitId": site.unit, "networkId": site.net,
            "networkAddrs": ["0a", "0b", "01000461"]}
    version = made(site.call("POST", "device/bulk", {"data": many}))
    change = broker.list(change=broker.get(version)["changeId"])
    assert len(change) == 2 and {v["verb"] for v in change} == {"created"}
    made_of = made(site.call("POST", "device/bulk-delete", {"data": many}))
    assert len(broker.list(change=broker.get(made_of)["changeId"])) == 4
    assert broker.undo(version, status=409).code == "err_version"
    done = broker.undo(made_of)
    assert len(done["restored"]) == 3 and done["failed"] == []
    routes = {"applicationId": site.app, "networkId": site.net,
              "networkAddrs": ["0a", "0b"]}
    version = made(site.call("POST", "device-route/bulk", {"data": routes}))
    broker.undo(version)
    left = site.call("GET", "device-route/list?unit=" + site.unit).data
    assert [r["routeId"] for r in left] == [site.route]


def test_a_claim_of_many_is_one_change(site, broker):
    network = site.network()
    for addr in ("ab01", "ab02", "ab03"):
        network.publish(site.net_topic("uldata"), uplink({"t": 1}, addr=addr))
    items = listed(site, "inbox")
    answer = hub(site, "POST", "inbox/claim", {"data": {
        "ids": [i["id"] for i in items]}}, 200)
    ids = {c["deviceId"] for c in answer.data}
    version = made(answer)
    change = broker.list(change=broker.get(version)["changeId"])
    assert {v["objectId"] for v in change} == ids and len(ids) == 3

    # what somebody has changed since stays, and is named
    other = next(v for v in change if v["versionId"] != version)["objectId"]
    site.call("PATCH", "device/" + other, {"data": {"name": "Lamp"}})
    done = broker.undo(version)
    assert done["done"] == "deleted"
    assert [(f["objectId"], f["code"]) for f in done["failed"]] == [
        (other, "err_version")]
    left = {d["deviceId"] for d in
            site.call("GET", "device/list?unit=" + site.unit).data}
    assert left == {site.device, other}

    # and the undo is one change itself
    back = broker.undo(done["versionId"])
    assert back["done"] == "restored" and back["failed"] == []
    left = {d["deviceId"] for d in
            site.call("GET", "device/list?unit=" + site.unit).data}
    assert left == ids | {site.device}
    network.close()


def test_undoing_an_undo_takes_all_of_it_back(site, broker):
    many = {"unitId": site.unit, "networkId": site.net,
            "networkAddrs": ["0a", "0b", "01000461"]}
    site.call("POST", "device/bulk", {"data": many})
    version = made(site.call("POST", "device/bulk-delete", {"data": many}))
    back = broker.undo(version)["versionId"]
    assert len(broker.list(change=broker.get(back)["changeId"])) == 4
    assert broker.undo(back)["failed"] == []
    assert site.call("GET", "device/list?unit=" + site.unit).data == []
    assert site.call("GET", "device-route/" + site.route).status == 404


def test_a_move_takes_its_routes_along_and_back(site, broker):
    net2 = site.make("network", "net2")
    version = made(site.call("PATCH", "device/" + site.device, {
        "data": {"networkId": net2, "networkAddr": "ff"}}))
    route = site.call("GET", "device-route/" + site.route).data
    assert (route["networkCode"], route["networkAddr"]) == ("net2", "ff")
    assert broker.undo(version)["kept"] == []
    route = site.call("GET", "device-route/" + site.route).data
    assert (route["networkCode"], route["networkAddr"]) == (
        "test-net-mqtt", "01000461")


OBJECTS = {
    "profile": ({"code": "p"}, {"name": "Probe", "script": "1"}),
    "data-repository": ({"id": "r"}, {"data": {"a": {"b": 1}}}),
    "handler": ({"id": "h", "type": "webhook", "spec": {
        "server": "http://localhost:1", "headers": {"X-Key": "geheim"}}},
        {"description": "x"}),
    "forward-payload": ({"id": "f", "srcFieldId": "field:a.b.c.d",
                         "dstFieldId": "field:a.b.c.e"},
                        {"enabled": False}),
    "task": ({"id": "t"}, {"description": "d", "variables": {"x": "1"}}),
    "schedule": ({"id": "s", "type": "repeat", "spec": {"interval": "1h"}},
                 {"description": "d"}),
    "dashboard": ({"title": "House"}, {"title": "Home", "widgets": [
        {"id": "1", "type": "text", "config": {"text": "a"}}]}),
}


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_each_kind_of_the_hub(site, rules, kind):
    first, change = OBJECTS[kind]
    made_by = hub(site, "POST", kind, {"data": {
        "unitId": site.unit, **first}}, 200)
    id = made_by.data["id"]
    path = "%s/%s" % (kind, id)
    was = hub(site, "GET", path, status=200).data
    changed = made(hub(site, "PATCH", path, {"data": change}, 204))
    assert {p.split(".")[0].split("[")[0] for p in rules.diff(changed)} == \
        set(change)
    assert rules.undo(changed)["done"] == "changed"
    assert [v["verb"] for v in rules.of(kind, id)] == [
        "created", "changed", "restored"]
    without = ("state", "modifiedOn")

    def now():
        d = hub(site, "GET", path, status=200).data
        return {k: v for k, v in d.items() if k not in without}

    same = {k: v for k, v in was.items() if k not in without}
    assert now() == same
    gone = made(hub(site, "DELETE", path, status=204))
    assert hub(site, "GET", path).status == 404
    done = rules.restore(gone)
    assert (done["done"], done["kept"]) == ("restored", [])
    assert now() == same
    last = rules.of(kind, id)[-1]
    assert rules.undo(last["versionId"])["done"] == "deleted"
    assert hub(site, "GET", path).status == 404
    assert rules.undo(made(made_by), status=409).code == "err_version"


def test_undo_of_what_was_made(site, rules):
    answer = hub(site, "POST", "task", {"data": {
        "unitId": site.unit, "id": "t"}}, 200)
    assert rules.undo(made(answer))["done"] == "deleted"
    assert hub(site, "GET", "task/t").status == 404


def test_secrets_are_kept_and_not_shown(site, rules):
    def spec(key):
        return {"server": "http://localhost:1",
                "headers": {"Authorization": key}}
    id = hub(site, "POST", "handler", {"data": {
        "unitId": site.unit, "type": "webhook", "spec": spec("one-secret"),
        "description": "a"}}, 200).data["id"]
    first = rules.of("handler", id)[0]["versionId"]
    hub(site, "PATCH", "handler/" + id, {"data": {
        "spec": spec("two-secret"), "description": "b"}}, 204)
    text = json.dumps([rules.get(v["versionId"]) for v in
                       rules.of("handler", id)])
    assert "secret" not in text and "sealed" not in text
    assert "description" in rules.diff(first)
    assert rules.restore(first)["done"] == "changed"
    raw = all_bytes(site.server.folder / "data")
    assert b"one-secret" not in raw and b"two-secret" not in raw


def test_a_gateway_and_its_devices(site, broker):
    id = hub(site, "POST", "gateway", {"data": {
        "unitId": site.unit, "code": "g", "provider": {
            "type": "mysensors_v2", "protocol": {
                "type": "ethernet", "server": "tcp://127.0.0.1:1"}},
        "enabled": False}}, 200).data["id"]
    device = site.add("device", {"unitId": site.unit, "networkId": id,
                                 "networkAddr": "7"})["deviceId"]
    version = made(hub(site, "PATCH", "gateway/" + id, {"data": {
        "description": "Attic"}}, 204))
    assert broker.diff(version) == {"description": ("", "Attic")}
    broker.undo(version)
    version = made(hub(site, "DELETE", "gateway/" + id, status=204))
    done = broker.undo(version)
    assert done["failed"] == [] and done["restored"] == [
        {"objectType": "device", "objectId": device}]
    assert hub(site, "GET", "gateway/" + id, status=200).data["code"] == "g"


def test_settings(site, rules):
    path = "setting/hub.timeZone"
    assert hub(site, "GET", path).data["value"] is not None or True
    version = made(hub(site, "PATCH", path, {"data": {
        "value": "Europe/Berlin"}}, 204))
    hub(site, "PATCH", path, {"data": {"value": "Asia/Tokyo"}}, 204)
    assert rules.diff(version)["value"][1] == "Europe/Berlin"
    assert rules.restore(version)["done"] == "changed"
    assert hub(site, "GET", path).data["value"] == "Europe/Berlin"
    verbs = [(v["verb"], v["account"]) for v in rules.of(
        "setting", "hub.timeZone")]
    assert verbs == [("created", None), ("changed", "admin"),
                     ("changed", "admin"), ("restored", "admin")]
    first = rules.of("setting", "hub.timeZone")[0]["versionId"]
    rules.restore(first)
    assert hub(site, "GET", path).data["source"] != "runtime"


def test_what_existed_before_has_a_first_version(site, rules):
    """Nodes are made by what is heard; a person changes one."""
    network = site.network()
    network.publish(site.net_topic("uldata"), {
        "time": "2026-05-01T08:00:00.000Z", "networkAddr": "01000461",
        "data": "00"})
    node = until("the node", lambda: hub(
        site, "GET", "node/list?unit=" + site.unit).data)[0]
    assert rules.of("node", node["id"]) == []
    version = made(hub(site, "PATCH", "node/" + node["id"], {"data": {
        "name": "Lamp"}}, 204))
    assert [(v["number"], v["verb"], v["account"]) for v in
            rules.of("node", node["id"])] == [
        (1, "created", None), (2, "changed", "admin")]
    assert rules.diff(version) == {"name": (node["name"], "Lamp")}
    rules.undo(version)
    assert hub(site, "GET", "node/" + node["id"]).data["name"] == node["name"]


def test_machines_make_no_versions(site, rules):
    hub(site, "POST", "task", {"data": {
        "unitId": site.unit, "id": "t", "triggerOnEvent": True,
        "evaluationType": "rule", "evaluationConfig": {}}}, 200)
    hub(site, "POST", "action", {"data": {
        "unitId": site.unit, "resource": "task:t", "payload": "disable"}},
        204)
    network = site.network()
    for i in range(3):
        network.publish(site.net_topic("uldata"), {
            "time": "2026-05-01T08:00:0%d.000Z" % i,
            "networkAddr": "01000461", "data": "7b2261223a317d"})
    until("the node", lambda: hub(
        site, "GET", "node/list?unit=" + site.unit).data)
    assert {(v["objectType"], v["verb"], v["account"]) for v in
            rules.list(unit=site.unit, limit=0)} == {
        ("task", "created", "admin"), ("task", "changed", "admin")}


def tenant(server, admin, name):
    r = server.call("POST", MIRROR + "user", {"data": {
        "account": name, "password": name}}, admin)
    assert r.status == 200, r.text
    return r.data["userId"], server.login(name, name)


def test_rights(site, broker, rules):
    server = site.server
    ann_id, ann = tenant(server, site.token, "ann")
    bob_id, bob = tenant(server, site.token, "bob")
    mine = Site(server, ann, code="annas")
    task = hub(mine, "POST", "task", {"data": {
        "unitId": mine.unit, "id": "anns"}}, 200).data["id"]
    version = made(mine.call("PATCH", "device/" + mine.device, {
        "data": {"name": "x"}}))
    other = made(hub(mine, "PATCH", "task/" + task, {"data": {
        "description": "x"}}, 204))
    theirs = Versions(server, bob, BROKER), Versions(server, bob, HUB)
    for v, id in zip(theirs, (version, other)):
        v.list(status=400)  # a unit is needed
        v.list(status=400, unit=mine.unit)
        v.get(id, status=404)
        v.call("GET", "version/%s/diff" % id, status=404)
        v.restore(id, status=404)
        v.undo(id, status=404)
    # a member may read, and no more
    r = server.call("PATCH", MIRROR + "unit/" + mine.unit, {"data": {
        "memberIds": [bob_id]}}, site.token)
    assert r.status == 204, r.text
    for v, id in zip(theirs, (version, other)):
        assert v.list(unit=mine.unit)[0]["account"] in ("ann", "admin")
        assert v.get(id)["account"] == "ann"
        v.restore(id, status=404)
        v.undo(id, status=404)
    own = Versions(server, ann, BROKER)
    assert own.undo(version)["done"] == "changed"
    own.list(status=400, type="setting", id="hub.timeZone")
    # a unit that was deleted is its owner's, and not who owned it before
    first = own.list(unit=mine.unit, type="unit", sort="number:asc")[0]
    for owner in (bob_id, ann_id):
        r = server.call("PATCH", MIRROR + "unit/" + mine.unit, {"data": {
            "ownerId": owner, "memberIds": []}}, site.token)
        assert r.status == 204, r.text
        if owner == bob_id:
            theirs_then = made(r)
    gone = made(mine.call("DELETE", "unit/" + mine.unit))
    theirs[0].get(theirs_then, status=404)
    theirs[0].restore(theirs_then, status=404)
    theirs[0].restore(gone, status=404)
    assert own.get(first["versionId"])["object"]["code"] == "annas"
    done = own.restore(gone)
    assert done["done"] == "restored" and done["failed"] == []
    assert mine.call("GET", "device/" + mine.device).status == 200


def test_a_token_held_to_scopes(site, broker):
    version = made(site.call("PATCH", "device/" + site.device, {
        "data": {"name": "x"}}))

    def token(*scopes):
        r = site.server.call("POST", "/auth/api/v1/service-token", {
            "data": {"name": "t", "scopes": list(scopes),
                     "neverExpire": True}}, site.token)
        assert r.status == 200, r.text
        return r.data["token"]

    reads = ["version.get", "version.post.undo", "device.get"]
    held = Versions(site.server, token(*reads), BROKER)
    held.undo(version, status=403)
    held = Versions(site.server, token("version.get"), BROKER)
    held.get(version, status=403)
    held = Versions(site.server, token(*reads, "device.patch"), BROKER)
    assert held.undo(version)["done"] == "changed"


def test_limits(start):
    server = start("--versions.per-object", "3", "--versions.change-max",
                   "2")
    site = Site(server, server.login())
    broker = Versions(server, site.token, BROKER)
    for i in range(5):
        made(site.call("PATCH", "device/" + site.device, {
            "data": {"name": str(i)}}))
    assert [v["number"] for v in broker.of("device", site.device)] == [
        4, 5, 6]
    for i in range(2):
        site.add("device", {"unitId": site.unit, "networkId": site.net,
                            "networkAddr": "%02x" % i})
    version = made(site.call("DELETE", "network/" + site.net))
    whole = broker.get(version)
    assert whole["comment"].startswith("4 more rows")
    assert len(broker.list(change=whole["changeId"])) == 2


def test_kill_and_restart(site, broker, rules):
    def patch(i):
        return made(site.call("PATCH", "device/" + site.device, {
            "data": {"name": str(i)}}))
    last = [patch(i) for i in range(5)][-1]
    gone = made(site.call("DELETE", "device/" + site.device))
    site.server.restart(signal.SIGKILL)
    site.token = broker.token = site.server.login()
    assert [v["number"] for v in broker.of("device", site.device)] == list(
        range(1, 8))
    assert broker.get(last)["object"]["name"] == "4"
    assert broker.undo(gone)["failed"] == []
    assert site.call("GET", "device/" + site.device).data["name"] == "4"


def test_backups_have_them(site, broker, rules):
    hub(site, "POST", "task", {"data": {
        "unitId": site.unit, "id": "t"}}, 200)
    hub(site, "PATCH", "task/t", {"data": {"description": "x"}}, 204)
    before = broker.list(limit=0), rules.list(limit=0)
    backup = backup_test.make(site.server, site.token)
    site.call("DELETE", "device/" + site.device)
    hub(site, "DELETE", "task/t", status=204)
    assert (broker.list(limit=0), rules.list(limit=0)) != before
    backup_test.call(site.server, site.token, "POST", "/%s/restore" % backup)
    broker.token = rules.token = site.server.login()
    assert (broker.list(limit=0), rules.list(limit=0)) == before


def test_on_the_command_line(site, broker, tmp_path):
    version = made(site.call("PATCH", "device/" + site.device, {
        "data": {"name": "x"}}))
    hub(site, "POST", "task", {"data": {
        "unitId": site.unit, "id": "t"}}, 200)
    cli = Cli(site.server, tmp_path)
    cli.ok("login", "-a", "admin", "-p", "admin")
    rows = cli.ok("version", "list", "--type", "device")
    assert rows[0]["versionId"] == version
    assert cli.ok("version", "diff", "-i", version)[0]["path"] == "name"
    assert cli.ok("version", "get", "-i", version)["object"]["name"] == "x"
    done = cli.ok("version", "restore", "-i", rows[1]["versionId"])
    assert done["done"] == "changed"
    assert cli.ok("version", "undo", "-i", done["versionId"])["done"] == \
        "changed"
    assert cli.ok("hub.version", "list")[0]["objectType"] == "task"

"""Units are apart: whoever is not of a unit sees nothing of it by any route,
and who may only read it changes nothing."""
import re
import urllib.parse

import pytest

from audit_test import add_user
from conftest import Site
from values_test import hub

HUB, BROKER, MIRROR = "/hub/api/v1/", "/broker/api/v1/", "/coremgr/api/v1/"
SECRET = "se-cret-of-ann"


@pytest.fixture
def world(server):
    """A unit of ann with one of each; bob owns another; carl may read ann's."""
    admin = server.login()
    ids = {n: add_user(server, admin, n) for n in ("ann", "bob", "carl")}
    tokens = {n: server.login(n, "hush-hush") for n in ids}
    site = Site(server, tokens["ann"], code="anns")
    site.made = {"unit": site.unit, "device": site.device,
                 "application": site.app, "network": site.net,
                 "device-route": site.route}
    site.call("PATCH", "unit/" + site.unit,
              {"data": {"memberIds": [ids["carl"]]}})
    for kind, data in {
            "profile": {"code": "p", "name": "anns profile"},
            "gateway": {"code": "g", "enabled": False, "provider": {
                "type": "mysensors_v2", "protocol": {
                    "type": "mqtt", "broker": "tcp://localhost:1",
                    "username": "u", "password": SECRET,
                    "subscribe": "out/#", "publish": "in"}}},
            "firmware": {"description": "anns"},
            "data-repository": {"data": {"a": "anns"}},
            "handler": {"type": "noop", "spec": {}},
            "task": {"evaluationType": "rule", "evaluationConfig": {},
                     "handlers": ["resource_handler"]},
            "schedule": {"type": "repeat", "spec": {"interval": "1h"},
                         "handlers": ["resource_handler"]},
            "forward-payload": {"srcFieldId": "field:a.b.c.d",
                                "dstFieldId": "field:a.b.c.e"},
            "dashboard": {"title": "anns"}}.items():
        r = hub(site, "POST", kind, {"data": {"unitId": site.unit, **data}})
        assert r.status == 200, (kind, r.text)
        site.made[kind] = r.data["id"]
    for prefix in (HUB, BROKER):
        rows = server.call("GET", prefix + "version/list?unit=%s&limit=0"
                           % site.unit, token=site.token).data
        assert rows
        site.made["version " + prefix] = rows[0]["versionId"]
    bobs = server.call("POST", BROKER + "unit", {"data": {"code": "bobs"}},
                       tokens["bob"]).data["unitId"]
    site.tokens, site.bobs, site.ids = tokens, bobs, ids
    return site


def paths(server, method):
    doc = server.call("GET", "/openapi.json").json()
    for path, methods in doc["paths"].items():
        if method.lower() in methods and "/api/v1/" in path:
            yield path, methods[method.lower()]


def own_id(site, path):
    kind = path.split("/")[4]
    if kind == "version":
        return site.made["version " + (HUB if path.startswith(HUB)
                                       else BROKER)]
    if kind in ("test", "simulator"):
        return site.unit
    return site.made.get(kind)


def filled(site, path):
    return re.sub(r"\{\w+\}", lambda _: own_id(site, path) or "none", path)


def shows_ann(site, text):
    return [k for k, v in site.made.items() if v in text] + \
        [w for w in (SECRET, "anns") if w in text]


def test_nothing_is_read_of_another_unit(world):
    for path, o in paths(world.server, "GET"):
        where = filled(world, path)
        if "{" in path:
            r = world.server.call("GET", where, token=world.tokens["bob"])
            assert r.status in (400, 403, 404), (where, r.text)
            continue
        names = {p["name"] for p in o.get("parameters", [])}
        for q in [{}] + [{n: world.unit} for n in ("unit", "unitId")
                         if n in names] + \
                [{"ids": ",".join(world.made.values())}] * ("ids" in names):
            if path.endswith("version/list"):
                q = {**q, "limit": 0}
            r = world.server.call(
                "GET", where + "?" + urllib.parse.urlencode(q),
                token=world.tokens["bob"])
            if r.status == 200:
                assert not shows_ann(world, r.text), (where, q, r.text)
                if path.endswith("/count") and "unit" in q:
                    assert r.data["count"] == 0, (where, q)


def test_nothing_is_changed_in_another_unit(world):
    """Nor by a member, who may only read it."""
    def state():
        return [world.server.call("GET", prefix + kind + "/list?limit=0&unit="
                                  + world.unit, token=world.token).data
                for prefix, kinds in ((BROKER, (
                    "device", "application", "network", "device-route",
                    "network-route")), (HUB, (
                        "profile", "gateway", "firmware", "data-repository",
                        "handler", "task", "schedule", "forward-payload",
                        "dashboard"))) for kind in kinds]

    before = state()
    data = {"unitId": world.unit, "networkId": world.net, "type": "noop",
            "applicationId": world.app, "deviceId": world.device,
            "code": "x", "name": "x", "title": "x", "networkAddr": "1",
            "networkAddrs": ["01000461"], "startAddr": "01000461",
            "endAddr": "01000462", "ids": ["none"], "payload": "1",
            "resource": world.device, "topic": "broker.network.anns.x.uldata",
            "spec": {}, "provider": {"type": "mysensors_v2"}, "data": "00",
            "srcFieldId": "a", "dstFieldId": "b", "hostUri": "mqtt://x",
            "queries": [], "networkCode": world.net_code,
            "description": "x", "message": "x", "commit": "0" * 40,
            "displayName": "x", "settings": {}, "url": "https://x.example",
            "secret": "x", "host": "x", "port": 22, "publicKey": "x",
            "configurations": [], "tags": [], "targetHost": "localhost",
            "targetPort": 22}
    of = {"schedule": {"type": "repeat", "spec": {"interval": "1h"}},
          "data-repository": {"data": {}}, "secret": {"type": "single_line"},
          "operation": {"operation": "restart", "payload": {}},
          "enrolment": {"gatewayId": world.made.get("gateway", "none"),
                        "thumbprint": "0" * 40, "blocked": True}}
    for who in ("bob", "carl"):
        for method in ("POST", "PATCH", "DELETE"):
            for path, o in paths(world.server, method):
                kind = path.split("/")[4]
                if kind in ("auth", "user", "client", "service-token") or \
                        path.endswith(("/api/v1/unit", "/metric",
                                       "/inbox/claim")):
                    continue
                try:
                    known = o["requestBody"]["content"]["application/json"][
                        "schema"]["properties"]["data"]["properties"]
                except KeyError:
                    known = {}
                body = {k: v for k, v in {**data, **of.get(kind, {})}.items()
                        if k in known}
                where = filled(world, path)
                if "unit" in {p["name"] for p in o.get("parameters", [])}:
                    where += "?unit=" + world.unit
                r = world.server.call(
                    method, where, {"data": body} if method != "DELETE" else None,
                    world.tokens[who])
                assert "err_param" not in r.text, (path, r.text)
                assert r.status in (400, 403, 404, 413, 415) or (
                    method == "DELETE" and r.status == 204), (
                    who, method, path, r.status, r.text)
        assert state() == before, who


def test_no_secret_is_shown(world):
    """Not in lists, versions, differences, the operation log."""
    for token in (world.token, world.server.login()):
        for path, _ in paths(world.server, "GET"):
            r = world.server.call("GET", filled(world, path) + (
                "?limit=0&unit=" + world.unit if path.endswith("/list")
                else ""), token=token)
            if path == HUB + "gateway/list":
                assert "mysensors_v2" in r.text
            assert SECRET not in r.text and "$argon2" not in r.text and \
                "hush-hush" not in r.text, (path, r.text)

"""Backups of MyController, made here in both of its forms, become a unit."""
import base64
import hashlib
import io
import json
import sqlite3
import zipfile

import pytest

from backup_test import call, changes, make, upload
from conftest import Site, until
from values_test import hub, listed, uplink

# "hunter2", by the secret "my-secret"
ENCRYPTED = ("ENCRYPTED;MC;AES256;BASE64;"
             "AAECAwQFBgcICQoLVWkpUQqr/u4+dc7wJlG0LhS+93Oun2E=")
NEVER = "0001-01-01T00:00:00Z"
OLD_VARIABLE = json.dumps({
    "type": "resource_by_quick_id", "disabled": "",
    "data": base64.b64encode(
        b"resourceType: data_repository\n"
        b"quickId: limits\nselector: data.fan\n").decode()})

STORAGE = {
    "gateway": [
        {"id": "MySensor", "description": "attic", "enabled": True,
         "reconnectDelay": "15s", "labels": {}, "others": {},
         "provider": {"type": "mysensors_v2", "protocol": {
             "type": "mqtt", "broker": "tcp://127.0.0.1:1883",
             "password": ENCRYPTED}},
         "state": {"status": "down", "message": "", "since": NEVER},
         "modifiedOn": NEVER},
        {"id": "not a code", "labels": {}}],
    "node": [
        {"id": "5f1c", "gatewayId": "MySensor", "nodeId": "11A",
         "name": "Hall", "labels": {"room": "hall"},
         "others": {"battery_level": 97},
         "state": {"status": "up", "message": "",
                   "since": "2026-05-01T09:00:00.5+02:00"},
         "lastSeen": "2026-05-01T10:00:00.12+02:00", "modifiedOn": NEVER},
        {"id": "5f1d", "gatewayId": "not a code", "nodeId": "1"}],
    "source": [
        {"id": "a1", "gatewayId": "MySensor", "nodeId": "11A",
         "sourceId": "1", "name": "DHT", "labels": {}, "others": {},
         "lastSeen": "2026-05-01T10:00:00.12+02:00", "modifiedOn": NEVER}],
    "field": [
        {"id": "7c0e", "gatewayId": "MySensor", "nodeId": "11A",
         "sourceId": "1", "fieldId": "V_TEMP", "name": "Hall temperature",
         "metricType": "gauge_float",
         "current": {"value": 21.5, "isReceived": True,
                     "timestamp": "2026-05-01T10:00:00.12+02:00"},
         "previous": {"value": 21.4, "isReceived": True,
                      "timestamp": "2026-05-01T09:59:00+02:00"},
         "formatter": {"onReceive": ""}, "unit": "°C",
         "labels": {"ignore_name": "true"}, "others": {},
         "noChangeSince": "2026-05-01T10:00:00.12+02:00",
         "lastSeen": "2026-05-01T10:00:00.12+02:00", "modifiedOn": NEVER},
        {"id": "7c0f", "gatewayId": "MySensor", "nodeId": "gone",
         "sourceId": "1", "fieldId": "V_TEMP"}],
    "data_repository": [
        {"id": "limits", "readOnly": False, "description": "",
         "labels": {}, "data": {"fan": 30, "key": ENCRYPTED},
         "modifiedOn": NEVER}],
    "handler": [
        {"id": "mail", "description": "", "enabled": False, "labels": {},
         "type": "email", "spec": {
             "host": "mail.example", "port": 465, "authType": "plain",
             "username": "me", "password": ENCRYPTED,
             "fromEmail": "me@example.com", "insecureSkipVerify": True},
         "modifiedOn": NEVER, "state": None}],
    "task": [
        {"id": "fan_on", "description": "", "enabled": True,
         "ignoreDuplicate": True, "triggerOnEvent": True,
         "reEnableDuration": "",
         "eventFilter": {"eventTypes": ["updated", "created"],
                         "entityTypes": ["field"],
                         "filters": {"gatewayId": "MySensor",
                                     "nodeId": "11A",
                                     "fieldId": "V_TEMP"}},
         "variables": {
             "t": {"type": "resource_by_quick_id", "resourceType": "field",
                   "quickId": "MySensor.11A.1.V_TEMP",
                   "keyPath": "current.value"},
             "limit": OLD_VARIABLE},
         "evaluationType": "rule",
         "evaluationConfig": {"rule": {"matchAll": True, "conditions": [
             {"variable": "t", "operator": "gt",
              "value": "{{ .limit }}"}]}},
         "dampening": {"type": "", "occurrences": 0},
         "handlerParameters": {"note": {
             "type": "resource_by_quick_id",
             "resourceType": "data_repository", "quickId": "limits",
             "keyPath": "seen", "payload": "{{ .t }}"}},
         "handlers": ["resource_handler"], "modifiedOn": NEVER,
         "state": {"lastEvaluation": NEVER, "lastSuccess": NEVER,
                   "message": "", "lastStatus": False, "executedCount": 3,
                   "executionsHistory": [], "activeSince": NEVER}},
        {"id": "asks", "evaluationType": "oracle"}],
    "schedule": [
        {"id": "garden", "enabled": False, "type": "repeat",
         "spec": {"interval": "1h", "repeatCount": 0},
         "validity": {"enabled": False, "date": {"from": "", "to": ""},
                      "time": {"from": "", "to": ""},
                      "validateTimeEveryday": False},
         "customVariableType": "", "variables": {},
         "handlerParameters": {}, "handlers": [], "modifiedOn": NEVER}],
    "forward_payload": [
        {"id": "fwd", "description": "", "enabled": False,
         "srcFieldId": "field:MySensor.11A.1.V_TEMP",
         "dstFieldId": "field:MySensor.11A.1.V_STATUS", "labels": {},
         "modifiedOn": NEVER}],
    "dashboard": [
        {"id": "d1", "type": "desktop", "title": "Home", "description": "",
         "favorite": True, "disabled": False, "labels": {},
         "widgets": [{"id": "w1", "title": "t", "type": "panel",
                      "config": {"resource": {
                          "type": "field",
                          "quickId": "field:MySensor.11A.1.V_TEMP"}}}],
         "modifiedOn": NEVER}],
    "firmware": [
        {"id": "blink", "description": "", "labels": {"platform": "avr"},
         "file": {"name": "blink.hex", "internalName": "blink.hex",
                  "checksum": "sha256:" + hashlib.sha256(b":00").hexdigest(),
                  "size": 3, "modifiedOn": NEVER}, "modifiedOn": NEVER}],
    "user": [{"id": "u1", "username": "admin", "password": "$2a$10$x"}],
    "settings": [{"id": "version", "spec": {"version": "2.0.0"}}],
    "virtual_device": [{"id": "vd", "name": "lamp"}],
    "service_token": [{"id": "st", "name": "ci"}],
}


def yaml(value, indent=0):
    """As much of YAML as Go writes of such values."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        out = ""
        for key, v in value.items():
            nested = isinstance(v, (dict, list)) and v
            out += "%s%s:%s" % (pad, key, "\n" + yaml(v, indent + 1)
                                if nested else " " + yaml(v))
        return out
    if isinstance(value, list) and value:
        out = ""
        for v in value:
            text = yaml(v, indent + 1)
            out += pad + "- " + text.lstrip() if text.strip() else text
        return out
    if value in ({}, []):
        return ("{}" if value == {} else "[]") + "\n"
    if isinstance(value, str) and value.replace("_", "a").isalnum() and \
            not value[0].isdigit() and value not in ("true", "false"):
        return value + "\n"  # plain
    return json.dumps(value, ensure_ascii=False) + "\n"


def mycontroller(form):
    """Its zip file: no folder around, slashes where it puts them."""
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("/backup.yaml", "filename: x_mc_backup_%s.zip\n"
                   "storage_export_type: %s\n"
                   "created_on: 2026-05-01T10:00:00Z\n"
                   "version:\n  version: 2.0.0\n  gitcommit: abc\n"
                   "directories: {}\n" % (form, form))
        z.writestr("/firmware/blink.hex", ":00")
        for entity, rows in STORAGE.items():
            for at in range(0, len(rows), 50):
                page = rows[at:at + 50]
                text = json.dumps(page) if form == "json" else yaml(page)
                z.writestr("/storage//%s__%d.%s" % (entity, at, form), text)
    return b.getvalue()


@pytest.fixture(params=["json", "yaml"])
def imported(request, server):
    token = server.login()
    site = Site.__new__(Site)
    site.server, site.token = server, token
    site.unit = site.add("unit", {"code": "home"})["unitId"]
    site.code = "home"
    upload(server, token, "mc", mycontroller(request.param))
    return site


def do(site, dry, secret="my-secret", status=200, **more):
    body = {"unitId": site.unit, "secret": secret, **more}
    return call(site.server, site.token, "POST",
                "/mc/import" + ("?dryRun=true" if dry else ""),
                {"data": body}, status)


def test_a_unit_is_made_of_it(imported):
    site, server = imported, imported.server
    said = do(site, True).data
    assert site.call("GET", "network/count").data["count"] == 0
    assert listed(site, "task") == []
    done = do(site, False).data
    # these two are there only in programs that drive gateways
    driven = "broker.gateway" in changes(done)
    more = ({"broker.gateway": (1, 0, 0), "hub.firmware": (1, 0, 0)}
            if driven else {"broker.network": (1, 0, 0)})
    for report in (said, done):
        assert changes(report) == {
            **more, "broker.device": (1, 0, 0),
            "hub.node": (1, 0, 0), "hub.source": (1, 0, 0),
            "hub.field": (1, 0, 0), "hub.dataRepository": (1, 0, 0),
            "hub.handler": (1, 0, 0), "hub.task": (1, 0, 0),
            "hub.schedule": (1, 0, 0), "hub.forwardPayload": (1, 0, 0),
            "hub.dashboard": (1, 0, 0)}
        why = {(s["entity"], s["id"]): s["why"] for s in report["skipped"]}
        assert set(why) == {
            *([] if driven else [("gateway", "MySensor"),
                                 ("firmware", "blink")]),
            ("gateway", "not a code"),
            ("node", "1"), ("field", "V_TEMP"), ("task", "asks"),
            ("user", "admin"), ("settings", "version"),
            ("virtual_device", "vd"), ("service_token", "ci")}
        assert driven or "connection" in why["gateway", "MySensor"]
        assert "not a code" in why["node", "1"]
        assert "gone" in why["field", "V_TEMP"]
        assert "evaluationType" in why["task", "asks"]
        assert "hunter2" not in json.dumps(report)
    assert "hunter2" not in server.logged()
    copied = server.folder / "data" / "firmware" / "blink.hex"
    assert copied.exists() == driven
    if driven:
        assert copied.read_bytes() == b":00"
        gateway = listed(site, "gateway")[0]
        assert gateway["code"] == "mysensor"
        assert gateway["provider"]["type"] == "mysensors_v2"
        assert "hunter2" not in json.dumps(gateway)

    field = listed(site, "field")[0]
    assert field["id"] == "7c0e"
    assert (field["gatewayId"], field["nodeId"]) == ("mysensor", "11a")
    assert field["current"] == {"value": 21.5, "isReceived": True,
                                "timestamp": "2026-05-01T08:00:00.120Z"}
    assert field["previous"]["value"] == 21.4
    assert field["unit"] == "°C" and field["modifiedOn"] is None
    node = listed(site, "node")[0]
    assert node["name"] == "Hall" and node["state"]["status"] == "up"
    assert node["others"] == {"battery_level": 97}
    device = site.call("GET", "device/list?unit=" + site.unit).data[0]
    assert device["deviceId"] == node["id"] == field["deviceId"]
    assert device["networkAddr"] == "11a"
    limits = hub(site, "GET", "data-repository/limits").data
    assert limits["data"] == {"fan": 30, "key": "hunter2"}
    mail = listed(site, "handler")[0]
    assert mail["spec"]["insecure"] is True
    assert "password" not in mail["spec"]
    task = listed(site, "task")[0]
    assert task["variables"]["limit"]["keyPath"] == "data.fan"
    assert task["state"]["executedCount"] == 3
    widget = listed(site, "dashboard")[0]["widgets"][0]
    assert widget["config"]["resource"]["quickId"] == \
        "field:mysensor.11a.1.V_TEMP"

    if driven:  # what they sign in with is sealed from the first moment
        for path in (server.folder / "data").glob("broker.db*"):
            assert b"hunter2" not in path.read_bytes()
        mail = sqlite3.connect(server.folder / "data" / "hub.db").execute(
            "SELECT spec FROM handler WHERE id = 'mail'").fetchone()[0]
        assert "mail.example" in mail and "hunter2" not in mail
    # again: nothing is there twice
    assert changes(do(site, False).data) == {}
    assert [s["backupId"].split("_marram")[0] for s in call(
        server, site.token, "GET", "/list?contains=before_import").data] == \
        ["before_import"] * 2


def test_what_was_imported_is_at_work(imported):
    site = imported
    site.net_code = "mysensor"
    net = site.make("network", site.net_code)
    report = do(site, False).data
    why = {(s["entity"], s["id"]): s["why"] for s in report["skipped"]}
    assert "as it is" in why["gateway", "MySensor"]
    assert "broker.network" not in changes(report)
    profile = hub(site, "POST", "profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, 200)
    assert profile.status == 200
    device = site.call("GET", "device/list?unit=" + site.unit).data[0]
    assert device["networkId"] == net
    assert site.call("PATCH", "device/" + device["deviceId"],
                     {"data": {"profile": "probe"}}).status == 204
    network = site.network()
    network.publish(site.net_topic("uldata"), uplink(
        {"1": {"V_TEMP": 31}}, addr="11a", at="2026-05-01T09:00:00Z"))
    # the task reads its old variable, and acts on shared data
    until("the task", lambda: hub(
        site, "GET", "data-repository/limits").data["data"].get("seen"))
    assert len(listed(site, "field")) == 1
    network.close()


def test_a_wrong_secret_skips_what_it_does_not_open(imported):
    site = imported
    for secret, said in (("wrong", "does not open"), ("", "no `secret`")):
        report = do(site, True, secret).data
        why = {s["entity"]: s["why"] for s in report["skipped"]}
        assert said in why["handler"] and said in why["data_repository"]
        assert changes(report)["hub.task"] == (1, 0, 0)


def test_what_can_not_be(imported):
    site, server = imported, imported.server
    body = {"data": {"unitId": "nobody"}}
    assert "no such unit" in call(server, site.token, "POST", "/mc/import",
                                  body, 400).text
    assert "MyController" in call(server, site.token, "POST", "/mc/restore",
                                  status=400).text
    ours = make(server, site.token)
    assert "of ours" in call(server, site.token, "POST",
                             "/%s/import" % ours, body, 400).text
    # another unit has such ids
    do(site, False)
    other = site.add("unit", {"code": "other"})["unitId"]
    report = do(site, False, unitId=other).data
    why = {(s["entity"], s["id"]): s["why"] for s in report["skipped"]}
    assert "another unit" in why["task", "fan_on"]
    assert changes(report)["hub.node"] == (1, 0, 0)

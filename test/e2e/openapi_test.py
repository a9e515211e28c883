"""/openapi.json: every route has one operation, and says what it takes and gives."""
import pathlib
import re

import pytest

from rules_test import above_30, device, task, traces  # noqa: F401
from values_test import hub, probe  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Pages, and doors that are others': their documents describe them.
HIDDEN = {"/", "/plain", "/setup", "/mqtt", "/query", "/query_range", "/series",
          "/labels", "/label/{name}/values", "/query_exemplars", "/rules",
          "/alerts", "/metadata", "/status/buildinfo", "/api/v2/write",
          "/write", "/ping", "/agent/relay", "/agent/relay_for_clients",
          "/agent/register", "/agent/heartbeat", "/agent/notify"}


@pytest.fixture
def document(server):
    return server.call("GET", "/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_operations_have_one_name_and_one_tag(document):
    names = [o["operationId"] for _, _, o in operations(document)]
    assert len(names) > 150
    assert sorted(names) == sorted(set(names))
    assert all(re.fullmatch(r"[a-zA-Z0-9_.-]+", n) for n in names)
    assert all(len(o["tags"]) == 1 for _, _, o in operations(document))


def test_no_route_is_without_operation():
    """What hides is pages and doors of others; all else is made from rows."""
    rows = re.compile(r'\{ "[A-Z]+", "(/[^"]*)"(?:(?!\n\t[\t ]*\{ "|\n\};).)*?'
                      r'HTTP_HIDDEN', re.S)
    both = re.compile(r'^\tBOTH\("([^"]+)"', re.M)
    hidden = set()
    for path in ROOT.glob("src/**/*.c"):
        if not path.stem.endswith("_test"):
            hidden.update(rows.findall(path.read_text()))
            hidden.update(both.findall(path.read_text()))
    assert hidden == HIDDEN


def test_what_takes_a_body_describes_it(document):
    bodiless = ("logout.post", "logout-all.post", "restore.post",
                "version.undo.post", "remote.push.post", "remote.pull.post",
                "remote.test.post", "input.test.post", "input.update.post",
                "input.update.all.post", "device.approve.post", "device.drift.post",
                "device.archive.post", "device.restart.post",
                "deployment.start.post", "cancel.post", "retry.post",
                "reveal.post")
    for path, method, o in operations(document):
        if method in ("post", "patch", "put") and \
                not o["operationId"].endswith(bodiless):
            assert "requestBody" in o, (method, path)


def test_answers_have_a_schema(document):
    for path, method, o in operations(document):
        if method == "get" and path not in (
                "/ws", "/openapi.json", "/auth/oauth2/auth",
                "/auth/oauth2/redirect"):
            content = o["responses"]["200"]["content"]
            assert all("schema" in c for c in content.values()), path


def test_files_are_bytes(document):
    paths = document["paths"]
    backup = paths["/hub/api/v1/backup/upload"]["post"]
    assert list(backup["requestBody"]["content"]) == ["application/zip"]
    firmware = paths["/hub/api/v1/firmware/{id}/file"]
    assert list(firmware["post"]["requestBody"]["content"]) == \
        ["application/octet-stream"]
    assert list(firmware["get"]["responses"]["200"]["content"]) == \
        ["application/octet-stream"]


def test_choices_are_said_and_kept(document, server):
    """What the document lists is what is taken."""
    add = document["paths"]["/hub/api/v1/task"]["post"]["requestBody"]
    task = add["content"]["application/json"]["schema"]["properties"]["data"]
    assert task["properties"]["evaluationType"]["enum"] == \
        ["rule", "javascript", "webhook"]
    assert "active_duration" in \
        task["properties"]["dampening"]["properties"]["type"]["enum"]
    handler = document["paths"]["/hub/api/v1/handler"]["post"]["requestBody"]
    spec = handler["content"]["application/json"]["schema"]["properties"][
        "data"]["properties"]["spec"]
    email = [k for k in spec["anyOf"] if k["title"] == "email"][0]
    assert email["properties"]["password"]["format"] == "password"
    assert email["properties"]["security"]["enum"] == \
        ["tls", "starttls", "none"]
    gateway = document["paths"]["/hub/api/v1/gateway"]["post"]["requestBody"]
    provider = gateway["content"]["application/json"]["schema"]["properties"][
        "data"]["properties"]["provider"]
    assert {"mysensors_v2", "tasmota"} <= {k["title"] for k in
                                           provider["anyOf"]}
    assert "anyOf" in provider["properties"]["protocol"]


KINDS = {"string": str, "boolean": bool, "integer": int, "array": list,
         "number": (int, float), "object": dict, "null": type(None)}


def fits(schema, value, at):
    """A value is what its schema says, and has no member beside."""
    if "type" not in schema:
        return
    kinds = schema["type"] if isinstance(schema["type"], list) \
        else [schema["type"]]
    assert any(isinstance(value, KINDS[k]) for k in kinds), (at, value)
    if "enum" in schema:
        assert value in schema["enum"], (at, value)
    if isinstance(value, list):
        for one in value:
            fits(schema["items"], one, at + "[]")
    if not isinstance(value, dict) or "anyOf" in schema:
        return
    named = schema.get("properties", {})
    assert set(schema.get("required", [])) <= set(value), (at, value)
    if named:
        assert set(value) <= set(named), (at, value)
    for name, one in value.items():
        fits(named.get(name, schema.get("additionalProperties", {})), one,
             at + "." + name)


def answer_fits(document, site, method, path, real, body=None):
    answers = document["paths"][path][method.lower()]["responses"]
    r = site.server.call(method, real, body, token=site.token)
    assert r.status == 200, (real, r.text)
    fits(answers["200"]["content"]["application/json"]["schema"], r.json(),
         path)
    return r.json()


def test_answers_are_what_is_described(document, device):  # noqa: F811
    """Every list, and one of each that has rows."""
    site = device.probe
    device.send(temperature=31, relay=False)
    task(device)
    device.send(temperature=32)
    assert device.downs() == [{"relay": True}]
    traces(device, 1)
    hub(site, "POST", "handler", {"data": {
        "id": "quiet", "unitId": site.unit, "type": "noop"}}, 200)
    seen = set()
    for path in document["paths"]:
        if not path.endswith("/list") or "{" in path:
            continue
        rows = answer_fits(document, site, "GET", path,
                           path + "?limit=3&unit=" + site.unit)["data"]
        kind = path[:-len("/list")]
        one = [p for p in document["paths"] if re.fullmatch(
            re.escape(kind) + r"/\{\w+\}", p) and
            "get" in document["paths"][p]]
        if rows and one:
            key = list(rows[0])[0]
            answer_fits(document, site, "GET", one[0],
                        kind + "/" + str(rows[0][key]))
            seen.add(kind.split("/")[-1])
    assert {"unit", "device", "network", "profile", "node", "field", "task",
            "handler", "trace", "user", "version", "device-route"} <= seen


def test_trials_answer_what_is_described(document, device):  # noqa: F811
    site, hub_ = device.probe, "/hub/api/v1/"
    device.send(temperature=31, relay=False)
    hub(site, "POST", "handler", {"data": {
        "id": "quiet", "unitId": site.unit, "type": "noop"}}, 200)
    for path, real, body in (
            ("task/try", None, above_30(device, "{{ .t }}")),
            ("schedule/try", None, {
                "unitId": site.unit, "type": "cron",
                "spec": {"cronExpression": "* * * * *"}}),
            ("handler/{id}/test", "handler/quiet/test", {}),
            ("profile/try", None, {"unitId": site.unit, "data": "7b7d"}),
            ("test", None, {"unitId": site.unit, "provider": {
                "type": "generic_mqtt", "protocol": {
                    "type": "mqtt", "broker": "tcp://127.0.0.1:1",
                    "subscribe": "x"}}}),
            ("network/{networkId}/test", "network/%s/test" % site.net, {})):
        answer_fits(document, site, "POST", hub_ + path, hub_ + (real or path),
                    {"data": body})

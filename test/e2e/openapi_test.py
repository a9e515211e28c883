"""/openapi.json: every route has one operation, and says what it takes and gives."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Pages, and doors that are others': their documents describe them.
HIDDEN = {"/", "/plain", "/setup", "/mqtt", "/query", "/query_range", "/series",
          "/labels", "/label/{name}/values", "/query_exemplars", "/rules",
          "/alerts", "/metadata", "/status/buildinfo", "/api/v2/write",
          "/write", "/ping"}


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
                "version.undo.post")
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

"""Secrets at rest: nobody reads them out of the database."""
import os
import sqlite3
import threading

import pytest

from conftest import LIMIT, Site, until
from rules_test import web  # noqa: F401
from values_test import hub, listed


def stored(server):
    """The specs as they lie in the database."""
    with sqlite3.connect("file:%s?mode=ro" % (
            server.folder / "data" / "hub.db"), uri=True) as db:
        return dict(db.execute("SELECT id, spec FROM handler"))


def handler(site, web, **more):  # noqa: F811
    r = hub(site, "POST", "handler", {"data": {
        "id": "hook", "unitId": site.unit, "type": "webhook",
        "spec": dict({"server": web.url, "api": "/x", "headers": {
            "Authorization": "Bearer hidden-one"}}, **more)}})
    assert r.status == 200, r.text


def fire(site, web, n):  # noqa: F811
    """A schedule tells it once; what arrived."""
    hub(site, "POST", "schedule", {"data": {
        "id": "s%d" % n, "unitId": site.unit, "type": "repeat",
        "spec": {"interval": "100ms", "repeatCount": 1},
        "handlers": ["hook"], "handlerParameters": {"x": {
            "type": "webhook"}}}}, 200)
    trace = until("its trace", lambda: listed(
        site, "trace", rule="schedule:s%d" % n))[0]
    return trace["actions"][0]


@pytest.fixture
def heard(web):  # noqa: F811
    """The Authorization headers that arrived."""
    seen = []
    inner = web.RequestHandlerClass.do_POST

    def do_post(self):
        seen.append(self.headers["Authorization"])
        inner(self)

    web.RequestHandlerClass.do_POST = do_post
    return seen


def test_secrets_are_sealed_and_opened_again(site, web, heard):  # noqa: F811
    server = site.server
    key = server.folder / "data" / "hub.key"
    assert key.stat().st_mode & 0o777 == 0o600
    handler(site, web)
    spec = stored(server)["hook"]
    assert "hidden-one" not in spec and '"sealed:1:' in spec
    assert web.url in spec
    assert fire(site, web, 1)["status"] == "ok"
    # one that is left out of a change stays; another one takes its place
    hub(site, "PATCH", "handler/hook", {"data": {"spec": {
        "server": web.url, "api": "/y"}}}, 204)
    assert fire(site, web, 2)["status"] == "ok"
    server.restart()
    site.token = server.login()
    assert fire(site, web, 3)["status"] == "ok"
    hub(site, "PATCH", "handler/hook", {"data": {"spec": {
        "server": web.url, "headers": {"Authorization": "other-one"}}}}, 204)
    assert fire(site, web, 4)["status"] == "ok"
    assert heard == ["Bearer hidden-one"] * 3 + ["other-one"]
    for name in os.listdir(server.folder / "data"):
        path = server.folder / "data" / name
        if name.startswith("hub.db"):
            assert b"other-one" not in path.read_bytes(), name
            assert b"hidden-one" not in path.read_bytes(), name


def test_secrets_stored_in_clear_are_sealed_at_the_start(
        site, web, heard):  # noqa: F811
    server = site.server
    handler(site, web)
    server.stop()
    with sqlite3.connect(server.folder / "data" / "hub.db") as db:
        db.execute("UPDATE handler SET spec = json_set(spec, "
                   "'$.headers', json('{\"Authorization\":\"plain-one\"}'))")
    db.close()
    server.start()
    site.token = server.login()
    until("it is sealed", lambda: "plain-one" not in stored(server)["hook"])
    assert fire(site, web, 1)["status"] == "ok"
    assert heard == ["plain-one"]


def test_a_key_that_is_gone_is_told_and_may_come_back(
        site, web, heard):  # noqa: F811
    server = site.server
    key = server.folder / "data" / "hub.key"
    handler(site, web)
    right = key.read_text()
    server.stop()
    key.unlink()
    server.start()
    site.token = server.login()
    assert not key.exists()  # a new one would make it worse
    assert "hub.key" in server.logged()
    action = fire(site, web, 1)
    assert action["status"] == "error"
    for text in ("handler hook", "`headers`", str(key), "is gone"):
        assert text in action["message"]
    state = hub(site, "GET", "handler/hook").data["state"]
    assert state["status"] == "error" and "is gone" in state["message"]
    r = hub(site, "PATCH", "handler/hook", {"data": {"spec": {
        "server": web.url, "headers": {"Authorization": "new"}}}})
    assert r.status == 503 and "hub.key" in r.text
    server.stop()
    key.write_text("00" * 32 + "\n")  # another one
    server.start()
    site.token = server.login()
    assert "not the one" in fire(site, web, 2)["message"]
    server.stop()
    key.write_text("no key")
    with pytest.raises(AssertionError, match="64 hexadecimal digits"):
        server.start()
    server.process.wait(LIMIT)
    key.write_text(right)
    server.start()
    site.token = server.login()
    assert fire(site, web, 3)["status"] == "ok"
    assert heard == ["Bearer hidden-one"]


def test_the_key_may_lie_elsewhere(start, tmp_path, web):  # noqa: F811
    path = tmp_path / "elsewhere.key"
    server = start("--hub.key-file", str(path))
    handler(Site(server, server.login()), web)
    assert len(path.read_text()) == 65
    assert not (server.folder / "data" / "hub.key").exists()

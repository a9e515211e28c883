"""The state of a fleet in a Git repository: edited, committed, taken back, pushed.

What the server does the program `git` sees, and the other way round.
"""
import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli_test import Cli
from conftest import LIMIT, until
from fleet_device import Agent, Sshd
from ports import free_port

API = "/fleet/api/v1/"
DEVICE = "thymis_controller.modules.thymis.ThymisDevice"
PLACE = "thymis_controller.modules.localization.LocalizationModule"
CLEAN = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
         "GIT_AUTHOR_NAME": "Git", "GIT_AUTHOR_EMAIL": "git@example.org",
         "GIT_COMMITTER_NAME": "Git", "GIT_COMMITTER_EMAIL": "git@example.org"}


class Fleet:
    """The fleet of one unit, as one user sees it."""

    def __init__(self, server, token, unit):
        self.server, self.token, self.unit = server, token, unit

    def call(self, method, path, body=None, status=200, match=None):
        joint = "&" if "?" in path else "?"
        answer = self.server.call(
            method, API + path + joint + "unit=" + self.unit,
            None if body is None else {"data": body}, self.token,
            headers={"If-Match": match} if match else None)
        assert answer.status == status, (answer.status, answer.text)
        return answer

    def get(self, path, status=200):
        answer = self.call("GET", path, status=status)
        return answer.data if status == 200 else answer

    def mark(self, path):
        return self.call("GET", path).headers["ETag"]

    def put(self, config, module, settings, **more):
        return self.call("PUT", "configuration/%s/module/%s" % (config, module),
                         {"settings": settings}, **more)

    def commit(self, message):
        return self.call("POST", "repository/commit", {"message": message}).data

    @property
    def repository(self):
        return self.server.folder / "data/fleet" / self.unit / "repository"

    def git(self, *args, folder=None):
        done = subprocess.run(["git", *args], cwd=folder or self.repository, env=CLEAN,
                              capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def file(self):
        return json.loads((self.repository / "state.json").read_text())

    def changes(self):
        return [told(c) for c in self.get("repository/status")["stateChanges"]]


def told(change):
    """A readable change, shortened."""
    name = " ".join(filter(None, [change["what"], change["identifier"],
                                  (change["module"] or "").split(".")[-1],
                                  change["setting"]]))
    return (change["kind"], name, change["from"], change["to"])


@pytest.fixture
def token(server):
    return server.login()


@pytest.fixture
def fleet(server, token):
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    return Fleet(server, token, unit.data["unitId"])


def test_a_first_look_makes_a_repository_with_a_commit(fleet):
    assert fleet.get("state") == {
        "version": "0.0.9", "repositories": {}, "tags": [], "configs": []}
    assert fleet.git("log", "--format=%s|%an|%D") == "Initial commit|Marram|HEAD -> master"
    assert fleet.git("status", "--porcelain") == ""
    status = fleet.get("repository/status")
    assert (status["changes"], status["stateChanges"]) == ([], [])
    assert status["head"]["message"] == "Initial commit"
    assert (status["branch"], status["fault"], status["more"]) == ("master", None, False)


def test_what_is_edited_is_in_the_file_and_committed_by_its_author(fleet):
    made = fleet.call("POST", "configuration", {
        "displayName": "Pi (hall)", "deviceType": "linux"}).data
    assert made["identifier"] == "pi-hall"
    fleet.call("POST", "tag", {"displayName": "North", "priority": 70})
    fleet.call("PATCH", "configuration/pi-hall", {"tags": ["north"]})
    fleet.put("pi-hall", PLACE, {"timezone": 'Eur"ope\n${x}', "time_servers": [{"server": "a"}]})
    assert fleet.file()["configs"] == [{
        "displayName": "Pi (hall)", "identifier": "pi-hall", "modules": [
            {"type": DEVICE, "settings": {"device_type": "linux", "device_name": "pi-hall"}},
            {"type": PLACE, "settings": {"timezone": 'Eur"ope\n${x}',
                                         "time_servers": [{"server": "a"}]}}],
        "tags": ["north"]}]
    assert fleet.get("configuration/list") == fleet.file()["configs"]
    assert fleet.get("configuration/count") == {"count": 1}
    assert fleet.get("tag/list") == fleet.file()["tags"]
    assert [kind + " " + name for kind, name, *_ in fleet.changes()] == [
        "add tag north", "add configuration pi-hall"]

    done = fleet.commit("Hall\n\nbecause of the hall")
    assert [told(c)[:2] for c in done["changes"]] == [
        ("add", "tag north"), ("add", "configuration pi-hall")]
    assert fleet.git("log", "-1", "--format=%H|%an|%ae|%s|%b") == \
        done["commit"] + "|Admin|admin@localhost|Hall|because of the hall"
    assert fleet.git("status", "--porcelain") == ""
    assert fleet.changes() == []

    # Settings one by one; null takes one away.
    fleet.put("pi-hall", PLACE, {"timezone": "UTC", "time_servers": None})
    assert fleet.changes() == [
        ("change", "configuration pi-hall LocalizationModule timezone", 'Eur"ope\n${x}', "UTC"),
        ("remove", "configuration pi-hall LocalizationModule time_servers",
         [{"server": "a"}], None)]
    fleet.call("DELETE", "configuration/pi-hall/module/" + PLACE)
    fleet.call("GET", "configuration/pi-hall/module/" + PLACE, status=404)
    fleet.call("DELETE", "configuration/pi-hall/module/" + DEVICE, status=400)
    fleet.call("DELETE", "tag/north")  # and from the configuration
    fleet.call("PATCH", "configuration/pi-hall", {"displayName": "Pi"})
    assert fleet.changes()[0][:2] == ("remove", "tag north")
    assert ("change", "configuration pi-hall displayName", "Pi (hall)", "Pi") in fleet.changes()
    assert ("change", "configuration pi-hall tags", ["north"], []) in fleet.changes()
    fleet.commit("Less")
    fleet.call("POST", "repository/commit", {"message": "nothing"}, status=409)
    fleet.call("POST", "repository/commit", {"message": " "}, status=400)


def test_bad_input_changes_nothing_and_says_where(fleet):
    fleet.call("POST", "configuration", {"displayName": "A"})
    before = (fleet.repository / "state.json").read_bytes()

    def refused(method, path, body, status, text):
        assert text in fleet.call(method, path, body, status=status).json()["message"]
        assert (fleet.repository / "state.json").read_bytes() == before

    refused("POST", "configuration", {"displayName": "A"}, 409,
            'configs[1].displayName: "A" is there already')
    refused("POST", "configuration", {"displayName": "B", "identifier": "../b"}, 400,
            "configs[1].identifier")
    refused("POST", "configuration", {"displayName": " "}, 400, "configs[1].displayName")
    refused("POST", "configuration", {"displayName": "B", "modules": [{"type": 1}]}, 400,
            "modules[0].type")
    refused("PATCH", "configuration/a", {"tags": ["nowhere"]}, 400,
            'there is no tag "nowhere"')
    refused("PATCH", "configuration/a", {"identifier": "b"}, 400, "it can not change")
    refused("PATCH", "configuration/b", {"displayName": "B"}, 404, "no configuration")
    refused("PUT", "configuration/a/module/x", {"settings": 1}, 400, "settings")
    refused("PUT", "configuration/a/module/a%20b", {"settings": {}}, 400, "no name of a module")
    refused("PATCH", "state", {"version": "1.0"}, 400, '"1.0" is not known')
    refused("PATCH", "order", {"configurations": []}, 400, "all 1 identifiers")
    refused("PATCH", "order", {"configurations": ["a", "a"]}, 400, "twice")
    answer = fleet.server.call("PATCH", API + "state?unit=" + fleet.unit, token=fleet.token,
                               raw=b"{")
    assert answer.status == 400
    answer = fleet.server.call("GET", API + "state", token=fleet.token)
    assert (answer.status, answer.code) == (400, "err_param")
    answer = fleet.server.call("GET", API + "state?unit=nowhere", token=fleet.token)
    assert (answer.status, answer.code) == (400, "err_fleet_unit_not_exist")
    assert fleet.server.call("GET", API + "state?unit=" + fleet.unit).status in (400, 401)


def test_two_people_are_told_of_each_other_and_nothing_is_lost(fleet):
    for name in ("A", "B"):
        fleet.call("POST", "configuration", {"displayName": name})
    whole, a, b = (fleet.mark(p) for p in ("state", "configuration/a", "configuration/b"))
    # Different things do not disturb each other.
    fleet.put("a", PLACE, {"timezone": "UTC"}, match=a)
    fleet.put("b", PLACE, {"timezone": "UTC"}, match=b)
    # The same thing does, and so does the whole.
    late = fleet.put("a", PLACE, {"timezone": "Mars"}, match=a, status=412)
    assert late.code == "err_changed"
    fleet.call("PATCH", "configuration/a", {"displayName": "X"}, match=a, status=412)
    fleet.call("DELETE", "configuration/a", match=a, status=412)
    fleet.call("PATCH", "state", {}, match=whole, status=412)
    fleet.call("PATCH", "order", {"configurations": ["b", "a"]}, match=whole, status=412)
    assert [c["modules"][-1]["settings"] for c in fleet.get("state")["configs"]] == [
        {"timezone": "UTC"}, {"timezone": "UTC"}]
    # The answer to a change has the mark for the next one.
    mark = fleet.put("a", PLACE, {"timezone": "Mars"},
                     match=fleet.mark("configuration/a")).headers["ETag"]
    assert mark == fleet.mark("configuration/a")
    mark = fleet.call("PATCH", "order", {"configurations": ["b", "a"]},
                      match=fleet.mark("state")).headers["ETag"]
    assert mark == fleet.mark("state")
    assert [c["identifier"] for c in fleet.get("configuration/list?offset=1&limit=5")] == ["a"]


def test_history_diff_revert_and_restore(fleet):
    fleet.call("POST", "configuration", {"displayName": "A"})
    fleet.call("POST", "configuration", {"displayName": "B"})
    fleet.put("a", PLACE, {"timezone": "UTC"})
    one = fleet.commit("One")["commit"]
    (fleet.repository / "artifacts").mkdir(exist_ok=True)
    (fleet.repository / "artifacts/motd").write_text("two\n")
    fleet.put("a", PLACE, {"timezone": "Mars"})
    fleet.put("b", PLACE, {"timezone": "Mars"})
    two = fleet.commit("Two")["commit"]
    fleet.put("a", PLACE, {"time_servers": [{"server": "t"}]})

    # A tree that is not clean is left alone.
    for way in ("revert", "restore"):
        answer = fleet.call("POST", "repository/" + way, {"commit": two}, status=409)
        assert answer.code == "err_fleet_dirty"
    three = fleet.commit("Three")["commit"]

    rows = fleet.get("repository/history")
    assert [r["message"] for r in rows] == ["Three", "Two", "One", "Initial commit"]
    assert [r["commit"] for r in rows] == fleet.git("log", "--format=%H").split()
    assert [r["shortCommit"] for r in rows] == fleet.git("log", "--format=%h").split()
    assert (rows[0]["author"], rows[0]["parents"]) == ("Admin", [two])
    assert [r["message"] for r in fleet.get("repository/history?offset=1&limit=2")] == [
        "Two", "One"]
    assert fleet.get("repository/history?from=%s&limit=1" % one)[0]["commit"] == one

    diff = fleet.get("repository/diff?to=" + two)
    assert (diff["from"], diff["to"], diff["cut"]) == (one, two, False)
    assert diff["text"].strip() == fleet.git("diff", one, two)
    assert [told(c) for c in diff["changes"]] == [
        ("change", "configuration a LocalizationModule timezone", "UTC", "Mars"),
        ("add", "configuration b LocalizationModule", None, {"timezone": "Mars"})]
    assert {"path": "artifacts/motd", "status": "add"} in diff["files"]
    diff = fleet.get("repository/diff?from=%s&to=%s&path=state.json" % (two, one))
    assert diff["text"].strip() == fleet.git("diff", two, one, "--", "state.json")
    fleet.get("repository/diff?to=nowhere", status=404)

    # One commit is taken back; what came later stays.
    done = fleet.call("POST", "repository/revert", {"commit": two[:10]}).data
    assert [told(c) for c in done["changes"]] == [
        ("change", "configuration a LocalizationModule timezone", "Mars", "UTC"),
        ("remove", "configuration b LocalizationModule", {"timezone": "Mars"}, None)]
    a = fleet.get("configuration/a/module/" + PLACE)["settings"]
    assert a == {"timezone": "UTC", "time_servers": [{"server": "t"}]}
    assert not (fleet.repository / "artifacts/motd").exists()
    assert fleet.git("log", "-1", "--format=%s") == 'Revert "Two"'
    assert fleet.git("status", "--porcelain") == ""
    # What was changed again since is not.
    answer = fleet.call("POST", "repository/revert", {"commit": two}, status=409)
    assert answer.code == "err_fleet_conflict"
    assert "LocalizationModule" in answer.json()["message"]
    fleet.call("POST", "repository/revert", {"commit": "f" * 40}, status=404)

    # One configuration as it was; then everything.
    fleet.call("POST", "repository/restore", {
        "commit": three, "configuration": "b", "message": "B again"})
    assert fleet.get("configuration/b/module/" + PLACE)["settings"] == {"timezone": "Mars"}
    assert fleet.get("configuration/a/module/" + PLACE)["settings"]["timezone"] == "UTC"
    assert fleet.git("log", "-1", "--format=%s") == "B again"
    fleet.call("POST", "repository/restore", {"commit": three})
    assert fleet.git("diff", three, "HEAD") == ""
    assert (fleet.repository / "artifacts/motd").read_text() == "two\n"
    fleet.call("POST", "repository/restore", {"commit": three}, status=409)  # nothing to do
    fleet.call("POST", "repository/restore", {"commit": three, "configuration": "c"}, status=404)
    assert fleet.git("fsck", "--strict", "--no-dangling") == ""


def test_a_file_edited_by_hand_is_noticed(fleet):
    fleet.call("POST", "configuration", {"displayName": "A"})
    fleet.commit("One")
    state = fleet.file()
    state["configs"][0]["displayName"] = "By hand"
    path = fleet.repository / "state.json"
    path.write_text(json.dumps(state))
    assert fleet.get("configuration/a")["displayName"] == "By hand"
    assert fleet.changes() == [("change", "configuration a displayName", "A", "By hand")]

    # One that can not be read is told, and committed by nobody.
    good = path.read_text()
    path.write_text(good[:-1])
    assert "state.json: " in fleet.get("repository/status")["fault"]
    answer = fleet.call("POST", "configuration", {"displayName": "B"}, status=409)
    assert (answer.code, "state.json: line 1" in answer.json()["message"]) == (
        "err_fleet_state", True)
    fleet.call("POST", "repository/commit", {"message": "broken"}, status=409)
    assert path.read_text() == good[:-1]
    path.write_text(good)
    assert fleet.get("configuration/a")["displayName"] == "By hand"
    path.write_text(good[:-1])
    fleet.call("PATCH", "state", state)  # or it is replaced
    assert fleet.get("repository/status")["fault"] is None
    # A link is not followed.
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert "is a link" in fleet.get("repository/status")["fault"]
    fleet.call("PATCH", "state", state, status=400)


def test_an_existing_repository_of_an_old_version_is_taken_over(fleet):
    folder = fleet.repository
    folder.mkdir(parents=True)
    fleet.git("init", "-q", "-b", "trunk")
    fleet.git("config", "user.name", "Thymis Controller")
    fleet.git("config", "user.email", "controller@example.org")
    (folder / "state.json").write_text(json.dumps({
        "version": "0.0.8", "repositories": {}, "tags": [], "configs": [{
            "displayName": "Pi", "identifier": "pi", "tags": [], "modules": [
                {"type": DEVICE, "settings": {"timezone": "UTC", "device_name": "pi"}}]}]}))
    fleet.git("add", ".")
    fleet.git("commit", "-qm", "Theirs")
    assert fleet.get("configuration/pi/module/" + PLACE)["settings"] == {"timezone": "UTC"}
    assert fleet.file()["version"] == "0.0.9"
    assert fleet.get("repository/status")["branch"] == "trunk"
    fleet.commit("Newest version")
    assert fleet.git("log", "--format=%s|%an|%cn") == \
        "Newest version|Admin|Thymis Controller\nTheirs|Git|Git"


def test_others_see_only_their_own_unit(fleet, server, token):
    for name in ("ann", "bob"):
        made = server.call("POST", "/coremgr/api/v1/user", {
            "data": {"account": name, "password": name}}, token)
        assert made.status == 200, made.text
    ann, bob = server.login("ann", "ann"), server.login("bob", "bob")
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "ann"}}, ann)
    hers = Fleet(server, ann, unit.data["unitId"])
    hers.call("POST", "configuration", {"displayName": "Hers"})
    hers.commit("Hers")
    assert hers.git("log", "-1", "--format=%an") == "ann"
    for method, path, body in [
            ("GET", "state", None), ("PATCH", "state", {}), ("GET", "configuration/hers", None),
            ("GET", "repository/status", None), ("GET", "repository/history", None),
            ("POST", "repository/commit", {"message": "x"}), ("GET", "remote/list", None)]:
        Fleet(server, bob, hers.unit).call(method, path, body, status=400)
    assert len(hers.get("repository/history")) == 2


def test_a_server_killed_while_it_writes_starts_again(fleet):
    fleet.call("POST", "configuration", {"displayName": "A"})
    fleet.commit("One")
    server = fleet.server
    server.stop(signal.SIGKILL)
    # as it is left over when the power goes in the middle of a commit
    (fleet.repository / ".git/index.lock").write_text("")
    (fleet.repository.parent / "busy").write_text("")
    server.start()
    fleet.token = server.login()
    fleet.call("POST", "configuration", {"displayName": "B"})
    fleet.commit("Two")
    assert not (fleet.repository.parent / "busy").exists()
    assert fleet.git("status", "--porcelain") == ""
    assert fleet.git("fsck", "--strict", "--no-dangling") == ""
    # A lock of somebody else's is waited for, not broken.
    (fleet.repository / ".git/index.lock").write_text("")
    answer = fleet.call("POST", "configuration", {"displayName": "C"}, status=409)
    assert answer.code == "err_fleet_busy"
    assert [c["identifier"] for c in fleet.file()["configs"]] == ["a", "b"]
    (fleet.repository / ".git/index.lock").unlink()
    fleet.call("POST", "configuration", {"displayName": "C"})


def test_a_repository_has_a_limit(start):
    server = start("--fleet.repository.max", "1MiB")
    token = server.login()
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    fleet = Fleet(server, token, unit.data["unitId"])

    def put(size):
        return server.call("PUT", API + "artifact/x?unit=" + fleet.unit, raw=b"x" * size,
                           token=token)

    refused = put(1 << 20)
    assert (refused.status, refused.code) == (400, "err_param")
    assert "fleet.repository.max" in refused.text and fleet.get("artifact/list") == []
    assert put(1000).status == 204
    fleet.commit("small")
    (fleet.repository / "large").write_bytes(b"x" * (1 << 20))
    refused = fleet.call("POST", "repository/commit", {"message": "large"}, status=400)
    assert "fleet.repository.max" in refused.text
    (fleet.repository / "large").unlink()
    fleet.call("POST", "configuration", {"displayName": "Pi"})
    fleet.commit("small again")


# --- remotes ---------------------------------------------------------------------------

@pytest.fixture
def local(start):
    """A fleet whose remotes may be folders."""
    server = start("--fleet.remote.local", "true")
    token = server.login()
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    return Fleet(server, token, unit.data["unitId"])


def remote(fleet, url, name="origin", **more):
    made = fleet.call("POST", "remote", {"unitId": fleet.unit, "name": name, "url": str(url),
                                         **more})
    return "remote/" + made.data["id"]


def bare(fleet, folder):
    folder.mkdir()
    fleet.git("init", "-q", "--bare", "-b", "master", folder=folder)
    return folder


def test_a_remote_gets_what_is_here_and_gives_what_is_there(local, tmp_path):
    fleet, there = local, bare(local, tmp_path / "there.git")
    path = remote(fleet, "file://%s" % there)
    assert fleet.call("POST", path + "/test").data == {
        "commit": None, "branch": "master", "state": "empty"}
    fleet.call("POST", "configuration", {"displayName": "A"})
    one = fleet.commit("One")["commit"]
    assert fleet.call("POST", path + "/push").data["commit"] == one
    assert fleet.git("rev-parse", "master", folder=there) == one
    assert fleet.call("POST", path + "/test").data["state"] == "same"
    row = fleet.get("remote/list?name=origin")[0]
    assert (row["commit"], row["fault"]) == (one, "")
    assert row["triedAt"]

    # Somebody else works on it.
    other = tmp_path / "other"
    fleet.git("clone", "-q", str(there), str(other), folder=tmp_path)
    state = json.loads((other / "state.json").read_text())
    state["configs"][0]["displayName"] = "Elsewhere"
    (other / "state.json").write_text(json.dumps(state))
    fleet.git("commit", "-qam", "Elsewhere", folder=other)
    fleet.git("push", "-q", folder=other)
    assert fleet.call("POST", path + "/test").data["state"] == "ahead"
    fleet.put("a", PLACE, {"timezone": "UTC"})
    assert fleet.call("POST", path + "/pull", status=409).code == "err_fleet_busy"
    fleet.put("a", PLACE, {"timezone": None})
    fleet.call("DELETE", "configuration/a/module/" + PLACE)
    assert fleet.call("POST", path + "/pull").data["state"] == "same"
    assert fleet.get("configuration/a")["displayName"] == "Elsewhere"
    assert fleet.git("log", "-1", "--format=%s|%D") .startswith("Elsewhere|HEAD -> master")

    # Both have gone on: neither overwrites the other.
    fleet.call("POST", "configuration", {"displayName": "B"})
    here = fleet.commit("Here")["commit"]
    (other / "artifacts").mkdir()
    (other / "artifacts/x").write_text("x")
    fleet.git("add", ".", folder=other)
    fleet.git("commit", "-qm", "There", folder=other)
    fleet.git("push", "-q", folder=other)
    assert fleet.call("POST", path + "/test").data["state"] == "diverged"
    answer = fleet.call("POST", path + "/push", status=409)
    assert (answer.code, "pull first" in answer.json()["message"]) == (
        "err_fleet_remote_ahead", True)
    assert fleet.call("POST", path + "/pull", status=409).code == "err_fleet_diverged"
    assert fleet.git("rev-parse", "HEAD") == here
    assert "does not follow" in fleet.get(path)["fault"]
    assert fleet.git("status", "--porcelain") == ""

    # A commit whose state can not be read never becomes ours.
    fleet.git("reset", "-q", "--hard", "HEAD~1")
    (other / "state.json").write_text("{")
    fleet.git("commit", "-qam", "Broken", folder=other)
    fleet.git("push", "-q", folder=other)
    answer = fleet.call("POST", path + "/pull", status=400)
    assert "state.json of the remote: line 1" in answer.json()["message"]
    assert fleet.get("configuration/a")["displayName"] == "Elsewhere"
    # A link in a commit becomes a file.
    fleet.git("revert", "--no-edit", "HEAD", folder=other)
    (other / "artifacts/passwd").symlink_to("/etc/passwd")
    fleet.git("add", ".", folder=other)
    fleet.git("commit", "-qm", "Link", folder=other)
    fleet.git("push", "-q", folder=other)
    fleet.call("POST", path + "/pull")
    linked = fleet.repository / "artifacts/passwd"
    assert (linked.is_symlink(), linked.read_text()) == (False, "/etc/passwd")


def test_a_fresh_fleet_takes_over_a_remote(local, tmp_path):
    fleet, there = local, bare(local, tmp_path / "there.git")
    other = tmp_path / "other"
    fleet.git("clone", "-q", str(there), str(other), folder=tmp_path)
    (other / "state.json").write_text(json.dumps({"version": "0.0.7", "devices": [
        {"displayName": "Pi", "identifier": "pi", "modules": [], "tags": []}]}))
    fleet.git("add", ".", folder=other)
    fleet.git("commit", "-qm", "Theirs", folder=other)
    fleet.git("push", "-q", "origin", "HEAD:main", folder=other)
    path = remote(fleet, "file://%s" % there, branch="main")
    fleet.call("POST", path + "/pull")
    assert [c["identifier"] for c in fleet.get("configuration/list")] == ["pi"]
    assert [r["message"] for r in fleet.get("repository/history")] == ["Theirs"]


def test_a_remote_that_fails_says_what_to_do(local, tmp_path):
    fleet = local

    def said(url, call="test", status=502, **more):
        path = remote(fleet, url, "r%d" % said.n, **more)
        said.n += 1
        answer = fleet.call("POST", path + "/" + call, status=status)
        assert answer.json()["message"] == fleet.get(path)["fault"]
        return answer.json()["message"]
    said.n = 0

    assert "there is no repository at this address" in said("file://%s/none" % tmp_path)
    assert "no such branch" in said("file://%s" % bare(fleet, tmp_path / "b"), "pull")
    assert "nothing listens there" in said("http://127.0.0.1:1/x.git")
    assert "nothing listens there" in said("ssh://git@127.0.0.1:1/x.git")
    for url in ("", "-x", "--upload-pack=x", "ext::sh -c x", "ext::x", "a b", "/etc", "x",
                "https://", "https://-x/", "https://u:p@h/x", "fd::1", "file.txt"):
        fleet.call("POST", "remote", {"unitId": fleet.unit, "name": "bad", "url": url},
                   status=400)
    for branch in ("-x", "a..b", "a b", "/a", "a/", "x.lock", ".a", "a//b"):
        fleet.call("POST", "remote", {"unitId": fleet.unit, "name": "bad", "url": "h:p",
                                      "branch": branch}, status=400)
    fleet.call("POST", "remote", {"unitId": fleet.unit, "name": "r0", "url": "h:p"}, status=400)
    fleet.call("POST", "remote/nowhere/push", status=404)


def test_remotes_on_this_machine_are_off(fleet, tmp_path):
    there = bare(fleet, tmp_path / "there.git")
    path = remote(fleet, "file://%s" % there)
    answer = fleet.call("POST", path + "/push", status=502)
    assert "fleet.remote.local" in answer.json()["message"]


def test_a_backup_has_the_repositories_and_brings_them_back(fleet):
    server = fleet.server

    def admin(method, path, body=None):
        answer = server.call(method, "/hub/api/v1/backup" + path, body, fleet.token)
        assert answer.status in (200, 204), answer.text
        return answer

    fleet.call("POST", "configuration", {"displayName": "A"})
    (fleet.repository / "artifacts").mkdir(exist_ok=True)
    (fleet.repository / "artifacts/motd").write_text("one\n")
    one = fleet.commit("One")["commit"]
    fleet.call("POST", "configuration", {"displayName": "Not committed"})
    key = fleet.repository.parent / "id_thymis"
    key.write_text("a key\n")
    made = admin("POST", "", {"data": {}}).data
    with zipfile.ZipFile(next((server.folder / "data").rglob(made["backupId"] + ".zip"))) as found:
        inside = ["/".join(n.split("/")[2:]) for n in found.namelist()
                  if n.startswith("fleet/" + fleet.unit + "/")]
    assert "repository/.git/HEAD" in inside and "repository/state.json" in inside
    assert not [n for n in inside if n.startswith("repository/hosts/")]
    assert len(inside) < 60, inside

    def would():
        report = admin("POST", "/%s/restore?dryRun=true" % made["backupId"]).data
        return {fate: found["names"][fate] for found in report["changes"]
                if found["entity"] == "fleet.repository"
                for fate in ("added", "changed", "removed") if found[fate]}

    assert would() == {}
    code = server.call("GET", "/coremgr/api/v1/unit/" + fleet.unit, token=fleet.token).data["code"]
    for path in ("artifacts/motd", "artifacts/more", "flake.lock", "../id_thymis"):
        file = fleet.repository / path
        was = file.read_bytes() if file.exists() else None
        file.write_bytes((was or b"") + b" ")
        assert would() == {"changed": [code]}, path
        file.unlink() if was is None else file.write_bytes(was)
        assert would() == {}, path
    other = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "later"}},
                        fleet.token).data["unitId"]
    fleet.call("GET", "state?unit=" + other)
    assert would() == {"removed": ["later"]}
    assert server.call("DELETE", "/coremgr/api/v1/unit/" + other, token=fleet.token).status == 204
    shutil.rmtree(fleet.repository.parent.parent / other)

    fleet.call("DELETE", "configuration/a")
    (fleet.repository / "artifacts/motd").unlink()
    fleet.commit("Two")
    key.write_text("another key\n")
    assert would() == {"changed": [code]}
    assert [r["message"] for r in fleet.get("repository/history")][0] == "Two"  # only said
    assert not list((server.folder / "data").glob("restore.look*"))
    aside = server.folder / "aside"
    fleet.repository.parent.rename(aside)
    assert would() == {"added": [code]}
    aside.rename(fleet.repository.parent)
    admin("POST", "/%s/restore" % made["backupId"], {"data": {}})
    fleet.token = server.login()
    assert [c["identifier"] for c in fleet.get("configuration/list")] == ["a", "not-committed"]
    assert [r["message"] for r in fleet.get("repository/history")] == ["One", "Initial commit"]
    assert [told(c)[:2] for c in fleet.get("repository/status")["stateChanges"]] == [
        ("add", "configuration not-committed")]
    assert (fleet.repository / "artifacts/motd").read_text() == "one\n"
    assert key.read_text() == "a key\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert fleet.git("rev-parse", "HEAD") == one
    assert fleet.git("fsck", "--strict", "--no-dangling") == ""
    assert sorted(p.name for p in fleet.repository.parent.iterdir() if p.is_dir()) == [
        "repository"]
    fleet.commit("After")


# --- remotes with credentials ----------------------------------------------------------

class GitOverHttp(http.server.BaseHTTPRequestHandler):
    """`git http-backend` behind a password."""
    folder = account = None

    def log_message(self, *_args):
        pass

    def answer(self):
        given = self.headers.get("Authorization", "")
        if given != "Basic " + base64.b64encode(self.account.encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env={
            **CLEAN, "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_USER": "ann",
            "REQUEST_METHOD": self.command, "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", "")}, timeout=LIMIT)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = [value for name, value in lines if name == "Status"]
        self.send_response(int(status[0].split()[0]) if status else 200)
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)

    do_GET = do_POST = answer


@pytest.fixture
def over_http(tmp_path):
    handler = type("Handler", (GitOverHttp,), {
        "folder": tmp_path, "account": "ann:tok:en"})
    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d" % door.server_port
    door.shutdown()
    door.server_close()


def test_a_secret_opens_a_remote_by_http(fleet, over_http, tmp_path):
    there = bare(fleet, tmp_path / "there.git")
    fleet.git("config", "http.receivepack", "true", folder=there)
    url = over_http + "/there.git"
    path = remote(fleet, url)
    answer = fleet.call("POST", path + "/push", status=502)
    assert "give it a secret" in answer.json()["message"]

    def secret(value):
        return fleet.call("POST", "secret", {
            "unitId": fleet.unit, "name": value, "type": "single_line",
            "secret": value}).data["id"]

    fleet.call("PATCH", path, {"user": "ann", "secretId": secret("wrong")}, status=204)
    answer = fleet.call("POST", path + "/push", status=502)
    assert "does not take the user name and the secret" in answer.json()["message"]
    fleet.call("PATCH", path, {"secretId": secret("tok:en")}, status=204)
    head = fleet.call("POST", path + "/push").data["commit"]
    assert fleet.git("rev-parse", "master", folder=there) == head
    assert fleet.call("POST", path + "/test").data["state"] == "same"
    fleet.call("POST", path + "/pull")
    # One that is not there, or another unit's, opens nothing.
    fleet.call("PATCH", path, {"secretId": "nowhere"}, status=204)
    assert fleet.call("POST", path + "/push", status=404).code == "err_not_found"
    # It is nowhere to be read.
    for seen in (fleet.server.logged(), json.dumps(fleet.get("remote/list")),
                 (fleet.repository / ".git/config").read_text()):
        assert "tok:en" not in seen
        assert base64.b64encode(b"ann:tok:en").decode() not in seen


@pytest.fixture
def sshd(tmp_path):
    """A real sshd on loopback that knows the keys in `keys`."""
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(tmp_path / name)], check=True, timeout=LIMIT)
    keys = tmp_path / "keys"
    keys.write_text("")
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        "ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nUsePAM no\n"
        "StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "PidFile none\n" % (port, tmp_path / "host", keys))
    os.makedirs("/run/sshd", exist_ok=True)
    door = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(tmp_path / "sshd_config"),
                             "-E", str(tmp_path / "sshd_log")])

    def listens():
        with socket.socket() as probe:
            return door.poll() is None and probe.connect_ex(("127.0.0.1", port)) == 0
    until("sshd", listens)
    yield port, keys
    door.terminate()
    door.wait(LIMIT)


@pytest.mark.skipif(not os.path.exists("/usr/sbin/sshd") or os.geteuid() != 0,
                    reason="needs sshd, and root to sign in as")
def test_the_key_of_the_unit_opens_a_remote_by_ssh(fleet, sshd, tmp_path):
    port, keys = sshd
    there = bare(fleet, tmp_path / "there.git")
    path = remote(fleet, "ssh://root@127.0.0.1:%d%s" % (port, there))
    answer = fleet.call("POST", path + "/push", status=502)
    assert "does not know the unit's key" in answer.json()["message"]
    key = fleet.repository.parent / "id_thymis"
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True,
                          check=True, timeout=LIMIT)
    keys.write_text(done.stdout)
    head = fleet.call("POST", path + "/push").data["commit"]
    assert fleet.git("rev-parse", "master", folder=there) == head
    fleet.call("POST", path + "/pull")
    # Another host at the same address is not spoken to.
    known = fleet.repository.parent / "git_known_hosts"
    name = known.read_text().split()[0]
    other = (tmp_path / "client.pub").read_text().split()[:2]
    known.write_text(" ".join([name, *other]) + "\n")
    answer = fleet.call("POST", path + "/test", status=502)
    assert "host key of the remote is another one" in answer.json()["message"]


def test_the_command_line_does_the_same(fleet, tmp_path):
    cli = Cli(fleet.server, tmp_path)
    cli.ok("login", "-a", "admin", "-p", "admin")
    unit = ("--unit", fleet.unit)
    made = cli.ok("configuration", "add", *unit, "--displayname", "Pi", "--devicetype", "linux",
                  "--identifier", "raspberry")
    assert made["identifier"] == "raspberry"
    cli.ok("configuration", "set-module", *unit, "--identifier", "raspberry", "--type", PLACE,
           "--settings", '{"timezone":"UTC"}')
    assert cli.ok("fleet", "state", *unit)["configs"][0]["displayName"] == "Pi"
    status = cli.ok("fleet", "status", *unit)
    assert [told(c)[:2] for c in status["stateChanges"]] == [("add", "configuration raspberry")]
    commit = cli.ok("fleet", "commit", *unit, "-m", "Pi")["commit"]
    assert [r["commit"] for r in cli.ok("fleet", "history", *unit, "-l", "1")] == [commit]
    assert cli.ok("fleet", "diff", *unit, "--to", commit)["to"] == commit
    cli.ok("fleet", "revert", *unit, "-c", commit)
    assert cli.ok("fleet", "state", *unit)["configs"] == []
    cli.ok("fleet", "restore", *unit, "-c", commit, "--configuration", "raspberry")
    assert cli.ok("configuration", "count", *unit) == {"count": 1}
    row = cli.ok("remote", "add", "--unitid", fleet.unit, "--name", "away",
                 "--url", "http://127.0.0.1:1/x")
    done = cli.run("fleet", "push", "-r", row["id"])
    assert done.status != 0 and "nothing listens there" in done.said
    for words in (("remote", "list"), ("fleet", "remote")):
        assert cli.ok(*words, *unit)[0]["name"] == "away"


# --- devices, and many at once ---------------------------------------------------------

def test_a_device_that_is_connected_keeps_its_type(fleet, tmp_path):
    fleet.call("POST", "configuration", {"displayName": "Pi", "deviceType": "raspberry-pi-4"})
    one = fleet.commit("One")["commit"]
    fleet.put("pi", DEVICE, {"device_type": "raspberry-pi-5"})
    fleet.commit("Two")
    token = fleet.call("POST", "agent-token", {"unitId": fleet.unit, "name": "t"}).data["token"]
    key = fleet.server.call("GET", "/agent/key", token=token).json()["publicKey"]
    sshd = Sshd(tmp_path / "device", key)
    try:
        agent = Agent(fleet.server, token, sshd, hardware={"pi-serial-number": "1"},
                      deployed_config_id="pi").up()
        state = fleet.get("state")
        state["configs"][0]["modules"][0]["settings"]["device_type"] = "linux"
        for method, path, body in [
                ("PATCH", "state", state),
                ("PUT", "configuration/pi/module/" + DEVICE,
                 {"settings": {"device_type": "linux"}}),
                ("POST", "repository/restore", {"commit": one}),
                ("POST", "repository/revert", {"commit": "HEAD"})]:
            answer = fleet.call(method, path, body, status=400)
            assert answer.code == "err_fleet_connected"
            assert "device_type can not change" in answer.json()["message"]
        fleet.put("pi", DEVICE, {"device_name": "x"})  # all else can
        fleet.commit("Three")
        assert fleet.get("state")["configs"][0]["modules"][0]["settings"]["device_type"] == \
            "raspberry-pi-5"
        answer = fleet.call("DELETE", "configuration/pi", status=409)
        assert "has this configuration" in answer.json()["message"]
        agent.die()
        device = fleet.get("device/list")[0]["id"]
        until("it is gone", lambda: not fleet.get("device/" + device)["connected"])
        fleet.put("pi", DEVICE, {"device_type": "linux"})
    finally:
        sshd.stop()


def test_of_many_who_edit_at_once_nobody_loses(fleet):
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda n: fleet.call("POST", "configuration", {
            "displayName": "Config %d" % n}), range(16)))
        list(many.map(lambda n: fleet.put("config-%d" % n, PLACE, {"timezone": "T%d" % n}),
                      range(16)))
    got = {c["identifier"]: c["modules"][-1]["settings"]["timezone"]
           for c in fleet.get("configuration/list")}
    assert got == {"config-%d" % n: "T%d" % n for n in range(16)}
    fleet.commit("All")
    assert fleet.git("status", "--porcelain") == ""


def test_a_server_killed_at_any_moment_has_a_whole_state(fleet):
    server, gone = fleet.server, threading.Event()

    def edit():
        for n in range(10000):
            try:
                fleet.call("POST", "configuration", {"displayName": "C%d" % n})
                fleet.commit("C%d" % n)
            except (OSError, http.client.HTTPException):
                gone.set()
                return

    for _ in range(3):
        gone.clear()
        editor = threading.Thread(target=edit)
        before = len(fleet.get("repository/history?limit=0"))
        editor.start()
        until("some commits",
              lambda: len(fleet.get("repository/history?limit=0")) > before + 1)
        server.stop(signal.SIGKILL)
        editor.join(LIMIT)
        assert gone.is_set()
        server.start()
        fleet.token = server.login()
        listed = [c["identifier"] for c in fleet.get("state")["configs"]]
        assert sorted(p.name for p in (fleet.repository / "hosts").iterdir()) == sorted(listed)
        assert fleet.git("fsck", "--strict", "--no-dangling") == ""
        fleet.call("PATCH", "state", {"configs": []})
        fleet.commit("Anew")


def test_a_unit_that_is_deleted_takes_its_fleet_along_and_brings_it_back(fleet):
    server, folder = fleet.server, fleet.repository.parent
    fleet.call("POST", "configuration", {"displayName": "A"})
    fleet.commit("One")
    remote(fleet, "h:p")
    other = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "other"}}, fleet.token)
    other = Fleet(server, fleet.token, other.data["unitId"])
    remote(other, "h:p")
    other.commit_count = len(other.get("repository/history"))
    gone = server.call("DELETE", "/coremgr/api/v1/unit/" + fleet.unit, token=fleet.token)
    assert gone.status == 204
    server.restart()
    fleet.token = other.token = server.login()
    aside = folder.parent / (".deleted-" + fleet.unit)
    assert (folder.exists(), aside.exists()) == (False, True)
    assert len(other.get("remote/list")) == 1
    assert len(other.get("repository/history")) == other.commit_count
    rows = server.call("GET", "/fleet/api/v1/remote/list", token=fleet.token).data
    assert [r["unitId"] for r in rows] == [other.unit]

    versions = server.call("GET", "/broker/api/v1/version/list?type=unit&id=%s" % fleet.unit,
                           token=fleet.token).data
    back = server.call("POST", "/broker/api/v1/version/%s/restore" % versions[-1]["versionId"],
                       token=fleet.token)
    assert back.status == 200, back.text
    assert [c["identifier"] for c in fleet.get("configuration/list")] == ["a"]
    assert (folder.exists(), aside.exists()) == (True, False)

"""Deployments to devices that run NixOS: real Nix, real sshd, a store for each."""
import time

import pytest

import fleet_nixos
from conftest import until

pytestmark = pytest.mark.skipif(
    bool(fleet_nixos.MISSING), reason="needs " + ", ".join(fleet_nixos.MISSING))

QUICK = ["--fleet.deploy.confirm-time", "8s", "--fleet.deploy.check-time", "5s"]


@pytest.fixture
def fleet(start, tmp_path):
    fleets = []

    def begin(*configs, options=QUICK):
        server = start(*options, env={"NIX_CONFIG": fleet_nixos.NIX_CONFIG})
        fleets.append(fleet_nixos.Fleet(server, tmp_path, *configs))
        return fleets[-1]

    yield begin
    for f in fleets:
        f.end()


def test_a_commit_arrives_and_stays(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    before = one.current()
    f.set("pi", "2")

    refused = f.call("POST", "deployment", {"data": {}}, unit=f.unit)
    assert (refused.status, refused.code) == (409, "err_fleet_dirty")

    commit = f.commit("second")
    no = f.post("deployment", message="the second")
    assert f.ended(no)["state"] == "done", f.outputs(no)

    built = f.build("pi")
    assert built != before
    for d in one, two:
        assert d.current() == d.profile() == built
        row = d.row()
        assert (row["deployedConfig"], row["deployedCommit"], row["deployedBuilt"],
                row["pendingConfig"]) == ("pi", commit, built, "")
    rows = f.rows(no)
    assert [r["canary"] for r in rows] == [True, False]
    assert rows[0]["beforeBuilt"] == before
    assert {"action": "change", "kind": "package", "name": "hello", "from": "1",
            "to": "2"} in rows[0]["changes"]
    tasks = f.rows(no, "task")
    assert [t["kind"] for t in tasks if t["deviceName"] == "pi-1"] == [
        "build", "plan", "copy", "apply", "checks", "confirm"]
    assert [t["kind"] for t in tasks].count("build") == 1  # once for both
    assert "nixos-system-pi-2> making it" in f.output(tasks[0]["id"])
    apply = next(t for t in tasks if t["kind"] == "apply")
    assert "activating the configuration: test" in f.output(apply["id"])

    again = f.post("deployment")
    assert f.ended(again)["state"] == "done"
    assert {r["reason"] for r in f.rows(again)} == {"it was as declared"}


def test_a_plan_changes_nothing_until_it_is_begun(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2")
    f.commit("second")
    no = f.post("plan")
    until("the plan", lambda: f.deployment(no)["state"] == "planned", 60)
    (row,) = f.rows(no)
    assert row["state"] == "planned" and len(row["changes"]) == 2
    assert d.current() == before
    assert f.call("POST", "deployment/%s/start" % no).status == 204
    assert f.ended(no)["state"] == "done", f.outputs(no)
    assert d.current() == f.build("pi") != before
    assert f.call("POST", "deployment/%s/start" % no).status == 409


def test_a_build_that_fails_touches_no_device(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    before = one.current()
    f.set("pi", "2", build="echo access-tokens = example.org=hunter2hunter2; "
          "echo it does not work; exit 3")
    f.commit("bad")
    no = f.post("deployment")
    d = f.ended(no)
    assert d["state"] == "rolledBack" or d["state"] == "failed"
    assert "failed with exit code 3" in d["reason"]
    assert one.current() == two.current() == before
    said = f.outputs(no)
    assert "it does not work" in said and "hunter2" not in said
    assert sorted(f.states(no).values()) == ["cancelled", "failed"]

    f.set("pi", "2")
    f.commit("good")
    assert f.call("POST", "deployment/%s/retry" % no).status == 200
    # the same commit fails the same way
    again = f.call("GET", "deployment/list", unit=f.unit).data[0]["id"]
    assert again != no and "exit code 3" in f.ended(again)["reason"]


def test_an_activation_that_fails_is_taken_back_and_the_rest_stays(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    before = one.current()
    f.set("pi", "2", switch="    echo no service starts; exit 4")
    f.commit("bad")
    no = f.post("deployment")
    d = f.ended(no)
    assert d["state"] == "rolledBack"
    assert "exited with 4: no service starts" in d["reason"]
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "cancelled"}
    assert one.current() == two.current() == before
    assert one.row()["pendingConfig"] == ""


def test_checks_decide_and_a_late_failure_takes_all_back(fleet):
    f = fleet("pi", "other")
    one, two = f.device("pi"), f.device("other")
    before = one.current(), two.current()
    f.set("pi", "2", switch="    touch /run/well")
    f.set("other", "2")
    f.commit("second")
    no = f.post("deployment", checks=[{"argv": ["test", "-e", "/run/well"]}])
    d = f.ended(no)
    assert d["state"] == "rolledBack" and "not well: test -e /run/well" in d["reason"]
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "rolledBack"}
    assert (one.current(), two.current()) == before
    assert one.profile() == before[0] and two.profile() is None


def test_a_device_that_cuts_itself_off_comes_back_by_itself(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2", switch="    kill $(cat /run/sshd.pid); sleep 1\n"
          '    ln -sfn "$top" /run/current-system; exit 0')
    f.commit("it cuts itself off")
    no = f.post("deployment")
    ended = f.ended(no)
    assert ended["state"] == "rolledBack", f.outputs(no)
    assert "reached" in ended["reason"]
    assert d.current() == before and d.listens()


def test_a_device_that_is_off_gets_it_when_it_is_back(fleet):
    f = fleet("pi")
    d = f.device("pi")
    d.stop()
    f.set("pi", "2")
    f.commit("second")
    first = f.post("deployment")
    until("it waits", lambda: f.states(first) == {"pi-1": "waiting"}, 60)
    second = f.post("deployment")
    assert f.ended(first)["state"] == "done"
    assert f.states(first) == {"pi-1": "superseded"}
    until("it waits", lambda: f.states(second) == {"pi-1": "waiting"}, 60)
    d.start()
    assert f.ended(second)["state"] == "done", f.outputs(second)
    assert d.current() == f.build("pi")


def test_who_cancels_leaves_nothing_half_done(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2", build="/bin/sleep 600")
    f.commit("a long build")
    no = f.post("deployment")
    until("the build", lambda: f.states(no) == {"pi-1": "build"}, 60)
    task = until("the task", lambda: [t for t in f.rows(no, "task")
                                      if t["state"] == "running"])[0]
    assert f.call("POST", "task/%s/cancel" % task["id"]).status == 204
    f.ended(no)
    assert f.states(no) == {"pi-1": "cancelled"}
    assert f.call("POST", "task/%s/cancel" % task["id"]).status == 409

    f.set("pi", "3", switch="    sleep 2")
    f.commit("a long activation")
    no = f.post("deployment")
    until("it applies", lambda: f.states(no) == {"pi-1": "apply"}, 60)
    assert f.call("POST", "deployment/%s/cancel" % no).status == 204
    assert f.ended(no)["state"] == "cancelled"
    assert f.states(no) == {"pi-1": "rolledBack"}
    assert d.current() == before


def test_a_server_that_is_killed_goes_on(fleet):
    f = fleet("pi")
    many = [f.device("pi") for _ in range(4)]
    f.set("pi", "2", switch="    sleep 1")
    f.commit("second")
    no = f.post("deployment", canary=1, atOnce=3)
    until("the first", lambda: "done" in f.states(no).values(), 60)
    until("some apply", lambda: "apply" in f.states(no).values(), 60)
    f.server.restart(9)
    f.token = f.server.login()
    assert f.ended(no)["state"] == "done", f.outputs(no)
    built = f.build("pi")
    assert {d.current() for d in many} == {d.profile() for d in many} == {built}
    # each was switched once for all that
    for d in many:
        runs = [p for p in (d.root / "lib").iterdir() if (p / "log").exists()]
        assert len(runs) == 1, d.name

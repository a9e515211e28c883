"""Deployments to devices that run NixOS: real Nix, real sshd, a store for each."""
import os
import subprocess

import pytest

from conftest import LIMIT, PROGRAM, until
from fleet_nixos import NEEDED, fleet

pytestmark = NEEDED


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
    until("the plan", lambda: f.deployment(no)["state"] == "planned")
    (row,) = f.rows(no)
    assert row["state"] == "planned" and len(row["changes"]) == 2
    assert d.current() == before
    assert f.call("POST", "deployment/%s/start" % no).status == 204
    assert f.ended(no)["state"] == "done", f.outputs(no)
    assert d.current() == f.build("pi") != before
    assert f.call("POST", "deployment/%s/start" % no).status == 409


def test_a_commit_that_has_another_name_is_that_of_now(fleet):
    f = fleet("pi")
    f.device("pi")
    f.set("pi", "2")
    commit = f.commit("second")
    for name in "HEAD", "master", commit[:9]:
        no = f.post("plan", commit=name)
        assert f.deployment(no)["commit"] == commit
        assert f.call("POST", "deployment/%s/cancel" % no).status == 204
    refused = f.call("POST", "plan", {"data": {"commit": "nowhere"}}, unit=f.unit)
    assert (refused.status, refused.code) == (400, "err_param")


def test_so_many_may_be_under_way(fleet):
    f = fleet("pi", options=["--fleet.deploy.under-way", "1"])
    f.device("pi")
    f.set("pi", "2")
    f.commit("second")
    no = f.post("plan")
    refused = f.call("POST", "plan", {"data": {}}, unit=f.unit)
    assert (refused.status, refused.code) == (429, "err_rsc")
    assert "fleet.deploy.underWay" in refused.text
    assert f.call("POST", "deployment/%s/cancel" % no).status == 204
    f.ended(no)
    f.post("plan")


def test_a_build_that_fails_touches_no_device(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    before = one.current()
    f.set("pi", "2", build="echo access-tokens = example.org=hunter2hunter2; "
          "echo it does not work; exit 3")
    f.commit("bad")
    no = f.post("deployment")
    d = f.ended(no)
    assert d["state"] == "failed"
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


def test_a_copy_that_fails_is_told(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    db = d.root / "nix/var/nix/db"
    db.rename(d.root / "nix/var/nix/db.away")
    db.write_text("no database")
    f.set("pi", "2")
    f.commit("second")
    no = f.post("deployment")
    ended = f.ended(no)
    assert ended["state"] == "failed" and "copying failed" in ended["reason"], ended
    assert f.states(no) == {"pi-1": "failed"} and d.current() == before
    db.unlink()
    (d.root / "nix/var/nix/db.away").rename(db)
    again = f.call("POST", "deployment/%s/retry" % no).data["id"]
    assert f.ended(again)["state"] == "done", f.outputs(again)
    assert d.current() == f.build("pi")


def test_an_activation_that_fails_is_taken_back_and_the_rest_stays(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    before = one.current()
    f.set("pi", "2", switch="    echo no service starts, Bearer hunter2hunter2; exit 4")
    f.commit("bad")
    no = f.post("deployment")
    d = f.ended(no)
    assert d["state"] == "rolledBack"
    assert "exited with 4: no service starts" in d["reason"]
    reasons = [d["reason"], *(r["reason"] for r in f.rows(no) + f.rows(no, "task"))]
    assert "hunter2" not in str(reasons) + f.outputs(no)
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "cancelled"}
    assert one.current() == two.current() == before
    assert one.row()["pendingConfig"] == ""


def test_one_step_can_be_cancelled(fleet):
    f = fleet("pi")
    f.device("pi")
    f.set("pi", "2", build="/bin/sleep 600")
    f.commit("a long build")
    no = f.post("deployment")
    until("the build", lambda: f.states(no) == {"pi-1": "build"})
    task = until("the task", lambda: [t for t in f.rows(no, "task")
                                      if t["state"] == "running"])[0]
    assert f.call("POST", "task/%s/cancel" % task["id"]).status == 204
    f.ended(no)
    assert f.states(no) == {"pi-1": "cancelled"}
    assert f.call("POST", "task/%s/cancel" % task["id"]).status == 409


@pytest.mark.parametrize("step,time", [("build", 2), ("copy", 2), ("apply", 15)])
def test_a_step_has_its_time(fleet, step, time):
    f = fleet("pi", options=["--fleet.deploy.%s-time" % step, "%ds" % time])
    d = f.device("pi")
    before = d.current()
    if step == "build":
        f.set("pi", "2", build="/bin/sleep 600")
    else:
        f.set("pi", "2", switch="    [ ! -e /run/gate/gate ] || gate apply")
        d.hold(step)
    f.commit("second")
    no = f.post("deployment")
    ended = f.ended(no)
    back = step == "apply"
    assert ended["state"] == ("rolledBack" if back else "failed"), f.outputs(no)
    assert "fleet.deploy.%sTime" % step in ended["reason"]
    assert f.states(no) == {"pi-1": ended["state"]}
    assert d.current() == before
    if not back:
        return
    until("nothing of it runs", lambda: not d.runs("gate\0apply"), 60)


@pytest.mark.parametrize("step", ["plan", "copy", "apply", "checks", "confirm"])
def test_who_cancels_leaves_it_as_it_was_and_may_try_again(fleet, step):
    f = fleet("pi", options=["--fleet.deploy.confirm-time", "600s"])
    one, two = f.device("pi"), f.device("pi")
    f.set("pi", "2")
    last = f.commit("second")
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)
    before = one.current()
    assert one.profile() == two.profile() == two.current() == before

    f.set("pi", "3", switch="    [ ! -e /run/gate/gate ] || gate apply")
    f.commit("third")
    two.hold("nothing")  # it has the program of the check
    one.hold(step)
    no = f.post("deployment", checks=[{"argv": ["gate", "checks"]}])
    until(step, one.held, 60)
    assert f.states(no) == {"pi-1": step, "pi-2": "queued"}
    assert f.call("POST", "deployment/%s/cancel" % no).status == 204
    open_ = step in ("apply", "checks", "confirm")
    if step == "confirm":  # what is in the middle of the profile is let end
        until("it goes back, when that has ended", lambda: one.runs("flock\0") or list(
            one.root.glob("lib/*/back")), 60)
        one.let_go()
    ended = f.ended(no)
    assert (ended["state"], ended["reason"]) == ("cancelled", "cancelled")
    assert f.states(no) == {"pi-1": "rolledBack" if open_ else "cancelled",
                            "pi-2": "cancelled"}
    tasks = {t["kind"]: t for t in f.rows(no, "task")}
    assert tasks[step]["state"] == "cancelled", tasks[step]
    assert ("rollback" in tasks) == open_
    if step != "confirm":
        one.let_go()
    # Also what was held comes too late to change anything.
    until("whoever was held has ended", lambda: not one.runs(
        "/run/gate/", "switch-to-configuration"), 60)
    for d in one, two:
        assert d.current() == d.profile() == before
        row = d.row()
        assert (row["deployedCommit"], row["deployedBuilt"],
                row["pendingConfig"]) == (last, before, "")
    assert f.call("POST", "deployment/%s/cancel" % no).status == 409

    again = f.call("POST", "deployment/%s/retry" % no).data["id"]
    assert f.ended(again)["state"] == "done", f.outputs(again)
    built = f.build("pi")
    assert {one.current(), one.profile(), two.current(), two.profile()} == {built}


@pytest.mark.parametrize("boots", ["new", "old"])
@pytest.mark.parametrize("quick", [True, False])
def test_a_restart_in_the_middle_of_confirm_ends_as_what_runs_then(fleet, boots, quick):
    f = fleet("pi", options=["--fleet.deploy.confirm-time", "600s"])
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2")
    commit = f.commit("second")
    built = f.build("pi")
    d.hold("confirm")
    no = f.post("deployment")
    until("confirm", d.held, 60)
    d.stop()
    if boots == "new":  # it had come as far as the boot loader
        (d.root / "run/booted-next").symlink_to(built)
    if not quick:
        until("it is seen to be away", lambda: "reached" in f.rows(no)[0]["reason"], 120)
        assert f.states(no) == {"pi-1": "confirm"}
    d.let_go()
    d.start()
    assert d.current() == (built if boots == "new" else before)
    ended = f.ended(no)
    row = d.row()
    if boots == "new":
        assert ended["state"] == "done", f.outputs(no)
        assert f.states(no) == {"pi-1": "done"}
        assert d.current() == d.profile() == built
        assert (row["deployedCommit"], row["deployedBuilt"]) == (commit, built)
    else:
        assert ended["state"] == "rolledBack" and "had before" in ended["reason"], ended
        assert f.states(no) == {"pi-1": "rolledBack"}, f.outputs(no)
        assert d.current() == d.profile() == before
        assert row["deployedBuilt"] in ("", before)
    assert os.readlink(d.root / "run/booted-next") == d.current()
    # and nothing is left of it that keeps the next one out
    f.set("pi", "3")
    f.commit("third")
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)
    assert d.current() == d.profile() == f.build("pi")


def test_the_command_line_follows_to_the_end(fleet, tmp_path):
    f = fleet("pi")
    d = f.device("pi")
    f.set("pi", "2")
    f.commit("second")
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
            "MARRAM_URL": f.server.url, "MARRAM_PASSWORD": "admin"}

    def marram(*words):
        return subprocess.run([PROGRAM, *words], env=home, capture_output=True,
                              text=True, timeout=4 * LIMIT)

    assert marram("login", "-a", "admin").returncode == 0
    plan = marram("fleet", "plan", "-u", f.unit)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert "pi-1 plan| ~ package hello: 1 -> 2" in plan.stdout
    assert plan.stdout.endswith("planned\n")
    no = plan.stdout.split()[1]

    went = marram("fleet", "start", "-i", no)
    assert went.returncode == 0, went.stdout + went.stderr
    assert "pi-1 apply| activating the configuration: test" in went.stdout
    assert went.stdout.endswith("done\n") and d.current() == f.build("pi")
    same = marram("fleet", "drift", "-d", d.id)
    assert same.returncode == 0 and same.stdout.startswith("it is as deployed"), same
    d.have(d.first)
    other = marram("fleet", "drift", "-d", d.id)
    assert other.returncode == 1 and "~ package hello: 1 -> 2\n" in other.stdout, other
    assert marram("fleet", "drift", "-d", d.id, "--last").stdout == other.stdout
    d.have(f.build("pi"))
    assert marram("fleet", "cancel", "-i", no).returncode == 1

    bad = marram("fleet", "deploy", "-u", f.unit, "--config", "none")
    assert bad.returncode == 1 and "there is no configuration none" in bad.stderr
    f.set("pi", "3", switch="    exit 7")
    f.commit("bad")
    went = marram("fleet", "deploy", "-u", f.unit, "-d", d.id, "-m", "bad")
    assert went.returncode == 1
    assert "exited with 7" in went.stdout.splitlines()[-1]
    tasks = marram("fleet", "tasks", "-u", f.unit, "--state", "failed").stdout
    task = tasks.split()[1]
    shown = marram("fleet", "output", "-i", task)
    assert shown.returncode == 1 and "activation failed" in shown.stdout


def test_drift_is_what_a_device_is_asked_for(fleet):
    f = fleet("pi")
    d = f.device("pi")
    path = "device/%s/drift" % d.id
    none = f.call("GET", path).data
    assert (none["at"], none["changed"], none["changes"]) == (None, False, [])
    early = f.call("POST", path)
    assert (early.status, early.code) == (409, "err_fleet_state") and "yet" in early.text
    f.set("pi", "2")
    commit = f.commit("second")
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)
    told = f.call("GET", path).data
    assert told["at"] and not told["changed"] and told["commit"] == commit

    d.have(d.first)  # somebody has switched it back by hand
    f.set("pi", "3")
    f.commit("third")  # of which nothing was deployed
    found = f.call("POST", path).data
    assert {"action": "change", "kind": "package", "name": "hello", "from": "1",
            "to": "2"} in found["changes"]
    assert (found["changed"], found["config"], found["commit"]) == (True, "pi", commit)
    assert d.row()["drift"]["changes"] == found["changes"] and d.current() == d.first

    # it reaches into the device: who may look at the unit only may not ask
    f.server.call("POST", "/auth/api/v1/user", {"data": {"account": "guest",
                                                         "password": "guest"}}, f.token)
    user = f.server.call("GET", "/auth/api/v1/user/list?account=guest", token=f.token).data
    f.server.call("PATCH", "/coremgr/api/v1/unit/" + f.unit,
                  {"data": {"memberIds": [user[0]["userId"]]}}, f.token)
    guest = f.server.login("guest", "guest")
    assert f.server.call("GET", "/fleet/api/v1/" + path, token=guest).data == found
    assert f.server.call("POST", "/fleet/api/v1/" + path, token=guest).status == 404
    d.stop()
    gone = f.call("POST", path)
    assert (gone.status, gone.code) == (409, "err_fleet_state"), gone.text
    assert f.call("GET", path).data == found

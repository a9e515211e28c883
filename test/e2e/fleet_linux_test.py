"""Deployments to any Linux: real sshd, apt and useradd, in a system of its own. What
podman does is a stand-in's; systemd is in test/long."""
import json
import pathlib
import shutil

import pytest

import fleet_linux
from conftest import until
from edge import EDGE

pytestmark = pytest.mark.skipif(
    bool(fleet_linux.MISSING), reason="needs " + ", ".join(fleet_linux.MISSING))

MODULES = [str(p) for p in sorted(pathlib.Path(EDGE).resolve().parents[1].glob(
    "edge/marram-edge-*.so"))]
SHOP = {"name": "shop", "line": "deb [trusted=yes] file:/srv/shop ./"}
NASTY = "it's \"quoted\" $(touch /hacked) `touch /hacked` ${HOME}\\n; rm -rf * ü"
FULL = {
    "hostName": "after", "timeZone": "Europe/Berlin", "repositories": [SHOP],
    "packages": [{"name": "marram-tool"}, {"name": "marram-old", "state": "absent"}],
    "groups": [{"name": "crew", "gid": 7700}],
    "users": [{"name": "ada", "uid": 7701, "groups": ["crew"], "shell": "/bin/bash",
               "comment": NASTY.replace(":", ""),
               "authorizedKeys": ["ssh-ed25519 AAAA " + NASTY]}],
    "files": [{"path": "/etc/marram-old", "text": NASTY + "\nsecond\n",
               "mode": "0600"},
              {"path": "/opt/marram/deep/" + NASTY.replace("/", "|"),
               "text": "x", "owner": "ada", "group": "crew", "mode": "4750"},
              {"path": "/opt/marram/logo", "artifact": "a b'$(id).png"}],
    "containers": [{"name": "web", "image": "example.org/web:1", "ports": ["80:8080"],
                    "environment": {"A": NASTY + "\nline", "B": ""},
                    "labels": {"x": NASTY}, "command": ["--x", NASTY, "", "-n"]}],
}


@pytest.fixture
def fleet(start, tmp_path):
    fleets = []

    def begin(*configs, confirm="30s", options=()):
        server = start("--fleet.deploy.confirm-time", confirm,
                       "--fleet.deploy.check-time", "20s", *options)
        fleets.append(fleet_linux.LinuxFleet(server, tmp_path, *configs))
        (fleets[-1].repository / "artifacts/a b'$(id).png").write_bytes(
            bytes(range(256)))
        return fleets[-1]

    yield begin
    for f in fleets:
        f.end()


def test_it_is_planned_applied_unchanged_drifts_and_is_repaired(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.look()
    f.declare("pi", **FULL)
    f.commit("all of it")
    no = f.post("plan")
    until("the plan", lambda: f.deployment(no)["state"] != "running" and
          f.deployment(no)["state"] == "planned")
    assert d.look() == before and d.read("/var/lib/marram-fleet/apply.sh") is None
    diff = {c["name"]: c for c in f.changes(no)}["/etc/marram-old"]
    assert diff["diff"].startswith("@@ -1 +1,2 @@\n-old\n+it's \"quoted\"")
    assert (diff["from"], diff["to"]) == ("root:root 640", "root:root 600")

    no = f.deploy("pi", **FULL)
    made = {(c["action"], c["kind"], c["name"]) for c in f.changes(no)}
    assert {("add", "package", "marram-tool"), ("remove", "package", "marram-old"),
            ("add", "group", "crew"), ("add", "user", "ada"),
            ("change", "hostName", "after"), ("change", "timeZone", "Europe/Berlin"),
            ("add", "container", "web"), ("add", "file", "/opt/marram/logo"),
            ("change", "file", "/etc/marram-old")} <= made

    # All arrived as it was written, and nothing of it was run.
    assert d.run("test -e /hacked").returncode == 1
    assert d.read("/etc/marram-old") == NASTY + "\nsecond\n"
    assert d.sh("stat -c '%a %U %G' /opt/marram/deep/*") == "4750 ada crew\n"
    assert d.sh("ls /opt/marram/deep").rstrip("\n") == NASTY.replace("/", "|")
    assert d.sh("od -An -v -tx1 /opt/marram/logo").split() == [
        "%02x" % b for b in range(256)]
    assert d.sh("getent passwd ada").rstrip("\n") == \
        "ada:x:7701:7701:%s:/home/ada:/bin/bash" % NASTY.replace(":", "")
    assert d.sh("id -nG ada").split() == ["ada", "crew"]
    assert d.read("/home/ada/.ssh/authorized_keys") == "ssh-ed25519 AAAA " + NASTY + "\n"
    assert d.sh("stat -c '%a %U' /home/ada/.ssh /home/ada/.ssh/authorized_keys") == \
        "700 ada\n600 ada\n"
    assert d.read("/usr/share/marram-test/marram-tool") == "1.1\n"
    assert d.run("test -e /usr/share/marram-test/marram-old").returncode == 1
    assert d.read("/etc/hostname") == "after\n"
    box = json.loads(d.read("/srv/box/state.json"))["boxes"]["web"]
    assert box["args"] == [
        "--publish", "80:8080", "--env", "A=" + NASTY + "\nline", "--env", "B=",
        "--label", "x=" + NASTY, "example.org/web:1", "--x", NASTY, "", "-n"]

    again = f.post("deployment")
    assert f.ended(again)["state"] == "done"
    assert {r["reason"] for r in f.rows(again)} == {"it was as declared"}

    path = "device/%s/drift" % d.id
    last = f.call("GET", path).data
    assert (last["changed"], last["changes"]) == (False, []) and last["at"]
    assert d.row()["drift"]["changed"] is False
    d.sh("echo mine >/etc/marram-old; chmod 777 /opt/marram/logo; userdel ada;"
         "dpkg -P marram-tool; rm -f /etc/localtime")
    assert f.call("GET", path).data == last  # it was not asked
    found = f.call("POST", path)
    assert found.status == 200, found.text
    assert found.data["changed"] and found.data["at"] > last["at"]
    assert {c["name"] for c in found.data["changes"]} >= {
        "/etc/marram-old", "/opt/marram/logo", "ada", "marram-tool", "Europe/Berlin"}
    assert {c["name"]: c for c in found.data["changes"]}["/etc/marram-old"]["diff"]
    assert d.read("/etc/marram-old") == "mine\n"  # and nothing was changed
    assert f.call("GET", path).data == found.data
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)
    assert {c["name"] for c in f.changes(no)} >= {
        "/etc/marram-old", "/opt/marram/logo", "ada", "marram-tool", "Europe/Berlin"}
    assert d.read("/etc/marram-old") == NASTY + "\nsecond\n", f.outputs(no) + d.log()
    assert d.sh("id -u ada") == "7701\n"

    # What is declared no more goes, if it came by us.
    f.deploy("pi", repositories=[SHOP],
             files=[{"path": "/etc/marram-old", "text": "kept\n"}])
    assert d.run("id ada").returncode != 0
    assert d.run("ls /opt/marram/logo").returncode != 0
    assert d.run("dpkg-query -W marram-tool").stdout == "" or "installed" not in d.sh(
        "dpkg-query -W -f '${db:Status-Status}' marram-tool").replace(
            "not-installed", "")
    assert json.loads(d.read("/srv/box/state.json"))["boxes"].get("web") is None
    assert d.read("/etc/marram-old") == "kept\n"


def test_a_bad_one_stops_at_the_first_device_and_takes_itself_back(fleet):
    f = fleet("pi")
    one, two = f.device("pi"), f.device("pi")
    f.deploy("pi", repositories=[SHOP], packages=[
        {"name": "marram-tool", "version": "1.0"}])
    before = one.look(), two.look()
    no = f.deploy(
        "pi", state="rolledBack", repositories=[SHOP],
        packages=[{"name": "marram-tool", "version": "1.1"},
                  {"name": "marram-broken"}],
        files=[{"path": "/etc/marram-old", "text": "never\n"}])
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "cancelled"}
    assert (one.look(), two.look()) == before
    assert "marram-broken" in f.deployment(no)["reason"] + f.outputs(no)

    no = f.deploy("pi", state="rolledBack", repositories=[SHOP],
                  packages=[{"name": "marram-tool", "version": "1.0"}],
                  users=[{"name": "eve", "groups": ["no-such-group"]}],
                  files=[{"path": "/etc/marram-new", "text": "never\n"}])
    assert (one.look(), two.look()) == before


def test_a_device_whose_connection_is_cut_takes_itself_back(fleet):
    f = fleet("pi", confirm="8s")
    d = f.device("pi")
    before = d.look()
    f.declare("pi", files=[{"path": "/etc/marram-old", "text": "new\n"}],
              users=[{"name": "ada"}])
    f.commit("next")
    # Nobody can sign in any more, once it is applied.
    d.write("/usr/local/bin/sync", "#!/bin/sh\n"
            "[ ! -e /home/ada ] || : >/srv/keys\n[ $# -eq 0 ] || exec /bin/sync \"$@\"\n")
    d.sh("chmod 755 /usr/local/bin/sync")
    no = f.post("deployment")
    until("it is changed", lambda: d.read("/etc/marram-old") == "new\n")
    d.is_back(before)
    assert "nobody confirmed it within" in d.log() + d.sh(
        "cat /var/lib/marram-fleet/run/*/why")
    f.call("POST", "deployment/%s/cancel" % no)


def test_a_device_that_restarts_half_way_takes_itself_back(fleet):
    f = fleet("pi", confirm="600s")
    d = f.device("pi")
    before = d.look()
    f.declare("pi", repositories=[SHOP], users=[{"name": "ada"}],
              packages=[{"name": "marram-slow"}],
              files=[{"path": "/etc/marram-old", "text": "new\n"}])
    f.commit("next")
    no = f.post("deployment")
    until("apt works", lambda: "half-configured" in d.run(
        "dpkg-query -W -f '${db:Status-Status}' marram-slow").stdout)
    d.stop()
    d.start()
    d.is_back(before)
    assert f.ended(no)["state"] in ("rolledBack", "failed")


def test_what_takes_too_long_takes_itself_back(fleet):
    f = fleet("pi", options=["--fleet.deploy.apply-time", "15s"])
    d = f.device("pi")
    before = d.look()
    f.declare("pi", users=[{"name": "ada"}],
              files=[{"path": "/etc/marram-old", "text": "new\n"}])
    f.commit("next")
    d.hold("apply")
    no = f.post("deployment")
    ended = f.ended(no)
    assert ended["state"] == "rolledBack", f.outputs(no)
    assert "took longer than 15 s (fleet.deploy.applyTime)" in ended["reason"]
    assert d.look() == before


@pytest.mark.parametrize("step", ["plan", "copy", "apply", "checks", "confirm"])
def test_who_cancels_leaves_it_as_it_was_and_may_try_again(fleet, step):
    f = fleet("pi", confirm="600s")
    one, two = f.device("pi"), f.device("pi")
    f.deploy("pi", repositories=[SHOP], packages=[{"name": "marram-tool",
                                                   "version": "1.0"}])
    before = one.look(), two.look()
    f.declare("pi", repositories=[SHOP], users=[{"name": "ada"}],
              packages=[{"name": "marram-tool", "version": "1.1"}],
              files=[{"path": "/etc/marram-old", "text": "new\n"}])
    last = f.commit("next")
    one.hold(step)
    no = f.post("deployment", checks=[{"argv": ["gate", "checks"]}])
    until(step, one.held, 60)
    assert f.states(no) == {"pi-1": step, "pi-2": "queued"}
    task = f.rows(no, "task")[-1]
    assert (task["kind"], task["state"]) == (step, "running")
    assert f.call("POST", "deployment/%s/cancel" % no).status == 204
    ended = f.ended(no, 60)
    assert (ended["state"], ended["reason"]) == ("cancelled", "cancelled")
    open_ = step in ("apply", "checks", "confirm")
    assert f.states(no) == {"pi-1": "rolledBack" if open_ else "cancelled",
                            "pi-2": "cancelled"}
    tasks = {t["kind"]: t for t in f.rows(no, "task")}
    assert tasks[step]["state"] == "cancelled", tasks[step]
    assert ("rollback" in tasks) == open_
    one.let_go()
    # Also what was held comes too late to change anything.
    until("whoever was held has ended", lambda: one.run(
        "grep -lz -e /usr/local/bin/gate -e confirm /proc/[0-9]*/cmdline |"
        " grep -v -e /self -e $$").stdout == "", 60)
    assert (one.look(), two.look()) == before
    assert "not confirmed: -" in one.sh("sh /var/lib/marram-fleet/apply.sh status")
    for d in one, two:
        row = d.row()
        assert row["deployedCommit"] != last and row["pendingConfig"] == ""
    assert f.call("POST", "deployment/%s/cancel" % no).status == 409

    two.hold("nothing")  # it has the program of the check
    again = f.call("POST", "deployment/%s/retry" % no).data["id"]
    assert f.ended(again, 180)["state"] == "done", f.outputs(again)
    for d in one, two:
        assert d.read("/etc/marram-old") == "new\n"
        assert d.read("/usr/share/marram-test/marram-tool") == "1.1\n"
        assert d.row()["deployedCommit"] == last


def test_secrets_are_opened_on_the_device_alone(fleet):
    f = fleet("pi")
    d = f.device("pi")
    answer = f.call("POST", "secret", {"data": {
        "unitId": f.unit, "name": "word", "secret": NASTY}})
    assert answer.status == 200, answer.text
    secret = answer.data["id"]
    f.state(["pi"], {"type": "thymis_controller.modules.files.FilesModule",
                     "settings": {"secrets": [{"secret": secret, "path": "/x"}]}})
    no = f.deploy("pi", files=[{"path": "/etc/marram-secret", "secret": secret,
                                "mode": "0400"}])
    assert d.read("/etc/marram-secret") == NASTY
    assert d.sh("stat -c %a /etc/marram-secret") == "400\n"
    assert NASTY not in f.outputs(no) + d.log()
    assert d.run("grep -rF 'touch /hacked' /var/lib/marram-fleet").stdout == ""
    again = f.post("deployment")
    assert f.ended(again)["state"] == "done"
    assert {r["reason"] for r in f.rows(again)} == {"it was as declared"}

    # without age the agent opens them, where it is installed
    d.sh("rm -f /usr/bin/age; mkdir -p /usr/lib/marram")
    root = pathlib.Path("/proc/%d/root%s/m" % (d.holder.pid, d.disk))
    shutil.copy(EDGE, root / "usr/bin/marram-edge")
    for module in MODULES:
        shutil.copy(module, root / "usr/lib/marram")
    f.deploy("pi", files=[{"path": "/etc/marram-secret", "secret": secret, "mode": "0440"},
                          {"path": "/etc/marram-second", "secret": secret}])
    assert d.read("/etc/marram-second") == d.read("/etc/marram-secret") == NASTY
    assert d.sh("stat -c %a /etc/marram-secret") == "440\n"
    said = d.run("printf x >/tmp/x; marram-edge fleet unseal /tmp/x")
    assert said.returncode == 1 and said.stdout == "" and "open the secret" in said.stderr
    # an agent that does not know how is as none
    d.sh("rm /usr/bin/marram-edge; printf '#!/bin/sh\nexit 2\n' >/usr/bin/marram-edge;"
         "chmod 755 /usr/bin/marram-edge; mkdir /etc/marram-folder")
    no = f.deploy("pi", state="failed", files=[
        {"path": "/etc/marram-secret", "secret": secret, "mode": "0400"},
        {"path": "/etc/marram-folder", "text": ""}])
    reason = f.rows(no)[0]["reason"]
    assert "install age" in reason and "is a folder there" in reason
    assert d.sh("stat -c %a /etc/marram-secret") == "440\n"

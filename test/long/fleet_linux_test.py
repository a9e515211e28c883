"""Deployments to two Debians in which a real systemd runs as the first process of
namespaces, with their own sshd, apt and podman. Needs root, and a mirror of Debian; or a
root that is made, in $DEBIAN_FLEET_ROOT (with INCLUDE and PODMAN)."""
import difflib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

import fleet_linux
from e2e_conftest import until
from edge import Edge
from edge_install_test import MIRROR, Machine
from fleet_device import Sshd
from fleet_nixos import Device as NixDevice
from ports import free_port

INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,age,tzdata,ca-certificates," \
    "busybox-static"
PODMAN = "podman runc netavark"
INSTALL = """mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
chroot "$1" sh -c 'apt-get update -qq && apt-get install -y -qq \
    --no-install-recommends %s && apt-get clean'""" % PODMAN
# The devices have the network of this machine, and its cgroups only as far as it has
# not kept them. crun wants to lock more memory than may be had without
# CAP_SYS_RESOURCE; runc does not.
CONTAINERS = """[containers]
netns = "host"
pids_limit = 0
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
"""
# No registry is needed: the image has the busybox of Debian.
IMAGE = """mkdir -p /tmp/box/bin && cp /bin/busybox /tmp/box/bin/ &&
for p in sh sleep cat; do ln -s busybox /tmp/box/bin/$p; done &&
tar -C /tmp/box -c . | podman import - localhost/box:1 &&
tar -C /tmp/box -c . | podman import --change ENV=NEWER=1 - localhost/box:2"""
UNIT = "[Unit]\nDescription=%s\n[Service]\nExecStart=%s\n" \
    "[Install]\nWantedBy=multi-user.target\n"
SHOP = {"name": "shop", "line": "deb [trusted=yes] file:/srv/shop ./"}
RUN = "/bin/sleep infinity"
NASTY = "it's \"quoted\" $(touch /hacked) `touch /hacked` ${HOME}\\n * ü\nsecond"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a root of its own can only be made by root")
    made = os.environ.get("DEBIAN_FLEET_ROOT")
    if made:
        return pathlib.Path(made)
    root = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(["debootstrap", "--variant=minbase", "--include=" + INCLUDE,
                    "bookworm", str(root), MIRROR], check=True,
                   stdout=subprocess.DEVNULL, timeout=1800)
    subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                    INSTALL, "sh", str(root)], check=True, timeout=1800,
                   env={**os.environ, "DEBIAN_FRONTEND": "noninteractive",
                        "LC_ALL": "C"}, stdout=subprocess.DEVNULL)
    return root


class Device:
    """A Debian with systemd, as the fleet sees it. With an agent, marram-edge, that is
    the only way to it; it runs beside the namespaces, with the machine's files."""

    def __init__(self, fleet, base, config, name, agent=False):
        self.fleet, self.name = fleet, name
        self.root = fleet.folder / name
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(self.root)],
                       check=True, timeout=600)
        self.port = free_port()
        shop = fleet.folder / "shop"
        if not shop.exists():
            fleet_linux.make_repository(shop)
        shutil.copytree(shop, self.root / "srv/shop")
        for at in (self.root / "etc/ssh").glob("ssh_host_*"):
            at.unlink()
        host = self.root / "etc/ssh/ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", host],
                       check=True)
        (self.root / "etc/ssh/sshd_config.d/fleet.conf").write_text(
            "Port %d\nListenAddress 127.0.0.1\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
            % self.port)
        keys = self.root / "root/.ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        keys.write_text(pathlib.Path(str(fleet.key) + ".pub").read_text())
        keys.chmod(0o600)
        # The machine's name is that of us all: it is not changed here.
        (self.root / "etc/hostname").write_text(os.uname().nodename + "\n")
        for at in (self.root / "etc/apt").glob("sources.list*"):
            shutil.rmtree(at) if at.is_dir() else at.unlink()
        (self.root / "etc/apt/sources.list.d").mkdir()
        (self.root / "etc/containers/containers.conf").write_text(CONTAINERS)
        self.machine = None
        self.start()
        self.sh(IMAGE)
        self.public_key = " ".join(
            pathlib.Path(str(host) + ".pub").read_text().split()[:2])
        self.edge = None
        if agent:
            self.id = self.enroll(config)
            return
        answer = fleet.call("POST", "device", {"data": {
            "unitId": fleet.unit, "name": name, "address": "127.0.0.1",
            "sshPort": self.port, "config": config, "sshPublicKey": self.public_key}})
        assert answer.status == 200, answer.text
        self.id = answer.data["id"]

    def enroll(self, config):
        (self.root / "root/.ssh/authorized_keys").write_text("")  # it lets the fleet in
        answer = self.fleet.call("POST", "agent-token", {"data": {
            "unitId": self.fleet.unit, "config": config}})
        assert answer.status == 200, answer.text
        self.edge = Edge(self.fleet.folder / (self.name + "-edge"), {
            "fleet.root": str(self.root), "fleet.ssh.port": self.port,
            "fleet.ssh.restart": "/bin/true"})
        self.edge.good("fleet", "enroll", self.fleet.server.url, "--token",
                       answer.data["token"])
        self.edge.start()

        def row():
            return [d for d in self.fleet.call(
                "GET", "device/list", unit=self.fleet.unit, limit=0).data
                if d["sshPublicKey"] == self.public_key and d["connected"]]
        found = until("its agent", row, 60)[0]
        assert found["address"] == ""
        assert self.fleet.call("PATCH", "device/" + found["id"], {
            "data": {"name": self.name}}).status == 204
        return found["id"]

    def start(self):
        self.machine = Machine(self.root)
        until("sshd", lambda: NixDevice.listens(self), 60)

    def stop(self):
        if self.machine is not None:
            self.machine.stop()
        self.machine = None

    def scrap(self):
        if self.edge is not None:
            self.edge.stop()
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def sh(self, script):
        return self.machine.good(script)

    def log(self):
        return self.machine.run("cat /var/lib/marram-fleet/run/*/log").stdout

    def look(self):
        return self.sh(
            "cat /etc/passwd; getent shadow; cat /etc/group; ls /etc/systemd/system"
            " | grep -v marram-fleet; dpkg-query -W -f '${binary:Package} ${Version}"
            " ${db:Status-Status}\\n' 'marram-*' 2>/dev/null; cat /etc/motd;"
            "systemctl is-active ssh one.service two.service;"
            "systemctl is-enabled one.service two.service 2>&1;"
            "for b in $(podman ps -a --format '{{.Names}}' | sort); do"
            "    podman container inspect --format"
            "        '{{.Name}} {{.ImageName}} {{.State.Status}}' $b; done")

    def is_as(self, before):
        now = self.look()
        assert now == before, "\n".join([*difflib.unified_diff(
            before.split("\n"), now.split("\n"), "before", "now", n=0), self.log()])
        return True

    def box(self, name, what):
        """What podman says of a container."""
        return json.loads(self.sh("podman container inspect --format '{{json %s}}' %s" % (
            what, name)))


@pytest.fixture
def fleet(start, tmp_path):
    fleets = []

    def begin(confirm="20s", keep="90d"):
        server = start("--fleet.deploy.confirm-time", confirm,
                       "--fleet.deploy.check-time", "10s", "--fleet.output.keep", keep)
        fleets.append(fleet_linux.LinuxFleet(server, tmp_path, "pi"))
        return fleets[-1]

    yield begin
    for f in fleets:
        f.end()


def device(f, base, **more):
    d = Device(f, base, "pi", "pi-%d" % (len(f.devices) + 1), **more)
    f.devices.append(d)
    return d


def wanted(word="hello", **more):
    return {
        "timeZone": "Europe/Berlin", "repositories": [SHOP],
        "packages": [{"name": "marram-tool"}],
        "users": [{"name": "ada", "authorizedKeys": ["ssh-ed25519 AAAA x"]}],
        "files": [{"path": "/etc/motd", "text": word + "\n"},
                  {"path": "/etc/systemd/system/one.service",
                   "text": UNIT % (word, RUN)}],
        "services": [{"name": "one.service", "restartOn": [
            "/etc/systemd/system/one.service", "/etc/motd"]}],
        "containers": [{"name": "web", "image": "localhost/box:1",
                        "environment": {"A": NASTY}, "volumes": ["/srv/shop:/shop:ro"],
                        "command": ["sleep", "infinity"]}], **more}


def test_two_devices_with_systemd(fleet, base):
    f = fleet()
    one, two = device(f, base), device(f, base, agent=True)
    before = one.look()
    f.deploy("pi", **wanted())
    for d in one, two:
        assert d.sh("systemctl is-active one.service").strip() == "active"
        assert d.sh("systemctl is-enabled one.service").strip() == "enabled"
        assert d.sh("readlink /etc/localtime").strip().endswith("Europe/Berlin")
        assert d.sh("cat /usr/share/marram-test/marram-tool") == "1.1\n"
        assert "A=" + NASTY in d.box("web", ".Config.Env")
        assert d.sh("podman exec web cat /shop/Packages").count("Package: ") == 6
        assert d.machine.run("test -e /hacked").returncode == 1
    pid = one.sh("systemctl show -P MainPID one.service")
    box = one.box("web", ".ID")
    again = f.post("deployment")
    assert f.ended(again, 180)["state"] == "done"
    assert {r["reason"] for r in f.rows(again)} == {"it was as declared"}
    assert one.sh("systemctl show -P MainPID one.service") == pid
    assert one.box("web", ".ID") == box

    # It drifts, and is repaired.
    good = one.look()
    one.sh("systemctl disable --now one.service; echo mine >/etc/motd; userdel ada;"
           "dpkg -P marram-tool; podman stop -t 0 web")
    no = f.post("deployment")
    assert f.ended(no, 180)["state"] == "done", f.outputs(no)
    assert {c["name"] for c in f.changes(no)} == {
        "one.service", "/etc/motd", "ada", "marram-tool", "web"}
    assert one.is_as(good) and one.box("web", ".ID") == box
    one.sh("podman rm -f web")
    no = f.post("deployment")
    assert f.ended(no, 180)["state"] == "done", f.outputs(no)
    assert one.is_as(good) and one.box("web", ".ID") != box

    # A file changes: the service is restarted with it, and no other.
    pid = two.sh("systemctl show -P MainPID one.service")
    f.deploy("pi", **wanted("next"))
    assert two.sh("systemctl show -P MainPID one.service") != pid
    assert two.sh("systemctl show -P Description one.service").strip() == "next"

    # One that does not stay up stops at the first device, and is taken back.
    good, box = (one.look(), two.look()), one.box("web", ".ID")
    bad = wanted("bad", containers=[{"name": "web", "image": "localhost/box:2",
                                     "command": ["sleep", "infinity"]},
                                    {"name": "more", "image": "localhost/box:1",
                                     "command": ["sleep", "infinity"]}])
    bad["files"].append({"path": "/etc/systemd/system/two.service",
                         "text": UNIT % ("two", "/bin/false")})
    bad["services"].append({"name": "two.service"})
    no = f.deploy("pi", state="rolledBack", **bad)
    assert one.is_as(good[0]) and two.is_as(good[1])
    assert one.box("web", ".ID") == box
    assert one.sh("systemctl show -P Description one.service").strip() == "next"
    assert "two.service" in f.outputs(no)
    assert f.states(no)["pi-2"] == "cancelled"

    # All of it goes.
    f.deploy("pi", repositories=[SHOP], files=[{"path": "/etc/motd", "text": ""}])
    assert one.sh("systemctl is-active one.service; :").strip() == "inactive"
    gone = one.look().splitlines()
    assert not [line for line in gone if line.startswith("ada:")]
    assert [line for line in before.splitlines() if line.startswith("root:")] == [
        line for line in gone if line.startswith("root:")]


def test_a_restart_half_way_takes_it_back(fleet, base):
    f = fleet("1h")
    d = device(f, base)
    before = d.look()
    f.declare("pi", **wanted(packages=[{"name": "marram-slow"}]))
    f.commit("next")
    no = f.post("deployment")
    until("apt works", lambda: "half-configured" in d.machine.run(
        "dpkg-query -W -f '${db:Status-Status}' marram-slow").stdout, 120)
    d.stop()
    d.start()
    until("it takes itself back", lambda: d.look() == before, 180)
    f.ended(no, 180)


def test_a_guard_that_is_killed_half_way_takes_it_back(fleet, base):
    f = fleet("1h")
    d = device(f, base)
    before = d.look()
    f.declare("pi", **wanted(packages=[{"name": "marram-slow"}]))
    f.commit("next")
    no = f.post("deployment")
    until("apt works", lambda: "half-configured" in d.machine.run(
        "dpkg-query -W -f '${db:Status-Status}' marram-slow").stdout, 120)
    d.sh("systemctl kill -s KILL --kill-whom=main 'marram-fleet-*'")
    until("it takes itself back", lambda: d.look() == before, 180)
    assert f.ended(no, 180)["state"] == "rolledBack", f.outputs(no)
    assert "its guard was killed" in d.sh("cat /var/lib/marram-fleet/run/*/why")
    assert d.sh("pgrep -f marram-slow; :") == ""


def test_what_nobody_confirms_is_taken_back(fleet, base):
    f = fleet("5s")
    d = device(f, base)
    before = d.look()
    bad = wanted("cut", services=[{"name": "one.service"},
                                  {"name": "ssh.service", "running": False}])
    f.declare("pi", **bad)
    f.commit("it cuts itself off")
    no = f.post("deployment")
    until("it is cut off", lambda: not NixDevice.listens(d), 120)
    until("it takes itself back", lambda: d.look() == before, 180)
    until("sshd", lambda: NixDevice.listens(d), 60)
    assert f.ended(no, 180)["state"] in ("rolledBack", "failed"), f.outputs(no)


def test_what_ended_long_ago_goes(fleet, tmp_path):
    """A device of which only plans are made: this machine's own sshd and files."""
    f = fleet(keep="1h")
    sshd = Sshd(tmp_path / "sshd", let_in=pathlib.Path(str(f.key) + ".pub").read_text())
    try:
        answer = f.call("POST", "device", {"data": {
            "unitId": f.unit, "name": "pi-1", "address": "127.0.0.1",
            "sshPort": sshd.port, "config": "pi", "sshPublicKey": sshd.public_key}})
        assert answer.status == 200, answer.text
        f.declare("pi", files=[{"path": "/etc/marram-never", "text": "x"}])
        f.commit("next")
        old, plan, new = (planned(f) for _ in range(3))
    finally:
        sshd.stop()
    for no in old, new:
        assert f.call("POST", "deployment/%s/cancel" % no).status == 204
        assert f.ended(no)["state"] == "cancelled"
    tasks = {no: [t["id"] for t in f.rows(no, "task")] for no in (old, plan, new)}
    assert all(tasks.values()) and "+ file" in f.outputs(old)
    used = f.rows(new)[0]["built"]
    links = f.dir / "builds"
    links.mkdir(exist_ok=True)
    for name, to in (("used", used), ("unused", "/nix/store/x"), ("fresh", "/nix/store/y")):
        (links / name).symlink_to(to)
        if name != "fresh":
            os.utime(links / name, (0, 0), follow_symlinks=False)
    f.server.stop()
    with sqlite3.connect(f.server.folder / "data/fleet.db") as db:
        for no in old, plan:
            db.execute("update deployment set created_at = created_at - 7200000,"
                       " ended_at = ended_at - 7200000 where id = ?", [no])
    db.close()
    f.server.start()
    f.token = f.server.login()
    until("it goes", lambda: f.call("GET", "deployment/" + old).status == 404, 150)
    # A plan that nobody carried out ends first, and is kept from then on.
    until("the plan ends", lambda: f.deployment(plan)["state"] == "cancelled", 30)
    until("links", lambda: sorted(p.name for p in links.iterdir()) == ["fresh", "used"], 30)
    assert f.call("GET", "deployment/" + new).data["state"] == "cancelled"
    kept = {t["id"] for t in f.call("GET", "task/list", unit=f.unit, limit=0).data}
    assert kept == {*tasks[plan], *tasks[new]}
    assert {p.name for p in (f.dir / "tasks").iterdir()} == kept
    assert f.rows(old) == [] and len(f.rows(new)) == 1
    assert "+ file" in f.outputs(new)


def planned(f):
    no = f.post("plan")
    until("the plan", lambda: f.deployment(no)["state"] == "planned", 60)
    return no

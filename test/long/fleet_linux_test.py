"""Deployments to two Debians in which a real systemd runs as the first process of
namespaces, with their own sshd and apt. Needs root, and a mirror of Debian; or a root
that is made, in $DEBIAN_FLEET_ROOT (with systemd, dbus, openssh-server, age, tzdata)."""
import os
import pathlib
import shutil
import subprocess

import pytest

import fleet_linux
from e2e_conftest import until
from edge_install_test import MIRROR, Machine
from fleet_nixos import Device as NixDevice
from ports import free_port

INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,age,tzdata,ca-certificates"
UNIT = "[Unit]\nDescription=%s\n[Service]\nExecStart=%s\n" \
    "[Install]\nWantedBy=multi-user.target\n"
SHOP = {"name": "shop", "line": "deb [trusted=yes] file:/srv/shop ./"}
RUN = "/bin/sleep infinity"


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
    return root


class Device:
    """A Debian with systemd, as the fleet sees it."""

    def __init__(self, fleet, base, config, name):
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
        self.machine = None
        self.start()
        answer = fleet.call("POST", "device", {"data": {
            "unitId": fleet.unit, "name": name, "address": "127.0.0.1",
            "sshPort": self.port, "config": config, "sshPublicKey": " ".join(
                pathlib.Path(str(host) + ".pub").read_text().split()[:2])}})
        assert answer.status == 200, answer.text
        self.id = answer.data["id"]

    def start(self):
        self.machine = Machine(self.root)
        until("sshd", lambda: NixDevice.listens(self), 60)

    def stop(self):
        if self.machine is not None:
            self.machine.stop()
        self.machine = None

    def scrap(self):
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
            "systemctl is-enabled one.service two.service 2>&1; :")


@pytest.fixture
def fleet(start, tmp_path):
    fleets = []

    def begin(confirm="20s"):
        server = start("--fleet.deploy.confirm-time", confirm,
                       "--fleet.deploy.check-time", "10s")
        fleets.append(fleet_linux.LinuxFleet(server, tmp_path, "pi"))
        return fleets[-1]

    yield begin
    for f in fleets:
        f.end()


def device(f, base):
    d = Device(f, base, "pi", "pi-%d" % (len(f.devices) + 1))
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
            "/etc/systemd/system/one.service", "/etc/motd"]}], **more}


def test_two_devices_with_systemd(fleet, base):
    f = fleet()
    one, two = device(f, base), device(f, base)
    before = one.look()
    f.deploy("pi", **wanted())
    for d in one, two:
        assert d.sh("systemctl is-active one.service").strip() == "active"
        assert d.sh("systemctl is-enabled one.service").strip() == "enabled"
        assert d.sh("readlink /etc/localtime").strip().endswith("Europe/Berlin")
        assert d.sh("cat /usr/share/marram-test/marram-tool") == "1.1\n"
    pid = one.sh("systemctl show -P MainPID one.service")
    again = f.post("deployment")
    assert f.ended(again, 180)["state"] == "done"
    assert {r["reason"] for r in f.rows(again)} == {"it was as declared"}
    assert one.sh("systemctl show -P MainPID one.service") == pid

    # It drifts, and is repaired.
    one.sh("systemctl disable --now one.service; echo mine >/etc/motd")
    no = f.post("deployment")
    assert f.ended(no, 180)["state"] == "done", f.outputs(no)
    assert {c["name"] for c in f.changes(no)} == {"one.service", "/etc/motd"}
    assert one.sh("systemctl is-active one.service").strip() == "active"

    # A file changes: the service is restarted with it, and no other.
    pid = two.sh("systemctl show -P MainPID one.service")
    f.deploy("pi", **wanted("next"))
    assert two.sh("systemctl show -P MainPID one.service") != pid
    assert two.sh("systemctl show -P Description one.service").strip() == "next"

    # One that does not stay up stops at the first device, and is taken back.
    good = one.look(), two.look()
    bad = wanted("bad")
    bad["files"].append({"path": "/etc/systemd/system/two.service",
                         "text": UNIT % ("two", "/bin/false")})
    bad["services"].append({"name": "two.service"})
    no = f.deploy("pi", state="rolledBack", **bad)
    assert (one.look(), two.look()) == good
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

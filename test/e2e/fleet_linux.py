"""Devices that run any Linux: this machine's own system under a file system of its
own, so that apt, useradd and sshd are real and nothing of it stays. Containers are
those of a stand-in for podman, which only remembers what it was told."""
import difflib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from conftest import LIMIT, ROOT, until
from fleet_nixos import Device as NixDevice, Fleet, git
from ports import free_port

NEEDED = ["git", "unshare", "nsenter", "/usr/sbin/sshd", "age", "apt-get",
          "dpkg-deb", "update-rc.d", "flock"]
MISSING = [p for p in NEEDED if not shutil.which(p)]
TRY = """mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m &&
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"""
if os.geteuid() != 0:
    MISSING.append("root")
elif not MISSING and subprocess.run(["unshare", "-m", "sh", "-c", TRY],
                                    capture_output=True).returncode != 0:
    MISSING.append("mount namespaces with overlays")

# The disk: it stays when the machine is off.
DISK = """mount -t tmpfs none "$1" && mkdir "$1/u" "$1/w" "$1/m" && mount -t overlay \
overlay -o lowerdir=/,upperdir="$1/u",workdir="$1/w" "$1/m" && cd "$1/m" &&
mount --rbind /dev dev && echo ready && exec sleep infinity"""
# What its first process does, as an init that knows /etc/rc2.d.
BOOT = """mount -t proc proc /proc && mount -t tmpfs -o mode=755 none /run &&
mkdir /run/sshd && hostname "$(cat /etc/hostname)"
for s in /etc/rc2.d/S*marram-fleet; do [ ! -x "$s" ] || "$s" start; done
exec /usr/sbin/sshd -D -f /srv/sshd_config -E /srv/sshd.log"""

# A program of the device that stays in the step whose name is in /srv/hold.
GATE = """#!/bin/sh
case "${0##*/} $*" in
gate*) step=$1 ;;
tar*/var/lib/marram-fleet/bundle/*) step=copy ;;
tar*) step=plan ;;
useradd*) step=apply ;;
flock*) step=$(tr '\\0' '\\n' </proc/$PPID/cmdline | grep -x confirm) ;;
esac
if [ -n "$step" ] && [ "$step" = "$(cat /srv/hold 2>/dev/null)" ]; then
	: >/srv/held
	while [ -e /srv/hold ]; do sleep 0.1; done
fi
[ "${0##*/}" = gate ] || PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "${0##*/}" "$@"
"""


def make_package(folder, name, version, depends="", script=""):
    """A .deb with one file, in a folder that becomes a repository."""
    tree = folder / ("%s_%s" % (name, version))
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share/marram-test").mkdir(parents=True)
    (tree / "usr/share/marram-test" / name).write_text(version + "\n")
    (tree / "DEBIAN/control").write_text(
        "Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: T <t@example.org>\n"
        "Description: for a test\n%s" % (
            name, version, "Depends: %s\n" % depends if depends else ""))
    if script:
        (tree / "DEBIAN/postinst").write_text(script)
        (tree / "DEBIAN/postinst").chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, folder],
                   check=True, capture_output=True)
    shutil.rmtree(tree)


def make_repository(folder):
    """What `deb [trusted=yes] file:/srv/shop ./` finds."""
    folder.mkdir(parents=True)
    make_package(folder, "marram-tool", "1.0", "marram-tool-lib")
    make_package(folder, "marram-tool", "1.1", "marram-tool-lib")
    make_package(folder, "marram-tool-lib", "1.0")
    make_package(folder, "marram-old", "1.0")
    make_package(folder, "marram-broken", "1.0", script="#!/bin/sh\nexit 7\n")
    make_package(folder, "marram-slow", "1.0", script="#!/bin/sh\nsleep 600\n")
    index(folder)


def index(folder):
    out = ""
    for deb in sorted(folder.glob("*.deb")):
        control = subprocess.run(["dpkg-deb", "-f", deb], check=True, text=True,
                                 capture_output=True).stdout
        sums = subprocess.run(["sha256sum", deb], check=True, text=True,
                              capture_output=True).stdout.split()[0]
        out += "%sFilename: ./%s\nSize: %d\nSHA256: %s\n\n" % (
            control, deb.name, deb.stat().st_size, sums)
    (folder / "Packages").write_text(out)


class LinuxFleet(Fleet):
    def write(self, configs):
        git(self.repository, "init", "-q")
        self.state(configs)
        (self.repository / "artifacts").mkdir()
        for config in configs:
            self.declare(config)
        self.commit("first")

    def state(self, configs, *modules):
        state = {"version": "0.0.9", "repositories": {}, "tags": [], "configs": [
            {"displayName": c, "identifier": c, "tags": [], "modules": [
                {"type": "thymis_controller.modules.thymis.ThymisDevice",
                 "settings": {"device_type": "linux", "device_name": c}}, *modules]}
            for c in configs]}
        (self.repository / "state.json").write_text(json.dumps(state, indent=2))

    def commit(self, message):
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", message)
        self.last = git(self.repository, "rev-parse", "HEAD")
        return self.last

    def post(self, path, **data):
        """What is written here is beside what the server makes of the state: it is
        named by its commit."""
        return super().post(path, commit=self.last, **data)

    def declare(self, config, **resources):
        """Any linux.json, as modules of somebody's own may yield it."""
        host = self.repository / "hosts" / config
        host.mkdir(parents=True, exist_ok=True)
        (host / "linux.json").write_text(json.dumps(resources, indent=2))

    def device(self, config, name=None):
        d = Device(self, config, name or "pi-%d" % (len(self.devices) + 1))
        self.devices.append(d)
        return d

    def deploy(self, config, state="done", options=None, **resources):
        """Declares, commits, and brings it to the devices."""
        self.declare(config, **resources)
        self.commit("next")
        no = self.post("deployment", **(options or {}))
        ended = self.ended(no)
        assert ended["state"] == state, "%s\n%s\n%s" % (
            ended, self.outputs(no), "\n".join(d.log() for d in self.devices))
        return no

    def changes(self, no):
        return [c for row in self.rows(no) for c in row["changes"] or []]

    def end(self):
        for d in self.devices:
            d.scrap()


class Device:
    def __init__(self, fleet, config, name):
        self.fleet, self.name = fleet, name
        self.disk = fleet.folder / name
        self.disk.mkdir()
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", DISK, "sh",
             self.disk], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.process = None
        self.port = free_port()
        self.prepare()
        self.start()
        answer = fleet.call("POST", "device", {"data": {
            "unitId": fleet.unit, "name": name, "address": "127.0.0.1",
            "sshPort": self.port, "config": config,
            "sshPublicKey": " ".join(self.read(
                "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])}})
        assert answer.status == 200, answer.text
        self.id = answer.data["id"]

    def prepare(self):
        # What this machine's root has its shell do first is not the device's.
        self.sh("usermod -s /bin/sh root; rm -f /root/.profile;"
                "rm -rf /etc/ssh/ssh_host_* /etc/apt/sources.list* /var/lib/apt/lists/*"
                " /var/lib/marram-fleet /root/.ssh /etc/apt/apt.conf.d/*docker*;"
                "mkdir -p /etc/apt/sources.list.d /srv/box/bin;"
                "echo before >/etc/hostname; echo old >/etc/marram-old;"
                "chmod 640 /etc/marram-old;"
                "ssh-keygen -q -N '' -t ed25519 -f /etc/ssh/ssh_host_ed25519_key")
        shop = self.fleet.folder / "shop"
        if not shop.exists():
            make_repository(shop)
        shutil.copytree(shop, "/proc/%d/root%s/m/srv/shop" % (
            self.holder.pid, self.disk))
        self.write("/srv/keys", pathlib.Path(str(self.fleet.key) + ".pub").read_text())
        self.write("/srv/sshd_config",
                   "ListenAddress 127.0.0.1\nPort %d\nPidFile none\n"
                   "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\n"
                   "AuthorizedKeysFile /srv/keys\nStrictModes no\n"
                   "PasswordAuthentication no\n" % self.port)
        self.write("/srv/box/bin/podman",
                   (ROOT / "src/plug/target/device.py").read_text())
        self.write("/usr/local/bin/podman", "#!/bin/sh\n"
                   "MARRAM_ROOT=/srv/box exec /srv/box/bin/podman \"$@\"\n")
        self.sh("chmod 755 /srv/box/bin/podman /usr/local/bin/podman;"
                "apt-get -q -o Dir::Etc::sourcelist=/dev/null update;"
                "dpkg -i /srv/shop/marram-old_1.0_all.deb")

    def hold(self, step):
        """What does this step on the device stays in it, until let_go()."""
        self.write("/usr/local/bin/gate", GATE)
        self.sh("cd /usr/local/bin && chmod 755 gate && for p in tar useradd flock;"
                "do ln -sf gate $p; done; rm -f /srv/held; echo %s >/srv/hold" % step)

    def held(self):
        return self.run("test -e /srv/held").returncode == 0

    def let_go(self):
        self.sh("rm -f /srv/hold /srv/held")

    def enter(self, *words):
        return ["nsenter", "-t", str(self.holder.pid), "-m", *words]

    def run(self, script, text=""):
        """On the device, whether it is on or off."""
        return subprocess.run(
            self.enter("chroot", str(self.disk / "m"), "sh", "-c", script),
            input=text, text=True, capture_output=True, timeout=120)

    def sh(self, script, text=""):
        done = self.run(script, text)
        assert done.returncode == 0, "%s: %s%s" % (script, done.stdout, done.stderr)
        return done.stdout

    def write(self, path, text):
        self.sh('cat >"%s"' % path, text)

    def read(self, path):
        done = self.run('cat "%s"' % path)
        return done.stdout if done.returncode == 0 else None

    def start(self):
        self.process = subprocess.Popen(
            self.enter("unshare", "--pid", "--uts", "--mount", "--propagation",
                       "private", "--fork", "--kill-child", "chroot",
                       str(self.disk / "m"), "sh", "-c", BOOT),
            start_new_session=True)
        until("sshd", lambda: NixDevice.listens(self))

    def stop(self):
        """Its power is cut."""
        if self.process is None:
            return
        with open("/proc/%d/task/%d/children" % (self.process.pid,
                                                 self.process.pid)) as f:
            first = f.read().split()
        for pid in first:
            os.kill(int(pid), signal.SIGKILL)
        self.process.wait(LIMIT)
        self.process = None
        until("its end", lambda: not NixDevice.listens(self))

    def scrap(self):
        self.stop()
        self.holder.kill()
        self.holder.wait(LIMIT)
        self.holder.stdout.close()

    def log(self):
        return self.run("cd /var/lib/marram-fleet 2>/dev/null && cat run/*/log").stdout

    def row(self):
        return self.fleet.call("GET", "device/" + self.id).data

    def is_back(self, before, limit=3 * LIMIT):
        """Waits until the device is as it was."""
        try:
            until("it takes itself back", lambda: self.look() == before, limit)
        except AssertionError as e:
            raise AssertionError("%s:\n%s\n%s" % (e, "\n".join(difflib.unified_diff(
                before.split("\n"), self.look().split("\n"), "before", "now", n=0)),
                self.log())) from e

    def look(self):
        """What a test compares: users, packages, files of /etc, containers."""
        return self.sh(
            "cut -d: -f1,3-7 /etc/passwd; getent shadow; cat /etc/group;"
            "dpkg-query -W -f '${binary:Package} ${Version} ${db:Status-Status}\\n'"
            " 'marram-*'; cat /etc/hostname; readlink /etc/localtime;"
            "cat /srv/box/state.json 2>/dev/null;"
            "find /etc /home /opt -xdev -newer /srv/sshd_config ! -type d"
            " ! -path '/etc/rc*' ! -name marram-fleet ! -name '*-' ! -name '*.lock'"
            " ! -name ld.so.cache ! -name 'passwd' ! -name 'group' ! -name '*shadow'"
            " ! -name 'sub?id' -printf '%p %m %u %g %l\\n' | sort")

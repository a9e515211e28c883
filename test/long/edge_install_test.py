"""The packages of the device side, in a Debian of their own: a root made by
debootstrap once (some minutes), in which a real systemd runs as the first
process of namespaces. Needs root, and a mirror of Debian."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from e2e_conftest import ROOT, until

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
BUILD = ROOT / "build"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
       "DEBIAN_FRONTEND": "noninteractive"}
MOUNTS = """
mount --make-rprivate / && mount --bind "$1" "$1" && cd "$1" || exit 1
mount -t proc proc proc && mount -t tmpfs run run
mount -t sysfs -o ro sys sys || mount --rbind /sys sys
mount -t tmpfs cgroup sys/fs/cgroup && mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs dev dev
for d in null zero full random urandom tty; do
	touch dev/$d && mount --bind /dev/$d dev/$d
done
# Not chroot alone: who enters the namespace again would see what is above.
mkdir -p .old && pivot_root . .old && umount -l .old && rmdir .old || exit 1
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
	chroot . /lib/systemd/systemd --log-target=null
"""
# What spec and design say of owners and modes.
DIRECTORIES = {
    "/etc/tedge": "775 tedge tedge", "/etc/tedge/device-certs": "775 tedge tedge",
    "/etc/tedge/mosquitto-conf": "775 tedge tedge",
    "/etc/tedge/sm-plugins": "775 tedge tedge",
    "/etc/tedge/plugins": "775 tedge tedge",
    "/etc/tedge/operations": "775 tedge tedge",
    "/etc/tedge/operations/c8y": "775 tedge tedge",
    "/etc/tedge/device": "775 tedge tedge", "/etc/tedge/mappers": "775 tedge tedge",
    "/etc/tedge/.agent": "775 tedge tedge",
    "/etc/tedge/tedge.toml": "664 tedge tedge",
    "/etc/tedge/system.toml": "644 root root",
    "/etc/sudoers.d/tedge": "440 root root",
    "/var/tedge": "775 tedge tedge", "/var/tedge/file-transfer": "775 tedge tedge",
    "/var/tedge/cache": "775 tedge tedge", "/var/tedge/mqtt": "700 tedge tedge",
    "/var/log/tedge": "775 tedge tedge", "/var/log/tedge/agent": "775 tedge tedge",
    "/usr/bin/marram-edge": "755 root root",
    "/run/marram-edge": "750 tedge tedge",
    "/run/marram-edge/marram-edge.sock": "660 tedge tedge",
}
PARTS = {"tedge-agent", "tedge-fleet", "tedge-mapper-c8y", "tedge-mapper-az",
         "tedge-mapper-aws", "tedge-mapper-marram", "tedge-mapper-collectd"}


class Machine:
    """A root in which systemd runs."""

    def __init__(self, root):
        self.root = root
        (root / "root/mount").write_text(MOUNTS)
        self.outer = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--cgroup", "--fork", "--kill-child",
             "sh", str(root / "root/mount"), str(root)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.pid = until("systemd begins", self.find)
        until("systemd is up", lambda: self.run(
            "systemctl is-system-running").stdout.strip() in (
                "running", "degraded"), 60)

    def find(self):
        with open("/proc/%d/task/%d/children" % (self.outer.pid,
                                                 self.outer.pid)) as f:
            pids = f.read().split()
        if not pids:
            return None
        exe = os.readlink("/proc/%s/exe" % pids[0])
        return int(pids[0]) if exe.endswith("/systemd") else None

    def run(self, command, limit=300):
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-p", "-m", "-r", "-w", "sh", "-c",
             command], env=ENV, text=True, capture_output=True, timeout=limit,
            stdin=subprocess.DEVNULL)

    def good(self, command, limit=300):
        done = self.run(command, limit)
        assert done.returncode == 0, "%s\n%s%s" % (command, done.stdout,
                                                   done.stderr)
        return done.stdout

    def put(self, *files):
        for f in files:
            shutil.copy(f, self.root / "root")

    def stop(self):
        self.outer.send_signal(signal.SIGKILL)  # --kill-child ends systemd
        os.kill(self.pid, signal.SIGKILL) if os.path.exists(
            "/proc/%d" % self.pid) else None
        self.outer.wait(30)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a root of its own can only be made by root")
    made = os.environ.get("DEBIAN_ROOT")
    if made:
        return pathlib.Path(made)
    root = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(
        ["debootstrap", "--variant=minbase",
         "--include=systemd,systemd-sysv,sudo,dbus", "bookworm", str(root),
         MIRROR], check=True, stdout=subprocess.DEVNULL, timeout=1800)
    return root


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    out = tmp_path_factory.mktemp("packages")
    for version in ("0.1.0", "0.1.1"):
        subprocess.run([str(ROOT / "packaging/debian/build"), str(BUILD),
                        str(out), version], check=True,
                       stdout=subprocess.DEVNULL, timeout=300)
    return out


@pytest.fixture
def machine(base, tmp_path):
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)],
                   check=True, timeout=300)
    m = Machine(root)
    yield m
    m.stop()
    shutil.rmtree(root, ignore_errors=True)


def install(m, packages, version="0.1.0"):
    arch = subprocess.run(["dpkg", "--print-architecture"], text=True,
                          capture_output=True, check=True).stdout.strip()
    deb = "marram-edge_%s_%s.deb" % (version, arch)
    m.put(packages / deb)
    m.run("dpkg -i /root/%s" % deb)  # says what it misses
    m.good("apt-get update -qq && apt-get -f install -y -qq "
           "--no-install-recommends", 600)
    assert m.good("dpkg-query -W -f '${db:Status-Status} ${Version}' "
                  "marram-edge") == "installed %s" % version


def states(m):
    lines = m.good("tedge part status").splitlines()
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines}


def main_pid(m):
    return m.good("systemctl show -P MainPID marram-edge").strip()


def test_a_device_is_installed_used_upgraded_and_purged(machine, packages):
    m = machine
    before = set(m.good("find /etc /var/lib /usr /opt /home -xdev").split("\n"))
    install(m, packages)

    # It is there, and it runs.
    assert m.good("tedge --version").split()[0] == "tedge"
    for path, want in DIRECTORIES.items():
        assert m.good("stat -c '%%a %%U %%G' %s" % path).strip() == want, path
    assert re.fullmatch(r"tedge:x:\d+:\d+:.*:/nonexistent:/usr/sbin/nologin",
                        m.good("getent passwd tedge").strip())
    assert m.good("readlink /etc/tedge/sm-plugins/apt").strip() == \
        "/usr/bin/tedge-apt-plugin"
    assert "bad" not in m.good("visudo -c")
    for name in ("tedge", "tedge-agent", "tedge-mapper", "tedge-apt-plugin",
                 "tedge-watchdog", "tedge-write"):
        assert m.good("readlink /usr/bin/%s" % name).strip() == "marram-edge"
    assert m.good("dpkg -V marram-edge") == ""
    assert m.good("systemctl is-active marram-edge").strip() == "active"
    said = m.run("systemd-analyze verify /lib/systemd/system/marram-edge.service"
                 " /lib/systemd/system/tedge-*.service")
    assert (said.returncode, said.stderr) == (0, "")

    # Each part has its unit, and each unit its part.
    units = {u.split("/")[-1][:-8] for u in m.good(
        "ls /lib/systemd/system/tedge-agent.service "
        "/lib/systemd/system/tedge-fleet.service "
        "/lib/systemd/system/tedge-mapper-*.service").split()}
    assert {u for u in units if "@" not in u} == PARTS == set(states(m))
    m.good("tedge cert create --device-id dev1")
    assert m.good("stat -c '%a %U %n' /etc/tedge/device-certs/*.pem").split(
        "\n")[:2] == [
            "444 tedge /etc/tedge/device-certs/tedge-certificate.pem",
            "400 tedge /etc/tedge/device-certs/tedge-private-key.pem"]
    m.good("runuser -u tedge tedge config set az.mapper.timestamp false")
    m.good("systemctl enable --now tedge-agent")
    assert states(m)["tedge-agent"] == "up"
    m.good("systemctl restart tedge-agent && systemctl reload tedge-agent")
    assert states(m)["tedge-agent"] == "up"
    m.good("systemctl stop tedge-agent")
    assert states(m)["tedge-agent"] == "stopped"
    m.good("systemctl start tedge-agent")
    heard = m.good("tedge mqtt sub -C 1 -W 20s 'te/+/+/+/+/m/+' & sleep 1; "
                   "tedge mqtt pub te/device/main///m/ '{\"t\":23}'; wait")
    assert heard.strip() == '[te/device/main///m/] {"t":23}'

    # Profiles of a cloud are units of a target.
    m.good("tedge config set c8y.url localhost --profile p")
    m.good("tedge config set c8y.bridge.topic_prefix c8y-p --profile p")
    m.good("tedge config set c8y.root_cert_path "
           "/etc/tedge/device-certs/tedge-certificate.pem --profile p")
    m.good("tedge config set c8y.proxy.bind.port 8002 --profile p")
    m.good("systemctl enable --now tedge-mapper-c8y@p")
    assert states(m)["tedge-mapper-c8y@p"] == "up"
    # systemd waits for the target alone
    m.good("systemctl stop tedge-mapper-c8y.target")
    until("its part is stopped", lambda: states(m)["tedge-mapper-c8y@p"] == "stopped")
    m.good("systemctl start tedge-mapper-c8y.target")
    assert states(m)["tedge-mapper-c8y@p"] == "up"
    m.good("systemctl disable --now tedge-mapper-c8y@p")

    # The watchdog notices a part that is not there, though its unit is active.
    m.good("mkdir -p /run/systemd/system && sed s/WatchdogSec=60/WatchdogSec=2/ "
           "/lib/systemd/system/tedge-agent.service "
           ">/run/systemd/system/tedge-agent.service && systemctl daemon-reload")
    m.good("systemctl start tedge-watchdog")
    assert m.good("systemctl is-active tedge-watchdog").strip() == "active"
    m.good("tedge part stop tedge-agent")
    until("it is restarted", lambda: states(m)["tedge-agent"] == "up", 60)
    m.good("systemctl stop tedge-watchdog && rm /run/systemd/system/tedge-agent"
           ".service && systemctl daemon-reload")

    # The log plugins: the journal of a real service.
    plugin = "/usr/share/tedge/log-plugins/journald"
    assert {"marram-edge", "all-units"} <= set(
        m.good("%s list" % plugin).split())
    assert "is ready" in m.good("%s get marram-edge --since 1" % plugin)
    m.good("systemctl reload marram-edge")
    until("it is read", lambda: "levels of the log have been read" in m.good(
        "%s get marram-edge --since 1" % plugin), 30)

    # A process that dies comes back, and its parts with it.
    pid = main_pid(m)
    m.good("kill -9 %s" % pid)
    until("it comes back", lambda: main_pid(m) not in ("0", pid), 30)
    until("its part too", lambda: m.run("tedge part status").stdout.startswith(
        "tedge-agent\tup") or states(m).get("tedge-agent") == "up", 30)

    # An upgrade keeps what was edited, and restarts what ran.
    m.good("printf '# mine\\n' >>/etc/tedge/tedge.toml")
    kept, pid = m.good("cat /etc/tedge/tedge.toml"), main_pid(m)
    install(m, packages, "0.1.1")
    assert m.good("cat /etc/tedge/tedge.toml") == kept and "# mine" in kept
    assert main_pid(m) not in ("0", pid)
    until("the agent is up again", lambda: "tedge-agent\tup" in m.run(
        "tedge part status").stdout, 30)
    assert states(m)["tedge-mapper-c8y"] == "stopped"

    # Removed: nothing runs, settings stay. Purged: they are gone.
    m.good("apt-get remove -y -qq marram-edge")
    assert "marram-edge" not in m.good("cat /proc/[0-9]*/comm")
    assert m.good("cat /etc/tedge/tedge.toml") == kept
    m.good("apt-get purge -y -qq marram-edge")
    for path in ("/etc/tedge", "/var/tedge", "/var/log/tedge",
                 "/etc/sudoers.d/tedge", "/usr/bin/tedge", "/usr/lib/marram",
                 "/lib/systemd/system/tedge-agent.service"):
        assert not (m.root / path[1:]).exists(), path
    after = set(m.good("find /etc /var/lib /usr /opt /home -xdev").split("\n"))
    left = {p for p in after - before if re.search("tedge|marram", p)}
    assert left == set(), left
    m.good("id tedge")  # the user stays


def test_the_old_packages_become_this_one(machine, packages, tmp_path):
    m = machine
    old = tmp_path / "old"
    (old / "DEBIAN").mkdir(parents=True)
    (old / "usr/bin").mkdir(parents=True)
    (old / "usr/bin/tedge").write_text("#!/bin/sh\necho old\n")
    (old / "usr/bin/tedge").chmod(0o755)
    (old / "DEBIAN/control").write_text(
        "Package: tedge\nVersion: 2.0.1\nArchitecture: all\n"
        "Maintainer: x <x@localhost>\nDescription: another\n")
    subprocess.run(["dpkg-deb", "--build", str(old), str(tmp_path / "old.deb")],
                   check=True, stdout=subprocess.DEVNULL)
    m.put(tmp_path / "old.deb", *packages.glob("*_0.1.0_*.deb"))
    m.good("dpkg -i /root/old.deb && mkdir /etc/tedge && "
           "printf '[c8y]\\nurl = \"a.example\"\\n' >/etc/tedge/tedge.toml")
    m.good("cd /root && apt-get update -qq && apt-get install -y -qq "
           "--no-install-recommends -o Dpkg::Options::=--force-confold "
           "./marram-edge_0.1.0_*.deb ./tedge_0.1.0_all.deb "
           "./tedge-agent_0.1.0_all.deb ./tedge-mapper_0.1.0_all.deb", 600)
    assert m.good("tedge --version").strip() != "old"
    assert m.good("tedge config get c8y.url").strip() == "a.example"
    assert m.good("dpkg-query -W -f '${Version}' tedge") == "1:0.1.0"
    m.good("apt-get purge -y -qq marram-edge")
    assert m.run("dpkg-query -W -f '${db:Status-Status}' tedge-agent"
                 ).stdout != "installed"


def test_what_the_user_of_the_agent_may_do_by_sudo(machine, packages):
    """sudoers(5) as installed, with the real sudo."""
    m = machine
    install(m, packages)
    assert "parsed OK" in m.good("visudo -c")

    def may(command, stdin="</dev/null"):
        return m.run("cd /tmp && runuser -u tedge -- sudo -n %s %s" % (
            command, stdin))
    put = "printf '%s' >/etc/tedge/sm-plugins/mine && " % (
        "#!/bin/sh\\nid -u; echo \"$1 $TEDGE_CONFIG_DIR\"\\n")
    m.good(put + "chmod 755 /etc/tedge/sm-plugins/mine")
    done = may("TEDGE_CONFIG_DIR=/etc/other /etc/tedge/sm-plugins/mine list")
    assert (done.returncode, done.stdout) == (0, "0\nlist /etc/other\n"), done
    assert may("/etc/tedge/sm-plugins/apt list").returncode == 0
    assert may("/bin/sync").returncode == 0
    assert may("/usr/bin/tedge --version").stdout.startswith("tedge ")
    assert may("/usr/share/tedge/log-plugins/journald list").returncode == 0
    # As the agent calls them: by their names alone.
    assert may("sync").returncode == 0
    assert may("tedge-write /etc/sudo-test.conf", "<<-X\ntext\nX\n"
               ).returncode == 0
    assert (m.root / "etc/sudo-test.conf").read_text() == "text\n"
    assert may("-l init 6").returncode == 0
    # And no more than that.
    for command in ("id", "/bin/sh -c id", "tedge-write /root/x",
                    "tedge-write /etc/../root/x", "-u daemon id",
                    "/etc/tedge/sm-plugins/../../../bin/sh",
                    "/usr/share/tedge/diag-plugins/02_os.sh"):
        done = may(command)
        assert done.returncode != 0, (command, done)
    assert not (m.root / "root/x").exists()
    # The agent does what it is asked by it.
    m.good("systemctl enable --now tedge-agent")
    m.good("mkdir -p /etc/app && printf old >/etc/app/app.conf && "
           "printf new >/var/tedge/file-transfer/new")
    m.good("printf 'files = [{ path = \"/etc/app/app.conf\", type = \"app\", mode = \"600\" }]\n'"
           " >/etc/tedge/plugins/tedge-configuration-plugin.toml")
    m.good("tedge mqtt pub -r -q 1 te/device/main///cmd/config_update/1 "
           "'{\"status\":\"init\",\"type\":\"app\",\"remoteUrl\":"
           "\"http://127.0.0.1:8000/te/v1/files/new\"}'")
    end = until("it ends", lambda: re.search(
        '"status":"(successful|failed)".*', m.run(
            "tedge mqtt sub -C 1 -W 5 te/device/main///cmd/config_update/1"
        ).stdout), 60)
    assert end.group(1) == "successful", end.group(0)
    assert (m.root / "etc/app/app.conf").read_text() == "new"
    # what is said of it holds for a new file alone
    assert m.good("stat -c '%U %a' /etc/app/app.conf").strip() == "root 644"


def test_an_update_by_the_agent_of_the_agent(machine, packages):
    m = machine
    install(m, packages)
    m.good("systemctl enable --now tedge-agent")
    m.put(*packages.glob("marram-edge_0.1.1_*.deb"))
    m.good("cp /root/marram-edge_0.1.1_*.deb /var/tedge/file-transfer/new.deb")
    pid = main_pid(m)
    m.good("tedge mqtt pub -r -q 1 te/device/main///cmd/software_update/1 "
           "'{\"status\":\"init\",\"updateList\":[{\"type\":\"apt\","
           "\"modules\":[{\"name\":\"marram-edge\",\"version\":\"0.1.1\","
           "\"action\":\"install\",\"url\":"
           "\"http://127.0.0.1:8000/te/v1/files/new.deb\"}]}]}'")
    until("the new one runs", lambda: main_pid(m) not in ("0", pid), 300)
    assert m.good("dpkg-query -W -f '${db:Status-Status} ${Version}' "
                  "marram-edge") == "installed 0.1.1"
    until("with its agent", lambda: "tedge-agent\tup" in m.run(
        "tedge part status").stdout, 60)
    said = m.good("tedge mqtt sub -C 1 -W 10 "
                  "te/device/main///cmd/software_update/1")
    assert '"status":"successful"' in said, said
    assert "was replaced by an update" in m.good(
        "journalctl --no-pager -u marram-edge")
    assert "(deleted)" not in m.good("readlink /proc/%s/exe" % main_pid(m))

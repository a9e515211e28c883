"""The agent of marram-edge, from outside: commands over MQTT, real packages
of a repository of the test's own, plugins that misbehave, restarts, files."""
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.request

import pytest

import edge
from conftest import LIMIT, until
from edge import EDGE, NO_MANAGER, Edge

MAIN = "te/device/main///cmd/"
ENDS = ("successful", "failed")


class Device(Edge):
    """With the agent on, and programs of the test for plugins."""

    def __init__(self, folder, settings=None, system=NO_MANAGER, env=None):
        super().__init__(folder, {"sudo.enable": False, **(settings or {})},
                         system, env)
        for name in ("sm-plugins", "plugins", "device"):
            (self.config / name).mkdir()
        (self.folder / "data" / "parts").write_text("tedge-agent\n")
        self.bus = None

    def plugin(self, name, script, folder="sm-plugins"):
        path = self.config / folder / name
        part = path.with_name("." + name)
        part.write_text("#!/bin/sh\n" + script + "\n")
        part.chmod(0o755)
        part.rename(path)
        return path

    def start(self):
        super().start()
        self.bus = self.client("te/#", "tedge/#")
        return self

    def stop(self, how=signal.SIGTERM):
        if self.bus is not None:
            self.bus.close()
            self.bus = None
        return super().stop(how)

    def reachable(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def types(self, operation):
        told = self.bus.on(MAIN + operation)
        return json.loads(told[-1] or "{}").get("types") if told else None

    def ask(self, operation, number, **payload):
        self.bus.say("%s%s/%s" % (MAIN, operation, number),
                     json.dumps({"status": "init", **payload}), retain=True)

    def states(self, operation, number):
        return [json.loads(p)
                for p in self.bus.on("%s%s/%s" % (MAIN, operation, number))
                if p]

    def end(self, operation, number, limit=LIMIT):
        """The last state, when it is one."""
        def ended():
            states = self.states(operation, number)
            return states and states[-1]["status"] in ENDS and states[-1]
        return until("%s %s ends" % (operation, number), ended, limit)

    def do(self, operation, number, **payload):
        self.ask(operation, number, **payload)
        return self.end(operation, number)


@pytest.fixture
def device(tmp_path):
    d = Device(tmp_path)
    yield d
    d.stop()


def packages(end, kind="apt"):
    for group in end["currentSoftwareList"]:
        if group["type"] == kind:
            return {m["name"]: m.get("version") for m in group["modules"]}
    return None


def update(kind, *modules):
    """("name", "install", "version", "url")"""
    names = ("name", "action", "version", "url")
    return [{"type": kind,
             "modules": [dict(zip(names, m)) for m in modules]}]


# --- a repository of Debian packages, and a root of its own for dpkg --------

class Debian:
    """What apt does here it does below `folder`: the machine is not touched."""

    def __init__(self, folder, device):
        self.folder, self.repo = folder, folder / "repo"
        self.root = folder / "root"
        for path in ("repo", "root/var/lib/dpkg/info", "root/var/lib/dpkg/updates",
                     "root/var/lib/apt/lists/partial", "root/etc/apt",
                     "root/var/cache/apt/archives/partial", "root/var/log"):
            (folder / path).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc/apt/sources.list").write_text(
            "deb [trusted=yes] file:%s ./\n" % self.repo)
        conf = folder / "apt.conf"
        conf.write_text('''
Dir "%(root)s";
Dir::State "%(root)s/var/lib/apt";
Dir::State::status "%(root)s/var/lib/dpkg/status";
Dir::Cache "%(root)s/var/cache/apt";
Dir::Etc "%(root)s/etc/apt";
Dir::Log "%(root)s/var/log";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Sandbox::User "root";
APT::Architecture "amd64";
DPkg::Options { "--root=%(root)s"; "--force-not-root"; "--log=/dev/null";
                "--force-script-chrootless"; };
''' % {"root": self.root})
        device.plugin("apt", """
export APT_CONFIG=%s DPKG_ADMINDIR=%s/var/lib/dpkg PATH="$PATH:/usr/sbin:/sbin"
exec %s run tedge-apt-plugin "$@"
""" % (conf, self.root, EDGE))

    def build(self, name, version, into=None, **more):
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "opt").mkdir()
        (tree / "opt" / name).write_text(version + "\n")
        lines = {"Package": name, "Version": version, "Architecture": "all",
                 "Maintainer": "Nobody <nobody@example.org>",
                 "Description": "a test", **more}
        (tree / "DEBIAN/control").write_text(
            "".join("%s: %s\n" % kv for kv in lines.items()))
        deb = (into or self.repo) / ("%s_%s_all.deb" % (name, version))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree,
                        deb], check=True, capture_output=True)
        return deb

    def index(self):
        made = subprocess.run(["dpkg-scanpackages", "--multiversion", "."],
                              cwd=self.repo, check=True, capture_output=True)
        (self.repo / "Packages").write_bytes(made.stdout)

    def has(self, name):
        path = self.root / "opt" / name
        return path.read_text().strip() if path.exists() else None


@pytest.fixture
def debian(tmp_path, device):
    d = Debian(tmp_path / "debian", device)
    d.build("small", "1.0")
    d.build("small", "1.1")
    d.build("other", "2.0")
    d.index()
    return d


def test_a_real_package_is_installed_and_removed(device, debian):
    device.start()
    until("the type is known", lambda: device.types("software_update") == ["apt"])
    end = device.do("software_update", 1, mine=5,
                    updateList=update("apt", ("small", "install", "1.0"),
                                      ("other", "install")))
    assert end["status"] == "successful", end
    assert end["mine"] == 5
    assert packages(end) == {"small": "1.0", "other": "2.0"}
    assert debian.has("small") == "1.0" and debian.has("other") == "2.0"
    assert [s["status"] for s in device.states("software_update", 1)] == [
        "init", "executing", "successful"]

    end = device.do("software_update", 2, updateList=update(
        "apt", ("small", "install", "latest"), ("other", "remove"),
        ("never-there", "remove")))
    assert end["status"] == "successful", end
    assert packages(end) == {"small": "1.1"}
    assert debian.has("other") is None

    end = device.do("software_update", 3, updateList=update(
        "apt", ("small", "remove", "1.0")))
    assert end["status"] == "failed"
    assert "version 1.1 of small is installed, not 1.0" in json.dumps(end)
    assert end["reason"].startswith("1 error, see device log file ")
    log = pathlib.Path(end["logPath"]).read_text()
    assert "update-list" in log and "exit status: 5" in log
    assert packages(end) == {"small": "1.1"}

    end = device.do("software_update", 4, updateList=update(
        "apt", ("no-such-package", "install")))
    assert end["status"] == "failed"
    assert "no-such-package" in end["failures"][0]["errors"][0]
    assert "exit status: 2" in pathlib.Path(end["logPath"]).read_text()


def test_a_package_comes_by_its_url(device, debian, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    debian.build("lone", "3.0", www).rename(www / "download")
    with Web(www) as web:
        device.start()
        end = device.do("software_update", 1, updateList=update(
            "apt", ("lone", "install", "3.0", web.url + "/download")))
        assert end["status"] == "successful", end
        assert debian.has("lone") == "3.0"
        assert packages(end) == {"lone": "3.0"}
        for version, name, why in (
                ("4.0", "lone", "is version 3.0 of lone, not 4.0"),
                ("3.0", "alone", "is the package lone, not alone")):
            end = device.do("software_update", name + version,
                            updateList=update("apt", (
                                name, "install", version,
                                web.url + "/download")))
            assert end["status"] == "failed" and why in json.dumps(end)
        end = device.do("software_update", 9, updateList=update(
            "apt", ("lone", "install", "3.0", web.url + "/nil")))
        assert "the server answered 404" in end["failures"][0]["modules"][0][
            "reason"]
    assert not list((device.folder / "tmp").iterdir())


def test_the_first_generation_by_mosquitto_pub_and_sub(device, debian):
    device.start()
    until("the type is known", lambda: device.types("software_list") == ["apt"])
    request = {"id": "123", "updateList": update(
        "", ("small", "install", "1.0"))}
    # Nothing is retained where answers come: that it listens is seen by what
    # is retained beside them.
    sub = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", "-p", str(device.port), "-q", "1",
         "-C", "3", "-W", "60", "-t", "tedge/commands/res/software/update",
         "-t", "te/device/main///cmd/software_list", "-v"],
        stdout=subprocess.PIPE, text=True)
    assert "cmd/software_list" in sub.stdout.readline()
    subprocess.run(
        ["mosquitto_pub", "-p", str(device.port), "-q", "1", "-t",
         "tedge/commands/req/software/update", "-m", json.dumps(request)],
        check=True)
    lines = sub.communicate(timeout=LIMIT)[0].splitlines()
    answers = [json.loads(line.split(" ", 1)[1]) for line in lines]
    assert answers[0] == {"id": "123", "status": "executing"}
    assert answers[1] == {"id": "123", "status": "successful",
                          "currentSoftwareList": [{"type": "apt", "modules": [
                              {"name": "small", "version": "1.0"}]}]}


def test_the_program_is_the_plugin_by_its_name(tmp_path):
    device = Device(tmp_path, {"apt.name": "bash|da.*",
                               "software.plugin.exclude": "^dat"})
    (device.config / "sm-plugins/apt").symlink_to(EDGE)
    try:
        device.start()
        until("the type is known",
              lambda: device.types("software_list") == ["apt"])
        end = device.do("software_list", 1)
        there = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Status}\n"],
            check=True, capture_output=True, text=True).stdout.splitlines()
        assert packages(end) == {
            name: version for name, version, status in (
                line.split("\t") for line in there)
            if status == "install ok installed" and (
                name == "bash" or name.startswith("da")) and
            not name.startswith("dat")}
        assert "bash" in packages(end)
        for words, status in (([], 1), (["nonsense"], 1), (["list"], 0),
                              (["install", "-rf"], 1),
                              (["install", "a b"], 5)):
            said = subprocess.run([device.config / "sm-plugins/apt", *words],
                                  capture_output=True, text=True,
                                  timeout=LIMIT, env=device.env)
            assert said.returncode == status, (words, said)
    finally:
        device.stop()


# --- plugins that misbehave ---------------------------------------------------

def test_plugins_that_misbehave_are_reported_and_block_nothing(tmp_path):
    device = Device(tmp_path, {"software.plugin.timeout": "5s"})
    device.plugin("good", "[ $1 = list ] && echo fine; exit 0")
    device.plugin("hang", "[ $1 = list ] || sleep 1000")
    device.plugin("garbage",
                  "case $1 in list) [ -e %s/go ] || exit 0; "
                  "head -c 5000000 /dev/urandom; exit 0;; "
                  "*) head -c 5000000 /dev/urandom >&2; exit 2;; esac"
                  % tmp_path)
    for n in range(1, 6):
        device.plugin("exit%d" % n,
                      "[ $1 = list ] && exit 0; [ $1 = finalize ] && exit 0; "
                      "[ $1 = prepare ] && exit 0; [ $1 = update-list ] && "
                      "exit 1; echo it is %d >&2; exit %d" % (n, n))
    try:
        device.start()
        until("the types are known",
              lambda: len(device.types("software_list") or []) == 8)
        device.ask("software_update", "hangs", updateList=update(
            "hang", ("a", "install")))
        end = device.do("software_list", 1)  # beside it
        assert end["status"] == "successful"
        assert packages(end, "good") == {"fine": None}
        end = device.end("software_update", "hangs")
        assert end["failures"][0]["errors"] == ["took longer than 5 s"]
        for n in range(1, 6):
            end = device.do("software_update", n, updateList=update(
                "exit%d" % n, ("a", "install"), ("b", "remove")))
            assert end["status"] == "failed"
            assert end["reason"].startswith("2 errors, see device log file ")
            assert [m["reason"] for m in end["failures"][0]["modules"]] == [
                "it is %d" % n] * 2
        (tmp_path / "go").touch()
        end = device.do("software_update", "g", updateList=update(
            "garbage", ("a", "install")))
        assert end["status"] == "failed"
        assert packages(end, "good") == {"fine": None}
        assert packages(end, "garbage") is None
        # And the device is as it was.
        end = device.do("software_update", "after", updateList=update(
            "good", ("a", "install")))
        assert end["reason"].startswith("1 error")  # the garbage of the list
    finally:
        device.stop()


def test_it_is_the_same_with_a_mosquitto(tmp_path):
    device = Device(tmp_path, {"mqtt.broker.built_in": False})
    device.settings["mqtt.client.port"] = device.port
    device.write()
    conf = tmp_path / "mosquitto.conf"
    conf.write_text("listener %d 127.0.0.1\nallow_anonymous true\n"
                    "persistence true\npersistence_location %s/\n"
                    "user root\n" % (device.port, tmp_path))
    mosquitto = subprocess.Popen(
        [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", conf],
        stderr=subprocess.DEVNULL)
    device.plugin("apt", "case $1 in list) echo fine;; prepare) [ -e %s/fast ]"
                  " || sleep 1000;; esac; exit 0" % tmp_path)
    try:
        until("mosquitto listens", device.reachable)
        device.start()
        until("the type is known",
              lambda: device.types("software_update") == ["apt"])
        end = device.do("software_list", 1)
        assert packages(end) == {"fine": None}
        device.ask("software_update", 1, updateList=update(
            "apt", ("a", "install")))
        until("it runs", lambda: [s["status"] for s in device.states(
            "software_update", 1)][-1:] == ["executing"])
        # What is asked while the agent is away waits for it.
        device.process.send_signal(signal.SIGKILL)
        device.process.wait()
        (tmp_path / "fast").touch()
        device.ask("software_update", 2, updateList=update(
            "apt", ("a", "install")))
        device.bus.close()
        device.start()
        end = device.end("software_update", 1)
        assert end["reason"].endswith("due to unexpected agent restart")
        assert device.end("software_update", 2)["status"] == "successful"
        until("it is up", lambda: any(
            '"up"' in p for p in device.bus.on(
                "te/device/main/service/tedge-agent/status/health")))
    finally:
        device.stop()
        mosquitto.terminate()
        mosquitto.wait(LIMIT)


# --- restart ------------------------------------------------------------------

def test_a_restart_is_confirmed_after_the_reboot(tmp_path):
    system = NO_MANAGER + '\n[system]\nreboot = ["%s/reboot"]\n' % tmp_path
    device = Device(tmp_path, system=system)
    script = tmp_path / "reboot"
    script.write_text("#!/bin/sh\ntouch %s/rebooted\n" % tmp_path)
    script.chmod(0o755)
    try:
        device.start()
        until("it can", lambda: device.bus.on(MAIN + "restart") == ["{}"])
        device.ask("restart", 1)
        until("it reboots", (tmp_path / "rebooted").exists)
        until("it is told", lambda: device.states("restart", 1)[-1][
            "status"] == "executing")
        device.stop(signal.SIGKILL)
        (tmp_path / "tmp/tedge_agent_restart").unlink()  # as in memory
        device.start()
        assert device.end("restart", 1)["status"] == "successful"

        (tmp_path / "rebooted").unlink()
        device.ask("restart", 2)
        until("it reboots", (tmp_path / "rebooted").exists)
        device.restart(signal.SIGKILL)  # the process alone
        end = device.end("restart", 2)
        assert end["status"] == "failed"
        assert end["reason"] == (
            "the agent was restarted, but the device was not")

        (tmp_path / "rebooted").unlink()
        device.ask("restart", 3)
        until("it reboots", (tmp_path / "rebooted").exists)
        device.stop(signal.SIGKILL)
        marker = tmp_path / "tmp/tedge_agent_restart"
        marker.write_text("1000\n\n")  # longer ago than this machine is up
        device.start()
        assert device.end("restart", 3)["status"] == "successful"
    finally:
        device.stop()


def test_what_ran_when_it_was_killed_has_failed(device):
    device.plugin("slow", "[ $1 = prepare ] && sleep 1000; exit 0")
    device.start()
    until("the type is known", lambda: device.types("software_update"))
    device.ask("software_update", 1, updateList=update("slow", ("a", "remove")))
    until("it runs", lambda: [s["status"] for s in device.states(
        "software_update", 1)][-1:] == ["executing"])
    device.restart(signal.SIGKILL)
    end = device.end("software_update", 1)
    assert end["reason"] == (
        "Software Update command cancelled due to unexpected agent restart")
    assert end["updateList"][0]["type"] == "slow"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_plugins_are_run_by_sudo(monkeypatch):
    """As a user who is not root, with a sudo that only says that it is one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="edge_agent_"))
    folder.chmod(0o755)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "sudo").write_text(
        '#!/bin/sh\necho "$@" >>%s/by-sudo\nexec "$@"\n' % folder)
    (tools / "edge").write_text(
        '#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups '
        '%s "$@"\n' % EDGE)
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setattr(edge, "EDGE", str(tools / "edge"))
    device = Device(folder / "device", {"sudo.enable": True}, env={
        "PATH": "%s:%s" % (tools, os.environ["PATH"])})
    plugin = device.plugin("apt", "exit 0")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    try:
        device.start()
        until("the type is known",
              lambda: device.types("software_update") == ["apt"])
        end = device.do("software_update", 1, updateList=update(
            "apt", ("a", "install", "1")))
        assert end["status"] == "successful", end
        assert (folder / "by-sudo").read_text().splitlines() == [
            "%s %s" % (plugin, word) for word in
            ("list", "prepare", "update-list", "finalize", "list")]
        assert ("----- $ sudo %s prepare\n" % plugin) in pathlib.Path(
            end["logPath"]).read_text()
    finally:
        device.stop()
        shutil.rmtree(folder)


def test_there_is_one_agent(device):
    device.start()
    until("it is up", lambda: any(
        '"up"' in p for p in device.bus.on(
            "te/device/main/service/tedge-agent/status/health")))
    said = device.tedge("run", "tedge-agent", limit=LIMIT)
    assert said.status != 0
    assert "Another instance of tedge-agent is running." in said.err
    lock = device.folder / "run/lock/tedge-agent.lock"
    assert lock.read_text().strip() == str(device.process.pid)


# --- files ----------------------------------------------------------------------

class Web:
    """Files of a folder, to be had and to be put."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                (folder / self.path[1:]).write_bytes(body)
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *_args):
        self.server.shutdown()
        self.server.server_close()


def test_configuration_goes_both_ways(device, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    target = tmp_path / "target.conf"
    target.write_text("old\n")
    target.chmod(0o640)
    (device.config / "plugins/tedge-configuration-plugin.toml").write_text(
        'files = [{ path = "%s", type = "mine" }]\n' % target)
    (www / "new").write_text("new\n")
    with Web(www) as web:
        device.start()
        until("types are known", lambda: device.types("config_update") == [
            "mine", "tedge-configuration-plugin"])
        end = device.do("config_snapshot", 1, type="mine",
                        tedgeUrl=web.url + "/snapshot")
        assert end["status"] == "successful", end
        assert end["path"] == str(target)
        assert (www / "snapshot").read_text() == "old\n"
        end = device.do("config_update", 1, type="mine",
                        remoteUrl=web.url + "/new")
        assert end["status"] == "successful", end
        assert target.read_text() == "new\n"
        assert target.stat().st_mode & 0o777 == 0o640
        assert device.bus.wait("tedge/configuration_change/mine") == [
            json.dumps({"path": str(target)}, separators=(",", ":"))]
        # The list of files is one of them, and what it says is told at once.
        (www / "list").write_text(
            'files = [{ path = "%s", type = "yours" }]\n' % target)
        end = device.do("config_update", 2, type="tedge-configuration-plugin",
                        remoteUrl=web.url + "/list")
        assert end["status"] == "successful", end
        until("the new type is told", lambda: device.types(
            "config_update") == ["tedge-configuration-plugin", "yours"])


def test_without_a_place_it_is_the_devices_own_store(device, tmp_path):
    device.settings["http.client.port"] = device.settings["http.bind.port"]
    device.write()
    target = tmp_path / "target.conf"
    target.write_text("the text\n")
    (device.config / "plugins/tedge-configuration-plugin.toml").write_text(
        'files = [{ path = "%s", type = "a/b" }]\n' % target)
    device.start()
    until("types are known", lambda: device.types("config_snapshot") == [
        "a/b", "tedge-configuration-plugin"])
    end = device.do("config_snapshot", 1, type="a/b")
    assert end["status"] == "successful", end
    assert end["tedgeUrl"] == (
        "http://127.0.0.1:%d/te/v1/files/main/config_snapshot/a:b-1"
        % device.settings["http.client.port"])
    with urllib.request.urlopen(end["tedgeUrl"], timeout=LIMIT) as answer:
        assert answer.read() == b"the text\n"
    # And from there it can be taken.
    target.write_text("other\n")
    end = device.do("config_update", 1, type="a/b", remoteUrl=end["tedgeUrl"])
    assert end["status"] == "successful", end
    assert target.read_text() == "the text\n"


def test_a_service_is_restarted_with_its_new_file(tmp_path):
    system = NO_MANAGER.replace('is_available = ["false"]',
                                'is_available = ["true"]').replace(
        'restart = ["false"]',
        'restart = ["sh", "-c", "echo {} >>%s/restarted"]' % tmp_path).replace(
        'is_active = ["false"]',
        'is_active = ["grep", "-q", "good", "%s/target.conf"]' % tmp_path)
    device = Device(tmp_path, system=system)
    www = tmp_path / "www"
    www.mkdir()
    target = tmp_path / "target.conf"
    target.write_text("good old\n")
    (device.config / "plugins/tedge-configuration-plugin.toml").write_text(
        'files = [{ path = "%s", type = "mine", service = "svc" }]\n' % target)
    (www / "new").write_text("good new\n")
    (www / "bad").write_text("broken\n")
    try:
        with Web(www) as web:
            device.start()
            end = device.do("config_update", 1, type="mine",
                            remoteUrl=web.url + "/new")
            assert end["status"] == "successful", end
            assert (tmp_path / "restarted").read_text() == "svc\n"
            # One with which the service does not run is taken back.
            end = device.do("config_update", 2, type="mine",
                            remoteUrl=web.url + "/bad")
            assert end["status"] == "failed"
            assert end["reason"] == (
                "the service svc does not run with the new file")
            assert target.read_text() == "good new\n"
            assert (tmp_path / "restarted").read_text() == "svc\n" * 3
    finally:
        device.stop()


def test_the_agent_restarts_with_its_new_settings(device, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    settings = device.config / "tedge.toml"
    (device.config / "plugins/tedge-configuration-plugin.toml").write_text(
        'files = [{ path = "%s", type = "tedge.toml", '
        'service = "tedge-agent" }]\n' % settings)
    old = settings.read_text()
    (www / "new").write_text(old + 'device.type = "pump"\n')
    (www / "bad").write_text(old + 'device.type = [\n')
    kind = "te/device/main///twin/type"
    with Web(www) as web:
        device.start()
        until("its kind", lambda: device.bus.on(kind) == ['"thin-edge.io"'])
        pid = device.process.pid
        end = device.do("config_update", 1, type="tedge.toml",
                        remoteUrl=web.url + "/new")
        assert end["status"] == "successful", end
        assert end["path"] == str(settings)
        assert settings.read_text() == old + 'device.type = "pump"\n'
        until("its new kind", lambda: device.bus.on(kind)[-1] == '"pump"')
        assert [s["status"] for s in device.states("config_update", 1)] == [
            "init", "executing", "successful"]
        # What it could not read is taken back before.
        told = len(device.bus.on(kind))
        end = device.do("config_update", 2, type="tedge.toml",
                        remoteUrl=web.url + "/bad")
        assert end["status"] == "failed"
        assert "the agent would not start with the new file" in end["reason"]
        assert settings.read_text() == old + 'device.type = "pump"\n'
        assert len(device.bus.on(kind)) == told
        assert device.process.poll() is None and device.process.pid == pid
    assert not list((tmp_path / "tmp").iterdir())


def test_a_replaced_program_ends_after_the_update(tmp_path, monkeypatch):
    program = tmp_path / "marram-edge"
    shutil.copy(EDGE, program)
    monkeypatch.setattr(edge, "EDGE", str(program))
    device = Device(tmp_path / "device")
    device.plugin("self", "case $1 in update-list) exit 1;; install) "
                  "cp %s %s.new && mv %s.new %s;; esac" % ((program,) * 4))
    try:
        device.start()
        until("types are known",
              lambda: device.types("software_update") == ["self"])
        end = device.do("software_update", 1, updateList=update(
            "self", ("marram-edge", "install")))
        assert end["status"] == "successful", end
        assert device.process.wait(LIMIT) == 1
        assert "was replaced by an update" in device.logged()
        # The new one knows how it ended, and does it not again.
        device.bus.close()
        device.start()
        until("it is there", lambda: device.types("software_update"))
        assert device.states("software_update", 1)[-1]["status"] == "successful"
    finally:
        device.stop()


def test_logs_are_uploaded(device, tmp_path):
    www = tmp_path / "www"
    www.mkdir()
    log = tmp_path / "app.log"
    log.write_text("".join("line %d\n" % i for i in range(5000)))
    (device.config / "plugins/tedge-log-plugin.toml").write_text(
        'files = [{ type = "app", path = "%s/app*.log" }]\n' % tmp_path)
    with Web(www) as web:
        device.start()
        until("types are known",
              lambda: device.types("log_upload") == ["app"])
        end = device.do("log_upload", 1, type="app", lines=3,
                        dateFrom="2020-01-01T00:00:00Z",
                        dateTo="2050-01-01T00:00:00+01:00", searchText="99",
                        tedgeUrl=web.url + "/got")
        assert end["status"] == "successful", end
        assert (www / "got").read_text() == "".join(
            [s for s in log.read_text().splitlines(True) if "99" in s][-3:])
        end = device.do("log_upload", 2, type="nil", lines=3,
                        tedgeUrl=web.url + "/got")
        assert end["reason"] == (
            "The target log file for 'nil' does not exist.")


def test_the_device_says_what_it_is(device):
    (device.config / "device/inventory.json").write_text(
        '{"hardware": {"serial": 7}}')
    device.settings["device.type"] = "box"
    device.write()
    device.start()
    assert json.loads(device.bus.wait("te/device/main///twin/hardware")[0]) \
        == {"serial": 7}
    assert device.bus.wait("te/device/main///twin/type") == ['"box"']
    assert "version" in json.loads(
        device.bus.wait("te/device/main///twin/agent")[0])
    device.bus.heard.clear()
    device.bus.say("tedge/health-check", "")
    assert json.loads(device.bus.wait("tedge/health/tedge-agent")[-1])[
        "status"] == "up"
    device.bus.say("te/device/main///signal/sync", "{}")
    device.bus.wait(MAIN + "restart")


# --- watched by systemd ---------------------------------------------------------

def notices(folder):
    """A socket as systemd has one, and what came there."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(folder / "notify"))
    s.setblocking(False)
    heard = []

    def read():
        while True:
            try:
                heard.append(s.recv(1000).decode())
            except BlockingIOError:
                return heard
    return read


def test_systemd_is_told_that_it_is_ready_and_lives(tmp_path):
    device = Device(tmp_path / "device", env={
        "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
    told = notices(tmp_path)
    try:
        device.start()
        until("it lives", lambda: told().count("WATCHDOG=1") >= 3)
        assert told()[0] == "READY=1"
        device.stop()
        assert told()[-1] == "STOPPING=1"
    finally:
        device.stop()


def test_the_watchdog_passes_on_who_answers(tmp_path):
    system = NO_MANAGER.replace('is_available = ["false"]',
                                'is_available = ["true"]').replace(
        'is_active = ["false"]',
        'is_active = ["test", "{}", "!=", "tedge-mapper-az"]')
    device = Device(tmp_path, system=system)
    units = tmp_path / "units"
    tools = tmp_path / "tools"
    units.mkdir()
    tools.mkdir()
    for name, span in (("tedge-agent", "400ms"), ("tedge-mapper-c8y", "400ms"),
                       ("tedge-mapper-az", "1s"), ("tedge-mapper-aws", "")):
        (units / (name + ".service")).write_text(
            "[Service]\nExecStart=x\n" +
            ("WatchdogSec = %s\n" % span if span else ""))
    told = tmp_path / "told"
    (tools / "systemd-notify").write_text(
        "#!/bin/sh\necho \"$@\" >>%s\n" % told)
    (tools / "systemd-notify").chmod(0o755)
    try:
        device.start()
        dog = subprocess.Popen(
            [EDGE, "--config-dir", device.config, "run", "tedge-watchdog",
             "--unit-dir", units], stderr=subprocess.PIPE, text=True,
            env={**device.env, "PATH": "%s:%s" % (
                tools, os.environ["PATH"])})
        try:
            until("three notices", lambda: told.exists() and len(
                told.read_text().splitlines()) >= 3)
        finally:
            dog.terminate()
            said = dog.communicate(timeout=LIMIT)[1]
        assert dog.returncode == 0, said
        assert set(told.read_text().splitlines()) == {
            "--pid=%d WATCHDOG=1" % device.process.pid}
        assert "tedge-mapper-c8y has not answered within 100 ms" in said
        assert "tedge-mapper-az is watched" not in said
        assert "tedge-mapper-aws is watched" not in said
        # With nothing to watch it ends.
        for unit in units.iterdir():
            unit.unlink()
        said = device.tedge("run", "tedge-watchdog", "--unit-dir", units,
                            limit=LIMIT)
        assert said.status == 0 and "nothing to watch" in said.err
    finally:
        device.stop()


def test_the_watchdog_restarts_a_part_that_does_not_answer(tmp_path):
    wanted = tmp_path / "wanted"
    system = NO_MANAGER.replace('is_available = ["false"]',
                                'is_available = ["true"]').replace(
        'is_active = ["false"]',
        'is_active = ["sh", "-c", "[ {} = tedge-agent ] || [ -e %s ]"]'
        % wanted).replace(
        'restart = ["false"]',
        'restart = ["sh", "-c", "echo {} >>%s/restarted"]' % tmp_path)
    device = Device(tmp_path, system=system)
    units = tmp_path / "units"
    units.mkdir()
    for name, span in (("tedge-agent", "8s"), ("tedge-mapper-c8y", "200ms")):
        (units / (name + ".service")).write_text(
            "[Service]\nType=oneshot\nWatchdogSec=%s\n" % span)
    wanted.touch()
    restarted = tmp_path / "restarted"
    said = open(tmp_path / "said", "w")
    logged = lambda text: text in (tmp_path / "said").read_text()
    try:
        device.start()
        dog = subprocess.Popen(
            [EDGE, "--config-dir", device.config, "run", "tedge-watchdog",
             "--unit-dir", units], stderr=said, env=device.env)
        try:
            # The agent answers; that mapper is said to be active and is not.
            until("it is restarted again", lambda: restarted.exists() and len(
                restarted.read_text().split()) >= 2)
            device.bus.wait("te/device/main/service/tedge-agent/status/health",
                            2)
            assert set(restarted.read_text().split()) == {"tedge-mapper-c8y"}
            # Somebody stops it: that is not for the watchdog to undo.
            wanted.unlink()
            until("it is known", lambda: logged("tedge-mapper-c8y was stopped"))
            times = restarted.read_text()
            wanted.touch()
            until("it is asked again", lambda: logged(
                "tedge-mapper-c8y was started"))
            until("and restarted", lambda: len(restarted.read_text()) > len(
                times))
        finally:
            dog.terminate()
            assert dog.wait(LIMIT) == 0
            said.close()
        assert set(restarted.read_text().split()) == {"tedge-mapper-c8y"}
        assert not logged("systemd-notify")
    finally:
        device.stop()


def test_the_agent_of_a_child_device_is_a_service_of_it(device):
    device.settings["mqtt.device_topic_id"] = "device/child01//"
    device.settings["service.type"] = 'a \\"kind\\"'
    device.write()
    device.start()
    own = "te/device/child01/service/tedge-agent"
    until("it is up", lambda: any(
        json.loads(p)["status"] == "up"
        for p in device.bus.on(own + "/status/health") if p))
    assert json.loads(device.bus.wait(own)[-1]) == {
        "@type": "service", "@parent": "device/child01//",
        "name": "tedge-agent", "type": 'a "kind"'}
    device.bus.wait(own + "/config")
    device.bus.wait("tedge/health/child01/tedge-agent")
    assert device.bus.wait("te/device/child01///cmd/restart") == ["{}"]
    # Nothing is said in the name of the main device.
    for channel in ("", "/status/health", "/config"):
        assert not device.bus.on(
            "te/device/main/service/tedge-agent" + channel), channel
    told = len(device.bus.on(own + "/status/health"))
    device.bus.say("te/device/child01/service/tedge-agent/cmd/health/check")
    until("it answers", lambda: len(
        device.bus.on(own + "/status/health")) > told)

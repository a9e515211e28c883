"""marram-edge in a fleet: with the real platform and a real sshd, and with a double of the
platform for what only shows when a connection is lost."""
import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import time
import uuid

import pytest

from conftest import LIMIT, until
from certificates import Authority
from edge import EDGE, Edge
from edge_connect_test import Proxy
from fleet_agent_test import Echo, Fleet, access, access_env, declare, secret
from fleet_device import Platform, Sshd, keygen


class Device:
    """marram-edge, a folder that stands for its /, and its sshd."""

    def __init__(self, folder, serial=None, copy_of=None, **settings):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        if copy_of:
            shutil.copytree(copy_of.root, self.root)
        for name in ("etc/ssh", "root/.ssh", "boot", "sys/class/dmi/id", "run",
                     "nix/var/nix/profiles"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "etc/hostname").write_text("old\n")
        if serial:
            (self.root / "sys/class/dmi/id/product_uuid").write_text(serial + "\n")
        self.host = self.root / "etc/ssh/ssh_host_ed25519_key"
        self.authorized = self.root / "root/.ssh/authorized_keys"
        if not copy_of:
            keygen(self.host)
        self.authorized.touch()
        self.sshd = Sshd(self.folder / "sshd", host=self.host, authorized=self.authorized)
        # what restarts it when its key is new
        script = self.folder / "restart"
        script.write_text("#!/bin/sh\nkill -HUP %d\n" % self.sshd.process.pid)
        script.chmod(0o755)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.edge = Edge(self.folder / "edge", {
            "fleet.root": str(self.root), "fleet.ssh.port": self.sshd.port,
            "fleet.ssh.restart": str(script), **settings},
            env={"PATH": "%s:%s" % (self.bin, os.environ["PATH"])})

    def enroll(self, url, *how):
        return self.edge.good("fleet", "enroll", url, *how)

    @property
    def key(self):
        return self.sshd.public_key

    def stop(self):
        self.edge.stop()
        self.sshd.stop()


@pytest.fixture
def devices(tmp_path):
    made = []

    def make(name, **more):
        folder = tmp_path / name
        folder.mkdir()
        made.append(Device(folder, **more))
        return made[-1]

    yield make
    for d in made:
        d.stop()
    for d in made:
        assert "Sanitizer" not in d.edge.logged(), d.edge.logged()


@pytest.fixture
def fleet(start, tmp_path):
    server = start("--fleet.agent.targets", "*")
    f = Fleet(server, tmp_path)
    f.first = f.agent_token(name="first", config="hall")
    return f


def up(fleet, device):
    def look():
        found = [d for d in fleet.devices() if d["sshPublicKey"] == device.key]
        return found[0] if found and found[0]["connected"] else None
    try:
        return until("the device is up", look)
    except AssertionError:
        raise AssertionError(device.edge.logged() + fleet.server.logged())


def test_a_device_joins_with_a_token_and_leaves(fleet, devices):
    d = devices("a", serial="11")
    said = d.edge.tedge("fleet", "enroll", fleet.server.url, "--token", "wrong" * 10)
    assert said.status == 1 and "does not know this token" in said.err
    assert d.edge.tedge("fleet", "enroll", fleet.server.url).status == 2
    d.enroll(fleet.server.url, "--token", fleet.first["token"])
    assert stat.S_IMODE((d.edge.config / "fleet/token").stat().st_mode) == 0o600
    d.edge.start()
    row = up(fleet, d)
    assert row["state"] == "active" and row["ramBytes"] > 0
    assert [h["hardwareIds"] for h in fleet.listed("hardware/list")] == [
        {"dmi-product-uuid": "11"}]
    fleet.call("PATCH", "device/" + row["id"], {"name": "box-7"}, 204)
    until("its name", lambda: (d.root / "etc/hostname").read_text() == "box-7\n")

    # ssh of the platform, and of a person
    assert fleet.server.call("POST", "/fleet/api/v1/device/%s/access" % row["id"],
                             {"data": {}}, fleet.token).status == 200
    d.edge.restart(signal.SIGKILL)
    until("it comes again", lambda: len(
        fleet.listed("device/%s/connection/list" % row["id"])) == 2)
    up(fleet, d)
    d.edge.good("fleet", "leave")
    until("it is gone", lambda: not fleet.devices()[0]["connected"])
    # it logs as the device does
    assert " INFO [fleet] connected to " in d.edge.logged() and '"ts":' not in d.edge.logged()
    assert d.authorized.read_text() == "" and not (d.edge.config / "fleet/token").exists()
    assert fleet.first["token"] not in d.edge.logged()


def test_a_device_joins_by_a_code(fleet, devices):
    d = devices("a")
    child = subprocess.Popen(
        [EDGE, "--config-dir", str(d.edge.config), "fleet",
         "enroll", fleet.server.url, "--code"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=d.edge.env)
    code = child.stdout.readline().strip()
    assert len(code) == 9
    fleet.call("POST", "claim", {"unitId": fleet.unit, "code": code, "config": "hall"})
    assert child.wait(LIMIT) == 0, child.stderr.read()
    d.edge.start()
    assert up(fleet, d)["config"] == "hall"


def test_secrets_lie_as_they_are_to_and_go_when_they_are_dropped(fleet, devices):
    one, two = secret(fleet), secret(fleet, "two", "second")
    declare(fleet, "hall", [
        {"secret": one, "path": "/etc/app/pw", "owner": "root", "group": "adm", "mode": "0440"},
        {"secret": two, "path": "/etc/two"},
        {"secret": two, "path": "/etc/../../outside"}])
    d = devices("a")
    d.enroll(fleet.server.url, "--token", fleet.first["token"])
    d.edge.start()
    row = up(fleet, d)
    path = d.root / "etc/app/pw"
    until("the secret", path.exists)
    assert path.read_text() == "s3cret words"
    assert stat.S_IMODE(path.stat().st_mode) == 0o440 and path.group() == "adm"
    until("the other", (d.root / "etc/two").exists)
    assert stat.S_IMODE((d.root / "etc/two").stat().st_mode) == 0o400
    assert not (d.folder / "outside").exists()
    # without the platform it has them, too
    d.edge.stop()
    path.unlink()
    fleet.server.stop()
    d.edge.start()
    until("it lies there again", path.exists)
    d.edge.stop()
    fleet.server.start()
    d.edge.set(fleet__url=fleet.server.url)
    unit = "?unit=" + fleet.unit
    fleet.call("PUT", "configuration/hall/module/thymis_controller.modules.files.FilesModule"
               + unit, {"settings": {"secrets": [{"secret": one, "path": "/etc/app/new"}]}})
    d.edge.start()
    until("the new place", (d.root / "etc/app/new").exists)
    until("the old ones go", lambda: not path.exists() and not (d.root / "etc/two").exists())
    assert up(fleet, d)["id"] == row["id"]
    for text in ("s3cret words", "second"):
        assert text not in d.edge.logged()


def test_the_device_opens_what_is_sealed_for_it_and_nothing_else(devices, tmp_path):
    d = devices("a")
    text = bytes(range(256)) * 600
    sealed, other = tmp_path / "sealed", tmp_path / "other"
    for path, key in ((sealed, d.host), (other, tmp_path / "key")):
        if not key.exists():
            keygen(key)
        subprocess.run(["age", "-r", pathlib.Path(str(key) + ".pub").read_text().strip(),
                        "-o", str(path)], input=text, check=True)
    # the device is in no fleet, and age is not asked
    env = {**d.edge.env, "PATH": "/nonexistent"}

    def unseal(*words):
        return subprocess.run([EDGE, "--config-dir", str(d.edge.config), "fleet", "unseal",
                               *map(str, words)], env=env, capture_output=True, timeout=LIMIT)

    said = unseal(sealed)
    assert (said.returncode, said.stdout == text) == (0, True), said.stderr
    said = unseal("-i", tmp_path / "key", other)
    assert (said.returncode, said.stdout == text) == (0, True), said.stderr
    damaged = tmp_path / "damaged"
    damaged.write_bytes(sealed.read_bytes()[:-1] + b"x")
    for wrong in (other, damaged, d.host, tmp_path / "none"):
        said = unseal(wrong)
        assert said.returncode == 1 and said.stdout == b"", said
        assert b"failed to open the secret" in said.stderr
    assert b"is not encrypted for this key" in unseal(other).stderr


def test_tunnels_go_where_the_device_allows(fleet, devices):
    echo, other = Echo(), Echo()
    d = devices("a", **{"fleet.tunnels": ["localhost:22", "localhost:%d" % echo.port]})
    d.enroll(fleet.server.url, "--token", fleet.first["token"])
    d.edge.start()
    device = up(fleet, d)["id"]
    env = access_env(fleet, device)
    sent = bytes(range(256)) * 8192  # 2 MiB, answered after our end
    child = access(fleet, device, "--port", str(echo.port), env=env)
    got, said = child.communicate(sent, timeout=LIMIT)
    assert (child.returncode, said, got == sent) == (0, b"", True)
    child = access(fleet, device, "--port", str(other.port), env=env)
    assert b"fleet.tunnels" in child.communicate(timeout=LIMIT)[1]
    child = access(fleet, device, env=env)
    assert child.stdout.read(4) == b"SSH-"
    child.stdin.close()
    assert child.wait(LIMIT) == 0


def test_the_copy_of_a_disk_makes_a_key_of_its_own(fleet, devices):
    d = devices("a", serial="1")
    d.enroll(fleet.server.url, "--token", fleet.first["token"])
    d.edge.start()
    first = up(fleet, d)
    (d.root / "etc/ssh/ssh_host_rsa_key").write_text("of the first")
    copy = devices("b", serial="2", copy_of=d)
    copy.enroll(fleet.server.url, "--token", fleet.first["token"])
    assert copy.key == d.key
    copy.edge.start()
    until("another key", lambda: copy.host.exists() and
          pathlib.Path(str(copy.host) + ".pub").exists() and copy.key != d.key)
    second = up(fleet, copy)
    assert second["id"] != first["id"]
    assert (copy.root / "etc/ssh/ssh_host_ed25519_key.old.1").exists()
    assert not (copy.root / "etc/ssh/ssh_host_rsa_key").exists()  # it would be shown, too
    assert (d.root / "etc/ssh/ssh_host_rsa_key").exists()
    assert up(fleet, d)["id"] == first["id"]


def test_behind_a_proxy_the_agent_goes_through_it(start, tmp_path, devices):
    """Over TLS to a platform that is known by name only through the proxy's CONNECT."""
    authority = Authority(tmp_path / "ca")
    cert, key = authority.sign("localhost", file="server")
    fleet = Fleet(start("--server.certfile", str(cert), "--server.keyfile", str(key),
                        "--server.httpsport", "0", "--listen", "127.0.0.1"), tmp_path)
    fleet.first = fleet.agent_token(name="first")
    proxy = Proxy("me:s3cret")
    d = devices("a", **{"proxy.address": "http://127.0.0.1:%d" % proxy.port,
                        "fleet.root_cert_path": str(authority.ca)})
    url = "https://localhost:%d" % fleet.server.port("https")
    way = "CONNECT localhost:%d HTTP/1.1" % fleet.server.port("https")
    said = d.edge.tedge("fleet", "enroll", url, "--token", fleet.first["token"])
    assert said.status == 1 and proxy.asked == [way]
    d.edge.set(**{"proxy.username": "me", "proxy.password": "s3cret"})
    d.enroll(url, "--token", fleet.first["token"])
    before = len(proxy.asked)
    d.edge.start()
    device = up(fleet, d)["id"]
    assert proxy.asked[before:] == [way]
    child = access(fleet, device, env=access_env(fleet, device))
    assert child.stdout.read(4) == b"SSH-"
    child.kill()
    child.communicate()
    d.edge.stop()

    # what the proxy says against it is told, and nobody's password
    proxy.account = "me:another"
    d.edge.start()
    until("it is told", lambda: "the proxy says: 407" in d.edge.logged())
    d.edge.stop()
    assert "s3cret" not in d.edge.logged()
    # hosts that are reached without it
    before = len(proxy.asked)
    d.edge.set(**{"proxy.no_proxy": "localhost", "fleet.url": url})
    d.edge.start()
    up(fleet, d)
    assert len(proxy.asked) == before
    proxy.stop()


def test_a_proxy_in_front_of_a_platform_without_tls(fleet, devices):
    proxy = Proxy()
    d = devices("a", **{"proxy.address": "http://127.0.0.1:%d" % proxy.port})
    d.enroll(fleet.server.url, "--token", fleet.first["token"])
    d.edge.start()
    up(fleet, d)
    assert "CONNECT localhost:%d HTTP/1.1" % fleet.server.http_port in proxy.asked
    proxy.stop()


# --- switching, with stand-ins for Nix ---------------------------------------

NIX_ENV = """#!/bin/sh
# nix-env -p PROFILE --set PATH
echo "$*" >>%(log)s
[ -e %(folder)s/no-profile ] && { echo "no space" >&2; exit 1; }
ln -sfn "$4" "$2"
"""
SWITCH = """#!/bin/sh
echo "switch %(name)s" >>%(log)s
echo "out of %(name)s"
%(more)s
echo "activating the configuration..." >&2
%(last)s
"""


def nixos(d):
    """Two systems, the first one in use."""
    log = d.folder / "nix.log"
    log.touch()
    tool = d.bin / "nix-env"
    tool.write_text(NIX_ENV % {"log": log, "folder": d.folder})
    tool.chmod(0o755)
    paths = [system(d, name) for name in ("one", "two")]
    (d.root / "nix/var/nix/profiles/system").symlink_to(paths[0])
    (d.root / "boot/thymis-metadata.json").write_text(json.dumps({
        "configuration_id": "hall", "configuration_commit": "1" * 40,
        "datetime": "2026-01-01T00:00:00Z"}))
    return log, paths


def system(d, name, more="", last=""):
    path = d.folder / "store" / name
    (path / "bin").mkdir(parents=True)
    program = path / "bin/switch-to-configuration"
    program.write_text(SWITCH % {"name": name, "log": d.folder / "nix.log", "more": more,
                                 "last": last})
    program.chmod(0o755)
    return path


def current(d):
    return (d.root / "nix/var/nix/profiles/system").resolve().name


def metadata(d):
    return json.loads((d.root / "boot/thymis-metadata.json").read_text())["configuration_id"]


@pytest.fixture
def platform():
    p = Platform()
    yield p
    p.close()


def joined(d, platform):
    token = d.edge.config / "fleet"
    token.mkdir()
    (token / "token").write_text("t" * 40)
    d.edge.set(fleet__url=platform.url)
    d.edge.good("part", "enable", "tedge-fleet")
    d.edge.start()
    return platform.wait("start")


def order(platform, path, task="t1"):
    platform.say(kind="switch_to_new_config", new_path_to_config=str(path),
                 configuration_id="new", config_commit="2" * 40, task_id=task)


def kernel_row(port):
    """State and bytes that wait, of a connection from here to that port, and there."""
    state, waiting = None, 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        sends, takes = (int(n, 16) for n in words[4].split(":"))
        if words[2].endswith(":%04X" % port) and words[3] != "0A":
            state, waiting = words[3], waiting + sends
        elif words[1].endswith(":%04X" % port) and words[3] != "0A":
            waiting += takes
    return state, waiting


def test_what_nobody_takes_holds_a_closed_tunnel_only_for_a_while(devices, platform):
    """The platform has closed it; here it is a little that the other side does not read."""
    with socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far.bind(("127.0.0.1", 0))
        far.listen()
        port = far.getsockname()[1]
        d = devices("a", **{"fleet.tunnels": ["localhost:%d" % port]})
        joined(d, platform)
        number = str(uuid.uuid4())
        platform.say(kind="initiate_connection", connection_id=number, protocol="tcp",
                     target_ip="localhost", target_port=port, supports_eof=True)
        peer, _ = far.accept()
        platform.wait("initiate_connection_ok")
        chunk, sent = b"x" * 40000, 0

        def left():
            """What the kernel has not taken of what was sent, when that changes no more."""
            before, now = None, sent - kernel_row(port)[1]
            while now > 0 and now != before:
                time.sleep(0.2)
                before, now = now, sent - kernel_row(port)[1]
            return now

        while left() < 300000:
            platform.say(kind="tcp_data", connection_id=number,
                         data_base64=base64.b64encode(chunk).decode())
            sent += len(chunk)
        assert kernel_row(port)[0] == "01"  # established
        platform.say(kind="connection_close", connection_id=number, message="done")
        until("it is closed", lambda: kernel_row(port)[0] != "01")
        peer.close()


def test_a_switch_that_the_platform_confirms_stays(devices, platform):
    d = devices("a")
    log, paths = nixos(d)
    first = joined(d, platform)
    assert first["deployed_config_id"] == "hall" and first["token"] == "t" * 40
    order(platform, paths[1])
    result = platform.wait("switch_to_new_config_result")
    assert platform.count == 2  # a connection of its own has shown it
    assert result["is_activated"] and result["switch_success"]
    assert (result["task_id"], result["stdout"]) == ("t1", "out of two\n")
    assert current(d) == "two" and metadata(d) == "new"
    assert platform.wait("start", 2)["deployed_config_id"] == "new"
    until("it is told once", lambda: not (d.edge.folder / "data/fleet/pending.json").exists())


def test_what_was_told_into_a_connection_that_broke_is_told_again(devices, platform):
    d = devices("a")
    log, paths = nixos(d)
    joined(d, platform)
    platform.breaks = "switch_to_new_config_result"
    order(platform, paths[1])
    platform.wait("switch_to_new_config_result", 2)
    platform.breaks = ""
    result = platform.wait("switch_to_new_config_result", 3)
    assert result["task_id"] == "t1" and result["switch_success"]
    until("it is told once", lambda: not (d.edge.folder / "data/fleet/pending.json").exists())
    assert log.read_text().count("switch") == 1


def test_a_switch_after_which_nobody_comes_is_taken_back(devices, platform):
    d = devices("a", **{"fleet.confirm_time": "2s"})
    log, paths = nixos(d)
    joined(d, platform)
    platform.confirm = False
    order(platform, paths[1])
    until("it goes back", lambda: "switch one" in log.read_text())
    platform.trust()
    result = platform.wait("switch_to_new_config_result")
    assert not result["switch_success"] and "taken back" in result["stderr"]
    assert result["stdout"] == "out of two\n"
    assert current(d) == "one" and metadata(d) == "hall"


def guards_of(d):
    done = subprocess.run(["pgrep", "-f", "--", "--config-dir %s fleet guard" % d.edge.config],
                          capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def test_the_way_back_holds_up_nothing_and_outlives_its_guard(devices, platform):
    d = devices("a", **{"fleet.confirm_time": "2s"})
    log, paths = nixos(d)
    go = d.folder / "go"
    slow = system(d, "slow", more="while [ ! -e %s ]; do sleep 0.05; done" % go)
    (d.root / "nix/var/nix/profiles/system").unlink()
    (d.root / "nix/var/nix/profiles/system").symlink_to(slow)
    joined(d, platform)
    platform.confirm = False
    order(platform, paths[1])
    until("it goes back", lambda: "switch slow" in log.read_text())
    # the broker serves meanwhile
    client = d.edge.client("x/#")
    client.say("x/1", "still here")
    client.wait("x/1")
    client.close()
    guards = guards_of(d)
    assert len(guards) == 1
    os.kill(guards[0], signal.SIGKILL)
    until("another guard", lambda: log.read_text().count("switch slow") == 2)
    go.touch()
    platform.trust()
    result = platform.wait("switch_to_new_config_result")
    assert not result["switch_success"] and "taken back" in result["stderr"]
    assert current(d) == "slow" and metadata(d) == "hall"
    until("the guard has gone", lambda: not guards_of(d))


def test_an_agent_that_dies_in_the_test_is_no_way_to_stay(devices, platform):
    """The guard takes the change back; the next agent tells it."""
    d = devices("a", **{"fleet.confirm_time": "2s"})
    log, paths = nixos(d)
    joined(d, platform)
    platform.confirm = False
    order(platform, paths[1])
    until("it is tested", lambda: platform.count >= 2)
    d.edge.stop(signal.SIGKILL)
    until("the guard goes back", lambda: "switch one" in log.read_text())
    assert current(d) == "one"
    platform.trust()
    d.edge.start()
    result = platform.wait("switch_to_new_config_result")
    assert not result["switch_success"] and "taken back" in result["stderr"]


def test_what_the_guard_has_taken_back_was_not_confirmed(devices, platform):
    """It goes by the clock on the wall, which is set while the agent waits."""
    d = devices("a", **{"fleet.confirm_time": "10m"})
    log, paths = nixos(d)
    joined(d, platform)
    platform.confirm = False
    order(platform, paths[1])
    until("it is tested", lambda: platform.count >= 2)
    pending = d.edge.folder / "data/fleet/pending.json"
    row = json.loads(pending.read_text())
    row["until"] = "2026-01-01T00:00:00.000Z"
    pending.with_suffix(".new").write_text(json.dumps(row))
    pending.with_suffix(".new").rename(pending)
    until("the guard goes back", lambda: json.loads(pending.read_text())["reverted"])
    platform.trust()
    result = platform.wait("switch_to_new_config_result")
    assert not result["switch_success"] and "taken back" in result["stderr"]
    assert current(d) == "one" and metadata(d) == "hall"
    until("it is told once", lambda: not pending.exists())


def test_a_machine_that_starts_anew_in_the_test_goes_back(devices, platform):
    d = devices("a")
    log, paths = nixos(d)
    joined(d, platform)
    platform.confirm = False
    order(platform, paths[1])
    until("it is tested", lambda: platform.count >= 2)
    d.edge.stop(signal.SIGKILL)
    pending = d.edge.folder / "data/fleet/pending.json"
    row = json.loads(pending.read_text())
    row["boot"] = "another"
    pending.write_text(json.dumps(row))
    d.edge.start()
    until("it goes back", lambda: "switch one" in log.read_text())
    platform.trust()
    assert not platform.wait("switch_to_new_config_result")["switch_success"]
    assert current(d) == "one"


def test_switches_that_fail_are_told(devices, platform):
    d = devices("a")
    log, paths = nixos(d)
    joined(d, platform)
    (d.folder / "no-profile").touch()
    order(platform, paths[1], "a")
    result = platform.wait("switch_to_new_config_result")
    assert not result["is_activated"] and result["stderr"] == "no space\n"
    (d.folder / "no-profile").unlink()
    order(platform, "/nix/store/a b", "b")
    assert "no path" in platform.wait("switch_to_new_config_result", 2)["stderr"]
    order(platform, system(d, "broken", more="exit 3"), "c")
    result = platform.wait("switch_to_new_config_result", 3)
    assert not result["is_activated"] and not result["switch_success"]
    until("it goes back", lambda: current(d) == "one")
    # what was activated, with services that failed, stays and is told
    order(platform, system(d, "halting", last="exit 4"), "d")
    result = platform.wait("switch_to_new_config_result", 4)
    assert result["is_activated"] and not result["switch_success"]
    assert current(d) == "halting"


def test_without_the_fleet_nothing_of_it_is_loaded(devices, platform):
    d = devices("a")
    d.edge.start()
    assert not d.edge.has_loaded("marram-edge-fleet")
    d.edge.stop()
    joined(d, platform)
    assert d.edge.has_loaded("marram-edge-fleet")

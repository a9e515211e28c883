"""Devices that run NixOS, as far as a deployment sees it: a mount namespace with a
store, a profile and an sshd of its own. What `switch-to-configuration` does is in the
repository, so that a test can make it fail, or cut the device off."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import LIMIT, until
from ports import free_port

FLEET = "/fleet/api/v1/"
NIX_CONFIG = "substitute = false\nsandbox = false\nbuild-users-group =\n"
MISSING = [p for p in ("nix", "unshare", "/usr/sbin/sshd", "git") if not shutil.which(p)]
if os.geteuid() != 0:
    MISSING.append("root")
elif not MISSING and subprocess.run(["unshare", "-m", "true"]).returncode != 0:
    MISSING.append("mount namespaces")

# Instead of nixpkgs: a system of three files that lie among the artifacts.
NIXPKGS = """{
  outputs = { self }: {
    lib.nixosSystem = { modules, specialArgs }: let
      first = builtins.head modules;
      id = builtins.head (builtins.match ".*/hosts/([^/]+)/.*" (toString first));
      file = name: builtins.readFile (first + "/../../../artifacts/${id}-${name}");
      version = file "version";
      hello = derivation { name = "hello-${version}"; system = "%s";
        builder = "/bin/sh"; args = [ "-c" "echo hello ${version} > $out" ]; };
    in {
      config.system.build.toplevel = derivation {
        name = "nixos-system-${id}-${version}"; system = "%s";
        builder = "/bin/sh"; inherit hello;
        script = file "switch"; passAsFile = [ "script" ];
        args = [ "-c" (file "build") ];
      };
    };
  };
}
"""
# What the server writes in this place is the same for this.
FLAKE = """{
  inputs.nixpkgs.url = "path:%s";
  outputs = { self, nixpkgs }: {
    nixosConfigurations = builtins.listToAttrs (map (c: {
      name = c.identifier;
      value = nixpkgs.lib.nixosSystem {
        modules = [ (./hosts + "/${c.identifier}/device.nix") ]; specialArgs = { };
      };
    }) (builtins.fromJSON (builtins.readFile ./state.json)).configs);
  };
}
"""
BUILD = """echo making it
/bin/mkdir -p $out/bin && /bin/cp $scriptPath $out/bin/switch-to-configuration &&
/bin/chmod 755 $out/bin/switch-to-configuration && echo $hello > $out/hello
"""
# What every system does last; what it does first is the test's.
SWITCH = """#!/bin/sh
top=$(readlink -f "$0"); top=${top%%/bin/*}
echo "activating the configuration: $1"
case $1 in
test | switch)
%s
    ln -sfn "$top" /run/current-system
    [ -e /run/sshd.pid ] && kill -0 "$(cat /run/sshd.pid)" 2>/dev/null ||
        /usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log
    ;;
esac
case $1 in
boot | switch) ln -sfn "$top" /run/booted-next ;;
esac
"""
# A program of the device that stays in the step whose name is in /run/hold; the first.
GATE = """#!/bin/sh
case "${0##*/} $*" in
gate*) step=$1 ;;
nix-daemon*) step=copy ;;
nix-store*) step=plan ;;
nix-env*) step=confirm ;;
esac
if [ "$step" = "$(cat /run/hold 2>/dev/null)" ] && [ ! -e /run/held ]; then
    : >/run/held
    while [ -e /run/hold ]; do sleep 0.1; done
fi
[ "${0##*/}" = gate ] || exec /usr/bin/"${0##*/}" "$@"
"""


def git(repository, *words):
    return subprocess.run(
        ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org",
         "-c", "init.defaultBranch=master", "-C", repository, *words],
        check=True, capture_output=True, text=True).stdout.strip()


def system():
    return subprocess.run(
        ["nix", "--extra-experimental-features", "nix-command", "eval", "--impure",
         "--raw", "--expr", "builtins.currentSystem"],
        check=True, capture_output=True, text=True).stdout


class Fleet:
    """A unit with a repository and devices, on a server."""

    def __init__(self, server, folder, *configs):
        self.server, self.folder = server, pathlib.Path(folder)
        self.token = server.login()
        self.devices = []
        self.nonce = os.urandom(8).hex()  # what is built is new to the store
        answer = server.call("POST", "/coremgr/api/v1/unit",
                             {"data": {"code": "fleet"}}, self.token)
        assert answer.status == 200, answer.text
        self.unit = answer.data["unitId"]
        self.dir = server.folder / "data" / "fleet" / self.unit
        self.repository = self.dir / "repository"
        self.repository.mkdir(parents=True)
        self.key = self.dir / "id_thymis"
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-C", "",
                            "-f", self.key], check=True)
        self.write(configs)

    def write(self, configs):
        state = {"version": "0.0.9", "repositories": {}, "tags": [], "configs": [
            {"displayName": c, "identifier": c, "tags": [], "modules": [
                {"type": "thymis_controller.modules.thymis.ThymisDevice",
                 "settings": {"device_type": "generic-x86_64", "device_name": c}}]}
            for c in configs]}
        git(self.repository, "init", "-q", "-b", "master")
        (self.repository / "state.json").write_text(json.dumps(state, indent=2))
        (self.repository / "flake.nix").write_text(FLAKE % (self.folder / "nixpkgs"))
        for config in configs:
            self.set(config, "1")
        self.commit("first")

    def set(self, config, version, switch="", build=BUILD):
        """What a configuration is; `switch`: what its activation does first."""
        files = self.repository / "artifacts"
        files.mkdir(exist_ok=True)
        (files / (config + "-version")).write_text(version)
        (files / (config + "-switch")).write_text(SWITCH % switch)
        (files / (config + "-build")).write_text("# %s\n%s" % (self.nonce, build))

    def commit(self, message):
        answer = self.call("POST", "repository/commit", {"data": {"message": message}},
                           unit=self.unit)
        assert answer.status == 200, answer.text
        return git(self.repository, "rev-parse", "HEAD")

    def build(self, config):
        """The store path of a configuration as it is committed."""
        return subprocess.run(
            ["nix", "--extra-experimental-features", "nix-command flakes", "build",
             "git+file://%s#nixosConfigurations.\"%s\".config.system.build.toplevel"
             % (self.repository, config), "--no-link", "--no-write-lock-file",
             "--json"],
            check=True, capture_output=True, text=True,
            env={**os.environ, "NIX_CONFIG": NIX_CONFIG}).stdout.split('"out":"')[1] \
            .split('"')[0]

    def device(self, config, name=None, kind=None):
        d = (kind or Device)(self, config, name or "pi-%d" % (len(self.devices) + 1))
        self.devices.append(d)
        return d

    def call(self, method, path, body=None, **query):
        path = FLEET + path
        if query:
            path += "?" + "&".join("%s=%s" % x for x in query.items())
        return self.server.call(method, path, body, self.token)

    def post(self, path, **data):
        answer = self.call("POST", path, {"data": data}, unit=self.unit)
        assert answer.status == 200, answer.text
        return answer.data["id"]

    def deployment(self, no):
        return self.call("GET", "deployment/" + no).data

    def rows(self, no, kind="deployment-device"):
        return self.call("GET", kind + "/list", unit=self.unit, deployment=no,
                         sort="created:asc" if kind == "task" else "position:asc").data

    def ended(self, no, limit=3 * LIMIT):
        """Waits for the end of a deployment; its state."""
        def end():
            d = self.deployment(no)
            return d if d["endedAt"] is not None else None
        try:
            return until("the end of the deployment", end, limit)
        except AssertionError as e:
            raise AssertionError("%s: %s\n%s" % (
                e, self.rows(no), self.outputs(no))) from e

    def output(self, task):
        text, at = "", 0
        while True:
            answer = self.call("GET", "task/%s/output" % task, **{"from": at})
            assert answer.status == 200, answer.text
            text += answer.text
            at = int(answer.headers["X-Marram-Next"])
            if answer.headers["X-Marram-More"] == "false" or not answer.text:
                return text

    def outputs(self, no):
        return "\n".join("== %s %s %s: %s\n%s" % (
            t["deviceName"], t["kind"], t["state"], t["reason"], self.output(t["id"]))
            for t in self.rows(no, "task"))

    def states(self, no):
        return {r["deviceName"]: r["state"] for r in self.rows(no)}

    def end(self):
        for d in self.devices:
            d.stop()


class Device:
    def __init__(self, fleet, config, name):
        self.fleet, self.name = fleet, name
        self.root = fleet.folder / name
        for part in ("nix", "run/sshd", "lib"):
            (self.root / part).mkdir(parents=True)
        (self.root / "run").chmod(0o755)
        self.process, self.boots = None, 0
        self.port = free_port()
        self.config = config
        self.prepare(fleet.build(config))
        self.public_key = " ".join((self.root / "host.pub").read_text().split()[:2])
        self.start()
        self.id = self.register()

    def register(self):
        answer = self.fleet.call("POST", "device", {"data": {
            "unitId": self.fleet.unit, "name": self.name, "address": "127.0.0.1",
            "sshPort": self.port, "config": self.config,
            "sshPublicKey": self.public_key}})
        assert answer.status == 200, answer.text
        return answer.data["id"]

    def prepare(self, built):
        """A store with one system in it, and what sshd needs."""
        subprocess.run(
            ["nix", "--extra-experimental-features", "nix-command", "copy",
             "--no-check-sigs", "--to", self.root, built], check=True,
            env={**os.environ, "NIX_CONFIG": NIX_CONFIG}, capture_output=True)
        for part in ("profiles", "gcroots"):
            (self.root / "nix/var/nix" / part).mkdir(parents=True, exist_ok=True)
        self.first = built
        self.have(built)
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-C", "", "-f",
                        self.root / "host"], check=True)
        keys = self.root / "authorized_keys"
        keys.write_text(pathlib.Path(str(self.fleet.key) + ".pub").read_text())
        keys.chmod(0o600)
        (self.root / "run/sshd_config").write_text(
            "ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nPidFile /run/sshd.pid\n"
            "AuthorizedKeysFile %s\nStrictModes no\nPasswordAuthentication no\n"
            "UsePAM no\nMaxStartups 100\nInclude /run/sshd_env\n"
            % (self.port, self.root / "host", keys))

    def start(self):
        """Switched on: it has what it boots."""
        self.boots += 1
        booted = self.root / "run/booted-next"
        if booted.is_symlink():
            self.have(os.readlink(booted))
        elif self.boots > 1:
            self.have(self.first)
        (self.root / "run/sshd_env").write_text(
            "SetEnv NIX_CONFIG=\"build-users-group =\" MARRAM_BOOT_ID=%d"
            " HOME=/run PATH=/run/gate:/usr/sbin:/usr/bin:/sbin:/bin\n" % self.boots)
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
             "--kill-child", "--mount-proc", "sh", "-c",
             "mkdir -p /var/lib/marram-fleet && mount --bind %s/nix /nix && "
             "mount --bind %s/lib /var/lib/marram-fleet && mount --bind %s/run /run && "
             "/usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log && exec sleep infinity"
             % (self.root, self.root, self.root)], start_new_session=True)
        until("sshd", self.listens)

    def hold(self, step):
        """What does this step on the device stays in it, until let_go()."""
        folder = self.root / "run/gate"
        folder.mkdir(exist_ok=True)
        (folder / "gate").write_text(GATE)
        (folder / "gate").chmod(0o755)
        for name in ("nix-store", "nix-daemon", "nix-env"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to("gate")
        (self.root / "run/hold").write_text(step + "\n")

    def held(self):
        return (self.root / "run/held").exists()

    def runs(self, *words):
        """Does a program run on the device whose command has one of these?"""
        for at in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if any(w in (at / "cmdline").read_text() for w in words) and (
                        at / "root/run/sshd_config").read_text() == (
                            self.root / "run/sshd_config").read_text():
                    return True
            except (OSError, ValueError):
                continue
        return False

    def let_go(self):
        (self.root / "run/hold").unlink()
        (self.root / "run/held").unlink(missing_ok=True)

    def have(self, built):
        link = self.root / "run/current-system"
        link.unlink(missing_ok=True)
        link.symlink_to(built)

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """Switched off."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT)
        self.process = None
        until("the end of sshd", lambda: not self.listens())
        (self.root / "run/sshd.pid").unlink(missing_ok=True)

    def current(self):
        return os.readlink(self.root / "run/current-system")

    def profile(self):
        """What it boots next."""
        path = self.root / "nix/var/nix/profiles/system"
        if not path.is_symlink():
            return None
        return os.readlink(path.parent / os.readlink(path))

    def row(self):
        return self.fleet.call("GET", "device/" + self.id).data


NEEDED = pytest.mark.skipif(bool(MISSING), reason="needs " + ", ".join(MISSING))
QUICK = ["--fleet.deploy.confirm-time", "30s", "--fleet.deploy.check-time", "20s"]


@pytest.fixture
def fleet(start, tmp_path):
    fleets = []

    def begin(*configs, options=QUICK):
        nixpkgs = tmp_path / "nixpkgs"
        nixpkgs.mkdir(exist_ok=True)
        (nixpkgs / "flake.nix").write_text(NIXPKGS % (system(), system()))
        server = start("--fleet.nix.nixpkgs", "path:%s" % nixpkgs, *options,
                       env={"NIX_CONFIG": NIX_CONFIG})
        fleets.append(Fleet(server, tmp_path, *configs))
        return fleets[-1]

    yield begin
    for f in fleets:
        f.end()

"""Deployments by agents of Thymis's protocol, and a server that is killed in the middle.

An agent is a double; behind it are a real sshd, a real store, a real profile."""
import subprocess
import threading
import time

import fleet_device
import fleet_nixos
from conftest import LIMIT, until
from fleet_nixos import NEEDED, fleet

pytestmark = NEEDED
REACHED = 60  # seconds that an agent gives the server after a switch


class Agent(fleet_device.Agent):
    """Hands what it is told to do to its device."""

    def __init__(self, device, **more):
        self.device = device
        super().__init__(device.fleet.server, device.token, device, **more)

    def obey(self, m):
        if m["kind"] == "switch_to_new_config":
            threading.Thread(target=self.device.switch, args=(m,), daemon=True).start()
        super().obey(m)


class Device(fleet_nixos.Device):
    """It has no address: its agent is the way to it."""

    token = None

    def register(self):
        answer = self.fleet.call("POST", "agent-token", {"data": {
            "unitId": self.fleet.unit, "config": self.config}})
        assert answer.status == 200, answer.text
        self.token = answer.data["token"]
        self.switches, self.agent, self.ends = [], None, False
        threading.Thread(target=self.keep, daemon=True).start()

        def found():
            return [d["id"] for d in self.fleet.call(
                "GET", "device/list", unit=self.fleet.unit, limit=0).data
                if d["sshPublicKey"] == self.public_key]
        no = until("the device", found)[0]
        assert self.fleet.call("PATCH", "device/" + no, {
            "data": {"name": self.name}}).status == 204
        until("its agent", lambda: self.is_up())
        return no

    def is_up(self):
        a = self.agent
        return a is not None and not a.closed.is_set() and \
            "successfully_ssh_connected" in a.kinds()

    def keep(self):
        """Connects, again and again."""
        while not self.ends:
            try:
                self.agent = Agent(self)
                self.agent.closed.wait()
            except Exception:  # nobody is there
                pass
            time.sleep(0.3)

    def on_device(self, *argv):
        return subprocess.run(
            ["ssh", "-T", "-F", "/dev/null", "-i", self.fleet.key, "-p", str(self.port),
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "root@127.0.0.1", *argv], capture_output=True, text=True, timeout=LIMIT)

    def activate(self, path):
        self.on_device("nix-env", "-p", "/nix/var/nix/profiles/system", "--set", path)
        return self.on_device(path + "/bin/switch-to-configuration", "switch")

    def switch(self, m):
        old, path = self.current(), m["new_path_to_config"]
        self.switches.append(path)
        done = self.activate(path)
        self.agent.die()
        end = time.monotonic() + REACHED
        time.sleep(0.2)
        while not self.is_up() and time.monotonic() < end:
            time.sleep(0.05)
        back = not self.is_up()
        if back:
            self.activate(old)
            until("the server", self.is_up, 10 * LIMIT)
        self.agent.say(
            kind="switch_to_new_config_result", task_id=m["task_id"],
            configuration_id=m["configuration_id"], config_commit=m["config_commit"],
            is_activated=not back, switch_success=not back and done.returncode == 0,
            stdout=done.stdout, stderr=done.stderr)

    def stop(self):
        self.ends = True
        if self.agent:
            self.agent.die()
        super().stop()


def test_agents_switch_and_a_bad_one_goes_back(fleet):
    f = fleet("pi")
    one, two = f.device("pi", kind=Device), f.device("pi", kind=Device)
    first = one.current()
    f.set("pi", "2")
    commit = f.commit("second")
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)
    built = f.build("pi")
    for d in one, two:
        assert d.current() == d.profile() == built and d.switches == [built]
        row = d.row()
        assert (row["deployedConfig"], row["deployedCommit"]) == ("pi", commit)
    f.set("pi", "3", switch="    touch /run/well")
    f.commit("third")
    no = f.post("deployment", checks=[{"argv": ["test", "-e", "/run/unwell"]}])
    assert f.ended(no)["state"] == "rolledBack", f.outputs(no)
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "cancelled"}
    assert one.current() == one.profile() == two.current() == built != first


def test_ten_agents_and_a_server_that_is_killed_twice(fleet):
    f = fleet("pi")
    many = [f.device("pi", kind=Device) for _ in range(10)]
    f.set("pi", "2", switch="    sleep 1")
    f.commit("second")
    no = f.post("deployment", canary=1, atOnce=4)
    until("the first", lambda: "done" in f.states(no).values(), 120)
    for state in "apply", "copy":
        until("some " + state, lambda: state in f.states(no).values() or
              f.deployment(no)["endedAt"], 120)
        f.server.restart(9)
        f.token = f.server.login()
    d = f.ended(no, 300)
    assert d["state"] == "done", f.outputs(no)
    built = f.build("pi")
    assert {d.current() for d in many} == {d.profile() for d in many} == {built}
    assert {d.row()["deployedBuilt"] for d in many} == {built}
    # who was at it when the server went was not told twice
    assert all(1 <= len(d.switches) <= 2 for d in many), [d.switches for d in many]

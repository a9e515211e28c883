"""Limits of the fleet that are settings: who comes up against one is told which
it is, and nothing has changed."""
import base64
import contextlib
import http.client
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from conftest import LIMIT, until
from fleet_agent_test import API, Echo, Fleet, access, access_env
from fleet_linux import LinuxFleet
from ports import free_port

SMALL = {"artifact.max": "1KiB", "secret.max": "64", "agent.connections": "3",
         "agent.tunnels": "1", "agent.proofs": "1", "remote.time": "1s"}


def limited(start, folder, **limits):
    words = [w for k, v in limits.items() for w in ("--fleet." + k, v)]
    f = Fleet(start(*words, "--fleet.remote.local", "true"), folder)
    f.first = f.agent_token(name="first")
    return f


@pytest.fixture
def small(start, tmp_path):
    f = limited(start, tmp_path, **SMALL)
    yield f
    for sshd in f.sshds:
        sshd.stop()


def put(fleet, size):
    return fleet.server.call("PUT", API + "artifact/x?unit=" + fleet.unit, raw=b"x" * size,
                             token=fleet.token)


def keep(fleet, **value):
    return fleet.server.call("POST", API + "secret", {"data": {
        "unitId": fleet.unit, "name": "n", **value}}, fleet.token)


# (setting, what is just taken, what is not, what there is then)
SIZES = [
    ("artifact.max", lambda f: put(f, 1024), lambda f: put(f, 1025),
     lambda f: [a["size"] for a in f.listed("artifact/list")] == [1024]),
    ("artifact.max", lambda f: put(f, 1024), lambda f: put(f, 3000),
     lambda f: [a["size"] for a in f.listed("artifact/list")] == [1024]),
    ("secret.max", lambda f: keep(f, secret="x" * 64), lambda f: keep(f, secret="x" * 65),
     lambda f: [s["size"] for s in f.listed("secret/list")] == [64]),
    ("secret.max", lambda f: keep(f, type="file", secretBase64="QUFB" * 21),
     lambda f: keep(f, type="file", secretBase64="QUFB" * 22),
     lambda f: [s["size"] for s in f.listed("secret/list")] == [63]),
]


@pytest.mark.parametrize("setting, good, bad, left", SIZES)
def test_what_is_too_large_is_refused(small, setting, good, bad, left):
    assert good(small).status in (200, 204)
    refused = bad(small)
    assert refused.status in (400, 413) and refused.code == "err_param"
    assert "fleet." + setting in refused.text
    assert left(small)


def test_a_secret_stays_when_a_new_value_is_too_long(small):
    made = keep(small, secret="words").data["id"]
    refused = small.call("PATCH", "secret/" + made, {"secret": "x" * 65}, 400)
    assert "fleet.secret.max" in refused.text
    assert small.call("POST", "secret/%s/reveal" % made).data["secret"] == "words"


def test_who_is_one_agent_too_many_is_told_so(small):
    """And those that are there stay; who goes makes room."""
    here = [small.agent(small.first["token"], small.sshd(n, small.key)).up() for n in "abc"]
    late = small.sshd("d", small.key)
    door = http.client.HTTPConnection("127.0.0.1", small.server.http_port, timeout=LIMIT)
    door.request("GET", "/agent/relay", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode()})
    refused = door.getresponse()
    assert refused.status == 503 and int(refused.headers["Retry-After"]) > 0
    assert b"fleet.agent.connections" in refused.read()
    door.close()
    assert [d["connected"] for d in small.devices()] == [True] * 3
    here[0].die()
    until("there is room", lambda: not all(d["connected"] for d in small.devices()))
    small.agent(small.first["token"], late).up()


def test_a_tunnel_too_many_is_refused_and_the_other_goes_on(small):
    sshd, echo = small.sshd("a", small.key), Echo(hurry=True)
    agent = small.agent(small.first["token"], sshd).up()
    agent.targets[5900] = echo.port
    device = small.device(sshd)["id"]
    env = access_env(small, device)
    first = access(small, device, "--port", "5900", env=env)
    first.stdin.write(b"one")
    first.stdin.flush()
    assert first.stdout.read(3) == b"one"
    second = access(small, device, "--port", "5900", env=env)
    _, said = second.communicate(timeout=LIMIT)
    assert second.returncode != 0 and b"fleet.agent.tunnels" in said, said
    got, said = first.communicate(b"two", timeout=LIMIT)
    assert (got, said, first.returncode) == (b"two", b"", 0)
    third = access(small, device, "--port", "5900", env=env)
    assert third.communicate(b"three", timeout=LIMIT)[0] == b"three"


def test_proofs_wait_for_each_other(small):
    """One at a time: while one has no end, the next one does not begin."""
    sshd, stuck = small.sshd("a", small.key), Echo()  # which says nothing before the end
    first = small.agent(small.first["token"], SimpleNamespace(
        port=stuck.port, public_key=small.sshd("b", None).public_key))
    first.wait("initiate_connection")
    second = small.agent(small.first["token"], sshd)
    asked = time.monotonic() + 1
    until("it would have begun", lambda: time.monotonic() > asked)
    assert second.kinds() == []
    first.die()
    second.up()


def test_a_remote_that_does_not_answer_is_left_in_time(start, tmp_path):
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    f = limited(start, tmp_path, **{"remote.time": "1s", "programs.git": str(tmp_path / "git")})
    made = f.call("POST", "remote", {"unitId": f.unit, "name": "origin",
                                     "url": "https://example.org/x"}).data["id"]
    f.call("POST", "configuration?unit=" + f.unit, {"displayName": "A"})
    f.call("POST", "repository/commit?unit=" + f.unit, {"message": "one"})
    for what in ("test", "push", "pull"):
        refused = f.call("POST", "remote/%s/%s" % (made, what), {}, 502)
        assert refused.code == "err_fleet_remote"
        assert "longer than 1 s; see fleet.remote.time" in refused.text
    row, = f.listed("remote/list")
    assert "fleet.remote.time" in row["fault"] and row["commit"] == ""
    assert [c["identifier"] for c in f.listed("configuration/list")] == ["a"]


def test_inputs_that_are_not_found_in_time_are_told(start, tmp_path):
    (tmp_path / "nix").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "nix").chmod(0o755)
    f = limited(start, tmp_path, **{"nix.lockTime": "1s", "nix.localInputs": "true",
                                    "programs.nix": str(tmp_path / "nix")})
    path = "/fleet/api/v1/state?unit=" + f.unit
    answer = f.server.call("GET", path, token=f.token)
    state = {**answer.data, "repositories": {"library": {
        "url": "git+file://%s" % tmp_path, "follows": None, "inputs_follows": {},
        "api_key_secret": None}}}
    done = f.server.call("PATCH", path, {"data": state}, f.token,
                         headers={"If-Match": answer.headers["ETag"]})
    assert done.status == 200, done.text
    fault, = done.data["faults"]
    assert fault["where"] == "flake.lock"
    assert "longer than 1 s; see fleet.nix.lockTime" in fault["what"]


def test_who_does_not_come_in_time_is_missed(start, tmp_path):
    f = LinuxFleet(start("--fleet.deploy.offline-time", "1s"), tmp_path, "pi")
    made = f.call("POST", "device", {"data": {
        "unitId": f.unit, "name": "pi-1", "config": "pi", "address": "127.0.0.1",
        "sshPort": free_port()}})
    assert made.status == 200, made.text
    no = f.post("deployment")
    ended = f.ended(no)
    assert ended["state"] == "failed" and "fleet.deploy.offlineTime" in ended["reason"]
    row, = f.rows(no)
    assert row["state"] == "missed" and "127.0.0.1" in row["reason"]
    assert (row["built"], row["run"], row["changes"]) == ("", "", [])
    # it is told apart from one that has failed, and may be tried again
    assert f.call("POST", "deployment/%s/retry" % no).status == 200


class Silent:
    """An SSH server that takes connections, and says nothing."""

    def __init__(self):
        self.door, self.came = socket.create_server(("127.0.0.1", 0)), []
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                self.came.append(self.door.accept()[0])

    def end(self):
        with contextlib.suppress(OSError):
            self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        for s in self.came:
            s.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_so_many_devices_are_worked_on_at_a_time(start, tmp_path, jobs):
    f = LinuxFleet(start("--fleet.deploy.at-once", str(jobs)), tmp_path, "pi")
    doors = [Silent(), Silent()]
    for i, door in enumerate(doors):
        made = f.call("POST", "device", {"data": {
            "unitId": f.unit, "name": "pi-%d" % i, "config": "pi", "address": "127.0.0.1",
            "sshPort": door.port}})
        assert made.status == 200, made.text
    f.post("plan", canary=0)
    until("one is asked", lambda: any(d.came for d in doors))
    if jobs == 1:
        asked = time.monotonic() + 2
        until("the other would be", lambda: time.monotonic() > asked)
        assert sum(bool(d.came) for d in doors) == 1
        [d for d in doors if d.came][0].end()
    until("the other is asked", lambda: all(d.came for d in doors))
    for d in doors:
        d.end()

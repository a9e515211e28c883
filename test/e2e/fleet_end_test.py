"""A server with a fleet ends within seconds after it was told to, whatever its agents,
its clients, and the programs it waits for do."""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LIMIT, until
from fleet_agent_test import Fleet, access, access_env

SOON = 60  # seconds; what it may not wait for takes longer, or has no end


@pytest.fixture
def begin(start, tmp_path):
    fleets = []

    def make(*options, **more):
        fleets.append(Fleet(start(*options, **more), tmp_path))
        fleets[-1].first = fleets[-1].agent_token(name="first")
        return fleets[-1]

    yield make
    for f in fleets:
        for sshd in f.sshds:
            sshd.stop()


def ends_soon(server):
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        status = server.process.wait(SOON)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise AssertionError("it had not ended after %d s" % SOON) from None
    assert status == 0
    return time.monotonic() - began


class Far:
    """Something that a tunnel leads to: `talks` sends for ever, or else it never reads."""

    def __init__(self, talks):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.talks, self.sent, self.moved = talks, 0, time.monotonic()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        self.peer, _ = self.socket.accept()
        while self.talks:
            self.pour(self.peer)

    def pour(self, s):
        try:
            s.sendall(b"x" * 65536)
            self.sent += 65536
            self.moved = time.monotonic()
        except OSError:
            self.talks = False

    def stuck(self):
        """Nothing of what is sent is taken any more."""
        return self.sent > 1 << 20 and time.monotonic() - self.moved > 1


def tunnel(fleet, far):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    agent.targets[5900] = far.port
    device = fleet.device(sshd)["id"]
    return access(fleet, device, "--port", "5900", env=access_env(fleet, device))


def test_a_client_that_does_not_read(begin):
    fleet, far = begin(), Far(talks=True)
    client = tunnel(fleet, far)
    until("all is full", far.stuck)
    try:
        ends_soon(fleet.server)
        assert client.poll() is None  # it was there all the while
    finally:
        client.kill()
        client.communicate()


def test_an_agent_that_does_not_read(begin):
    fleet, far = begin(), Far(talks=False)
    client = tunnel(fleet, far)

    def write():
        try:
            while True:
                os.write(client.stdin.fileno(), b"x" * 65536)
                far.sent += 65536
                far.moved = time.monotonic()
        except OSError:
            pass

    threading.Thread(target=write, daemon=True).start()
    until("all is full", far.stuck)
    try:
        ends_soon(fleet.server)
    finally:
        client.kill()
        client.wait(LIMIT)


def in_the_background(call, *args):
    def run():
        try:
            call(*args)
        except OSError:  # the server may have gone before it answered
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_remote_that_says_nothing(begin):
    fleet = begin()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = fleet.call("POST", "remote", {
            "unitId": fleet.unit, "name": "r",
            "url": "git://127.0.0.1:%d/x" % silent.getsockname()[1]}).data["id"]
        in_the_background(fleet.server.call, "POST", "/fleet/api/v1/remote/%s/pull" % made,
                          None, fleet.token)
        git, _ = silent.accept()
        ends_soon(fleet.server)
        git.settimeout(LIMIT)
        while git.recv(4096):  # the program git ends, too
            pass
        git.close()


def test_many_that_wait_for_their_turn(begin):
    fleet = begin()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = fleet.call("POST", "remote", {
            "unitId": fleet.unit, "name": "r",
            "url": "git://127.0.0.1:%d/x" % silent.getsockname()[1]}).data["id"]
        request = ("POST /fleet/api/v1/remote/%s/pull HTTP/1.1\r\nHost: x\r\n"
                   "Authorization: Bearer %s\r\nContent-Length: 0\r\n\r\n"
                   % (made, fleet.token)).encode()
        askers = []
        for _ in range(800):
            askers.append(socket.create_connection(("127.0.0.1", fleet.server.http_port)))
            askers[-1].sendall(request)
        gits = [silent.accept()[0] for _ in range(2)]
        fleet.server.call("GET", "/metrics")  # a turn later those have come, too
        ends_soon(fleet.server)
        for s in askers + gits:
            s.close()


def sleeper(folder, name):
    """A program that says that it has begun, and does not end by being asked to."""
    folder.mkdir(exist_ok=True)
    path, began = folder / name, folder / (name + ".began")
    path.write_text("#!/bin/sh\ntrap '' TERM\n: >%s\nexec sleep 100\n" % began)
    path.chmod(0o755)
    return path, began


def test_a_nix_that_does_not_end(begin, tmp_path):
    nix, began = sleeper(tmp_path / "bin", "nix")
    fleet = begin("--fleet.programs.nix", str(nix), "--fleet.nix.localInputs", "true")
    path = "/fleet/api/v1/state?unit=" + fleet.unit
    answer = fleet.server.call("GET", path, token=fleet.token)
    state = {**answer.data, "repositories": {"library": {
        "url": "git+file://%s" % tmp_path, "follows": None, "inputs_follows": {},
        "api_key_secret": None}}}
    in_the_background(fleet.server.call, "PATCH", path, {"data": state}, fleet.token, None,
                      {"If-Match": answer.headers["ETag"]})
    until("nix has begun", began.exists)
    ends_soon(fleet.server)


def test_a_device_whose_key_is_asked_for(begin, tmp_path):
    """On a thread of a deployment."""
    _, began = sleeper(tmp_path / "bin", "ssh-keyscan")
    fleet = begin(env={"PATH": "%s:%s" % (tmp_path / "bin", os.environ["PATH"])})
    unit = "?unit=" + fleet.unit
    fleet.call("POST", "configuration" + unit, {"displayName": "pi", "identifier": "pi"})
    fleet.call("PUT", "configuration/pi/module/thymis_controller.modules.thymis."
               "ThymisDevice" + unit,
               {"settings": {"device_type": "linux", "device_name": "pi"}})
    fleet.call("POST", "repository/commit" + unit, {"message": "first"})
    fleet.call("POST", "device", {"unitId": fleet.unit, "name": "pi", "config": "pi",
                                  "address": "127.0.0.1"})
    fleet.call("POST", "deployment" + unit, {})
    until("its key is asked for", began.exists)
    ends_soon(fleet.server)

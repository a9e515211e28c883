"""100 MB through the tunnel of an agent, by SSH: marram-edge, and doubles of agents that
speak binary and JSON; and agents that go in the middle of it."""
import hashlib
import os
import socket
import subprocess
import threading

import pytest

from e2e_conftest import PROGRAM
from fleet_agent_test import Fleet, access, access_env
from fleet_edge_test import Device, up

SIZE = 100 << 20


@pytest.fixture
def fleet(server, tmp_path):
    f = Fleet(server, tmp_path)
    f.first = f.agent_token(name="first")
    yield f
    for sshd in f.sshds:
        sshd.stop()


def ssh(fleet, device, *command, **more):
    key = fleet.server.folder / "data/fleet" / fleet.unit / "id_thymis"
    return subprocess.Popen(
        ["ssh", "-F", "none", "-i", str(key), "-o", "StrictHostKeyChecking=no",
         "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
         "-o", "ProxyCommand=%s fleet access --device %s" % (PROGRAM, device),
         "root@device", *command], env=access_env(fleet, device), **more)


@pytest.mark.parametrize("kind", ["edge", "binary", "json"])
def test_100_mb_go_and_come(fleet, tmp_path, kind):
    """`cat` on the device gives back what it was given: 200 MB in all."""
    edge = None
    if kind == "edge":
        (tmp_path / "device").mkdir()
        edge = Device(tmp_path / "device")
        edge.enroll(fleet.server.url, "--token", fleet.first["token"])
        edge.edge.start()
        device = up(fleet, edge)["id"]
    else:
        sshd = fleet.sshd("a", fleet.key)
        fleet.agent(fleet.first["token"], sshd, binary=kind == "binary").up()
        device = fleet.device(sshd)["id"]
    try:
        source = tmp_path / "source"
        source.write_bytes(os.urandom(1 << 20) * 100)
        with open(source, "rb") as file:
            child = ssh(fleet, device, "cat", stdin=file, stdout=subprocess.PIPE)
            got, size = hashlib.sha256(), 0
            while data := child.stdout.read(1 << 20):
                got.update(data)
                size += len(data)
            assert child.wait(600) == 0
        assert size == SIZE
        assert got.digest() == hashlib.sha256(source.read_bytes()).digest()
    finally:
        if edge:
            edge.stop()


def test_an_agent_that_goes_in_the_middle_ends_the_transfer(fleet):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    device = fleet.device(sshd)["id"]
    child = ssh(fleet, device, "cat /dev/zero", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert len(child.stdout.read(10 << 20)) == 10 << 20
    agent.die()
    while child.stdout.read(1 << 20):
        pass
    assert child.wait(60) == 255
    agent = fleet.agent(fleet.first["token"], sshd).up()
    assert ssh(fleet, device, "true").wait(60) == 0


class Endless:
    """Sends as long as somebody takes it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        s, _ = self.socket.accept()
        try:
            while True:
                s.sendall(b"x" * 65536)
        except OSError:
            self.ended.set()


def test_a_client_that_does_not_read_holds_nobody_for_ever(fleet):
    """Its tunnel is given up; the agent is there all the while."""
    sshd, source = fleet.sshd("a", fleet.key), Endless()
    agent = fleet.agent(fleet.first["token"], sshd).up()
    agent.targets[5900] = source.port
    device = fleet.device(sshd)["id"]
    lazy = access(fleet, device, "--port", "5900", env=access_env(fleet, device))
    try:
        assert len(lazy.stdout.read(1 << 20)) == 1 << 20
        assert source.ended.wait(300)
        assert ssh(fleet, device, "true").wait(60) == 0
        assert not agent.closed.is_set()
        history = fleet.listed("device/%s/connection/list" % device)
        assert [h["disconnectedAt"] for h in history] == [None], history
    finally:
        lazy.kill()
        lazy.wait(30)

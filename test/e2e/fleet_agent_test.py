"""Agents of devices at the platform: enrolment, tunnels, secrets, logs.

The agents are doubles of Thymis's; the SSH servers they lead to are real.
"""
import json
import base64
import os
import socket
import struct
import subprocess
import threading
import time

import pytest
import websocket

from conftest import LIMIT, PROGRAM, all_bytes, until
from fleet_device import Agent, Sshd, free_port

API = "/fleet/api/v1/"
FILES = "thymis_controller.modules.files.FilesModule"


class Fleet:
    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.token = server.login()
        self.unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}},
                                self.token).data["unitId"]
        self.sshds, self.agents = [], []

    def call(self, method, path, body=None, status=200, plain=False):
        answer = self.server.call(method, API + path,
                                  body if body is None or plain else {"data": body}, self.token)
        assert answer.status == status, (answer.status, answer.text)
        return answer

    def listed(self, path):
        return self.call("GET", path + ("&" if "?" in path else "?") + "unit=" + self.unit).data

    def agent_token(self, **more):
        return self.call("POST", "agent-token", {"unitId": self.unit, **more}).data

    @property
    def key(self):
        """The key the platform signs in with."""
        return self.key_for(self.first["token"])

    def key_for(self, token):
        answer = self.server.call("GET", "/agent/key", token=token)
        assert answer.status == 200, answer.text
        return answer.json()["publicKey"]

    def sshd(self, name, let_in):
        self.sshds.append(Sshd(self.folder / name, let_in))
        return self.sshds[-1]

    def agent(self, token, sshd=None, **more):
        self.agents.append(Agent(self.server, token, sshd, **more))
        return self.agents[-1]

    def devices(self):
        return self.listed("device/list?sort=created:asc")

    def device(self, sshd):
        return [d for d in self.devices() if d["sshPublicKey"] == sshd.public_key][0]


@pytest.fixture
def fleet(server, tmp_path):
    f = Fleet(server, tmp_path)
    f.first = f.agent_token(name="first")
    yield f
    for sshd in f.sshds:
        sshd.stop()


def test_a_device_enrols_with_its_token_and_is_seen(fleet):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd, hardware={"pi-serial-number": "1"},
                        ram_bytes=4096, network_interfaces=[{"interface": "eth0"}]).up()
    device = fleet.device(sshd)
    assert device["connected"] and device["state"] == "active"
    assert device["enrolledBy"] == fleet.first["id"]
    assert device["ramBytes"] == 4096
    assert device["networkInterfaces"] == [{"interface": "eth0"}]
    assert [h["hardwareIds"] for h in fleet.listed("hardware/list")] == [
        {"pi-serial-number": "1"}]
    assert agent.wait("update_hostname")["hostname"] == "thymis"
    fleet.call("PATCH", "device/" + device["id"], {"name": "Hall 3 (left)"}, 204)
    assert agent.wait("update_hostname", 2)["hostname"] == "hall-3--left"
    agent.say(kind="network_interfaces", network_interfaces=[{"interface": "eth1"}])
    until("interfaces", lambda: fleet.device(sshd)["networkInterfaces"][0]["interface"] == "eth1")
    agent.say(kind="metrics", timestamp="x", cpu_percent=12.5, ram_percent=50, disk_percent=200)
    got = until("metrics", lambda: fleet.listed("device/%s/metric/list" % device["id"]))
    assert (got[0]["cpuPercent"], got[0]["diskPercent"]) == (12.5, None)

    agent.die()
    until("it is gone", lambda: not fleet.device(sshd)["connected"])
    again = fleet.agent(fleet.first["token"], sshd, hardware={"pi-serial-number": "1"}).up()
    assert len(fleet.devices()) == 1
    history = fleet.listed("device/%s/connection/list" % device["id"])
    assert len(history) == 2
    assert history[0]["disconnectedAt"] is None and history[1]["disconnectedAt"] is not None
    token = fleet.listed("agent-token/list")[0]
    assert token["uses"] == 1 and "token" not in token and "hash" not in token
    assert fleet.first["token"] not in (fleet.server.folder / "log").read_text()
    again.die()


def test_tokens_that_let_nobody_in(fleet):
    sshd = fleet.sshd("a", fleet.key)
    assert fleet.agent("no-such-token", sshd).refused() == 4401
    old = fleet.agent_token(expiresAt="2020-01-01T00:00:00.000Z")
    assert fleet.agent(old["token"], sshd).refused() == 4403
    once = fleet.agent_token(usesMax=1)
    agent = fleet.agent(once["token"], sshd).up()
    other = fleet.sshd("b", fleet.key)
    assert fleet.agent(once["token"], other).refused() == 4403
    # who is in stays, and comes again; until it is revoked
    agent.die()
    agent = fleet.agent(once["token"], sshd).up()
    fleet.call("PATCH", "agent-token/" + once["id"], {"revoked": True}, 204)
    assert agent.closed.wait(LIMIT)
    assert fleet.agent(once["token"], sshd).refused() == 4401
    assert len(fleet.devices()) == 1


@pytest.mark.parametrize("path", ["/agent/relay", "/agent/relay_for_clients"])
def test_who_has_not_said_who_it_is_has_little_to_say(server, path):
    ws = websocket.create_connection("ws://127.0.0.1:%d%s" % (server.http_port, path),
                                     timeout=LIMIT, suppress_origin=True)
    # the head of a text of 128 KiB is enough
    ws.sock.sendall(b"\x81\xff" + struct.pack(">Q", 1 << 17) + b"mask" + b"x" * 100)
    frame = ws.recv_frame()
    assert (frame.opcode, frame.data[:2]) == (8, struct.pack(">H", 1009))
    ws.close()


def test_a_token_of_an_image_is_taken_over(fleet):
    text = "thymis-" + "0123456789abcdef" * 8
    made = fleet.agent_token(token=text, config="hall")
    assert made["token"] == text
    fleet.call("POST", "agent-token", {"unitId": fleet.unit, "token": text}, 400)
    fleet.call("POST", "agent-token", {"unitId": fleet.unit, "token": "short"}, 400)
    sshd = fleet.sshd("a", fleet.key)
    fleet.agent(text, sshd, binary=False, eof=False).up()
    assert fleet.device(sshd)["config"] == "hall"


def test_a_key_must_be_proven(fleet):
    """By the SSH server behind the tunnel: it has the key, and lets us in."""
    sshd, thief = fleet.sshd("a", fleet.key), fleet.sshd("b", fleet.key)
    assert fleet.agent(fleet.first["token"], thief, key=sshd.public_key).refused() == 4403
    thief.let_in(None)
    assert fleet.agent(fleet.first["token"], thief).refused() == 4403
    assert fleet.agent(fleet.first["token"], None, key=sshd.public_key).refused() == 4403
    assert fleet.devices() == []
    assert fleet.agent(fleet.first["token"], None, key="ssh-rsa AAAA").refused() == 1003


def test_the_copy_of_a_disk_gets_a_key_of_its_own(fleet):
    sshd = fleet.sshd("a", fleet.key)
    first = fleet.agent(fleet.first["token"], sshd, hardware={"dmi-product-uuid": "1"}).up()
    # while the first is there: it is alive, and its hardware is another
    copy = fleet.agent(fleet.first["token"], sshd, hardware={"dmi-product-uuid": "2"})
    copy.wait("update_public_key")
    assert copy.refused() == 4409
    assert "update_public_key" not in first.kinds()
    first.die()
    until("it is gone", lambda: not fleet.device(sshd)["connected"])
    # and when it is not
    copy = fleet.agent(fleet.first["token"], sshd, hardware={"dmi-product-uuid": "2"})
    copy.wait("update_public_key")
    assert copy.refused() == 4409
    sshd.new_key()
    fleet.agent(fleet.first["token"], sshd, hardware={"dmi-product-uuid": "2"}).up()
    assert len(fleet.devices()) == 2
    assert len(fleet.listed("hardware/list")) == 2


def test_of_twins_without_serial_numbers_the_first_gets_a_new_key(fleet):
    sshd = fleet.sshd("a", fleet.key)
    first = fleet.agent(fleet.first["token"], sshd).up()
    assert fleet.agent(fleet.first["token"], sshd).refused() == 4409
    first.wait("update_public_key")


def test_a_dead_twin_makes_room(fleet):
    sshd = fleet.sshd("a", fleet.key)
    first = fleet.agent(fleet.first["token"], sshd, hardware={"k": "1"}).up()
    first.sshd = None  # it holds its connection, and leads nowhere
    first.targets = {22: free_port()}
    fleet.agent(fleet.first["token"], sshd, hardware={"k": "1"}).up()
    assert first.closed.wait(LIMIT)
    assert len(fleet.devices()) == 1
    history = fleet.listed("device/%s/connection/list" % fleet.devices()[0]["id"])
    assert len([h for h in history if h["disconnectedAt"] is None]) == 1


def test_who_is_silent_is_asked_before_it_is_ended(start, tmp_path):
    """By a ping, which one that has nothing to say answers, too."""
    fleet = Fleet(start("--fleet.agent.silence", "8s"), tmp_path)
    fleet.first = fleet.agent_token()
    try:
        live, dead = fleet.sshd("a", fleet.key), fleet.sshd("b", fleet.key)
        answers = fleet.agent(fleet.first["token"], live).up()
        mute = fleet.agent(fleet.first["token"], dead).up()
        answered = []
        mute.ws.pong = answered.append
        assert mute.closed.wait(LIMIT)
        # and again as long, in which the other says nothing but that
        late = fleet.agent(fleet.first["token"], dead).up()
        late.ws.pong = answered.append
        assert late.closed.wait(LIMIT)
        assert len(answered) >= 2 and not answers.closed.is_set()
        history = fleet.listed("device/%s/connection/list" % fleet.device(dead)["id"])
        assert {h["reason"] for h in history} == {"it was silent for too long"}
    finally:
        for sshd in fleet.sshds:
            sshd.stop()


def test_serial_numbers_of_two_machines_are_refused(fleet):
    for name, number in (("a", "1"), ("b", "2")):
        fleet.agent(fleet.first["token"], fleet.sshd(name, fleet.key),
                    hardware={"pi-serial-number": number}).up()
    mixed = fleet.sshd("c", fleet.key)
    assert fleet.agent(fleet.first["token"], mixed, hardware={
        "pi-serial-number": "1", "dmi-board-serial": "x"}).up()
    both = fleet.sshd("d", fleet.key)
    assert fleet.agent(fleet.first["token"], both, hardware={
        "dmi-board-serial": "x", "pi-serial-number": "2"}).refused() == 4403
    assert len(fleet.devices()) == 3


def secret(fleet, name="pw", text="s3cret words", **more):
    return fleet.call("POST", "secret", {"unitId": fleet.unit, "name": name, "secret": text,
                                         **more}).data["id"]


def declare(fleet, name, secrets):
    """A configuration whose module of files names these secrets."""
    unit = "?unit=" + fleet.unit
    fleet.call("POST", "configuration" + unit, {"displayName": name, "identifier": name})
    fleet.call("PUT", "configuration/%s/module/%s%s" % (name, FILES, unit),
               {"settings": {"secrets": secrets}})


def opened(sshd, sealed):
    path = sshd.folder / "sealed"
    path.write_bytes(base64.b64decode(sealed))
    return subprocess.run(["age", "-d", "-i", str(sshd.folder / "host"), str(path)],
                          check=True, capture_output=True).stdout


def test_a_device_gets_the_secrets_its_configuration_names(fleet):
    mine, others = secret(fleet), secret(fleet, "other", "not for you")
    hashed = secret(fleet, "root", "toor", processing="mkpasswd-yescrypt")
    declare(fleet, "hall", [
        {"secret": mine, "path": "/etc/app/pw", "owner": "root", "group": "adm",
         "mode": "0440"},
        {"secret": hashed, "path": "/etc/hash"}])
    token = fleet.agent_token(config="hall", approval=True)
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(token["token"], sshd, deployed_config_id="hall").up()
    device = fleet.device(sshd)
    assert device["state"] == "waiting" and "send_secrets" not in agent.kinds()
    fleet.call("POST", "device/%s/approve" % device["id"], status=204)
    got = agent.wait("send_secrets")
    assert set(got["secrets"]) == {mine, hashed}
    assert opened(sshd, got["secrets"][mine]) == b"s3cret words"
    assert got["secret_infos"][0] == {"secret_id": mine, "path": "/etc/app/pw",
                                      "owner": "root", "group": "adm", "mode": "0440"}
    said = opened(sshd, got["secrets"][hashed]).decode()
    assert said.startswith("$y$")
    assert subprocess.run(["perl", "-e", "exit(crypt('toor', $ARGV[0]) ne $ARGV[0])", said]
                          ).returncode == 0
    # a new value is brought at once
    fleet.call("PATCH", "secret/" + mine, {"secret": "changed"}, 204)
    assert opened(sshd, agent.wait("send_secrets", 2)["secrets"][mine]) == b"changed"

    # seen nowhere but where somebody asks for it, and then that is recorded
    for answer in (fleet.call("GET", "secret/" + others),
                   fleet.call("GET", "secret/list?unit=" + fleet.unit)):
        assert "not for you" not in answer.text and "age-encryption" not in answer.text
    assert fleet.call("POST", "secret/%s/reveal" % others).data["secret"] == "not for you"
    kept = all_bytes(fleet.server.folder / "data")
    for text in (b"not for you", b"s3cret words", b"toor"):
        assert text not in kept
    assert "not for you" not in fleet.server.logged()
    until("it is on record", lambda: "secret/%s/reveal" % others in fleet.server.call(
        "GET", "/data/api/v1/coremgr-opdata/list?limit=1000", token=fleet.token).text)


def test_secrets_are_checked(fleet):
    for body in ({"secret": "two\nlines"}, {"secret": "=x", "type": "env_list"}, {},
                 {"secret": "a", "secretBase64": "YQ=="}, {"secretBase64": "*"},
                 {"secret": "x" * (1 << 20) + "y"}, {"secret": "x", "type": "other"},
                 {"secret": "a\nb", "type": "multi_line", "processing": "mkpasswd-yescrypt"},
                 {"secret": "x", "id": "no-uuid"}):
        fleet.call("POST", "secret", {"unitId": fleet.unit, "name": "n", **body}, 400)
    assert fleet.listed("secret/list") == []
    name = "8c6f28a2-5d3e-4b6a-9f3a-1f2a3b4c5d6e"
    assert secret(fleet, id=name) == name
    one = secret(fleet, type="file", secretBase64="AAEC", text=None, filename="a.bin")
    assert fleet.call("POST", "secret/%s/reveal" % one).data["secretBase64"] == "AAEC"
    assert fleet.call("GET", "secret/" + one).data["size"] == 3


def access(fleet, device, *words, **more):
    return subprocess.Popen(
        [PROGRAM, "fleet", "access", "--device", device, *words], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def access_env(fleet, device):
    token = fleet.call("POST", "device/%s/access" % device, {}).data["token"]
    return {**os.environ, "MARRAM_URL": fleet.server.url, "MARRAM_ACCESS_TOKEN": token}


class Echo:
    """Answers with what it got, when all of it has come."""

    def __init__(self, hurry=False):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.hurry = hurry
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        got = b""
        while data := s.recv(65536):
            if self.hurry:
                s.sendall(data)
            got += data
        if not self.hurry:
            s.sendall(got)
        s.close()


@pytest.mark.parametrize("binary", [True, False])
def test_a_tunnel_goes_both_ways_and_each_side_may_end_first(fleet, binary):
    sshd, echo = fleet.sshd("a", fleet.key), Echo()
    agent = fleet.agent(fleet.first["token"], sshd, binary=binary).up()
    agent.targets[5900] = echo.port
    device = fleet.device(sshd)["id"]
    sent = bytes(range(256)) * 4096  # 1 MiB
    child = access(fleet, device, "--port", "5900", env=access_env(fleet, device))
    got, said = child.communicate(sent, timeout=LIMIT)
    assert (child.returncode, said) == (0, b"")
    assert got == sent

    # the far side says what it has, and is gone; ours has not ended
    with socket.create_server(("127.0.0.1", 0)) as brief:
        agent.targets[5900] = brief.getsockname()[1]
        child = access(fleet, device, "--port", "5900", env=access_env(fleet, device))
        far, _ = brief.accept()
        far.sendall(sent)
        far.close()
        assert child.stdout.read() == sent
        assert child.wait(LIMIT) == 0
        child.communicate()


def test_ssh_goes_through_the_tunnel(fleet, tmp_path):
    sshd = fleet.sshd("a", fleet.key)
    fleet.agent(fleet.first["token"], sshd).up()
    device = fleet.device(sshd)["id"]
    env = access_env(fleet, device)
    key = fleet.server.folder / "data/fleet" / fleet.unit / "id_thymis"
    done = subprocess.run(
        ["ssh", "-F", "none", "-i", str(key), "-o", "StrictHostKeyChecking=no",
         "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
         "-o", "ProxyCommand=%s fleet access --device %s" % (PROGRAM, device),
         "root@device", "cat; echo done"], input=b"x" * 300000, capture_output=True,
        timeout=LIMIT, env=env)
    assert done.stdout == b"x" * 300000 + b"done\n", done.stderr


def test_a_tunnel_ends_with_its_agent(fleet):
    sshd, echo = fleet.sshd("a", fleet.key), Echo(hurry=True)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    agent.targets[5900] = echo.port
    device = fleet.device(sshd)["id"]
    child = access(fleet, device, "--port", "5900", env=access_env(fleet, device))
    child.stdin.write(b"hello")
    child.stdin.flush()
    assert child.stdout.read(5) == b"hello"
    agent.die()
    assert child.wait(LIMIT) == 0
    assert child.stdout.read() == b""


def test_who_may_not_have_a_tunnel(fleet):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    device = fleet.device(sshd)["id"]
    env = access_env(fleet, device)
    for words, why in ((["--port", "80"], b"fleet.agent.targets"),
                       (["--host", "10.1.2.3"], b"fleet.agent.targets"),
                       (["--token", "wrong"], b"refused")):
        child = access(fleet, device, *words, env=env)
        _, said = child.communicate(timeout=LIMIT)
        assert child.returncode != 0 and why in said, said
    fleet.call("DELETE", "device/%s/access" % device, status=204)
    child = access(fleet, device, env=env)
    assert b"refused" in child.communicate(timeout=LIMIT)[1]
    env = access_env(fleet, device)
    agent.die()
    until("it is gone", lambda: not fleet.device(sshd)["connected"])
    child = access(fleet, device, env=env)
    assert b"not registered" in child.communicate(timeout=LIMIT)[1]


def post_logs(fleet, token, key, records):
    return fleet.server.call("POST", "/agent/logs", raw=json.dumps(records).encode(), headers={
        "X-Thymis-Token": token, "X-Thymis-Ssh-Pubkey": key, "X-Thymis-Hostname": "h",
        "Content-Type": "application/json"})


def record(number, **more):
    return {"message": "line %d" % number, "facility": 3, "severity": 6, "syslogtag": "app:",
            "programname": "app", "host": "h", "timestamp": "2026-01-01T00:00:00.%03dZ" % number,
            "uuid": "%032d" % number, **more}


def test_what_devices_log_is_kept(fleet):
    sshd = fleet.sshd("a", fleet.key)
    fleet.agent(fleet.first["token"], sshd).up()
    token, key = fleet.first["token"], sshd.public_key
    assert post_logs(fleet, "wrong", key, []).status == 404
    assert post_logs(fleet, token, "ssh-rsa x", []).status == 404
    assert post_logs(fleet, token, key, {}).status == 400
    lines = [record(1), record(2, severity=3, programname="ssh"), record(3)]
    assert post_logs(fleet, token, key, lines).text == "null"
    assert post_logs(fleet, token, key, lines).status == 200  # the same again
    path = "device/%s/log/list" % fleet.device(sshd)["id"]
    until("lines", lambda: len(fleet.listed(path)) == 3)
    assert [r["message"] for r in fleet.listed(path)] == ["line 3", "line 2", "line 1"]
    assert [r["message"] for r in fleet.listed(path + "?severity=3")] == ["line 2"]
    assert [r["message"] for r in fleet.listed(path + "?program=app")] == ["line 3", "line 1"]
    assert [r["message"] for r in fleet.listed(path + "?contains=LINE%203")] == ["line 3"]
    assert len(fleet.listed(path + "?limit=1&offset=1")) == 1


def test_a_flood_of_logs_keeps_nobody_waiting(fleet):
    sshd = fleet.sshd("a", fleet.key)
    fleet.agent(fleet.first["token"], sshd).up()
    told, n, slowest = [], 300, 0

    def flood(part):
        for i in range(part, n, 4):
            told.append(post_logs(fleet, fleet.first["token"], sshd.public_key, [
                record(i, uuid="%d-%d" % (i, k)) for k in range(20)]).status)

    threads = [threading.Thread(target=flood, args=(p,)) for p in range(4)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        began = time.monotonic()
        assert fleet.call("GET", "device/count?unit=" + fleet.unit).status == 200
        slowest = max(slowest, time.monotonic() - began)
    for t in threads:
        t.join()
    assert set(told) <= {200, 429} and len(told) == n and slowest < LIMIT / 3
    # what was taken is kept, all of it
    path = "device/%s/log/list?limit=1000&offset=" % fleet.device(sshd)["id"]

    def kept():
        return sum(len(fleet.listed(path + str(at))) for at in range(0, 20 * n, 1000))

    until("all lines", lambda: kept() == 20 * told.count(200), 4 * LIMIT)


def test_a_device_without_a_token_shows_a_code(fleet, tmp_path):
    sshd = fleet.sshd("a", None)

    def ask(path, body):
        return fleet.server.call("POST", path, body)

    shown = ask("/agent/claim", {"publicKey": sshd.public_key, "hostName": "box"}).json()
    assert ask("/agent/claim/answer", {"secret": shown["secret"]}).status == 202
    assert ask("/agent/claim/answer", {"secret": "x" * 43}).status == 404
    fleet.call("POST", "claim", {"unitId": fleet.unit, "code": "ABCD-2345"}, 404)
    fleet.call("POST", "claim", {"unitId": "nobody", "code": shown["code"]}, 400)
    done = fleet.call("POST", "claim", {"unitId": fleet.unit, "config": "hall",
                                        "code": shown["code"].lower()}).data
    assert (done["hostName"], done["sshPublicKey"]) == ("box", sshd.public_key)
    given = ask("/agent/claim/answer", {"secret": shown["secret"]}).json()
    sshd.let_in(given["publicKey"])
    fleet.agent(given["token"], sshd).up()
    assert fleet.device(sshd)["config"] == "hall"
    fleet.call("POST", "claim", {"unitId": fleet.unit, "code": shown["code"]}, 404)


def test_archived_devices_are_put_out(fleet):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    device = fleet.device(sshd)["id"]
    fleet.call("POST", "device/%s/archive" % device, status=204)
    assert agent.closed.wait(LIMIT)
    assert fleet.agent(fleet.first["token"], sshd).refused() == 4403
    fleet.call("POST", "device/%s/approve" % device, status=204)
    fleet.agent(fleet.first["token"], sshd).up()


def test_old_ways_of_agents_are_gone(server):
    for path in ("register", "heartbeat", "notify"):
        assert server.call("POST", "/agent/" + path, {}).status == 404


def test_another_units_devices_are_not_seen(fleet):
    sshd = fleet.sshd("a", fleet.key)
    fleet.agent(fleet.first["token"], sshd).up()
    other = fleet.server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "other"}},
                              fleet.token).data["unitId"]
    assert fleet.call("GET", "device/list?unit=" + other).data == []
    assert fleet.call("GET", "hardware/list?unit=" + other).data == []
    # nor by somebody who has nothing to do with the unit
    fleet.server.call("POST", "/auth/api/v1/user", {"data": {"account": "guest",
                                                             "password": "guest"}}, fleet.token)
    guest, device = fleet.server.login("guest", "guest"), fleet.device(sshd)["id"]
    for method, path, status in (
            ("GET", "device/" + device, 404), ("PATCH", "device/" + device, 404),
            ("DELETE", "device/" + device, 204), ("POST", "device/%s/access" % device, 404),
            ("POST", "device/%s/archive" % device, 404),
            ("GET", "device/%s/drift" % device, 404), ("POST", "device/%s/drift" % device, 404),
            ("GET", "device/%s/log/list" % device, 404),
            ("GET", "device/list?unit=" + fleet.unit, 400),
            ("GET", "agent-token/" + fleet.first["id"], 404)):
        body = {"data": {"name": "mine"}} if method in ("PATCH", "POST") else None
        answer = fleet.server.call(method, API + path, body, guest)
        assert answer.status == status, (method, path, answer.status, answer.text)
    assert fleet.device(sshd)["connected"] and fleet.device(sshd)["name"] == ""


def test_a_unit_has_as_many_devices_as_it_may(start, tmp_path):
    f = Fleet(start("--fleet.device.max", "1"), tmp_path)
    f.first = f.agent_token(name="first")
    try:
        f.call("POST", "device", {"unitId": f.unit, "name": "one", "address": "127.0.0.1"})
        refused = f.call("POST", "device", {"unitId": f.unit, "name": "two",
                                            "address": "127.0.0.1"}, status=429)
        assert "fleet.device.max" in refused.text
        agent = f.agent(f.first["token"], f.sshd("pi", f.key))
        assert agent.refused() == 4403
    finally:
        for sshd in f.sshds:
            sshd.stop()


def test_artifacts(fleet):
    unit = "?unit=" + fleet.unit

    def put(name, data, status=204):
        answer = fleet.server.call("PUT", API + "artifact/" + name + unit, raw=data,
                                   token=fleet.token)
        assert answer.status == status, answer.text

    put("logo.png", b"\x89PNG")
    put(".hidden", b"x", 400)
    put("a%5Cb", b"x", 400)
    assert [(a["name"], a["size"], a["mediaType"]) for a in
            fleet.call("GET", "artifact/list" + unit).data] == [("logo.png", 4, "image/png")]
    fleet.call("POST", "configuration" + unit, {"displayName": "hall", "identifier": "hall"})
    path = "configuration/hall/module/%s%s" % (FILES, unit)
    fleet.call("PUT", path, {"settings": {"artifacts": [
        {"artifact": "logo.png", "path": "/etc/logo"}, {"artifact": "b", "path": "/logo.png"}]}})
    put("b", b"x")
    fleet.call("POST", "artifact/logo.png/rename" + unit, {"name": "b"}, 409)
    fleet.call("POST", "artifact/logo.png/rename" + unit, {"name": "../x"}, 400)
    fleet.call("POST", "artifact/none/rename" + unit, {"name": "c"}, 404)
    fleet.call("POST", "artifact/logo.png/rename" + unit, {"name": "new.png"}, 204)
    assert fleet.call("GET", path).data["settings"]["artifacts"] == [
        {"artifact": "new.png", "path": "/etc/logo"}, {"artifact": "b", "path": "/logo.png"}]
    fleet.call("DELETE", "artifact/b" + unit, status=204)
    fleet.call("GET", "artifact/b" + unit, status=404)


# --- what was deleted --------------------------------------------------------

def test_a_device_that_was_deleted_is_put_out_and_comes_back_only_when_asked(fleet):
    kept = secret(fleet)
    declare(fleet, "hall", [{"secret": kept, "path": "/etc/app/pw"}])
    shared = fleet.agent_token(config="hall")
    sshd, echo = fleet.sshd("a", fleet.key), Echo(hurry=True)
    agent = fleet.agent(shared["token"], sshd).up()
    agent.wait("send_secrets")
    agent.targets[5900] = echo.port
    device = fleet.device(sshd)["id"]
    env = access_env(fleet, device)
    child = access(fleet, device, "--port", "5900", env=env)
    child.stdin.write(b"x")
    child.stdin.flush()
    assert child.stdout.read(1) == b"x"
    fleet.call("DELETE", "device/" + device, status=204)
    assert agent.closed.wait(LIMIT)
    child.communicate(timeout=LIMIT)  # the tunnel is cut
    assert fleet.devices() == []

    # by what it had it is nobody yet, and gets no secret
    agent = fleet.agent(shared["token"], sshd).up()
    again = fleet.device(sshd)
    assert again["state"] == "waiting" and again["id"] != device
    assert "send_secrets" not in agent.kinds()
    child = access(fleet, again["id"], env=env)
    child.communicate(timeout=LIMIT)
    assert child.returncode != 0  # the tunnel's token was of the old one
    fleet.call("POST", "device/%s/approve" % again["id"], status=204)
    agent.wait("send_secrets")
    # others come in by that token as before
    fleet.agent(shared["token"], fleet.sshd("b", fleet.key)).up()
    assert [d["state"] for d in fleet.devices()] == ["active", "active"]

    # who is deleted, and gets a new token, was asked
    fleet.call("DELETE", "device/" + again["id"], status=204)
    assert agent.closed.wait(LIMIT)
    new = fleet.agent_token(config="hall")
    fleet.agent(new["token"], sshd).up().wait("send_secrets")
    assert fleet.device(sshd)["state"] == "active"
    # and from then on it is as any other
    fleet.call("DELETE", "device/" + fleet.device(sshd)["id"], status=204)
    fleet.agent(new["token"], sshd).up()
    assert fleet.device(sshd)["state"] == "waiting"


def test_a_unit_that_is_deleted_puts_its_agents_out_at_once(fleet):
    sshd = fleet.sshd("a", fleet.key)
    agent = fleet.agent(fleet.first["token"], sshd).up()
    # one that is still being looked at: its sshd does not answer
    with socket.create_server(("127.0.0.1", 0)) as mute:
        late = fleet.agent(fleet.first["token"], None, key=fleet.sshd("b", None).public_key)
        late.targets[22] = mute.getsockname()[1]
        device = fleet.device(sshd)["id"]
        env = access_env(fleet, device)
        child = access(fleet, device, env=env)
        assert child.stdout.read(4) == b"SSH-"
        other = fleet.server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "other"}},
                                  fleet.token).data["unitId"]
        stays = fleet.agent(fleet.call("POST", "agent-token", {"unitId": other}).data["token"],
                            fleet.sshd("c", fleet.key_for(fleet.call(
                                "POST", "agent-token", {"unitId": other}).data["token"]))).up()
        answer = fleet.server.call("DELETE", "/coremgr/api/v1/unit/" + fleet.unit,
                                   token=fleet.token)
        assert answer.status == 204
        for a in (agent, late):
            assert a.closed.wait(LIMIT) and a.code == 4401
        child.communicate(timeout=LIMIT)
    assert fleet.agent(fleet.first["token"], sshd).refused() == 4401
    assert fleet.server.call("GET", "/agent/key", token=fleet.first["token"]).status == 401
    child = access(fleet, device, env=env)
    child.communicate(timeout=LIMIT)
    assert child.returncode != 0
    assert not stays.closed.is_set()
    stays.die()

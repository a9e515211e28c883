#!/usr/bin/env python3
"""Many agents at one platform: what one costs, and a roll-out to all of them.

agents.py [--agents N] [--no-rollout] [--write]: the agents are doubles, each with a
key of its own and a real sshd behind its tunnel; the devices are folders, in which
the real apply.sh does what it does on a machine. --write puts the table into
bench/README.md.
"""
import argparse
import asyncio
import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "test" / "e2e"))
os.environ.setdefault("MARRAM", str(root / "build" / "marram"))
from conftest import Server  # noqa: E402
from uplink import cpu  # noqa: E402

API = "/fleet/api/v1/"
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
BEAT = 10
# What is asked of the device is done in its folder; nothing of this machine is touched.
DEVICE = """#!/bin/sh
export MARRAM_ROOT="$1" PATH="%s:$PATH"
eval "$(printf '%%s' "$SSH_ORIGINAL_COMMAND" |
    sed "s#/var/lib/marram-fleet/apply.sh#$MARRAM_ROOT&#")"
"""


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", str(path)],
                   check=True)


def resident(pid):
    """MiB that it has, and that it had at most."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return [int(text.split(name + ":")[1].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


def frame(opcode, data):
    n = len(data)
    size = (bytes([128 | n]) if n < 126 else bytes([254]) + struct.pack("!H", n)
            if n < 65536 else bytes([255]) + struct.pack("!Q", n))
    return bytes([128 | opcode]) + size + bytes(4) + data  # a mask of zeros


class Agent:
    def __init__(self, world, number):
        self.world, self.number = world, number
        self.key = world.folder / "keys" / str(number)
        self.disk = world.folder / "disks" / str(number)
        self.up, self.tunnels = asyncio.Event(), {}

    def say(self, **inner):
        self.writer.write(frame(1, json.dumps({"inner": inner}).encode()))

    async def run(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.world.server.http_port)
        self.writer.write((
            "GET /agent/relay HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
            % base64.b64encode(os.urandom(16)).decode()).encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        public = pathlib.Path(str(self.key) + ".pub").read_text().split()
        self.say(kind="start", token=self.world.token, public_key=" ".join(public[:2]),
                 hardware_ids={"pi-serial-number": "%016x" % self.number},
                 deployed_config_id="", ip_addresses=[], supports_binary=True,
                 supports_eof=True, ram_bytes=1 << 30,
                 network_interfaces=[{"interface": "eth0", "ipv4_addresses": [],
                                      "ipv6_addresses": [], "mac_address": ""}])
        beat = asyncio.create_task(self.beat())
        try:
            while True:
                one, two = await self.reader.readexactly(2)
                n = two & 127
                if n > 125:
                    n = int.from_bytes(await self.reader.readexactly(2 if n == 126 else 8), "big")
                data = await self.reader.readexactly(n)
                if one & 15 == 8:
                    raise EOFError(data)
                if one & 15 == 9:
                    self.writer.write(frame(10, data))
                elif one & 15 == 1:
                    self.obey(json.loads(data)["inner"])
                elif one & 15 == 2:
                    near = self.tunnels.get(str(uuid.UUID(bytes=data[:16])))
                    if near is not None:
                        near.write(data[16:])
                        await near.drain()
        finally:
            beat.cancel()
            self.up.clear()

    async def beat(self):
        while True:
            await asyncio.sleep(BEAT)
            self.say(kind="keep_alive")

    def obey(self, m):
        kind = m["kind"]
        if kind == "successfully_ssh_connected":
            self.up.set()
        elif kind == "initiate_connection":
            self.world.spawn(self.tunnel(m["connection_id"]))
        elif kind == "connection_eof" and m["connection_id"] in self.tunnels:
            self.tunnels[m["connection_id"]].write_eof()
        elif kind == "connection_close" and m["connection_id"] in self.tunnels:
            self.tunnels.pop(m["connection_id"]).close()

    async def tunnel(self, no):
        """An sshd for this one connection, with the device's key."""
        ours, theirs = socket.socketpair()
        child = await asyncio.create_subprocess_exec(
            SSHD, "-i", "-f", str(self.world.folder / "sshd_config"), "-h", str(self.key),
            "-E", str(self.world.folder / "sshd.log"),
            "-o", "ForceCommand=%s %s" % (self.world.folder / "device", self.disk),
            stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        self.tunnels[no] = writer
        self.say(kind="initiate_connection_ok", connection_id=no)
        ident = uuid.UUID(no).bytes
        try:
            while data := await reader.read(65536):
                self.writer.write(frame(2, ident + data))
                await self.writer.drain()
        except OSError:
            pass
        self.say(kind="connection_reset", connection_id=no, message="closed")
        if self.tunnels.pop(no, None) is not None:
            writer.close()
        await child.wait()


class World:
    def __init__(self, folder, n):
        self.folder, self.n, self.gone = folder, n, []
        for name in ("keys", "disks", "bin"):
            (folder / name).mkdir()
        for name in ("update-rc.d", "systemctl"):  # of this machine they are not ours
            tool = folder / "bin" / name
            tool.write_text("#!/bin/sh\nexit 0\n")
            tool.chmod(0o755)
        (folder / "device").write_text(DEVICE % (folder / "bin"))
        (folder / "device").chmod(0o755)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: keygen(folder / "keys" / str(i)), range(n)))
        for i in range(n):
            for name in ("etc/init.d", "etc/ssh", "var/lib"):
                (folder / "disks" / str(i) / name).mkdir(parents=True)
        self.server = Server(folder, "--log.level", "warn", "--fleet.deploy.at-once", "32")
        self.user = self.server.login()
        self.unit = self.server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "many"}},
                                     self.user).data["unitId"]
        self.call("POST", "configuration", {"displayName": "pi", "deviceType": "linux"})
        self.token = self.call("POST", "agent-token", {"unitId": self.unit, "config": "pi"}
                               ).data["token"]
        key = self.server.call("GET", "/agent/key", token=self.token).json()["publicKey"]
        (folder / "authorized").write_text(key + "\n")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (folder / "sshd_config").write_text(
            "AuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\n" % (folder / "authorized"))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, method, path, body=None):
        path += ("&" if "?" in path else "?") + "unit=" + self.unit
        answer = self.server.call(method, API + path, body and {"data": body}, self.user)
        assert answer.status in (200, 204), (answer.status, answer.text)
        return answer

    def spawn(self, work):
        def ended(task):
            if not task.cancelled() and task.exception() is not None:
                self.gone.append(task.exception())

        task = self.loop.create_task(work)
        task.add_done_callback(ended)

    def connect(self):
        async def all_of_them():
            self.agents = [Agent(self, i) for i in range(self.n)]
            for a in self.agents:
                self.spawn(a.run())
            await asyncio.gather(*(a.up.wait() for a in self.agents))

        asyncio.run_coroutine_threadsafe(all_of_them(), self.loop).result(3600)

    def connected(self):
        rows = self.call("GET", "device/list?limit=0").data
        return sum(d["connected"] for d in rows)


def rollout(world, pid, say):
    world.call("PUT", "configuration/pi/module/marram.TextFiles", {"settings": {"files": [
        {"path": "/etc/motd", "text": "welcome\n" * 50}]}})
    world.call("POST", "repository/commit", {"message": "motd"})
    begun, used = time.monotonic(), cpu(pid)
    no = world.call("POST", "deployment", {"canary": 1}).data["id"]
    slowest = 0
    while True:
        time.sleep(2)
        asked = time.monotonic()
        world.call("GET", "device/list?limit=100")
        row = world.call("GET", "deployment/" + no).data
        slowest = max(slowest, time.monotonic() - asked)
        if row["endedAt"] is not None:
            break
    took, used = time.monotonic() - begun, cpu(pid) - used
    states = {}
    for d in world.call("GET", "deployment-device/list?limit=0&deployment=" + no).data:
        states[d["state"]] = states.get(d["state"], 0) + 1
    right = sum((world.folder / "disks" / str(i) / "etc/motd").exists() for i in range(world.n))
    say("roll-out: %s, %s, %d have it, %.0f s, %.1f s of the server's CPU, slowest page %.2f s"
        % (row["state"], states, right, took, used, slowest))
    assert row["state"] == "done" and states == {"done": world.n} and right == world.n, row
    return took, used, slowest


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--agents", type=int, default=1000)
    p.add_argument("--no-rollout", action="store_true")
    p.add_argument("--write", action="store_true")
    args = p.parse_args()

    def say(text):
        print(text, flush=True)

    folder = pathlib.Path(tempfile.mkdtemp(prefix="agents-"))
    world = World(folder, args.agents)
    try:
        pid = world.server.process.pid
        world.call("GET", "device/list")
        before = resident(pid)[0]
        begun = time.monotonic()
        world.connect()
        joined = time.monotonic() - begun
        say("%d agents are up after %.0f s" % (args.agents, joined))
        used, begun = cpu(pid), time.monotonic()
        time.sleep(3 * BEAT)
        idle = (cpu(pid) - used) / (time.monotonic() - begun) * 100
        there, most = resident(pid)
        begun = time.monotonic()
        assert world.connected() == args.agents and not world.gone, world.gone[:3]
        page = time.monotonic() - begun
        each = (there - before) * 1024 / args.agents
        say("memory %.0f -> %.0f MiB (at most %.0f): %.1f KiB each; idle %.1f %% of a core; "
            "the list of all in %.2f s" % (before, there, most, each, idle, page))
        rows = ["| | |", "|---|---|",
                "| all are up, each proven by SSH | %.0f s |" % joined,
                "| memory of one that is idle | %.1f KiB |" % each,
                "| the server while all are idle | %.1f %% of a core |" % idle,
                "| the list of all devices | %.2f s |" % page]
        if not args.no_rollout:
            took, used, slowest = rollout(world, pid, say)
            rows += ["| a roll-out of a file to all, checked and confirmed | %.0f s |" % took,
                     "| the server's processor time of that, each | %.0f ms |"
                     % (used * 1000 / args.agents),
                     "| slowest page meanwhile | %.2f s |" % slowest,
                     "| memory at most | %.0f MiB |" % resident(pid)[1]]
            assert world.connected() == args.agents and not world.gone, world.gone[:3]
        if args.write:
            page = root / "bench" / "README.md"
            head, _, rest = page.read_text().partition("<!-- agents -->\n")
            tail = rest.partition("<!-- end -->")[2]
            page.write_text(head + "<!-- agents -->\n%d agents.\n\n" % args.agents
                            + "\n".join(rows) + "\n<!-- end -->" + tail)
    finally:
        world.server.stop()
        world.loop.call_soon_threadsafe(world.loop.stop)
        shutil.rmtree(folder, ignore_errors=True)


main()

"""A device of a fleet: a real sshd on loopback, and an agent's double in front of it."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading
import uuid

import websocket

from conftest import LIMIT, until
from ports import free_port

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def keygen(path):
    pathlib.Path(str(path) + ".pub").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", str(path)],
                   check=True)


class Sshd:
    """One SSH host key and the server that has it; `let_in` may sign in as root."""

    def __init__(self, folder, let_in=None, host=None, authorized=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.host = host or self.folder / "host"
        self.authorized = authorized or self.folder / "authorized"
        self.process = None
        if not self.host.exists():
            keygen(self.host)
        if not authorized:
            self.let_in(let_in)
        self.start()

    @property
    def public_key(self):
        return " ".join(pathlib.Path(str(self.host) + ".pub").read_text().split()[:2])

    def let_in(self, public_key):
        self.authorized.write_text((public_key or "") + "\n")

    def start(self, port=None):
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.port = port or free_port()
        (self.folder / "config").write_text(
            "ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\n"
            "PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n"
            "PasswordAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
            % (self.port, self.host, self.authorized))
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "log")])
        until("sshd", self.answers)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), LIMIT) as s:
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def new_key(self):
        """As a device does that was told to make one."""
        self.stop()
        self.host.unlink()
        keygen(self.host)
        self.start()

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(LIMIT)
            self.process = None


class Agent:
    """An agent of Thymis's protocol; everything it heard is in `heard`."""

    def __init__(self, server, token, sshd=None, hardware=None, binary=True, eof=True,
                 key=None, **start):
        self.sshd, self.binary = sshd, binary
        self.heard, self.closed, self.code = [], threading.Event(), None
        self.tunnels, self.lock = {}, threading.Lock()
        self.targets = {}  # port -> where it goes instead of to sshd
        self.ws = websocket.create_connection(
            "ws://127.0.0.1:%d/agent/relay" % server.http_port, timeout=LIMIT,
            suppress_origin=True)
        self.ws.settimeout(None)
        first = {"kind": "start", "token": token, "hardware_ids": hardware or {},
                 "public_key": key or sshd.public_key, "deployed_config_id": "",
                 "ip_addresses": [], "network_interfaces": [], "supports_binary": binary}
        if eof:
            first["supports_eof"] = True
        first.update(start)
        self.say(**first)
        threading.Thread(target=self.run, daemon=True).start()

    def say(self, **inner):
        text = json.dumps({"inner": inner})
        with self.lock:
            self.ws.send(text)

    def kinds(self):
        return [m["kind"] for m in list(self.heard)]

    def wait(self, kind, n=1):
        until("%s (heard %s, closed %s)" % (kind, self.kinds(), self.code),
              lambda: self.kinds().count(kind) >= n or self.closed.is_set())
        found = [m for m in list(self.heard) if m["kind"] == kind]
        assert len(found) >= n, "closed with %s, heard %s" % (self.code, self.kinds())
        return found[n - 1]

    def up(self):
        self.wait("successfully_ssh_connected")
        return self

    def refused(self):
        assert self.closed.wait(LIMIT), "it is still connected"
        assert "successfully_ssh_connected" not in self.kinds()
        return self.code

    def run(self):
        try:
            while True:
                # not recv_data(), which fails when its answer to a close does
                frame = self.ws.recv_frame()
                opcode, data = frame.opcode, frame.data
                if opcode == websocket.ABNF.OPCODE_PING:
                    self.ws.pong(data)
                elif opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 0
                    break
                if opcode == websocket.ABNF.OPCODE_BINARY:
                    self.bytes(str(uuid.UUID(bytes=data[:16])), data[16:])
                elif opcode == websocket.ABNF.OPCODE_TEXT:
                    self.obey(json.loads(data)["inner"])
        except (OSError, websocket.WebSocketException, ValueError):
            pass
        self.closed.set()
        for s in list(self.tunnels.values()):
            shut(s)

    def obey(self, m):
        kind = m["kind"]
        if kind == "initiate_connection":
            threading.Thread(target=self.connect, args=(m,), daemon=True).start()
        elif kind == "tcp_data":
            self.bytes(m["connection_id"], base64.b64decode(m["data_base64"]))
        elif kind == "connection_eof" and m["connection_id"] in self.tunnels:
            try:
                self.tunnels[m["connection_id"]].shutdown(socket.SHUT_WR)
            except OSError:
                pass  # its other side has ended altogether
        elif kind == "connection_close" and m["connection_id"] in self.tunnels:
            shut(self.tunnels.pop(m["connection_id"]))
        if kind != "tcp_data":
            self.heard.append(m)

    def bytes(self, number, data):
        if number in self.tunnels:
            try:
                self.tunnels[number].sendall(data)
            except OSError:
                pass

    def connect(self, m):
        number, port = m["connection_id"], m["target_port"]
        to = self.targets.get(port) or (self.sshd and self.sshd.port)
        try:
            s = socket.create_connection(("127.0.0.1", to), LIMIT)
        except (OSError, TypeError) as why:
            self.say(kind="initiate_connection_error", connection_id=number, message=str(why))
            return
        s.settimeout(None)
        self.tunnels[number] = s
        self.say(kind="initiate_connection_ok", connection_id=number)
        try:
            while data := s.recv(65536 if self.binary else 1024):
                if self.binary:
                    with self.lock:
                        self.ws.send_binary(uuid.UUID(number).bytes + data)
                else:
                    self.say(kind="tcp_data", connection_id=number,
                             data_base64=base64.b64encode(data).decode())
            self.say(kind="connection_reset", connection_id=number, message="closed")
        except (OSError, websocket.WebSocketException):
            pass

    def die(self):
        """The connection breaks, without a word."""
        shut(self.ws.sock)


def shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()


class Platform:
    """A double of the platform: agents come to it, and it says what the test wants."""

    def __init__(self, confirm=True):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.confirm, self.heard, self.connection, self.count = confirm, [], None, 0
        self.breaks = ""  # a kind of message: with it the connection breaks
        self.reads = threading.Event()  # not set: it takes nothing
        self.reads.set()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(s,), daemon=True).start()

    def trust(self):
        """It lets agents in from now on, and the one that is here."""
        self.confirm = True
        if self.connection:
            try:
                self.say(kind="successfully_ssh_connected")
            except OSError:
                pass  # it has just gone, and comes again

    def attend(self, s):
        try:
            self.serve(s)
        except OSError:
            pass  # the agent was killed

    def serve(self, s):
        file = s.makefile("rb")
        head = {}
        while (line := file.readline().strip()):
            name, _, value = line.decode().partition(":")
            head[name.lower()] = value.strip()
        if "sec-websocket-key" not in head:
            s.close()
            return
        accept = base64.b64encode(hashlib.sha1((
            head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            ).digest()).decode()
        s.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                   % accept).encode())
        self.connection = s
        self.count += 1
        while True:
            self.reads.wait()
            two = file.read(2)
            if len(two) < 2:
                return
            size = two[1] & 127
            if size > 125:
                size = int.from_bytes(file.read(2 if size == 126 else 8), "big")
            mask, data = file.read(4), file.read(size)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
            if two[0] & 15 == 8:
                s.close()
                return
            if two[0] & 15 == 9:
                s.sendall(bytes([138, len(data)]) + data)
            if two[0] & 15 == 1:
                inner = json.loads(data)["inner"]
                self.heard.append(inner)
                if inner["kind"] == self.breaks:
                    s.shutdown(socket.SHUT_RDWR)
                    return
                if inner["kind"] == "start" and self.confirm:
                    self.say(kind="successfully_ssh_connected")

    def say(self, **inner):
        data = json.dumps({"inner": inner}).encode()
        head = bytes([129]) + (bytes([len(data)]) if len(data) < 126 else
                               bytes([126]) + struct.pack("!H", len(data)))
        self.connection.sendall(head + data)

    def wait(self, kind, n=1):
        def look():
            found = [m for m in list(self.heard) if m["kind"] == kind]
            return found[n - 1] if len(found) >= n else None
        # an agent that was cut off waits longer each time
        return until("%s (heard %s)" % (kind, [m["kind"] for m in self.heard]), look, 120)

    def close(self):
        self.socket.close()

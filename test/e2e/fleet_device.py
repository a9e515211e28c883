"""A device of a fleet: a real sshd on loopback, and an agent's double in front of it."""
import base64
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

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", str(path)],
                   check=True)
    kind, key, _ = pathlib.Path(str(path) + ".pub").read_text().split()
    return kind + " " + key


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sshd:
    """One SSH host key and the server that has it; `let_in` may sign in as root."""

    def __init__(self, folder, let_in):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.process = None
        self.public_key = keygen(self.folder / "host")
        self.let_in(let_in)
        self.start()

    def let_in(self, public_key):
        (self.folder / "authorized").write_text((public_key or "") + "\n")

    def start(self):
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.port = free_port()
        (self.folder / "config").write_text(
            "ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\n"
            "PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n"
            "PasswordAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
            % (self.port, self.folder / "host", self.folder / "authorized"))
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "log")])
        until("sshd", self.answers)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.settimeout(5)
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def new_key(self):
        """As a device does that was told to make one."""
        self.stop()
        for name in ("host", "host.pub"):
            (self.folder / name).unlink()
        self.public_key = keygen(self.folder / "host")
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
                opcode, data = self.ws.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
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
        elif kind == "connection_eof":
            self.tunnels[m["connection_id"]].shutdown(socket.SHUT_WR)
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
            s = socket.create_connection(("127.0.0.1", to), 5)
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

"""A device: marram-edge with folders and ports of its own.

The program is named by the variable MARRAM_EDGE (default: beside MARRAM, or
build/src/app/marram-edge)."""
import os
import pathlib
import signal
import socket
import subprocess
import threading

import paho.mqtt.client as mqtt

from certificates import openssl
from conftest import LIMIT, PROGRAM, ROOT, until
from ports import free_port

BESIDE = pathlib.Path(PROGRAM).with_name("marram-edge")
EDGE = os.environ.get("MARRAM_EDGE", str(
    BESIDE if BESIDE.exists() else ROOT / "build/src/app/marram-edge"))
SANITIZED = "asan" in EDGE  # its memory and its size are many times as much
SMALL = 32 << 20  # the memory of a small device: what a test asks fits there
# A machine without a service manager: parts are told over the socket.
NO_MANAGER = """[init]
name = "none"
is_available = ["false"]
restart = ["false"]
stop = ["false"]
enable = ["false"]
disable = ["false"]
is_active = ["false"]
"""


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, list)):
        return str(value).replace("'", '"')
    return '"%s"' % value


class Said:
    """How a command ended, and what it said."""

    def __init__(self, done):
        self.status, self.out, self.err = (done.returncode, done.stdout,
                                           done.stderr)

    def __repr__(self):
        return "status %d\n%s%s" % (self.status, self.out, self.err)


class Edge:
    """`settings`: lines of tedge.toml, "c8y.url": "localhost". `before` is
    called in the process of the daemon before it begins."""

    def __init__(self, folder, settings=None, system=NO_MANAGER, env=None,
                 before=None):
        self.before = before
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "etc"
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("TEDGE_")}
        self.env.update(env or {})
        self.port, self.process = free_port(), None
        for name in ("etc", "data", "run", "log", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.settings = {
            "mqtt.bind.port": self.port,
            "data.path": str(self.folder / "data"),
            "run.path": str(self.folder / "run"),
            "logs.path": str(self.folder / "log"),
            "tmp.path": str(self.folder / "tmp"),
            "http.bind.port": free_port(),
            "c8y.proxy.bind.port": free_port(),
            **(settings or {})}
        self.write()
        (self.config / "system.toml").write_text(system)

    def write(self):
        (self.config / "tedge.toml").write_text("".join(
            "%s = %s\n" % (k, toml(v)) for k, v in self.settings.items()))

    def set(self, **more):
        """Settings with "__" for their dots."""
        self.settings.update({k.replace("__", "."): v
                              for k, v in more.items()})
        self.write()

    # the daemon

    def start(self):
        with open(self.folder / "stderr", "ab") as log:
            self.process = subprocess.Popen(
                [EDGE, "--config-dir", str(self.config), "run"], stderr=log,
                stdout=log, cwd=self.folder, env=self.env,
                preexec_fn=self.before)
        until("marram-edge is ready", self.is_ready)
        return self

    def is_ready(self):
        assert self.process.poll() is None, self.logged()
        """Its socket is there when its broker is."""
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(
                str(self.folder / "run/marram-edge.sock")) == 0

    most = SMALL

    def peak(self):
        """The most memory that the daemon has had, in bytes; 0: it is gone.
        Without pages of files, which the kernel takes back when it must."""
        text = pathlib.Path(
            "/proc/%d/status" % self.process.pid).read_text()
        most, files = (int(text.partition(name)[2].partition("kB")[0] or 0)
                       for name in ("VmHWM:", "RssFile:"))
        return (most - files) << 10

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return None
        peak = self.peak()
        self.process.send_signal(how)
        status = self.process.wait(LIMIT)
        self.process = None
        assert SANITIZED or peak <= self.most, "%d KiB" % (peak >> 10)
        return status

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        self.start()

    def logged(self):
        path = self.folder / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def has_loaded(self, name):
        return name in pathlib.Path(
            "/proc/%d/maps" % self.process.pid).read_text()

    # commands

    def tedge(self, *words, limit=120, env=None):
        return Said(subprocess.run(
            [EDGE, "--config-dir", str(self.config), *map(str, words)],
            capture_output=True, text=True, timeout=limit, cwd=self.folder,
            env={**self.env, **(env or {})}))

    def good(self, *words, **more):
        said = self.tedge(*words, **more)
        assert said.status == 0, said
        return said

    # certificates, made without `tedge cert`

    def certificate(self, name, signer=None, folder=None):
        """Its own signature, or that of `signer`; in the usual place."""
        folder = folder or self.config / "device-certs"
        folder.mkdir(exist_ok=True)
        cert = folder / "tedge-certificate.pem"
        key = folder / "tedge-private-key.pem"
        if signer:
            made = signer.sign(name)
            cert.write_bytes(made[0].read_bytes())
            key.write_bytes(made[1].read_bytes())
        else:
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj",
                    "/CN=%s/O=Thin Edge/OU=Device" % name)
        key.chmod(0o600)
        return cert

    # local processes

    def client(self, *topics, **more):
        return LocalClient(self.port, *topics, **more)


class LocalClient:
    """A program of the device, on its bus."""

    def __init__(self, port, *topics, name="", clean=True, qos=1):
        self.heard, self.lock = [], threading.Lock()
        self.ready = threading.Event()
        self.topics, self.qos = topics, qos
        self.client = mqtt.Client(client_id=name, clean_session=clean)
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(100)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(LIMIT), "the local broker does not answer"

    def on_connect(self, client, *_args):
        if self.topics:
            client.subscribe([(t, self.qos) for t in self.topics])
        else:
            self.ready.set()

    def on_message(self, _client, _data, m):
        with self.lock:
            self.heard.append((m.topic, m.payload.decode(errors="replace")))

    def say(self, topic, payload="", qos=1, retain=False, wait=True):
        sent = self.client.publish(topic, payload, qos=qos, retain=retain)
        if wait:
            sent.wait_for_publish(LIMIT)
            assert sent.is_published(), topic
        return sent

    def on(self, topic):
        with self.lock:
            return [p for t, p in self.heard if t == topic]

    def wait(self, topic, n=1, limit=LIMIT):
        until("%d on %s" % (n, topic), lambda: len(self.on(topic)) >= n, limit)
        return self.on(topic)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

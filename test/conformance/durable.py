"""Clients that keep their side of MQTT 3.1.1 over crashes of the server, on
threads, and a server that can be killed: for the tests of what is on disk.
"""
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "../e2e"))
from ports import free_port  # noqa: E402

MQTTD = os.environ.get("MQTTD", "mqttd")
WINDOW = 10
LIMIT = 60  # seconds that anything may take before a test gives up


def text(s):
    return struct.pack(">H", len(s)) + s.encode()


def packet(first, body):
    n, out = len(body), bytes([first])
    while True:
        n, b = n >> 7, n & 127
        out += bytes([b | (128 if n else 0)])
        if not n:
            return out + body


def ack(kind, pid):
    return bytes([kind, 2]) + struct.pack(">H", pid)


class Server:
    """mqttd with a journal in `folder`, always on the same port."""
    running = []  # also of tests that have failed

    def __init__(self, folder, *args, durability="disk"):
        Server.running.append(self)
        self.folder, self.port, self.p = folder, free_port(), None
        self.args = ["--dir", str(folder), "--durability", durability,
                     "--session-expiry-ms", "0", *map(str, args)]
        self.errors = folder.parent / (folder.name + ".err")

    def start(self):
        with open(self.errors, "ab") as err:
            self.p = subprocess.Popen(
                [MQTTD, "--port", str(self.port), *self.args],
                stdout=subprocess.PIPE, stderr=err)
        line = self.p.stdout.readline().split()
        if line:
            self.port = int(line[0])
        return bool(line)

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.p.stdout.close()

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.terminate()
            self.p.wait()

    def limit_files(self, size):
        resource.prlimit(self.p.pid, resource.RLIMIT_FSIZE,
                         (size, resource.RLIM_INFINITY))

    def said(self):
        return self.errors.read_text()


class Client(threading.Thread):
    """Connects again and again, with a session that is kept, until told to
    stop; `turn` is called with each packet."""

    def __init__(self, server, cid):
        super().__init__(daemon=True)
        self.server, self.cid = server, cid
        self.stopped = False
        self.lock = threading.Lock()
        self.up = threading.Event()
        self.start()

    def stop(self):
        self.stopped = True
        self.join()

    def run(self):
        while not self.stopped:
            try:
                self.serve()
            except OSError:
                pass
            self.up.clear()
            time.sleep(0.005)  # between attempts, nothing is waited for

    def serve(self):
        with socket.create_connection(("127.0.0.1", self.server.port),
                                      2) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(0.05)
            self.sock, data = s, b""
            s.sendall(packet(0x10, text("MQTT") + bytes([4, 0, 0, 0]) +
                             text(self.cid)))
            while not self.stopped:
                try:
                    more = s.recv(65536)
                except TimeoutError:
                    continue
                if not more:
                    return
                data = self.packets(data + more)

    def packets(self, data):
        while len(data) >= 2:
            n, shift, i = 0, 0, 1
            while i < len(data):
                n |= (data[i] & 127) << shift
                shift += 7
                i += 1
                if data[i - 1] < 128:
                    break
            else:
                return data
            if len(data) < i + n:
                return data
            self.turn(data[0], data[i:i + n])
            data = data[i + n:]
        return data


class Publisher(Client):
    """Sends numbered messages to one topic, WINDOW unanswered at a time."""

    def __init__(self, server, cid, topic, qos, pad=0):
        self.topic, self.qos, self.pad = topic, qos, b" " * pad
        self.next, self.open, self.acked = 0, {}, []
        super().__init__(server, cid)

    def send(self, pid, dup):
        n, released = self.open[pid]
        if released:
            self.sock.sendall(ack(0x62, pid))
            return
        self.sock.sendall(packet(
            0x30 | (8 if dup else 0) | self.qos << 1,
            text(self.topic) + struct.pack(">H", pid) + b"%d" % n +
            self.pad))

    def fill(self):
        while len(self.open) < WINDOW:
            pid = self.next % 60000 + 1
            self.open[pid] = (self.next, False)
            self.next += 1
            self.send(pid, False)

    def turn(self, first, body):
        kind = first & 0xf0
        if kind == 0x20:
            for pid in list(self.open):
                self.send(pid, True)
            self.fill()
            return
        pid = struct.unpack(">H", body[:2])[0]
        if pid not in self.open:
            return
        if kind == 0x50:
            self.open[pid] = (self.open[pid][0], True)
            self.send(pid, False)
        elif kind in (0x40, 0x70):
            self.acked.append(self.open.pop(pid)[0])
            self.fill()


class Subscriber(Client):
    """Keeps what it gets, in order, by topic; answers as the rules say."""

    def __init__(self, server, cid, topic_filter, qos):
        self.filter, self.qos = topic_filter, qos
        self.got, self.received = {}, set()
        self.subscribed = threading.Event()
        super().__init__(server, cid)

    def turn(self, first, body):
        kind = first & 0xf0
        if kind == 0x20 and not self.subscribed.is_set():
            self.sock.sendall(packet(
                0x82, b"\0\1" + text(self.filter) + bytes([self.qos])))
        elif kind == 0x90:
            self.subscribed.set()
        elif kind == 0x30:
            n = struct.unpack(">H", body[:2])[0]
            topic, rest = body[2:2 + n].decode(), body[2 + n:]
            qos = first >> 1 & 3
            if qos:
                pid, rest = struct.unpack(">H", rest[:2])[0], rest[2:]
            if qos == 2:
                known = pid in self.received
                self.received.add(pid)
                if not known:
                    self.got.setdefault(topic, []).append(int(rest))
                self.sock.sendall(ack(0x50, pid))
                return
            self.got.setdefault(topic, []).append(int(rest))
            if qos == 1:
                self.sock.sendall(ack(0x40, pid))
        elif kind == 0x60:
            pid = struct.unpack(">H", body[:2])[0]
            self.received.discard(pid)
            self.sock.sendall(ack(0x70, pid))


def wait_until(condition, seconds=2 * LIMIT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def check(publishers, subscriber):
    """Nothing acknowledged is lost, QoS 2 never twice, order kept."""
    for p in publishers:
        got = subscriber.got.get(p.topic, [])
        missing = set(p.acked) - set(got)
        assert not missing, (p.topic, sorted(missing)[:10])
        if p.qos == 2:
            assert len(got) == len(set(got)), "twice"
            assert got == sorted(got), "out of order"
        first = list(dict.fromkeys(got))
        assert first == sorted(first), "out of order"


def crash_rounds(folder, rounds, rng, durability="disk", threads=1):
    """Kills the server at random instants; returns messages acknowledged."""
    server = Server(folder, "--threads", threads, durability=durability)
    assert server.start()
    subscriber = Subscriber(server, "sub", "t/#", 2)
    assert subscriber.subscribed.wait(LIMIT)
    publishers = [Publisher(server, f"pub{i}", f"t/{i}", 1 + i % 2)
                  for i in range(8)]
    try:
        for _ in range(rounds):
            time.sleep(rng.uniform(0.01, 0.25))  # the random instant
            server.kill()
            assert server.start(), server.said()
        goal = {p: len(p.acked) + 30 for p in publishers}
        wait_until(lambda: all(len(p.acked) >= g for p, g in goal.items()))
        for p in publishers:
            p.stop()
        wait_until(lambda: all(
            set(p.acked) <= set(subscriber.got.get(p.topic, []))
            for p in publishers))
        subscriber.stop()
        check(publishers, subscriber)
        return sum(len(p.acked) for p in publishers)
    finally:
        for c in [*publishers, subscriber]:
            c.stop()
        server.stop()

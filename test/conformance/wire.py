"""Packets of MQTT 3.1.1 and 5.0 as bytes, a client that sends and reads them
one by one, and the server under test."""
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

MQTTD = os.environ.get("MQTTD", "mqttd")
LIMIT = 60  # seconds that anything may take before a test gives up


# --- packets ---------------------------------------------------------------

def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">H", len(b)) + b


def varint(n):
    out = b""
    while True:
        n, b = n >> 7, n & 127
        out += bytes([b | (128 if n else 0)])
        if not n:
            return out


def packet(first, body=b""):
    return bytes([first]) + varint(len(body)) + body


def props(*pairs):
    """Properties of level 5 with their length: (identifier, value)..."""
    out = b"".join(bytes([i]) + v for i, v in pairs)
    return varint(len(out)) + out


def connect(cid="", clean=True, keepalive=0, user=None, password=None,
            will=None, name="MQTT", level=4, flags=0, p=b"\0", will_p=b"\0"):
    flags |= 2 if clean else 0
    body = text(cid)
    if will:
        topic, payload, qos, retain = will
        flags |= 4 | qos << 3 | (32 if retain else 0)
        body += (will_p if level == 5 else b"") + text(topic) + text(payload)
    if user is not None:
        flags |= 128
        body += text(user)
    if password is not None:
        flags |= 64
        body += text(password)
    return packet(0x10, text(name) + bytes([level, flags]) +
                  struct.pack(">H", keepalive) +
                  (p if level == 5 else b"") + body)


def publish(topic, payload=b"", qos=0, pid=0, dup=False, retain=False,
            p=b""):
    """`p`: the properties, which level 5 must have."""
    head = 0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return packet(head, text(topic) + (struct.pack(">H", pid) if qos else b"")
                  + p + (payload if isinstance(payload, bytes)
                         else payload.encode()))


def subscribe(pid, *filters, p=b""):
    return packet(0x82, struct.pack(">H", pid) + p +
                  b"".join(text(f) + bytes([q]) for f, q in filters))


def unsubscribe(pid, *filters, p=b""):
    return packet(0xa2, struct.pack(">H", pid) + p +
                  b"".join(map(text, filters)))


def ack(kind, pid, code=None):
    return packet(kind, struct.pack(">H", pid) +
                  (b"" if code is None else bytes([code])))


PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
PING, PONG, BYE = packet(0xc0), packet(0xd0), packet(0xe0)


def take_varint(b, at):
    n, shift = 0, 0
    while True:
        n |= (b[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not b[at - 1] & 128:
            return n, at


class Message:
    def __init__(self, first, body, level=4):
        n = struct.unpack(">H", body[:2])[0]
        self.qos, self.dup, self.retain = first >> 1 & 3, bool(first & 8), \
            bool(first & 1)
        self.topic, rest = body[2:2 + n].decode(), body[2 + n:]
        self.pid = struct.unpack(">H", rest[:2])[0] if self.qos else 0
        rest = rest[2:] if self.qos else rest
        if level == 5:
            size, at = take_varint(rest, 0)
            self.props, rest = rest[at:at + size], rest[at + size:]
        self.payload = rest.decode()

    def __repr__(self):
        return "%s=%s q%d%s%s" % (self.topic, self.payload, self.qos,
                                  " dup" if self.dup else "",
                                  " retain" if self.retain else "")


# --- a client --------------------------------------------------------------

class Client:
    def __init__(self, server, first=None, port=None, level=4, **kw):
        self.level = level
        self.s = socket.create_connection(
            ("127.0.0.1", port or server.port), LIMIT)
        self.buf = b""
        self.send(first if first is not None else connect(level=level, **kw))

    def send(self, *packets):
        self.s.sendall(b"".join(packets))

    def fill(self, n, wait=LIMIT):
        self.s.settimeout(wait)
        while len(self.buf) < n:
            more = self.s.recv(65536)
            if not more:
                raise EOFError
            self.buf += more

    def take(self, wait=LIMIT):
        """One packet: first byte and body."""
        self.fill(2, wait)
        n, shift, at = 0, 0, 1
        while True:
            self.fill(at + 1, wait)
            b = self.buf[at]
            n |= (b & 127) << shift
            at, shift = at + 1, shift + 7
            if not b & 128:
                break
        self.fill(at + n, wait)
        first, body = self.buf[0], self.buf[at:at + n]
        self.buf = self.buf[at + n:]
        return first, body

    def expect(self, raw):
        first, body = self.take()
        assert packet(first, body) == raw, (packet(first, body), raw)

    def accepted(self, present=False):
        if self.level == 5:
            first, body = self.take()
            assert (first, body[:2]) == (0x20, bytes([present, 0])), body
        else:
            self.expect(bytes([0x20, 2, present, 0]))
        return self

    def refused(self, code):
        self.expect(bytes([0x20, 2, 0, code]))
        self.closed()

    def sub(self, *filters, codes=None):
        no_props = b"\0" if self.level == 5 else b""
        self.send(subscribe(77, *filters, p=no_props))
        self.expect(packet(0x90, struct.pack(">H", 77) + no_props + bytes(
            codes if codes is not None else [q for _, q in filters])))
        return self

    def message(self, wait=LIMIT):
        first, body = self.take(wait)
        assert first >> 4 == 3, (first, body)
        return Message(first, body, self.level)

    def quiet(self):
        """Nothing was on the way."""
        self.send(PING)
        self.expect(PONG)

    def closed(self):
        with pytest.raises((EOFError, ConnectionResetError)):
            self.take()

    def gone(self):
        """The server ended it, whatever it said before."""
        try:
            while True:
                self.take()
        except (EOFError, ConnectionError):
            self.drop()

    def drop(self):
        self.s.close()


# --- the server --------------------------------------------------------------

def is_sanitized():
    """Address sanitizer keeps what was freed: its growth says nothing."""
    with open(MQTTD, "rb") as f:
        return b"__asan_init" in f.read()


class Server:
    def __init__(self, *args):
        self.p = subprocess.Popen([MQTTD, *map(str, args)],
                                  stdout=subprocess.PIPE, text=True)
        self.port, self.ws_port, self.proxy_port = map(
            int, self.p.stdout.readline().split())

    def client(self, *args, present=False, **kw):
        return Client(self, *args, **kw).accepted(present)

    def counters(self):
        self.p.send_signal(signal.SIGUSR1)
        ret = {}
        for line in self.p.stdout:
            if line == "end\n":
                return ret
            m = re.match(r"marram_mqtt_(\w+?)(?:_total)? (-?\d+)$", line)
            if m:
                ret[m[1]] = int(m[2])
        raise EOFError("mqttd has ended")

    def until(self, counter, value):
        end = time.monotonic() + LIMIT
        while (found := self.counters()[counter]) != value:
            assert time.monotonic() < end, "%s is %d, not %d" % (
                counter, found, value)
            time.sleep(0.01)

    def memory(self):
        """Resident bytes."""
        with open("/proc/%d/status" % self.p.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) << 10

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        try:
            assert self.p.wait(LIMIT) == 0
        finally:
            self.p.stdout.close()

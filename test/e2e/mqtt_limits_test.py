"""Each setting of the MQTT server reaches it: seen by a counter below $SYS, or
by what the server tells its clients."""
import pathlib
import socket
import struct
import subprocess
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import LIMIT, PROGRAM, UPLINK, Site, until


class Person:
    """An MQTT 5 client without a name."""

    def __init__(self, port, client_id="", topics=(), keep=False, ask=False,
                 keepalive=60):
        self.lock = threading.Lock()
        self.heard, self.granted = [], []
        self.answer = self.props = None
        self.client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5)
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda _c, _d, _mid, codes, _p: \
            self.granted.extend(c.value for c in codes)
        wants = Properties(PacketTypes.CONNECT)
        if keep:
            wants.SessionExpiryInterval = 0xffffffff
        if ask:
            wants.RequestResponseInformation = 1
        self.client.connect("127.0.0.1", port, keepalive,
                            clean_start=not keep, properties=wants)
        self.client.loop_start()
        until("the answer", lambda: self.answer is not None)
        for topic in topics:
            assert self.subscribe(topic) < 128

    def on_connect(self, _client, _data, _flags, code, props):
        self.props = props
        self.answer = code.value

    def on_message(self, _client, _data, message):
        with self.lock:
            self.heard.append((message.topic, message.payload.decode()))

    def subscribe(self, topic):
        n = len(self.granted)
        self.client.subscribe(topic, 1)
        until("a SUBACK", lambda: len(self.granted) > n)
        return self.granted[-1]

    def publish(self, topic, payload="m", qos=1, wait=True, **more):
        sent = self.client.publish(topic, payload, qos=qos, **more)
        if wait and qos > 0:
            sent.wait_for_publish(LIMIT)
            assert sent.is_published()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Watch(Person):
    """Sees every counter; also when it was put out meanwhile and came again."""
    COUNTERS = "$SYS/broker/counters/mqtt/#"

    def __init__(self, port, keepalive):
        self.asked = False
        super().__init__(port, "watch", [self.COUNTERS], keepalive=keepalive)

    def on_connect(self, client, *args):
        if self.asked:
            client.subscribe(self.COUNTERS, 1)
        self.asked = True
        super().on_connect(client, *args)

    def __getitem__(self, name):
        topic = "$SYS/broker/counters/mqtt/" + name
        with self.lock:
            said = [int(p) for t, p in self.heard if t == topic]
        return said[-1] if said else 0

    def until(self, name, value):
        until("%s of %d" % (name, value), lambda: self[name] >= value)
        return self[name]


@pytest.fixture
def serve(start):
    """A server with these settings, and who sees its counters."""
    opened = []

    def begin(*settings):
        server = start("--mqtt.allow-anonymous", "--mqtt.sys-interval", "50ms",
                       *["--mqtt." + s for s in settings], only=True)
        # it keeps the time that clients are told
        opened.append(Watch(server.mqtt_port, 1 if any(
            s.startswith("maxKeepalive") for s in settings) else 60))
        return server, opened[-1]

    yield begin
    for watch in opened:
        watch.close()


def offline(server, name="away"):
    """A persistent session whose client is away."""
    person = Person(server.mqtt_port, name, ["t"], keep=True)
    person.close()


def talk(server, *messages, **more):
    person = Person(server.mqtt_port, "talker")
    for message in messages:
        person.publish("t", message, **more)
    person.close()


class Raw:
    """A 3.1.1 client by hand that answers nothing."""

    def __init__(self, server, client="raw", topic=None, qos=1, keepalive=60,
                 small=False):
        self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(LIMIT)
        self.sock.connect(("127.0.0.1", server.mqtt_port))
        body = b"\0\4MQTT\4\2" + struct.pack(">HH", keepalive, len(client)) + \
            client.encode()
        self.sock.sendall(bytes([0x10, len(body)]) + body)
        assert self.take(4) == b"\x20\x02\0\0"
        if topic:
            body = b"\0\1" + struct.pack(">H", len(topic)) + topic.encode() + \
                bytes([qos])
            self.sock.sendall(bytes([0x82, len(body)]) + body)
            assert self.take(5) == b"\x90\x03\0\1" + bytes([qos])

    def take(self, n):
        got = b""
        while len(got) < n:
            more = self.sock.recv(n - len(got))
            if not more:
                break
            got += more
        return got

    def read_to_the_end(self):
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass

    def close(self):
        self.sock.close()


# --- connections --------------------------------------------------------------

def connect(server):
    return socket.create_connection(("127.0.0.1", server.mqtt_port))


def test_max_connections(serve):
    server, watch = serve("maxConnections=1")
    with connect(server) as sock:
        sock.settimeout(LIMIT)
        assert sock.recv(1) == b""
    assert watch.until("connections_refused", 1) == 1


def test_max_connect_rate(serve):
    server, watch = serve("maxConnectRate=3")
    for _ in range(3):
        connect(server).close()
    assert watch.until("connections_limited", 1) == 1


def test_connect_timeout(serve):
    server, watch = serve("connectTimeout=2s")
    with connect(server):
        watch.until("connect_timeouts", 1)


def test_max_auth_failures(serve, tmp_path):
    (tmp_path / "p").write_text("")
    server, watch = serve("maxAuthFailures=2",
                          "passwordFile=%s" % (tmp_path / "p"))
    for _ in range(4):
        subprocess.run(["mosquitto_pub", "-p", str(server.mqtt_port), "-u",
                        "x", "-P", "y", "-t", "t", "-n"],
                       capture_output=True, timeout=LIMIT)
    assert watch.until("auth_limited", 1) >= 1
    assert watch["auth_failures"] >= 2


def test_max_keepalive(serve):
    server, watch = serve("maxKeepalive=1s")
    raw = Raw(server)
    watch.until("keepalive_timeouts", 1)
    raw.read_to_the_end()
    person = Person(server.mqtt_port, keepalive=2)
    assert person.props.ServerKeepAlive == 1
    person.close()


def test_threads(serve):
    server, _ = serve("threads=3")
    names = {(task / "comm").read_text().strip() for task in
             pathlib.Path("/proc/%d/task" % server.process.pid).iterdir()}
    assert {"messages", "messages 1", "messages 2"} <= names
    for n in range(6):  # of which each thread gets some
        talk(server, str(n))


# --- what clients are told ----------------------------------------------------

def test_what_connack_says(serve):
    server, _ = serve("publishMax=7", "maxAliases=3", "maxPacket=2000",
                      "responseInfo=answers/")
    person = Person(server.mqtt_port, ask=True)
    assert person.props.ReceiveMaximum == 7
    assert person.props.TopicAliasMaximum == 3
    assert person.props.MaximumPacketSize == 2000
    assert person.props.ResponseInformation == "answers/"
    person.close()


def test_sys_can_be_turned_off(start):
    server = start("--mqtt.allow-anonymous", "--mqtt.sys-interval", "0",
                   only=True)
    person = Person(server.mqtt_port, topics=["$SYS/#", "after"])
    person.publish("after")
    until("the message", lambda: person.heard)
    assert person.heard == [("after", "m")]
    person.close()


# --- packets, subscriptions, retained messages --------------------------------

def test_max_packet(serve):
    server, watch = serve("maxPacket=1KiB")
    raw = Raw(server)
    raw.sock.sendall(b"\x30\xff\x0f\0\1t" + bytes(2000))
    raw.read_to_the_end()
    assert watch.until("too_large", 1) == 1


def test_max_subscriptions(serve):
    server, watch = serve("maxSubscriptions=2")
    person = Person(server.mqtt_port, topics=["a", "b"])
    assert person.subscribe("c") >= 128
    assert watch.until("subscribe_denied", 1) == 1
    person.close()


def test_max_topic_levels(serve):
    server, watch = serve("maxTopicLevels=5")
    person = Person(server.mqtt_port, topics=["1/2/3/4/5"])
    assert person.subscribe("1/2/3/4/5/6") >= 128
    assert watch.until("subscribe_denied", 1) == 1
    person.close()


@pytest.mark.parametrize("setting,payload", [
    ("maxRetained", "x"), ("maxRetainedBytes", "x" * 1000)])
def test_retained_messages_are_limited(start, setting, payload):
    # of the bytes, some are for what is known of a message
    limit = 3 if setting == "maxRetained" else 4000
    server = start("--mqtt.allow-anonymous", "--mqtt.sys-interval", "0",
                   "--mqtt.%s=%d" % (setting, limit), only=True)
    person = Person(server.mqtt_port)
    for n in range(6):
        person.publish("t/%d" % n, payload, retain=True)
    reader = Person(server.mqtt_port, topics=["t/#"])
    reader.publish("t/end")
    until("the end", lambda: ("t/end", "m") in reader.heard)
    assert {t for t, _ in reader.heard[:-1]} == {"t/0", "t/1", "t/2"}
    person.close()
    reader.close()


# --- queues -------------------------------------------------------------------

def test_max_inflight(serve):
    server, watch = serve("maxInflight=2")
    raw = Raw(server, topic="t")
    talk(server, *"12345")
    until("two of five", lambda: watch["inflight"] == 2 and
          watch["queued_messages"] == 3)
    raw.close()


@pytest.mark.parametrize("setting,payload", [
    ("queueMessages=5", "x"), ("queueBytes=1KiB", "x" * 150)])
def test_queues_are_limited(serve, setting, payload):
    server, watch = serve(setting, "queueFull=dropNewest")
    offline(server)
    talk(server, *[payload] * 20)
    assert 10 <= watch.until("dropped_queue_full", 10) < 20


@pytest.mark.parametrize("full,left", [("dropNewest", "abc"),
                                       ("dropOldest", "hij")])
def test_queue_full_says_which_go(serve, full, left):
    server, _ = serve("queueMessages=3", "queueFull=" + full)
    offline(server)
    talk(server, *"abcdefghij")
    back = Person(server.mqtt_port, "away", keep=True)
    until("the rest", lambda: len(back.heard) == 3)
    assert "".join(p for _, p in back.heard) == left
    back.close()


def test_queue_full_can_end_who_does_not_keep_up(serve):
    server, _ = serve("queueMessages=3", "maxInflight=1",
                      "queueFull=disconnect")
    raw = Raw(server, topic="t")
    talk(server, *"abcdefghij")
    raw.read_to_the_end()


def test_queue_full_slows_publishers_for_a_while(serve):
    server, watch = serve("queueMessages=3", "maxInflight=1",
                          "queueFull=slow", "slowTimeout=200ms")
    raw = Raw(server, topic="t")
    talk(server, *"abcdefghij")
    assert watch.until("slowed", 1) >= 1
    watch.until("dropped_queue_full", 1)
    raw.close()


def test_max_output(serve):
    server, watch = serve("maxOutput=64KiB")
    raw = Raw(server, topic="t", qos=0, small=True)
    person = Person(server.mqtt_port, "talker")

    def dropped():
        person.publish("t", "x" * 500000, qos=0)
        person.publish("u")  # and wait
        return watch["dropped_output_full"] >= 1
    until("a full connection", dropped)
    raw.close()
    person.close()


def test_max_rate(serve):
    server, watch = serve("maxRate=10")
    raw = Raw(server)
    raw.sock.sendall(b"\x30\4\0\1tx" * 15)  # at once
    watch.until("rate_limited", 1)
    watch.until("publish_in", 15)  # none was lost
    raw.close()


def test_queue_ttl(start):
    server = start("--mqtt.queue-ttl", "100ms")
    site = Site(server, server.login())
    network = site.network()
    network.publish(site.net_topic("uldata"), UPLINK)
    until("its end", lambda:
          server.counter("mqtt_dropped_expired_total") >= 1)
    network.close()


# --- sessions and the journal -------------------------------------------------

def test_max_sessions(serve):
    server, watch = serve("maxSessions=1")
    offline(server, "one")
    offline(server, "two")
    assert watch.until("sessions_evicted", 1) == 1


def test_session_expiry(serve):
    server, watch = serve("sessionExpiry=1s")
    offline(server)
    watch.until("sessions_expired", 1)


def test_a_damaged_journal_is_salvaged_when_that_is_asked_for(serve):
    server, watch = serve()
    offline(server)
    talk(server, *["x" * 1000] * 20)
    watch.until("journal_records", 20)
    server.stop(9)
    folder = server.folder / "data" / "mqtt"
    first = min(folder.glob("*.log"))
    first.write_bytes(b"DAMAGED!" + first.read_bytes()[8:])

    command = [PROGRAM, "serve", "--only", "mqtt", "--data-dir",
               str(server.folder / "data"), "--mqtt-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.returncode == 1 and str(first) in done.stderr
    server.options = (*server.options, "--mqtt.journal-salvage")
    server.start()
    assert list(folder.rglob("*.bad"))

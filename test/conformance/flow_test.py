"""Order and back-pressure: nothing is lost, doubled or out of order while
nobody crashes; who outruns a slow one is slowed; a full queue does what its
policy says.

    MQTTD=build/test/conformance/mqttd python3 -m pytest flow_test.py
"""
import socket
import struct
import threading
import time

import pytest

from wire import (LIMIT, PUBACK, PUBCOMP, PUBREC, PUBREL, Client, Message, ack,
                  connect, is_sanitized, packet, publish, subscribe)

MIB = 1 << 20
TOPICS = 3
WINDOW = 100  # messages that a publisher has unanswered

# enum mqtt_full
SLOW, DROP_OLDEST, DROP_NEWEST, DISCONNECT = range(4)


# --- the two ends -----------------------------------------------------------------

class End(threading.Thread):
    """A thread whose failure is the test's."""

    def __init__(self):
        super().__init__(daemon=True)
        self.why = None

    def run(self):
        try:
            self.work()
        except BaseException as why:  # join() raises it again
            self.why = why

    def finish(self, wait=LIMIT):
        self.join(wait)
        assert not self.is_alive(), "not done in time"
        if self.why is not None:
            raise self.why


class Publisher(End):
    """Sends `n` messages "NAME INDEX PADDING" to topics in turn; done when all
    are answered."""

    def __init__(self, server, name, n, qos, padding=0, topic="t"):
        super().__init__()
        self.c = Client(server, connect("p%s" % name)).accepted()
        self.name, self.n, self.qos, self.topic = name, n, qos, topic
        self.padding = "x" * padding
        self.answered = 0

    def answer(self):
        first, body = self.c.take()
        pid = struct.unpack(">H", body[:2])[0]
        if first == PUBREC:
            self.c.send(ack(PUBREL, pid))
        else:
            assert first == (PUBACK if self.qos == 1 else PUBCOMP)
            self.answered += 1

    def work(self):
        self.c.s.settimeout(LIMIT)
        for i in range(self.n):
            self.c.send(publish(
                "%s/%d" % (self.topic, i % TOPICS),
                "%s %d %s" % (self.name, i, self.padding),
                qos=self.qos, pid=i + 1))
            while self.qos and i + 1 - self.answered >= WINDOW:
                self.answer()
        while self.qos and self.answered < self.n:
            self.answer()
        self.c.quiet()


class Subscriber(End):
    """Takes messages until told that there are no more."""

    def __init__(self, server, name, qos, filter="t/+", clean=True):
        super().__init__()
        self.c = Client(server, connect("s%s" % name, clean=clean)).accepted()
        self.c.sub((filter, qos))
        self.got = []

    def work(self):
        while True:
            first, body = self.c.take()
            if first >> 4 == 3:
                m = Message(first, body)
                if m.topic == "end":
                    return
                self.got.append(m)
                if m.qos:
                    self.c.send(ack(PUBACK if m.qos == 1 else PUBREC, m.pid))
            elif first == PUBREL:
                self.c.send(packet(PUBCOMP, body))
            else:
                assert first == 0x90, first

    def until_end(self):
        """Ends it behind all that has been sent to it: the topic "end" goes the
        same way."""
        self.c.send(subscribe(99, ("end", 0)))

    def sequence(self, publisher, topic):
        """The indexes that came from one publisher in one topic."""
        words = [m.payload.split(" ", 2) for m in self.got
                 if m.topic == topic]
        return [int(w[1]) for w in words if w[0] == publisher]


def run_all(server, publishers, subscribers):
    for t in subscribers + publishers:
        t.start()
    for p in publishers:
        p.finish()
    for s in subscribers:
        s.until_end()
    server.until("subscriptions", 2 * len(subscribers))
    # Those who owe an answer still have to be sent what waits for it.
    server.until("queued_messages", 0)
    Client(server, connect("end")).accepted().send(publish("end", "x"))
    for s in subscribers:
        s.finish()


def lost_nothing(server):
    n = server.counters()
    assert [n[c] for c in ("dropped_queue_full", "dropped_output_full",
                           "dropped_expired", "dropped_abandoned")] == [0] * 4


# --- order --------------------------------------------------------------------

SHAPES = {"one_to_one": (1, 1), "many_to_one": (4, 1), "one_to_many": (1, 4),
          "many_to_many": (3, 3)}


def options(threads, durability, tmp_path):
    where = ["--dir", tmp_path, "--durability", "disk"] \
        if durability == "disk" else []
    return ["--threads", threads, *where]


@pytest.mark.parametrize("durability", ["none", "disk"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_subscriber_gets_everything_once_and_in_order(
        start, tmp_path, shape, qos, threads, durability):
    server = start(*options(threads, durability, tmp_path))
    n_pubs, n_subs = SHAPES[shape]
    n = 900 // n_pubs // TOPICS * TOPICS
    clean = durability == "none"
    subs = [Subscriber(server, i, qos, clean=clean) for i in range(n_subs)]
    pubs = [Publisher(server, str(i), n, qos) for i in range(n_pubs)]
    run_all(server, pubs, subs)
    for s in subs:
        for p in pubs:
            for t in range(TOPICS):
                assert s.sequence(p.name, "t/%d" % t) == \
                    list(range(t, n, TOPICS))
        assert len(s.got) == n * n_pubs
        assert not any(m.dup for m in s.got)
    lost_nothing(server)


@pytest.mark.parametrize("durability", ["none", "disk"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_shared_group_gets_everything_once(start, tmp_path, qos, threads,
                                             durability):
    server = start(*options(threads, durability, tmp_path))
    clean = durability == "none"
    subs = [Subscriber(server, i, qos, "$share/g/t/+", clean)
            for i in range(3)]
    pubs = [Publisher(server, str(i), 450, qos) for i in range(2)]
    run_all(server, pubs, subs)
    got = sorted(m.payload for s in subs for m in s.got)
    assert got == sorted("%s %d " % (p.name, i)
                         for p in pubs for i in range(450))
    assert all(len(s.got) > 100 for s in subs)  # it is shared
    lost_nothing(server)


# --- back-pressure ---------------------------------------------------------------

def pour(s, data, wait=0.3, enough=lambda: True):
    """Sends until the peer does not read any more; returns how much. A peer
    that is only late has not done what is `enough`."""
    s.settimeout(wait)
    sent, end = 0, time.monotonic() + LIMIT
    view = memoryview(data)
    while sent < len(data):
        try:
            sent += s.send(view[sent:sent + 65536])
        except TimeoutError:
            if enough():
                break
            assert time.monotonic() < end, "it reads no more"
    return sent


def deaf(server, first, codes, topic, qos=0):
    """A client with a small window that has subscribed and does not read."""
    c = Client.__new__(Client)
    c.level, c.buf = 5, b""
    c.s = socket.socket()
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.s.connect(("127.0.0.1", server.port))
    c.send(first)
    c.accepted().sub((topic, qos), codes=codes)
    return c


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_who_outruns_a_consumer_is_not_read(start, qos, threads):
    server = start("--threads", threads, "--slow-consumer-ms", 400,
                   "--publish-max", 50)
    c, n = server.client(), 200
    data = b"".join(publish("consume/a", b"slow" + b"x" * 100000, qos=qos,
                            pid=i + 1) for i in range(n))
    begun = time.monotonic()
    sent = pour(c.s, data, 0.1)
    assert sent < len(data) or time.monotonic() - begun > 0.4  # more were taken
    n_consumed = server.counters()["consumed"]
    assert n_consumed <= 50 * (1 + (time.monotonic() - begun) // 0.4)
    c.s.settimeout(LIMIT)
    c.s.sendall(data[sent:])
    for i in range(n if qos else 0):
        c.expect(ack(PUBACK if qos == 1 else PUBREC, i + 1))
    server.until("consumed", n)
    lost_nothing(server)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("qos", [1, 2])
def test_who_outruns_a_subscriber_is_not_read_and_nothing_is_lost(
        start, qos, threads):
    server = start("--threads", threads, "--slow-ms", 60000, "--max-output",
                   65536, "--queue-messages", 200, "--full", SLOW)
    slow = deaf(server, connect("slow", level=5), [qos], "t", qos)
    p, n = server.client(), 1500
    data = [publish("t", b"%d " % i + b"x" * 20000, qos=qos,
                    pid=i + 1) for i in range(n)]
    whole = b"".join(data)
    sent = pour(p.s, whole, enough=lambda: server.counters()["slowed"] > 0)
    assert sent < len(whole)
    now = server.counters()
    assert now["slowed"] > 0 and now["queued_messages"] <= 200
    lost_nothing(server)

    p.s.settimeout(LIMIT)
    rest = threading.Thread(target=p.s.sendall, args=(whole[sent:],))
    rest.start()
    want = 0
    while want < n:
        first, body = slow.take()
        if first == PUBREL:
            slow.send(packet(PUBCOMP, body[:2]))
            continue
        m = Message(first, body, 5)
        assert m.payload.startswith("%d " % want)
        slow.send(ack(PUBACK if qos == 1 else PUBREC, m.pid))
        want += 1
    rest.join()
    for i in range(n):
        p.expect(ack(PUBACK if qos == 1 else PUBREC, i + 1))
    lost_nothing(server)


def test_qos_0_that_a_subscriber_does_not_read_is_dropped_and_counted(start):
    server = start("--slow-ms", 60000, "--max-output", 65536)
    slow = deaf(server, connect("slow", level=5), [0], "t")
    p, n = server.client(), 1500
    p.s.settimeout(LIMIT)
    p.send(*[publish("t", b"%d " % i + b"x" * 20000) for i in range(n)])
    p.quiet()
    dropped = server.counters()["dropped_output_full"]
    assert dropped > 0
    got = [int(slow.message().payload.split()[0])
           for _ in range(n - dropped)]
    assert got == sorted(set(got))
    slow.quiet()


def test_who_is_slowed_for_too_long_goes_on_and_what_is_new_is_dropped(start):
    server = start("--slow-ms", 200, "--max-output", 65536,
                   "--queue-messages", 50)
    slow = deaf(server, connect("slow", level=5), [1], "t", 1)
    p = server.client()
    p.s.settimeout(LIMIT)
    for i in range(1500):
        p.send(publish("t", b"x" * 20000, qos=1, pid=i + 1))
        p.expect(ack(PUBACK, i + 1))
    n = server.counters()
    assert n["slowed"] > 0 and n["dropped_queue_full"] > 0
    assert n["queued_messages"] <= 50
    slow.drop()


def test_a_slow_subscriber_slows_only_its_own_publisher(start):
    server = start("--slow-ms", 60000, "--max-output", 65536,
                   "--queue-messages", 50)
    slow = deaf(server, connect("slow", level=5), [1], "slow", 1)
    p = server.client()
    data = publish("slow", b"x" * 20000, qos=1, pid=1) * 1500
    assert pour(p.s, data, enough=lambda: server.counters()["slowed"] > 0) < len(
        data)
    sub = Subscriber(server, "fast", 1)
    pub = Publisher(server, "0", 900, 1)
    sub.start(), pub.start()
    pub.finish()
    for t in range(TOPICS):
        want = list(range(t, 900, TOPICS))
        end = time.monotonic() + LIMIT
        while (len(sub.sequence("0", "t/%d" % t)) < len(want) and
               time.monotonic() < end):
            sub.join(0.01)
        assert sub.sequence("0", "t/%d" % t) == want
    slow.drop()


@pytest.mark.parametrize("full", [DROP_OLDEST, DROP_NEWEST, DISCONNECT])
def test_a_slow_subscriber_slows_nobody_and_holds_no_more_than_its_queue(
        start, full):
    server = start("--full", full, "--max-output", 65536, "--queue-bytes",
                   MIB)
    slow = deaf(server, connect("slow", level=5), [1], "t/+", 1)
    fast, p = server.client().sub(("t/+", 1)), server.client()
    before = server.memory()
    for i in range(1, 1501):
        p.send(publish("t/a", "%d " % i + "x" * 20000, qos=1, pid=i))
        p.expect(ack(PUBACK, i))
        m = fast.message()
        assert m.payload.startswith("%d " % i)
        fast.send(ack(PUBACK, m.pid))
    n = server.counters()
    assert n["dropped_queue_full"] > 0 and n["slowed"] == 0
    assert n["queued_bytes"] <= MIB
    assert server.memory() - before < 8 * MIB or is_sanitized()
    slow.drop()


# --- full queues ----------------------------------------------------------------

def fill(server, topic, n=30):
    p = server.client()
    for i in range(1, n + 1):
        p.send(publish(topic, str(i), qos=1, pid=i))
    for i in range(1, n + 1):
        p.expect(ack(PUBACK, i))


def drain(c, n):
    """Takes `n` messages of QoS 1, and sees that there are no more."""
    got = []
    for _ in range(n):
        m = c.message()
        got.append(int(m.payload))
        c.send(ack(PUBACK, m.pid))
    c.quiet()
    return got


@pytest.mark.parametrize("full,kept", [
    (SLOW, range(1, 11)), (DROP_OLDEST, range(21, 31)),
    (DROP_NEWEST, range(1, 11)), (DISCONNECT, range(1, 11))])
def test_a_full_queue_of_a_client_that_is_away(start, full, kept):
    server = start("--full", full, "--queue-messages", 10)
    server.client(cid="s", clean=False).sub(("t", 1)).drop()
    server.until("connections", 0)
    fill(server, "t")
    assert server.counters()["dropped_queue_full"] == 20
    c = server.client(cid="s", clean=False, present=True)
    assert drain(c, 10) == list(kept)


@pytest.mark.parametrize("full,kept", [
    (DROP_OLDEST, [1, *range(21, 31)]), (DROP_NEWEST, range(1, 12))])
def test_a_full_queue_of_a_client_that_does_not_answer(start, full, kept):
    server = start("--full", full, "--queue-messages", 10, "--max-inflight",
                   1)
    c = server.client().sub(("t", 1))
    fill(server, "t")
    assert server.counters()["dropped_queue_full"] == 19
    assert drain(c, 11) == list(kept)


def test_a_client_that_does_not_keep_up_is_sent_away(start):
    server = start("--full", DISCONNECT, "--queue-messages", 10,
                   "--max-inflight", 1)
    c = server.client(level=5).sub(("t", 1))
    other = server.client().sub(("t", 0))
    fill(server, "t")
    assert c.message().payload == "1"
    first, body = c.take()
    assert (first, body[0]) == (0xe0, 0x97)
    c.gone()
    assert [other.message().payload for _ in range(30)] == \
        [str(i) for i in range(1, 31)]
    assert server.counters()["dropped_queue_full"] >= 1


@pytest.mark.parametrize("full,kept", [
    (DROP_OLDEST, [1, *range(21, 31)]), (DROP_NEWEST, range(1, 12))])
def test_a_full_queue_of_a_shared_group(start, full, kept):
    server = start("--full", full, "--queue-messages", 10, "--max-inflight",
                   1)
    c = server.client().sub(("$share/g/t", 1))
    fill(server, "t")
    assert server.counters()["dropped_queue_full"] == 19
    assert drain(c, 11) == list(kept)

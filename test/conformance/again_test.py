"""A client that comes back: to another connection's limits, and to a server
that has been killed.

    MQTTD=build/test/conformance/mqttd python3 -m pytest again_test.py
"""
import signal
import struct

import pytest

from wire import (PUBACK, PUBCOMP, PUBREC, PUBREL, Client, Server, ack,
                  Message, is_sanitized, props, publish, subscribe, text)

FOR_EVER = (17, struct.pack(">I", 0xffffffff))


def receive_max(n):
    return 33, struct.pack(">H", n)


def max_packet(n):
    return 39, struct.pack(">I", n)


@pytest.fixture
def start():
    servers = []

    def begin(*args):
        servers.append(Server(*args))
        return servers[-1]

    yield begin
    for server in servers:
        if server.p.poll() is None:
            server.end()


def kept(tmp_path):
    return ["--dir", tmp_path / "j", "--durability", "os",
            "--session-expiry-ms", 0]


def kill(server):
    server.p.send_signal(signal.SIGKILL)
    server.p.wait()
    server.p.stdout.close()


def filled(server, payloads):
    """A session of level 5 that was sent `payloads` and answered none."""
    away = server.client(cid="s", clean=False, level=5, p=props(FOR_EVER))
    away.sub(("t", 1))
    sender = server.client(cid="p")
    for i, payload in enumerate(payloads, 1):
        sender.send(publish("t", payload, qos=1, pid=i))
        sender.expect(ack(PUBACK, i))
    for _ in payloads:
        away.message()
    away.drop()
    return sender


def test_a_new_connection_gets_no_more_than_it_takes_at_once(start):
    server = start("--session-expiry-ms", 0)
    filled(server, ["1", "2", "3", "4"])
    again = server.client(cid="s", clean=False, level=5, present=True,
                          p=props(FOR_EVER, receive_max(1)))
    for payload in ("1", "2", "3", "4"):
        m = again.message()
        assert m.payload == payload
        again.quiet()
        again.send(ack(PUBACK, m.pid))


def test_what_is_too_large_for_a_new_connection_is_left_out(start):
    server = start("--session-expiry-ms", 0)
    filled(server, ["1", "x" * 200, "3"])
    again = server.client(cid="s", clean=False, level=5, present=True,
                          p=props(FOR_EVER, max_packet(100)))
    assert [again.message().payload for _ in range(2)] == ["1", "3"]
    again.quiet()


def test_an_alias_does_not_make_a_packet_too_large(start):
    server = start()
    alias_max = 34, struct.pack(">H", 5)
    body = publish("topic", "x" * 20) + b"\0"
    for size in range(len(body) - 1, len(body) + 5):
        c = server.client(cid="s", level=5,
                          p=props(alias_max, max_packet(size)))
        c.sub(("topic", 0))
        server.client(cid="p").send(publish("topic", "x" * 20))
        c.send(b"\xc0\0")
        first, rest = c.take()
        if first >> 4 == 3:
            assert 2 + len(rest) <= size
        c.drop()


def test_a_consumer_hears_again_what_it_had_not_taken_before_a_crash(
        start, tmp_path):
    args = [*kept(tmp_path), "--slow-consumer-ms", 600000]
    server = start(*args)
    sender = server.client(cid="p", clean=False)
    sender.send(publish("t", "1", qos=1, pid=1, retain=True))
    sender.expect(ack(PUBACK, 1))  # by now the session is on disk
    sender.send(publish("consume/a", "slow", qos=2, pid=7))
    server.until("consumed", 1)
    kill(server)
    server = start(*args)
    sender = server.client(cid="p", clean=False, present=True)
    sender.send(publish("consume/a", "slow", qos=2, pid=7, dup=True))
    server.until("consumed", 1)  # not taken for one that it had
    sender.quiet()
    kill(server)


def test_what_is_acknowledged_does_not_come_back_after_a_restart(
        start, tmp_path):
    args = kept(tmp_path)
    server = start(*args)
    c = server.client(cid="s", clean=False)
    c.sub(("t", 1))
    server.client(cid="p").send(publish("t", "1", qos=1, pid=1, retain=True))
    c.send(ack(PUBACK, c.message().pid))
    c.send(b"\xc0\0")
    c.take()
    c.drop()
    server.end()  # with a retained message in the journal
    server = start(*args)
    c = server.client(cid="s", clean=False, present=True)
    c.quiet()


# --- many that wait ----------------------------------------------------------

def nth(n):
    """Messages of all kinds: topic, payload, QoS, retained, properties."""
    return ("t/%d" % (n // 300 % 3), "%d " % n + "x" * (n % 90) +
            "y" * (5000 if n % 500 == 499 else 0), 2 if n % 120 == 5 else 1,
            n % 170 == 3, [(38, text("n") + text(str(n)))] * (n % 4) +
            [(2, struct.pack(">I", 3600))] * (n % 400 == 7))


def say_all(sender, numbers, window=100):
    numbers = list(numbers)
    for at in range(0, len(numbers), window):
        chunk = numbers[at:at + window]
        out = []
        for n in chunk:
            topic, payload, qos, retain, pairs = nth(n)
            out.append(publish(topic, payload, qos=qos, pid=n % 60000 + 1,
                               retain=retain, p=props(*pairs)))
        sender.send(*out)
        open_ = {n % 60000 + 1 for n in chunk}
        while open_:
            first, body = sender.take()
            pid = struct.unpack(">H", body[:2])[0]
            if first == PUBREC:
                sender.send(ack(PUBREL, pid))
            else:
                assert first in (PUBACK, PUBCOMP)
                open_.discard(pid)


def hear_all(client, numbers):
    for n in numbers:
        topic, payload, qos, retain, pairs = nth(n)
        while True:
            first, body = client.take()
            if first == PUBREL:
                client.send(ack(PUBCOMP, struct.unpack(">H", body[:2])[0]))
            else:
                break
        m = Message(first, body, 5)
        assert (m.topic, m.payload, m.qos, m.retain) == (
            topic, payload, qos, retain), n
        for pair in pairs:
            if pair[0] == 38:
                assert m.props.count(pair[1]) == n % 4
        assert (b"\2\0\0\x0e" in m.props) == (n % 400 == 7)
        assert (b"\x0b\x09" in m.props)  # the subscription's identifier
        client.send(ack(PUBREC if qos == 2 else PUBACK, m.pid))


def sender_to_away(server):
    """Publishes to a session that is not there, and gets all as it is sent."""
    c = server.client(cid="s", clean=False, level=5, p=props(FOR_EVER))
    c.send(subscribe(1, ("t/#", 2 | 8), p=props((11, b"\x09"))))
    assert c.take()[0] == 0x90
    c.drop()
    server.until("connections", 0)
    return server.client(cid="p", level=5, p=b"\0")


@pytest.mark.parametrize("killed", [False, True])
def test_what_waits_for_long_comes_as_it_was(start, tmp_path, killed):
    server = start(*kept(tmp_path))
    sender = sender_to_away(server)
    say_all(sender, range(2500))
    server.until("queued_messages", 2500)
    if killed:
        kill(server)
        server = start(*kept(tmp_path))
        server.until("queued_messages", 2500)
        sender = server.client(cid="p", level=5, p=b"\0")
    c = server.client(cid="s", clean=False, level=5, present=True,
                      p=props(FOR_EVER, receive_max(10)))
    hear_all(c, range(1000))
    for _ in range(10):
        c.message()  # and does not answer
    c.quiet()
    c.drop()
    server.until("connections", 1)
    say_all(sender, range(2500, 4000))
    if killed:
        kill(server)
        server = start(*kept(tmp_path))
    c = server.client(cid="s", clean=False, level=5, present=True,
                      p=props(FOR_EVER))
    hear_all(c, range(1000, 4000))
    server.until("queued_messages", 0)
    server.until("queued_bytes", 0)


@pytest.mark.parametrize("killed", [False, True])
def test_what_waits_takes_little_memory(start, tmp_path, killed):
    server = start(*kept(tmp_path))
    sender = sender_to_away(server)
    before = server.memory()
    small = [n for n in range(60000) if n % 500 != 499 and n % 400 != 7]
    say_all(sender, small, 1000)
    server.until("queued_messages", len(small))
    if killed:
        kill(server)
        server = start(*kept(tmp_path))
        server.until("queued_messages", len(small))
    grown = server.memory() - before
    texts = sum(len(nth(n)[1]) + 20 * (n % 4) for n in small)
    if not is_sanitized():
        assert grown < texts + 40 * len(small), grown - texts


def test_of_many_that_wait_the_oldest_go(start, tmp_path):
    server = start(*kept(tmp_path), "--queue-messages", 1500, "--full", 1)
    sender = sender_to_away(server)
    say_all(sender, range(4000))
    server.until("queued_messages", 1500)
    c = server.client(cid="s", clean=False, level=5, present=True,
                      p=props(FOR_EVER))
    hear_all(c, range(2500, 4000))
    server.until("queued_bytes", 0)


def test_what_has_waited_too_long_in_a_queue_goes(start, tmp_path):
    server = start(*kept(tmp_path), "--queue", "t/0", "--queue-ttl-ms", 1000)
    sender = server.client(cid="p", level=5, p=b"\0")
    old = [n for n in range(9000) if n // 300 % 3 == 0]
    say_all(sender, old)
    server.until("queued_messages", 0)
    assert server.counters()["dropped_expired"] == len(old)
    server.until("queued_bytes", 0)

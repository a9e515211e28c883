"""A client that comes back: to another connection's limits, and to a server
that has been killed.

    MQTTD=build/test/conformance/mqttd python3 -m pytest again_test.py
"""
import signal
import struct

import pytest

from wire import PUBACK, Client, Server, ack, props, publish

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
    args = ["--dir", tmp_path / "j", "--durability", "os",
            "--session-expiry-ms", 0, "--slow-consumer-ms", 600000]
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
    args = ["--dir", tmp_path / "j", "--durability", "os",
            "--session-expiry-ms", 0]
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

"""Limits of a device that are settings, from tedge.toml to who comes up against
them."""
import socket

import paho.mqtt.client as mqtt
import pytest

from conftest import LIMIT, until
from edge_entities_test import Device
from edge import Edge, LocalClient


@pytest.fixture
def small(tmp_path):
    edges = []

    def begin(**settings):
        edges.append(Edge(tmp_path / "edge"))
        edges[-1].set(**settings)
        return edges[-1].start()
    yield begin
    for e in edges:
        e.stop()


class Peer:
    """Connects once; `code` is what it was answered, None: nothing."""

    def __init__(self, port, name="", clean=True):
        self.code, self.gone, self.heard = None, False, []
        self.client = mqtt.Client(client_id=name, clean_session=clean)
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = self.on_disconnect
        self.client.on_message = lambda c, d, m: self.heard.append(m)
        try:
            self.client.connect("127.0.0.1", port)
        except OSError:
            self.gone = True
            return
        self.client.loop_start()
        until("an answer", lambda: self.gone or self.code is not None)

    def on_connect(self, client, _data, flags, code):
        self.code, self.there = code, flags["session present"]

    def on_disconnect(self, client, *_):
        self.gone = True

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def test_clients_beyond_the_limit_are_not_let_in(small):
    port = small(mqtt__broker__max_connections=3).port
    here = [Peer(port) for _ in range(3)]
    assert [p.code for p in here] == [0, 0, 0]
    assert Peer(port).code != 0
    here.pop().close()
    until("there is room", lambda: Peer(port).code == 0)
    assert not any(p.gone for p in here)


def test_a_message_that_is_too_large_ends_its_sender_only(small):
    port = small(mqtt__broker__max_packet_size=1024).port
    ears, good, bad = LocalClient(port, "x"), Peer(port), Peer(port)
    good.client.publish("x", b"a" * 1000, 1).wait_for_publish(LIMIT)
    bad.client.publish("x", b"b" * 1024, 1)
    until("it is put out", lambda: bad.gone)
    good.client.publish("x", b"c", 1).wait_for_publish(LIMIT)
    until("the last", lambda: "c" in ears.on("x"))
    assert [len(t) for t in ears.on("x")] == [1000, 1]


def test_so_many_are_remembered_while_they_are_away(small):
    port = small(mqtt__broker__max_sessions=2).port
    for i in range(4):
        Peer(port, "s%d" % i, clean=False).close()
    back = [Peer(port, "s%d" % i, clean=False) for i in (3, 2, 1, 0)]
    assert [(p.code, p.there) for p in back] == [(0, 1), (0, 1), (0, 0), (0, 0)]


@pytest.mark.parametrize("limits, size, kept", [
    ({"mqtt__broker__max_retained": 5}, 1, range(5)),
    ({"mqtt__broker__max_retained_bytes": 65536}, 30000, range(2))])
def test_so_much_is_retained(small, limits, size, kept):
    port = small(**limits).port
    for i in range(8):
        Peer(port).client.publish("x/%d" % i, b"x" * size, 1, True).wait_for_publish(LIMIT)
    ears = LocalClient(port, "x/+", "end")
    Peer(port).client.publish("end", b"", 1)
    until("the end", lambda: ears.on("end"))
    assert sorted(t for t, _ in ears.heard) == ["end", *("x/%d" % i for i in kept)]


def test_the_agent_holds_so_many_connections(tmp_path):
    d = Device(tmp_path / "edge", {"http.max_connections": 2}).start()

    def ask():
        s = socket.create_connection(("127.0.0.1", d.settings["http.bind.port"]), LIMIT)
        s.sendall(b"GET /te/v1/entities HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            return s, s.recv(12)
        except ConnectionResetError:
            return s, b""
    try:
        one, two, three = ask(), ask(), ask()
        assert [said for _, said in (one, two, three)] == [b"HTTP/1.1 200"] * 2 + [b""]
        one[0].close()
        until("there is room", lambda: ask()[1] == b"HTTP/1.1 200")
    finally:
        d.stop()

"""The MQTT server as its clients see it: the rules of MQTT 3.1.1 by raw
packets, and behaviour with other people's clients (mosquitto, paho).

    MQTTD=build/test/conformance/mqttd python3 -m pytest mqtt_test.py
"""
import socket
import struct
import subprocess
import time

import pytest

from wire import (BYE, LIMIT, PING, PONG, PUBACK, PUBCOMP, PUBREC, PUBREL,
                  Client, Message, ack, connect, packet, publish, subscribe,
                  unsubscribe)


# --- the start of a connection -------------------------------------------------

def test_the_first_packet_must_be_connect(server):
    Client(server, PING).closed()
    Client(server, publish("a", "x")).closed()


def test_a_second_connect_ends_the_connection(server):
    c = server.client(cid="a")
    c.send(connect("a"))
    c.closed()


def test_mqtt_3_1_is_spoken_too(server):
    server.client(cid="old", name="MQIsdp", level=3).quiet()


@pytest.mark.parametrize("name,level", [("MQTT", 2), ("MQTT", 3),
                                        ("MQIsdp", 4), ("MQTT", 0x83)])
def test_other_levels_are_refused_with_code_1(server, name, level):
    Client(server, cid="x", name=name, level=level).refused(1)


@pytest.mark.parametrize("raw", [
    connect("x", name="mqtt"),
    connect("x", flags=1),                                   # reserved
    connect("x", flags=0x40),                                # no user
    connect("x", flags=0x18 | 4),                            # will QoS 3
    connect("x", flags=0x20),                                # retain, no will
    connect("x", will=("a/#", "x", 0, False)),
    connect("x", user=b"\xff"),
    connect("a\0b"),
    connect(b"\xed\xa0\x80"),                                # a surrogate
    packet(0x11, connect("x")[2:]),
    connect("x")[:-1] + b"",                                 # cut, then EOF
    packet(0x10, connect("x")[2:] + b"more"),
    b"\x10\xff\xff\xff\xff\x01",
])
def test_a_malformed_connect_gets_no_answer(server, raw):
    c = Client(server, raw)
    c.s.shutdown(socket.SHUT_WR)
    c.closed()


def test_an_empty_client_id_needs_a_clean_session(server):
    server.client(cid="").quiet()
    Client(server, cid="", clean=False).refused(2)


def test_accounts_are_asked_for(start):
    s = start("--user", "ann:secret")
    s.client(cid="a", user="ann", password="secret").quiet()
    Client(s, cid="a", user="ann", password="wrong").refused(4)
    Client(s, cid="a", user="bob", password="secret").refused(5)
    Client(s, cid="a").refused(5)


def test_too_many_failures_of_an_address_are_refused_unheard(start):
    s = start("--user", "ann:secret", "--max-auth-failures", 3)
    for _ in range(3):
        Client(s, user="ann", password="wrong").refused(4)
    Client(s, user="ann", password="secret").refused(5)
    assert s.counters()["auth_limited"] == 1


def test_who_says_nothing_is_sent_away(start):
    Client(start("--connect-timeout-ms", 50), b"\x10").closed()


def test_a_silent_client_is_sent_away_after_one_and_a_half_keepalives(server):
    began = time.monotonic()
    server.client(keepalive=1).closed()
    assert time.monotonic() - began > 1.4
    assert server.counters()["keepalive_timeouts"] == 1


def test_connections_are_limited(start):
    s = start("--max-connections", 2)
    a, b = s.client(), s.client()
    Client(s).closed()
    a.quiet(), b.quiet()


# --- packets that break rules ----------------------------------------------------

@pytest.mark.parametrize("raw", [
    b"\x00\x00", b"\xf0\x00", b"\xc1\x00", b"\xc0\x01x",
    publish("a/+", "x"), publish("#", "x"), publish("", "x"),
    publish("a\0", "x"), publish(b"\xc0\xaf", "x"),
    publish("a", "x", qos=1, pid=0), publish("a", "x", dup=True),
    b"\x36" + publish("a", "x", qos=1, pid=1)[1:],           # QoS 3
    packet(0x30, b"\0\x05a"),
    packet(0x80, subscribe(1, ("a", 0))[2:]),
    subscribe(0, ("a", 0)), subscribe(1), subscribe(1, ("a", 3)),
    subscribe(1, ("a#", 0)), subscribe(1, ("a/#/b", 0)),
    subscribe(1, ("a+", 0)), subscribe(1, ("", 0)),
    unsubscribe(0, "a"), unsubscribe(1), packet(0xa0, unsubscribe(1, "a")[2:]),
    ack(PUBACK, 0), packet(0x40, b"\0"), packet(0x60, b"\0\1"),
    b"\x20\x02\0\0", b"\xd0\x00", ack(0xb0, 1), packet(0x90, b"\0\1\0"),
    b"\x30\xff\xff\xff\xff\x01",
])
def test_a_packet_that_breaks_a_rule_ends_the_connection(server, raw):
    c = server.client()
    c.send(raw)
    c.closed()
    assert server.counters()["protocol_errors"] == 1


def test_a_packet_over_the_limit_ends_the_connection(start):
    s = start("--max-packet", 1000)
    c = s.client()
    c.send(publish("a", "x" * 990))
    c.quiet()
    c.send(publish("a", "x" * 2000)[:10])
    c.closed()
    assert s.counters()["too_large"] == 1


def test_packets_may_arrive_in_pieces(server):
    c = server.client().sub(("a", 1))
    for b in publish("a", "x", qos=1, pid=5):
        c.send(bytes([b]))
        c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got = {c.take()[0] & 0xf0, c.take()[0] & 0xf0}
    assert got == {0x40, 0x30}


# --- publish and subscribe ---------------------------------------------------------

@pytest.mark.parametrize("out", [0, 1, 2])
@pytest.mark.parametrize("into", [0, 1, 2])
def test_a_message_comes_at_the_lower_qos(server, into, out):
    a = server.client().sub(("t", out))
    b = server.client()
    b.send(publish("t", "hi", qos=into, pid=9 if into else 0))
    if into == 1:
        b.expect(ack(PUBACK, 9))
    if into == 2:
        b.expect(ack(PUBREC, 9))
        b.send(ack(PUBREL, 9))
        b.expect(ack(PUBCOMP, 9))
    m = a.message()
    assert (m.qos, m.payload, m.retain, m.dup) == (min(into, out), "hi",
                                                    False, False)
    if m.qos == 1:
        a.send(ack(PUBACK, m.pid))
    if m.qos == 2:
        a.send(ack(PUBREC, m.pid))
        a.expect(ack(PUBREL, m.pid))
        a.send(ack(PUBCOMP, m.pid))
    a.quiet()
    server.until("inflight", 0)


@pytest.mark.parametrize("filter,topics", [
    ("#", ["a", "a/b", "a/b/c", "a//c", "/", "/a", "a/"]),
    ("+", ["a"]),
    ("a/#", ["a", "a/b", "a/b/c", "a//c", "a/"]),
    ("+/+", ["a/b", "/", "/a", "a/"]),
    ("/+", ["/", "/a"]),
    ("a/+/c", ["a/b/c", "a//c"]),
    ("+/b/#", ["a/b", "a/b/c"]),
    ("$x/#", ["$x", "$x/y"]),
    ("$x/+", ["$x/y"]),
    ("a/b", ["a/b"]),
])
def test_wildcards_match_what_the_standard_says(server, filter, topics):
    every = ["a", "a/b", "a/b/c", "a//c", "/", "/a", "a/", "$x", "$x/y"]
    c = server.client().sub((filter, 0))
    c.send(*[publish(t, "x") for t in every], PING)
    got = []
    while True:
        first, body = c.take()
        if first == 0xd0:
            break
        got.append(Message(first, body).topic)
    assert sorted(got) == sorted(topics)


def test_overlapping_subscriptions_give_one_copy_at_the_highest_qos(server):
    c = server.client().sub(("a/#", 0), ("a/b", 1), ("+/b", 2))
    c.send(publish("a/b", "x", qos=1, pid=3))
    kinds = [c.take() for _ in range(2)]
    assert sorted(k[0] for k in kinds) == [0x32, 0x40]
    c.quiet()


def test_unsubscribing_ends_it(server):
    c = server.client().sub(("a", 0))
    c.send(unsubscribe(4, "a", "never"))
    c.expect(ack(0xb0, 4))
    c.send(publish("a", "x"))
    c.quiet()


def test_a_subscription_may_be_refused(start):
    s = start("--max-subscriptions", 2, "--max-topic-levels", 3)
    c = s.client().sub(("denied/x", 0), ("a/b/c/d", 1), ("$share//a", 0),
                       ("a", 1), ("b", 2), ("c", 0),
                       codes=[0x80, 0x80, 0x80, 1, 2, 0x80])
    c.sub(("a", 0))
    assert s.counters()["subscribe_denied"] == 4


def test_a_publish_that_is_not_allowed_is_acknowledged_and_dropped(server):
    c = server.client().sub(("#", 0))
    c.send(publish("denied/x", "x", qos=1, pid=2))
    c.expect(ack(PUBACK, 2))
    c.quiet()
    assert server.counters()["publish_denied"] == 1


def test_a_qos_2_message_that_is_repeated_is_delivered_once(server):
    a = server.client().sub(("t", 0))
    b = server.client()
    b.send(publish("t", "x", qos=2, pid=5))
    b.expect(ack(PUBREC, 5))
    b.send(publish("t", "x", qos=2, pid=5, dup=True))
    b.expect(ack(PUBREC, 5))
    b.send(ack(PUBREL, 5), ack(PUBREL, 5))
    b.expect(ack(PUBCOMP, 5)), b.expect(ack(PUBCOMP, 5))
    b.send(publish("t", "y", qos=2, pid=5))
    b.expect(ack(PUBREC, 5))
    assert [a.message().payload, a.message().payload] == ["x", "y"]
    a.quiet()


def test_answers_come_in_the_order_of_the_messages(server):
    c = server.client()
    c.send(publish("consume/a", "later", qos=1, pid=1),
           publish("other", "x", qos=1, pid=2),
           publish("consume/a", "ok", qos=2, pid=3),
           publish("consume/a", "later", qos=0),
           publish("other", "x", qos=1, pid=4))
    c.expect(ack(PUBACK, 1)), c.expect(ack(PUBACK, 2))
    c.expect(ack(PUBREC, 3)), c.expect(ack(PUBACK, 4))


def test_a_publisher_with_too_much_unanswered_is_not_read(start):
    s = start("--publish-max", 2)
    c = s.client()
    c.send(*[publish("consume/a", "later", qos=1, pid=i)
             for i in range(1, 7)], PING)
    for i in range(1, 7):
        c.expect(ack(PUBACK, i))
    c.expect(PONG)


@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_consumer_can_not_take_is_not_acknowledged(server, qos):
    c = server.client()
    c.send(publish("consume/a", "fail", qos=qos, pid=1))
    c.closed()
    assert server.counters()["consume_failures"] == 1


def test_the_verdict_of_a_qos_2_message_outlives_its_connection(server):
    c = server.client(cid="p", clean=False)
    c.send(publish("consume/a", "later", qos=2, pid=1))
    server.until("consumed", 1)
    c.drop()
    c = server.client(cid="p", clean=False, present=True)
    c.send(publish("consume/a", "later", qos=2, pid=1, dup=True))
    c.expect(ack(PUBREC, 1))
    assert server.counters()["consumed"] == 1


def test_large_payloads_pass_unharmed(server):
    a, b = server.client().sub(("t", 1)), server.client()
    sizes = [0, 1, 127, 4095, 4096, 70000, 900000]
    for i, n in enumerate(sizes):
        b.send(publish("t", bytes([65 + i]) * n, qos=1, pid=i + 1))
    for i, n in enumerate(sizes):
        m = a.message()
        assert m.payload == chr(65 + i) * n
        a.send(ack(PUBACK, m.pid))


# --- retained, will ---------------------------------------------------------------

def test_a_retained_message_is_replaced_delivered_and_cleared(server):
    p = server.client()
    p.send(publish("r/a", "1", retain=True), publish("r/a", "2", retain=True),
           publish("r/b", "3", qos=1, pid=1, retain=True))
    p.expect(ack(PUBACK, 1))
    c = server.client().sub(("r/+", 1))
    got = sorted(map(repr, [c.message(), c.message()]))
    assert got == ["r/a=2 q0 retain", "r/b=3 q1 retain"]
    p.send(publish("r/a", "", retain=True))
    assert repr(c.message()) == "r/a= q0"
    c = server.client().sub(("#", 0))
    assert repr(c.message()) == "r/b=3 q0 retain"
    c.quiet()
    assert server.counters()["retained"] == 1


def test_hidden_retained_topics_are_not_found_by_a_leading_wildcard(server):
    c = server.client()
    c.send(publish("$x/a", "1", retain=True))
    c.sub(("#", 0), ("+/a", 0)).quiet()
    c.sub(("$x/#", 0))
    assert c.message().payload == "1"


def test_retained_messages_are_limited(start):
    s = start("--max-retained", 2)
    c = s.client()
    c.send(*[publish("r/%d" % i, "x", retain=True) for i in range(4)])
    c.quiet()
    assert s.counters()["retained"] == 2
    assert s.counters()["retained_refused"] == 2


def test_the_will_is_published_unless_the_client_says_goodbye(server):
    w = server.client().sub(("w", 1))
    c = server.client(cid="a", will=("w", "gone", 1, False))
    c.send(BYE)
    c.closed()
    w.quiet()
    server.client(cid="a", will=("w", "gone", 1, False)).drop()
    assert repr(w.message()) == "w=gone q1"


def test_the_will_is_published_on_errors_silence_and_take_over(server):
    w = server.client().sub(("w", 0))
    server.client(will=("w", "error", 0, False)).send(b"\0\0")
    assert w.message().payload == "error"
    c = server.client(will=("w", "silence", 0, False), keepalive=1)
    assert w.message().payload == "silence"
    c = server.client(cid="x", will=("w", "taken", 0, True))
    server.client(cid="x")
    c.closed()
    assert w.message().payload == "taken"
    assert repr(server.client().sub(("w", 0)).message()) == \
        "w=taken q0 retain"


# --- sessions ---------------------------------------------------------------------

def test_a_session_is_remembered_with_what_it_is_owed(server):
    c = server.client(cid="p", clean=False).sub(("t", 1))
    c.drop()
    server.until("connections", 0)
    p = server.client()
    for i in range(1, 4):
        p.send(publish("t", str(i), qos=1, pid=i))
        p.expect(ack(PUBACK, i))
    p.send(publish("t", "not kept", qos=0))
    p.quiet()
    c = server.client(cid="p", clean=False, present=True)
    got = [c.message() for _ in range(3)]
    assert [m.payload for m in got] == ["1", "2", "3"]
    assert not any(m.dup for m in got)
    c.drop()  # without acknowledging
    c = server.client(cid="p", clean=False, present=True)
    got = [c.message() for _ in range(3)]
    assert [(m.payload, m.dup) for m in got] == [("1", True), ("2", True),
                                                 ("3", True)]
    c.send(ack(PUBACK, got[1].pid), BYE)
    c.closed()
    c = server.client(cid="p", clean=False, present=True)
    assert [c.message().payload for _ in range(2)] == ["1", "3"]
    c.quiet()


def test_qos_2_goes_on_where_it_was(server):
    c = server.client(cid="p", clean=False).sub(("t", 2))
    p = server.client()
    p.send(publish("t", "x", qos=2, pid=1), publish("t", "y", qos=2, pid=2))
    m, n = c.message(), c.message()
    c.send(ack(PUBREC, m.pid))
    c.expect(ack(PUBREL, m.pid))
    c.drop()
    c = server.client(cid="p", clean=False, present=True)
    c.expect(ack(PUBREL, m.pid))
    again = c.message()
    assert (again.payload, again.dup, again.pid) == ("y", True, n.pid)
    c.send(ack(PUBCOMP, m.pid), ack(PUBREC, n.pid))
    c.expect(ack(PUBREL, n.pid))
    c.send(ack(PUBCOMP, n.pid))
    c.quiet()
    server.until("inflight", 0)


def test_received_qos_2_ids_are_remembered(server):
    w = server.client().sub(("t", 0))
    c = server.client(cid="p", clean=False)
    c.send(publish("t", "x", qos=2, pid=8))
    c.expect(ack(PUBREC, 8))
    c.drop()
    c = server.client(cid="p", clean=False, present=True)
    c.send(publish("t", "x", qos=2, pid=8, dup=True))
    c.expect(ack(PUBREC, 8))
    assert w.message().payload == "x"
    w.quiet()


def test_a_clean_start_forgets(server):
    server.client(cid="p", clean=False).sub(("t", 1)).drop()
    server.client(cid="p", clean=True).drop()
    c = server.client(cid="p", clean=False)
    c.send(publish("t", "x"))
    c.quiet()


def test_the_same_client_takes_over(server):
    a = server.client(cid="p", clean=False).sub(("t", 1))
    b = server.client(cid="p", clean=False, present=True)
    a.closed()
    b.send(publish("t", "x"))
    assert b.message().payload == "x"
    assert server.counters()["sessions"] == 1


def test_a_client_id_belongs_to_its_account(start):
    s = start("--user", "ann:1", "--user", "bob:2")
    a = s.client(cid="p", user="ann", password="1")
    s.client(cid="p", user="bob", password="2").quiet()
    a.quiet()


def test_in_flight_is_limited_and_order_kept(start):
    s = start("--max-inflight", 2)
    c, p = s.client().sub(("t", 1)), s.client()
    p.send(*[publish("t", str(i), qos=1, pid=i) for i in range(1, 6)])
    a, b = c.message(), c.message()
    c.quiet()
    c.send(ack(PUBACK, b.pid))
    third = c.message()
    c.send(ack(PUBACK, a.pid), ack(PUBACK, third.pid))
    assert [m.payload for m in (a, b, third, c.message(), c.message())] == \
        ["1", "2", "3", "4", "5"]


def test_a_slow_session_loses_what_is_new(start):
    s = start("--queue-messages", 2)
    s.client(cid="p", clean=False).sub(("t", 1)).drop()
    s.until("connections", 0)
    p = s.client()
    p.send(*[publish("t", str(i), qos=1, pid=i) for i in range(1, 6)])
    for i in range(1, 6):
        p.expect(ack(PUBACK, i))
    c = s.client(cid="p", clean=False, present=True)
    assert [c.message().payload for _ in range(2)] == ["1", "2"]
    c.quiet()
    assert s.counters()["dropped_queue_full"] == 3


def test_who_does_not_read_loses_qos_0_only(start):
    s = start("--max-output", 100000, "--queue-messages", 1000)
    c = Client(s)
    c.accepted().sub(("t/#", 1))
    p, big = s.client(), "x" * 10000
    p.send(*[publish("t/0", big) for _ in range(2000)])
    p.send(*[publish("t/1", str(i) + big, qos=1, pid=i)
             for i in range(1, 101)])
    for i in range(1, 101):
        p.expect(ack(PUBACK, i))
    assert s.counters()["dropped_output_full"] > 0
    want = 1
    while want <= 100:
        m = c.message()
        if m.qos:
            assert m.payload == str(want) + big
            c.send(ack(PUBACK, m.pid))
            want += 1


def test_sessions_expire_and_are_limited(start):
    s = start("--max-sessions", 2, "--session-expiry-ms", 600000)
    for i in range(3):
        s.client(cid="p%d" % i, clean=False).drop()
        s.until("connections", 0)
    assert s.counters()["sessions_evicted"] == 1
    s.client(cid="p2", clean=False, present=True).drop()
    s = start("--session-expiry-ms", 300)
    for i in range(2):
        s.client(cid="p%d" % i, clean=False).drop()
    s.until("sessions_expired", 2)
    assert s.counters()["sessions"] == 0


# --- shared groups and queues ----------------------------------------------------------

def test_a_shared_group_gives_each_message_to_one_member(server):
    cs = [server.client().sub(("$share/g/t/+", 1)) for _ in range(3)]
    plain, p = server.client().sub(("t/1", 0)), server.client()
    p.send(*[publish("t/1", str(i), qos=1, pid=i) for i in range(1, 10)])
    got = [[c.message().payload for _ in range(3)] for c in cs]
    assert sorted(sum(got, [])) == [str(i) for i in range(1, 10)]
    assert [plain.message().payload for _ in range(9)] == \
        [str(i) for i in range(1, 10)]


@pytest.mark.parametrize("clean", [True, False])
def test_what_a_vanished_member_had_goes_to_another(server, clean):
    a = server.client(cid="a", clean=clean).sub(("$share/g/t", 1))
    p = server.client()
    p.send(*[publish("t", str(i), qos=1, pid=i) for i in range(1, 4)])
    got = [a.message() for _ in range(3)]
    a.send(ack(PUBACK, got[0].pid))
    a.quiet()
    b = server.client(cid="b").sub(("$share/g/t", 1))
    b.quiet()
    a.drop()
    assert [b.message().payload for _ in range(2)] == ["2", "3"]
    p.send(publish("t", "4"))
    assert b.message().payload == "4"


def test_a_group_waits_for_its_members(start):
    s = start("--max-inflight", 1)
    a = s.client(cid="a", clean=False).sub(("$share/g/t", 1))
    a.drop()
    s.until("connections", 0)
    p = s.client()
    p.send(publish("t", "1", qos=1, pid=1), publish("t", "2", qos=1, pid=2))
    b = s.client(cid="b").sub(("$share/g/t", 1))
    m = b.message()
    assert m.payload == "1"
    a = s.client(cid="a", clean=False, present=True)
    a.send(PING)
    assert a.message().payload == "2"


def test_a_queue_keeps_messages_for_the_first_subscriber(start):
    s = start("--queue", "q.a", "--queue-messages", 3)
    p = s.client()
    p.send(*[publish("q.a", str(i), qos=1, pid=i) for i in range(1, 6)])
    for i in range(1, 6):
        p.expect(ack(PUBACK, i))
    assert s.counters()["dropped_queue_full"] == 2
    c = s.client().sub(("q.a", 1))
    assert [c.message().payload for _ in range(3)] == ["1", "2", "3"]
    s.client().sub(("q.a", 1)).quiet()


def test_a_queue_gives_to_a_shared_group(start):
    s = start("--queue", "q.a")
    p = s.client()
    p.send(*[publish("q.a", str(i), qos=1, pid=i) for i in range(1, 4)])
    for i in range(1, 4):
        p.expect(ack(PUBACK, i))
    c = s.client().sub(("$share/g/q.a", 1))
    got = [c.message() for _ in range(3)]
    assert [m.payload for m in got] == ["1", "2", "3"]
    c.send(ack(PUBACK, got[0].pid))
    c.quiet()
    c.drop()
    s.until("connections", 1)
    c = s.client().sub(("q.a", 1))
    assert [c.message().payload for _ in range(2)] == ["2", "3"]


def test_messages_of_a_queue_expire(start):
    s = start("--queue", "q.a", "--queue-ttl-ms", 100)
    p = s.client()
    p.send(publish("q.a", "old", qos=1, pid=1))
    p.expect(ack(PUBACK, 1))
    s.until("dropped_expired", 1)
    s.client().sub(("q.a", 1)).quiet()


# --- other people's clients -----------------------------------------------------------

def test_mosquitto_clients_get_along_with_it(start):
    s = start("--user", "ann:secret")
    login = ["-p", str(s.port), "-u", "ann", "-P", "secret", "-V", "311"]
    sub = subprocess.Popen(
        ["mosquitto_sub", *login, "-t", "a/#", "-q", "2", "-C", "3", "-v",
         "-i", "s", "-c"], stdout=subprocess.PIPE, text=True)
    s.until("subscriptions", 1)
    for q in "012":
        subprocess.run(["mosquitto_pub", *login, "-t", "a/" + q, "-m",
                        "m" + q, "-q", q], check=True, timeout=LIMIT)
    assert sub.communicate(timeout=LIMIT)[0] == "a/0 m0\na/1 m1\na/2 m2\n"


def test_paho_gets_along_with_it(server):
    mqtt = pytest.importorskip("paho.mqtt.client")
    try:
        c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, "paho")
    except AttributeError:
        c = mqtt.Client("paho")
    got = []
    c.on_message = lambda _c, _u, m: got.append((m.qos, m.payload))
    c.connect("127.0.0.1", server.port)
    c.loop_start()
    c.subscribe("t/#", 2)
    server.until("subscriptions", 1)
    for i in range(300):
        c.publish("t/%d" % i, str(i), qos=i % 3).wait_for_publish()
    end = time.monotonic() + LIMIT
    while len(got) < 300 and time.monotonic() < end:
        time.sleep(0.01)
    c.disconnect()
    c.loop_stop()
    assert sorted(got) == sorted((i % 3, str(i).encode())
                                 for i in range(300))

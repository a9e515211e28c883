"""What a hostile or broken peer may send, and what must happen: a table. Beside
each row a well-behaved client has to be served, and the server may not grow
beyond the row's limit, not even for a moment (VmHWM).

    MQTTD=build/test/conformance/mqttd python3 -m pytest hostile_test.py
"""
import random
import re
import socket
import struct

import pytest

from script import Run
from wire import (LIMIT, PING, PUBACK, PUBCOMP, PUBREC, PUBREL, Client, Server,
                  ack, connect, is_sanitized, packet, props, publish, subscribe,
                  text, unsubscribe, varint)

MIB = 1 << 20
GROWTH = 4 * MIB  # that a row may make the server grow
NONE = b"\0"      # no properties


# --- tools --------------------------------------------------------------------

def dial(port):
    return socket.create_connection(("127.0.0.1", port), LIMIT)


def pour(s, data):
    """Sends until all is sent, the peer does not take more, or it has closed;
    returns how much was sent."""
    s.settimeout(0.3)
    sent, view = 0, memoryview(data)
    try:
        while sent < len(data):
            sent += s.send(view[sent:sent + 65536])
    except (TimeoutError, ConnectionError):
        pass
    return sent


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def ended(s, wait=LIMIT):
    """Waits for the peer to close; returns what it said before."""
    s.settimeout(wait)
    said = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return said
            said += more
    except ConnectionError:
        return said


def code_at_end(s):
    """The reason of the DISCONNECT that a level 5 connection ended with."""
    said = ended(s)
    at = said.rfind(b"\xe0")
    assert at >= 0, said[-40:]
    return said[at + 2]


def peak(server):
    with open("/proc/%d/status" % server.p.pid) as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) << 10


def frame(op, payload, fin=True, mask=True, rsv=0, length=None):
    n = len(payload) if length is None else length
    head = bytes([op | rsv | (128 if fin else 0)])
    bit = 128 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    return head + (b"\0\0\0\0" if mask else b"") + payload


UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
           b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")


def websocket(server, first=None):
    s = dial(server.ws_port)
    s.sendall(UPGRADE)
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(4096)
    if first is not None:
        s.sendall(frame(2, first))
        assert s.recv(4096)
    return s


# --- the attacks that are more than a few packets ---------------------------------

def drip(port_of, pieces, every):
    """Slow loris: a piece at a time, until the server has had enough."""
    def attack(server):
        s = dial(port_of(server))
        s.settimeout(every)
        for piece in pieces:
            try:
                s.sendall(piece)
                if s.recv(1) == b"":
                    return
            except TimeoutError:
                pass
            except ConnectionError:
                return
        raise AssertionError("never sent away")
    return attack


def takeover_storm(server):
    old = [Client(server, connect("storm")) for _ in range(300)]
    old[-1].accepted()
    old[-1].quiet()
    for c in old[:-1]:
        c.gone()
    assert server.counters()["takeovers"] == 299
    server.until("connections", 2)


def takeover_with_wills(server):
    w = Client(server, connect("watch")).accepted().sub(("w", 0))
    for _ in range(200):
        Client(server, connect("storm", will=("w", "x" * 1000, 0, True)))
    for _ in range(199):
        assert w.message().topic == "w"
    assert server.counters()["retained"] == 1


def subscription_bomb(server):
    c = server.client(level=5)
    c.send(subscribe(1, *[("f/%d" % i, 1) for i in range(20000)], p=NONE))
    first, body = c.take()
    assert first == 0x90 and body.count(b"\x97") == 19900
    c.quiet()
    assert server.counters()["subscriptions"] == 101


def long_filters(server):
    c = server.client(level=5)
    for i in range(100):
        c.send(subscribe(1, ("%d/" % i + "x" * 60000, 0), p=NONE))
        c.take()
    assert server.counters()["subscriptions"] == 101


def overlapping(server):
    c = server.client()
    words = ["a", "+"]
    filters = ["/".join(words[i >> b & 1] for b in range(10))
               for i in range(1000)]
    c.sub(*[(f, 0) for f in filters])
    for _ in range(20):
        c.send(publish("/".join("a" * 10), "x"))
        assert c.message().payload == "x"
    c.quiet()


def subscription_churn(server):
    c = server.client()
    for i in range(0, 20000, 100):
        c.send(b"".join(subscribe(1, ("churn/%d/+" % j, 0)) +
                        unsubscribe(2, "churn/%d/+" % j)
                        for j in range(i, i + 100)))
        for _ in range(200):
            c.take()
    c.quiet()
    assert server.counters()["subscriptions"] == 1


def topic_churn(server):
    c = server.client()
    for i in range(0, 50000, 1000):
        c.send(*[publish("topic/%d/%s" % (j, "x" * 50), "x")
                 for j in range(i, i + 1000)])
    c.quiet()


def retained_bomb(server):
    c = server.client()
    for i in range(0, 20000, 1000):
        c.send(*[publish("r/%d" % j, "x", retain=True)
                 for j in range(i, i + 1000)])
    c.quiet()
    n = server.counters()
    assert (n["retained"], n["retained_refused"]) == (1000, 19000)


def retained_bytes(server):
    c = server.client()
    for i in range(60):
        c.send(publish("r/%d" % i, b"x" * 500000, retain=True))
    c.quiet()
    assert server.counters()["retained_bytes"] <= 4 * MIB


def retained_replay(server):
    c = server.client()
    c.send(*[publish("r/%d" % i, b"x" * 1000, retain=True)
             for i in range(1000)])
    c.quiet()
    pour(c.s, b"".join(subscribe(i, ("r/#", 0)) for i in range(1, 1001)))


def aliases_over_and_over(server):
    c = server.client(level=5)
    for i in range(0, 20000, 500):
        c.send(*[publish("%d/" % j + "x" * 2000, p=props(
            (35, struct.pack(">H", j % 10 + 1)))) for j in range(i, i + 500)])
    c.quiet()


def properties_by_the_thousand(server):
    a = server.client(level=5).sub(("t", 0))
    a.send(publish("t", "x", p=props(*[
        (38, text("k") + text("v"))] * 100000)))
    assert len(a.message().props) == 700000
    a.quiet()


def properties_in_the_will(server):
    s = dial(server.port)
    pour(s, connect("w", level=5, will=("w", "x", 0, False), will_p=props(*[
        (38, text("k" * 60000) + text("v" * 60000))] * 8)))
    ended(s)


def flood_unread(packets, level=4):
    """Sends for ever what is answered, and never reads an answer."""
    def attack(server):
        c = server.client(level=level)
        sent = pour(c.s, packets * (16 * MIB // len(packets)))
        assert sent < 16 * MIB, "the server took it all"
    return attack


def flood_read(packets, answers, level=4):
    def attack(server):
        c = server.client(level=level)
        for _ in range(20):
            c.send(packets)
            for _ in range(answers):
                c.take()
        c.quiet()
    return attack


def qos_2_ids_4(server):
    c = server.client()
    for i in range(1, 65536, 1000):
        ids = range(i, min(i + 1000, 65536))
        c.send(*[publish("t", "x", qos=2, pid=j) for j in ids])
        for j in ids:
            c.expect(ack(PUBREC, j))
    c.quiet()


def qos_2_ids_5(server):
    c = server.client(level=5)
    pour(c.s, b"".join(publish("t", "x", qos=2, pid=j, p=NONE)
                       for j in range(1, 2000)))
    assert code_at_end(c.s) == 0x93


def will_bombs(server):
    for i in range(60):
        reset(server.client(cid="w%d" % i, will=(
            "w/%d" % i, b"x" * 60000, 1, True)).s)
    server.until("connections", 1)
    n = server.counters()
    assert n["wills"] == 60 and n["retained"] <= 50


def connection_flood(server):
    some = [dial(server.port) for _ in range(300)]
    for s in some[60:]:
        assert ended(s) == b""
    assert server.counters()["connections_refused"] >= 240
    for s in some:
        s.close()


def connection_rate(server):
    some = [dial(server.port) for _ in range(100)]
    server.until("connections_limited", 81)
    for s in some:
        s.close()


def reset_storm(server):
    for i in range(500):
        s = dial(server.port)
        if i % 2:
            s.sendall(connect("r%d" % i) + PING)
        reset(s)
    server.until("connections", 1)


def guess_passwords(server):
    for _ in range(3):
        c = Client(server, connect("g", user="ann", password="guess"))
        c.refused(4)
    for _ in range(50):
        Client(server, connect("g", user="ann", password="guess")).refused(5)
    assert server.counters()["auth_limited"] == 50


def announced_only(server):
    """A large packet is announced on many connections, and hardly begun."""
    cs = [server.client(cid="a%d" % i) for i in range(200)]
    for c in cs:
        c.send(b"\x30" + varint(1000000) + b"\0\1t" + b"x" * 100)
    for c in cs:
        c.drop()
    server.until("connections", 1)


def announced_connects(server):
    some = [dial(server.port) for _ in range(200)]
    for s in some:
        s.sendall(b"\x10" + varint(300000) + b"\0\4MQTT\4\2\0\0")
    for s in some:
        s.close()
    server.until("connections", 1)


def really_too_large(server):
    s = server.client(level=5).s
    pour(s, publish("t", b"x" * 3 * MIB, p=NONE))
    assert code_at_end(s) == 0x95


def noise(server):
    rand = random.Random(1)
    for _ in range(200):
        s = dial(server.port)
        pour(s, rand.randbytes(200))
        s.close()
    for _ in range(200):
        c = server.client(cid="noise", level=rand.choice((4, 5)))
        pour(c.s, rand.randbytes(200))
        c.drop()
    server.until("connections", 1)


def every_first_byte(server):
    for level in (4, 5):
        for first in range(256):
            c = server.client(cid="f%d" % level, level=level)
            c.send(bytes([first, 0]))
            c.send(bytes([first, 2, 0, 1]))
            c.drop()
    server.until("connections", 1)


def every_prefix(server):
    """Each packet, cut at each place, and the other end closed."""
    whole = [connect("p", level=5, will=("w", "x", 1, True), user="u",
                     password="p"),
             publish("t", "x", qos=2, pid=1, p=props((1, b"\1"))),
             subscribe(1, ("a/+", 2), p=props((11, b"\7")))]
    for p in whole:
        for n in range(1, len(p)):
            s = dial(server.port)
            s.sendall((b"" if p is whole[0] else connect("c", level=5)) +
                      p[:n])
            s.shutdown(socket.SHUT_WR)
            ended(s)
            s.close()


def every_flipped_bit(server):
    p = connect("p", level=5, will=("w", "x", 1, True), user="u",
                password="p", p=props((17, struct.pack(">I", 1)),
                                      (33, struct.pack(">H", 5))))
    for i in range(len(p) * 8):
        s = dial(server.port)
        bad = bytearray(p)
        bad[i // 8] ^= 1 << i % 8
        s.sendall(bytes(bad))
        s.shutdown(socket.SHUT_WR)
        ended(s)
        s.close()


def deaf_subscriber(server):
    """Subscribes and reads nothing while others publish."""
    c = server.client().sub(("t", 0))
    p = server.client()
    for _ in range(40):
        p.send(*[publish("t", b"x" * 10000) for _ in range(100)])
    p.quiet()
    c.drop()


def deaf_subscriber_qos_1(server):
    server.client().sub(("t", 1))
    p = server.client()
    for i in range(40):
        p.send(*[publish("t", b"x" * 10000, qos=1, pid=j + 1)
                 for j in range(100)])
        for _ in range(100):
            p.take()
    p.quiet()


def sessions_by_the_thousand(server):
    for i in range(1500):
        c = Client(server, connect("s%d" % i, clean=False) +
                   subscribe(1, ("s/%d" % i, 1)))
        c.accepted()
        c.drop()
    server.until("connections", 1)
    n = server.counters()
    assert n["sessions"] <= 101 and n["sessions_evicted"] >= 1400


def groups_by_the_thousand(server):
    c = server.client(level=5)
    for i in range(0, 2000, 100):
        c.send(subscribe(1, *[("$share/%s%d/t" % ("g" * 1000, j), 0)
                              for j in range(i, i + 100)], p=NONE))
        c.take()
    c.send(publish("t", "x", p=NONE))
    for _ in range(1000):
        assert c.message().payload == "x"
    c.quiet()


def before_connack(server):
    """All that fits is sent behind a CONNECT that is going to be refused."""
    s = dial(server.port)
    pour(s, connect("x", user="ann", password="wrong") +
         publish("good/x", b"forged") * 200000)
    s.close()


def unfinished_message(server):
    """A WebSocket message in fragments that has no end."""
    s = websocket(server)
    pour(s, frame(2, b"\x10", fin=False) + frame(0, b"\x7f", fin=False) +
         frame(0, b"\0", fin=False) * 100000)
    ended(s)


def fragments_that_are_fine(server):
    s = websocket(server)
    data = connect("ws") + PING * 500
    s.sendall(b"".join(frame(2 if i == 0 else 0, data[i:i + 1], fin=False)
                       for i in range(len(data))) + frame(0, b""))
    got = b""
    while got.count(b"\xd0\0") < 500:
        got += s.recv(65536)


def websocket_pings(server):
    s = websocket(server, connect("ws"))
    pour(s, frame(9, b"x" * 125) * 60000)
    s.close()


def empty_frames(server):
    s = websocket(server, connect("ws"))
    s.sendall(frame(2, b"") * 100000 + frame(2, PING))
    s.settimeout(LIMIT)
    assert s.recv(4096) == b"\x82\x02\xd0\x00"


def websocket_drip(server):
    s = dial(server.ws_port)
    pour(s, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000)
    said = ended(s)
    assert said == b"" or b" 431 " in said or b" 400 " in said


def http(request, status):
    def attack(server):
        s = dial(server.ws_port)
        s.sendall(request)
        assert ended(s).startswith(b"HTTP/1.1 %d" % status)
    return attack


def on_websocket(data, code=None):
    """The frames end the connection, with the close code."""
    def attack(server):
        s = websocket(server, connect("ws"))
        pour(s, data)
        said = ended(s)
        if code is not None:
            assert said[:1] == b"\x88" and \
                struct.unpack(">H", said[2:4])[0] == code, said
    return attack


def on_proxy(data, passes=False):
    def attack(server):
        s = dial(server.proxy_port)
        s.sendall(data)
        if passes:
            s.settimeout(LIMIT)
            assert s.recv(4) == b"\x20\2\0\0"
        else:
            assert ended(s) == b""
    return attack


def proxied_rate(server):
    """Behind one balancer each address has its own allowance."""
    def comes_in(address):
        s = dial(server.proxy_port)
        s.sendall(b"PROXY TCP4 %s 10.0.0.1 5000 1883\r\n" % address +
                  connect(""))
        s.settimeout(LIMIT)
        try:
            return s.recv(4) == b"\x20\2\0\0"
        except ConnectionError:
            return False

    came = [comes_in(b"192.0.2.1") for _ in range(30)]
    assert came == [True] * 20 + [False] * 10
    assert comes_in(b"192.0.2.2")


PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n"
C5, C4 = ["A> CONNECT id=a", "A< CONNACK"], ["A> CONNECT id=a v=4",
                                             "A< CONNACK"]

# Name; options of the server; what is done: lines as in script.py, or a
# function; how much the server may grow, if not GROWTH.
TABLE = [
    # before CONNECT
    ("nothing is sent", "--connect-timeout-ms 200",
     ["A> open", "A< closed 0.1"]),
    ("half a CONNECT, then nothing", "--connect-timeout-ms 200",
     ["A> hex 10 20 00 04", "A< closed 0.1"]),
    ("a CONNECT byte by byte without end", "--connect-timeout-ms 300",
     drip(lambda s: s.port, [b"\x10\xff\x7f"] + [b"\0"] * 1000, 0.05)),
    ("an upgrade to WebSocket line by line without end",
     "--connect-timeout-ms 300",
     drip(lambda s: s.ws_port, [b"GET / HTTP/1.1\r\n"] + [b"X: y\r\n"] * 1000,
          0.05)),
    ("an upgrade, then no CONNECT", "--connect-timeout-ms 200",
     ["A> upgrade", "A< 101", "A< closed 0.1"]),
    ("a CONNECT of 256 MiB is announced", "",
     ["A> hex 10 ff ff ff 7f", "A< closed"]),
    ("a length of five bytes", "", ["A> hex 10 ff ff ff ff 01", "A< closed"]),
    ("200 large CONNECTs are announced", "", announced_connects),
    ("packets behind a refused CONNECT", "--user ann:secret --user bo:b",
     before_connack),
    ("connections beyond the limit", "--max-connections 50",
     connection_flood),
    ("too many connections of one address", "--max-connect-rate 20",
     connection_rate),
    ("passwords are guessed", "--user ann:secret --user bo:b "
     "--max-auth-failures 3", guess_passwords),
    ("connections are reset", "", reset_storm),
    ("noise", "", noise),
    ("every first byte", "", every_first_byte),
    ("every packet is cut everywhere", "", every_prefix),
    ("every bit of CONNECT is turned over", "", every_flipped_bit),
    # lengths and texts
    ("a PUBLISH of 256 MiB is announced", "",
     C5 + ["A> hex 30 ff ff ff 7f", "A< ended 0x95"]),
    ("a PUBLISH of 256 MiB is announced in 3.1.1", "",
     C4 + ["A> hex 30 ff ff ff 7f", "A< closed"]),
    ("a packet larger than allowed is sent", "", really_too_large),
    ("200 large PUBLISHes are announced", "", announced_only),
    ("a topic longer than its packet", "",
     C5 + ["A> hex 30 04 ff ff 61 00", "A< ended 0x81"]),
    ("properties longer than their packet", "",
     C5 + ["A> hex 30 05 00 01 61 7f 00", "A< ended 0x81"]),
    ("an overlong UTF-8 sequence", "",
     C5 + ["A> PUBLISH topic=a\\xc0\\xaf", "A< ended 0x81"]),
    ("a surrogate", "",
     C5 + ["A> PUBLISH topic=\\xed\\xa0\\x80", "A< ended 0x81"]),
    ("a code point beyond U+10FFFF", "",
     C5 + ["A> SUBSCRIBE id=1 f=\\xf4\\x90\\x80\\x80:0", "A< ended 0x81"]),
    ("U+0000 in a topic", "", C4 + ["A> PUBLISH topic=a\\x00b", "A< closed"]),
    ("half a UTF-8 sequence", "",
     C5 + ["A> PUBLISH topic=a\\xe2\\x82", "A< ended 0x81"]),
    # topics and filters
    ("wildcards in PUBLISH", "",
     C5 + ["A> PUBLISH topic=good/#", "A< ended 0x81 0x82 0x90"]),
    ("wildcards in a will", "", ["A> CONNECT id=a will=good/+:x",
                                 "A< refused"]),
    ("statistics are forged", "--sys-interval-ms 1000",
     ["S> CONNECT id=s", "S< CONNACK", "S> SUBSCRIBE id=1 f=$SYS/forged:0",
      "S< SUBACK codes=0"] + C5 +
     ["A> PUBLISH topic=$SYS/forged payload=x qos=1 id=1 retain=1",
      "A< PUBACK code=0||16||0x87||0x90", "S< nothing"]),
    ("a group in a group", "",
     C5 + ["A> SUBSCRIBE id=1 f=$share/g/$share/h/t:0", "A< SUBACK",
           "A> PUBLISH topic=t", "A< nothing"]),
    ("publishing to a group", "",
     ["S> CONNECT id=s", "S< CONNACK", "S> SUBSCRIBE id=1 f=$share/g/t:0",
      "S< SUBACK codes=0"] + C5 +
     ["A> PUBLISH topic=$share/g/t payload=x", "A< nothing", "S< nothing"]),
    ("20 000 filters in one SUBSCRIBE", "--max-subscriptions 100",
     subscription_bomb),
    ("filters of 60 kB", "--max-subscriptions 100", long_filters,
     8 * MIB),
    ("a filter of 30 000 levels", "",
     C5 + ["A> SUBSCRIBE id=1 f=+/*30000:0", "A< SUBACK codes=0x8f"]),
    ("a topic of 30 000 levels", "--max-topic-levels 32",
     C5 + ["A> PUBLISH topic=a/*30000 qos=1 id=1",
           "A< PUBACK code=0x90||0x87"]),
    ("1000 filters that all match", "", overlapping),
    ("subscribing and unsubscribing 20 000 times", "", subscription_churn),
    ("50 000 topics", "", topic_churn),
    ("1000 shared groups with long names", "", groups_by_the_thousand,
     8 * MIB),
    # retained messages, wills, sessions
    ("20 000 retained messages", "--max-retained 1000", retained_bomb),
    ("retained messages of 30 MB", "--max-retained-bytes 4194304",
     retained_bytes, 8 * MIB),
    ("retained messages asked for 1000 times, and not read",
     "--max-output 1048576 --queue-bytes 1048576", retained_replay,
     8 * MIB),
    ("wills of 60 kB", "--max-retained 50", will_bombs),
    ("a will where it is not allowed", "",
     ["S> CONNECT id=s", "S< CONNACK", "S> SUBSCRIBE id=1 f=+/x:0",
      "S< SUBACK", "A> CONNECT id=a will=denied/x:x will_retain=1",
      "A< CONNACK", "A> hex 00 00", "A< ended 0x81 0x82", "S< nothing"]),
    ("300 connections with one client id", "", takeover_storm),
    ("200 connections with one client id, and wills", "",
     takeover_with_wills),
    ("1500 sessions to remember", "--max-sessions 100",
     sessions_by_the_thousand),
    # what level 5 has
    ("topic alias 0", "", C5 + ["A> PUBLISH topic=a alias=0",
                                "A< ended 0x94"]),
    ("a topic alias too high", "",
     C5 + ["A> PUBLISH topic=a alias=65535", "A< ended 0x94"]),
    ("an unknown topic alias", "",
     C5 + ["A> PUBLISH topic= alias=5", "A< ended 0x82 0x94"]),
    ("topic aliases changed 20 000 times", "", aliases_over_and_over),
    ("receive maximum 0", "", ["A> CONNECT id=a receive_max=0",
                               "A< refused"]),
    ("more QoS 2 messages than the server takes", "", qos_2_ids_5),
    ("all QoS 2 ids, never completed", "", qos_2_ids_4),
    ("100 000 user properties", "", properties_by_the_thousand, 8 * MIB),
    ("1 MB of properties in a will", "", properties_in_the_will),
    ("a property that does not exist", "",
     C5 + ["A> hex 30 06 00 01 61 02 7f 00", "A< ended 0x81"]),
    ("a property twice", "",
     C5 + ["A> PUBLISH topic=a message_expiry=1 message_expiry=2",
           "A< ended 0x82"]),
    ("a property in the wrong packet", "",
     C5 + ["A> PUBLISH topic=a assigned=x", "A< ended 0x81 0x82"]),
    ("a property length of five bytes", "",
     C5 + ["A> hex 30 08 00 01 61 ff ff ff ff 01", "A< ended 0x81"]),
    ("an authentication from nowhere", "",
     C5 + ["A> AUTH code=0x18 auth_method=x auth_data=y*60000",
           "A< ended 0x82"]),
    # floods
    ("a flood of PUBREL, answers read", "",
     flood_read(ack(PUBREL, 7) * 5000, 5000)),
    ("a flood of PUBREL, answers not read", "--max-output 65536",
     flood_unread(ack(PUBREL, 7) * 1000)),
    ("a flood of PUBREC, answers not read", "--max-output 65536",
     flood_unread(ack(PUBREC, 7) * 1000, 5)),
    ("a flood of PUBACK and PUBCOMP", "",
     flood_read((ack(PUBACK, 7) + ack(PUBCOMP, 9)) * 5000, 0)),
    ("a flood of PINGREQ, answers not read", "--max-output 65536",
     flood_unread(PING * 1000)),
    ("a flood of SUBSCRIBE, answers not read", "--max-output 65536",
     flood_unread(subscribe(1, ("a", 0)) * 1000)),
    ("a flood of QoS 1, answers not read", "--max-output 65536",
     flood_unread(publish("t", "", qos=1, pid=1) * 1000)),
    ("a second CONNECT, a thousand times", "",
     C5 + ["A> CONNECT id=a" + " + CONNECT id=a" * 999, "A< ended 0x82"]),
    ("a subscriber that does not read QoS 0",
     "--max-output 1048576 --slow-ms 100 --queue-bytes 1048576",
     deaf_subscriber),
    ("a subscriber that does not read QoS 1",
     "--max-output 1048576 --slow-ms 100 --queue-bytes 4194304",
     deaf_subscriber_qos_1),
    # WebSocket
    ("WebSocket: a frame without a mask", "",
     on_websocket(frame(2, PING, mask=False), 1002)),
    ("WebSocket: a text frame", "", on_websocket(frame(1, PING), 1003)),
    ("WebSocket: a frame of 2^62 bytes", "",
     on_websocket(frame(2, b"x", length=1 << 62), 1009)),
    ("WebSocket: a frame of 2^63 bytes", "",
     on_websocket(frame(2, b"x", length=1 << 63))),
    ("WebSocket: reserved bits", "",
     on_websocket(frame(2, PING, rsv=0x40), 1002)),
    ("WebSocket: an unknown opcode", "", on_websocket(frame(3, PING), 1002)),
    ("WebSocket: an unknown control opcode", "",
     on_websocket(frame(11, b""), 1002)),
    ("WebSocket: a continuation of nothing", "",
     on_websocket(frame(0, PING), 1002)),
    ("WebSocket: a message within a message", "",
     on_websocket(frame(2, b"\xc0", fin=False) + frame(2, b"\0"), 1002)),
    ("WebSocket: a long ping", "",
     on_websocket(frame(9, b"x" * 126), 1002)),
    ("WebSocket: a ping in fragments", "",
     on_websocket(frame(9, b"x", fin=False), 1002)),
    ("WebSocket: a malformed close", "",
     on_websocket(frame(8, b"\x03"), 1002)),
    ("WebSocket: frames behind a close", "",
     on_websocket(frame(8, b"\x03\xe8") + frame(2, PING) * 1000, 1000)),
    ("WebSocket: a message in fragments without end", "",
     unfinished_message),
    ("WebSocket: 1000 fragments of a byte", "", fragments_that_are_fine),
    ("WebSocket: a flood of pings, not read", "", websocket_pings),
    ("WebSocket: 100 000 empty frames", "", empty_frames),
    ("WebSocket: a request of 30 kB", "", websocket_drip),
    ("WebSocket: POST", "", http(UPGRADE.replace(b"GET", b"POST"), 405)),
    ("WebSocket: no key", "",
     http(re.sub(rb"Sec-WebSocket-Key: .*?\r\n", b"", UPGRADE), 400)),
    ("WebSocket: a short key", "",
     http(UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"eA=="), 400)),
    ("WebSocket: another version", "",
     http(UPGRADE.replace(b": 13", b": 8"), 426)),
    ("WebSocket: not HTTP", "", http(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1a"
                                     b"\r\n\r\n", 400)),
    ("WebSocket: malformed MQTT within", "",
     on_websocket(frame(2, b"\0\0"))),
    # PROXY
    ("PROXY: none", "", on_proxy(connect("p"))),
    ("PROXY: a line without end", "", on_proxy(b"PROXY TCP4 " + b"1" * 200)),
    ("PROXY: an address that is none", "",
     on_proxy(b"PROXY TCP4 999.1.1.1 1.1.1.1 1 2\r\n" + connect("p"))),
    ("PROXY: a port that is none", "",
     on_proxy(b"PROXY TCP4 1.1.1.1 1.1.1.1 1 99999\r\n" + connect("p"))),
    ("PROXY: version 3", "", on_proxy(PROXY_2 + b"\x31\x11\0\x0c" +
                                      b"\0" * 12 + connect("p"))),
    ("PROXY: a header of 64 kB", "", on_proxy(
        PROXY_2 + b"\x21\x11\xff\xff" + b"\0" * 8192)),
    ("PROXY: a header too short for its addresses", "",
     on_proxy(PROXY_2 + b"\x21\x11\0\4\1\1\1\1" + connect("p"))),
    ("PROXY: fields longer than their header", "",
     on_proxy(PROXY_2 + b"\x21\x11\0\x10" + b"\1" * 12 + b"\x20\xff\xff\0" +
              connect("p"))),
    ("PROXY: silence", "--connect-timeout-ms 200", on_proxy(b"PROXY ")),
    ("PROXY: garbage behind a good header", "",
     on_proxy(b"PROXY UNKNOWN\r\n\0\0\0\0")),
    ("PROXY: a good header", "", on_proxy(
        b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 1883\r\n" + connect("p"),
        passes=True)),
    ("PROXY: where none is expected", "--connect-timeout-ms 200",
     ["A> hex 50 52 4f 58 59 20 55 4e 4b 4e 4f 57 4e 0d 0a", "A< closed"]),
    ("PROXY: too many connections of one address", "--max-connect-rate 20",
     proxied_rate),
]


class Beside:
    """A client that behaves, and expects to be served."""

    def __init__(self, server):
        user = dict(user="bo", password="b") if server.users else {}
        self.c = Client(server, connect("beside", **user)).accepted()
        self.c.sub(("good/+", 1))
        self.n = 0

    def works(self):
        self.n += 1
        self.c.send(publish("good/x", str(self.n), qos=1, pid=self.n))
        kinds = set()
        for _ in range(2):
            first, body = self.c.take()
            kinds.add(first)
            if first == 0x32:
                at = 2 + struct.unpack(">H", body[:2])[0]
                assert body[at + 2:] == str(self.n).encode()
                self.c.send(packet(PUBACK, body[at:at + 2]))
        assert kinds == {0x32, PUBACK}
        self.c.quiet()


def test_the_table_is_long_enough():
    assert len({row[0] for row in TABLE}) == len(TABLE) >= 60


@pytest.mark.parametrize("row", TABLE, ids=[r[0] for r in TABLE])
def test_a_hostile_peer_harms_nobody_else(row):
    name, options, what = row[:3]
    limit = row[3] if len(row) > 3 else GROWTH
    server = Server(*options.split(), "--websocket", 1, "--proxy", 1)
    server.users = "--user" in options
    try:
        beside = Beside(server)
        beside.works()
        before = peak(server)
        if callable(what):
            what(server)
        else:
            Run(server, 5).lines(name, what)
        beside.works()
        grown = peak(server) - before
        assert grown <= limit or is_sanitized(), "grew by %.1f MiB" % (grown / MIB)
    finally:
        server.end()

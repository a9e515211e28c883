"""The notation of cases_311.txt and cases_5.txt, and what runs it.

A case is a head and, indented, its script:

    3.1.0-1 server: the first packet has to be CONNECT
        A> PINGREQ
        A< closed

The head has the number of the statement, who it binds (server, client,
internal) and what it asks, in our words. Client and internal ones have, instead
of a script, one line "because ..." that says why nothing is tried.

The lines of a script, where A is any name of a connection:

    with --NAME VALUE...    options of the server (before all others)
    A> PACKET FIELD=VALUE...       sent; opens the connection if there is none.
                            Several packets for one write: joined by " + "
    A> hex 30 03 ...        sent as it is
    A> open, A> abort       connects; disconnects without a word
    A> upgrade protocol=P   connects by WebSocket; from then on each line is
                            one binary frame, with ws=text a text frame, with
                            ws=N frames of N bytes. Its answer: A< 101, A< 400
    A< PACKET FIELD=VALUE...       this packet comes next. Fields not named may
                            be anything, but code, dup, retain and present,
                            which are 0 then. FIELD=* is there, FIELD=- is not,
                            FIELD=V||W is one of these
    A< PACKET ... | PACKET ...     two packets, in any order
    A< hex 40 02 ...        just these bytes come next
    A< nothing              nothing is on its way (a PINGREQ is answered first)
    A< closed [MIN]         the server closes (after at least so many seconds)
    A< ended CODE... [MIN]  level 5: DISCONNECT with one of the codes, closed
    A< refused [CODE...]    CONNACK with one of the codes, closed; without codes
                            any from 0x80 on, or closed at once
    wait SECONDS            for time limits that are whole seconds
    different $x $y         two names have different values

A packet id or assigned client id that was received is given a name, such as $x,
when it is first met, and is that value from then on. Values are UTF-8; \\xNN is a byte, VALUE*N is N
times the value. Fields that every packet to be sent has: first= is its first
byte, tail= are bytes behind the rest (counted), cut= takes so many bytes from
its end (not counted). In CONNECT will=TOPIC:PAYLOAD, will_qos=, will_retain=;
properties of the will are written Wformat=1; flags= are turned over.
"""
import re
import socket
import struct
import time

from wire import LIMIT, packet, take_varint, varint

TYPES = {name: i for i, name in enumerate(
    "CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK "
    "UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH".split(), 1)}
NAMES = {i: name for name, i in TYPES.items()}
FLAGS = {"PUBREL": 2, "SUBSCRIBE": 2, "UNSUBSCRIBE": 2}
ACKS = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP")

PROPS = {
    "format": (1, "B"), "message_expiry": (2, "I"), "content_type": (3, "s"),
    "response_topic": (8, "s"), "correlation": (9, "s"), "sub_id": (11, "v"),
    "session_expiry": (17, "I"), "assigned": (18, "s"),
    "server_keepalive": (19, "H"), "auth_method": (21, "s"),
    "auth_data": (22, "s"), "want_problem": (23, "B"),
    "will_delay": (24, "I"), "want_response": (25, "B"),
    "response_info": (26, "s"), "server_reference": (28, "s"),
    "reason": (31, "s"), "receive_max": (33, "H"), "alias_max": (34, "H"),
    "alias": (35, "H"), "max_qos": (36, "B"), "retain_available": (37, "B"),
    "user_prop": (38, "p"), "max_packet": (39, "I"), "wildcards": (40, "B"),
    "sub_ids": (41, "B"), "shared": (42, "B"),
}
PROP_NAMES = {number: (name, kind) for name, (number, kind) in PROPS.items()}

NAMED = ("id", "assigned")  # fields whose value a script may give a name


# --- the notation -------------------------------------------------------------

class Case:
    def __init__(self, number, binds, what):
        self.number, self.binds, self.what = number, binds, what
        self.lines, self.because, self.options = [], None, []


def read_cases(path):
    cases = []
    with open(path, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            where = "%s:%d" % (path, n)
            if not line.startswith(" "):
                m = re.match(r"([\d.]+-\d+) (server|client|internal): (.+)$",
                             line)
                assert m, where
                cases.append(Case(*m.groups()))
            elif line.strip().startswith("because "):
                cases[-1].because = line.strip()[8:]
            elif line.strip().startswith("with "):
                cases[-1].options = line.split()[1:]
            else:
                cases[-1].lines.append((where, line.strip()))
    return cases


def value(v):
    """The bytes of a value."""
    m = re.match(r"(.*)\*(\d+)$", v)
    if m:
        return value(m[1]) * int(m[2])
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]),
                  v.encode())


def fields(words):
    ret = []
    for w in words:
        name, eq, v = w.partition("=")
        assert eq, w
        ret.append((name, v))
    return ret


def string(b):
    return struct.pack(">H", len(b)) + b


# --- packets out --------------------------------------------------------------

def put_prop(name, v):
    number, kind = PROPS[name]
    out = bytes([number])
    if kind == "s":
        return out + string(value(v))
    if kind == "p":
        k, _, v = v.partition(":")
        return out + string(value(k)) + string(value(v))
    if kind == "v":
        return out + varint(int(v))
    return out + struct.pack(">" + kind, int(v, 0))


def put_props(fs, level, prefix=""):
    if level < 5:
        return b""
    out = b"".join(put_prop(n[len(prefix):], v) for n, v in fs
                   if n.startswith(prefix) and n[len(prefix):] in PROPS)
    return varint(len(out)) + out


def put_connect(fs, conn):
    f = dict(fs)
    flags = 2 * int(f.get("clean", 1)) ^ int(f.get("flags", "0"), 0)
    level = int(f.get("level", conn.level))
    out = b""
    will = [(n[1:], v) for n, v in fs if n.startswith("W")]
    if "will" in f:
        flags |= 4 | int(f.get("will_qos", 0)) << 3 | \
            int(f.get("will_retain", 0)) << 5
        topic, _, payload = f["will"].partition(":")
        out += put_props(will, level) + string(value(topic)) + \
            string(value(payload))
    for name, bit in (("user", 128), ("password", 64)):
        if name in f:
            flags |= bit
            out += string(value(f[name]))
    return string(value(f.get("name", "MQTT"))) + bytes([level, flags]) + \
        struct.pack(">H", int(f.get("keepalive", 0))) + \
        put_props(fs, level) + string(value(f.get("id", ""))) + out


def put_body(kind, fs, conn):
    """Body and the flags in the first byte."""
    f = dict(fs)
    flags, level = FLAGS.get(kind, 0), conn.level
    if kind == "CONNECT":
        return put_connect(fs, conn), flags
    pid = struct.pack(">H", int(f.get("id", "1"), 0))
    if kind == "PUBLISH":
        qos = int(f.get("qos", 0))
        flags = int(f.get("dup", 0)) << 3 | qos << 1 | int(f.get("retain", 0))
        return string(value(f.get("topic", ""))) + (pid if qos else b"") + \
            put_props(fs, level) + value(f.get("payload", "")), flags
    if kind in ACKS:
        rest = put_props(fs, level) if level == 5 else b""
        code = f.get("code")
        if level < 5 or (code is None and rest == b"\0"):
            return pid, flags
        return pid + bytes([int(code or "0", 0)]) + \
            (rest if rest != b"\0" else b""), flags
    if kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
        body = pid + put_props(fs, level)
        for n, v in fs:
            if n == "f" and kind == "SUBSCRIBE":
                filter, _, options = v.rpartition(":")
                body += string(value(filter)) + bytes([int(options, 0)])
            elif n == "f":
                body += string(value(v))
        return body, flags
    if kind in ("DISCONNECT", "AUTH") and level == 5:
        rest = put_props(fs, level)
        if "code" not in f and rest == b"\0":
            return b"", flags
        return bytes([int(f.get("code", "0"), 0)]) + rest, flags
    return (b"", flags) if kind in ("PINGREQ", "PINGRESP", "DISCONNECT") \
        else (pid, flags)


def put_packet(words, conn):
    kind, fs = words[0], fields(words[1:])
    f = dict(fs)
    if kind == "CONNECT" and "v" in f:
        conn.level = int(f["v"])
    body, flags = put_body(kind, fs, conn)
    if "tail" in f:
        body += value(f["tail"])
    first = int(f["first"], 0) if "first" in f else TYPES[kind] << 4 | flags
    out = packet(first, body)
    return out[:len(out) - int(f["cut"])] if "cut" in f else out


# --- packets in ---------------------------------------------------------------

def take_string(b, at):
    n = struct.unpack_from(">H", b, at)[0]
    assert at + 2 + n <= len(b)
    return b[at + 2:at + 2 + n], at + 2 + n


def least_varint(b, at):
    n, end = take_varint(b, at)
    assert b[at:end] == varint(n), "a number of more bytes than it needs"
    return n, end


def take_props(b, at, ret):
    size, at = least_varint(b, at)
    end = at + size
    assert end <= len(b), "properties beyond the packet"
    while at < end:
        name, kind = PROP_NAMES[b[at]]
        at += 1
        if kind == "s":
            v, at = take_string(b, at)
        elif kind == "p":
            k, at = take_string(b, at)
            v, at = take_string(b, at)
            v = k + b":" + v
        elif kind == "v":
            v, at = least_varint(b, at)
        else:
            v = struct.unpack_from(">" + kind, b, at)[0]
            at += struct.calcsize(kind)
        v = v if isinstance(v, bytes) else str(v).encode()
        if name in ("user_prop", "sub_id"):
            ret.setdefault(name, []).append(v)
        else:
            assert name not in ret, name + " twice"
            ret[name] = v
    assert at == end, "properties do not end where they should"
    return at


def get_packet(first, body, level):
    """A dict of what a packet of the server says; checks its form."""
    kind, ret = NAMES.get(first >> 4), {}
    flags = first & 15
    if kind != "PUBLISH":
        assert flags == FLAGS.get(kind, 0), "flags of " + kind
    if kind == "CONNACK":
        assert body[0] < 2, "reserved flags of CONNACK"
        ret["present"], ret["code"], at = body[0], body[1], 2
        if level == 5:
            at = take_props(body, at, ret)
        assert at == len(body), "more behind CONNACK"
    elif kind == "PUBLISH":
        ret["dup"], ret["qos"], ret["retain"] = flags >> 3, flags >> 1 & 3, \
            flags & 1
        ret["topic"], at = take_string(body, 0)
        if ret["qos"]:
            ret["id"], at = struct.unpack_from(">H", body, at)[0], at + 2
            assert ret["id"] != 0, "packet id 0"
        if level == 5:
            at = take_props(body, at, ret)
        ret["payload"] = body[at:]
    elif kind in ACKS or kind in ("SUBACK", "UNSUBACK"):
        ret["id"], at = struct.unpack_from(">H", body, 0)[0], 2
        if kind in ACKS:
            ret["code"] = 0
            if level == 5 and len(body) > 2:
                ret["code"], at = body[2], 3
                if len(body) > 3:
                    at = take_props(body, at, ret)
            assert at == len(body), "more behind " + kind
        else:
            if level == 5:
                at = take_props(body, at, ret)
            ret["codes"] = ",".join(str(c) for c in body[at:])
    elif kind in ("DISCONNECT", "AUTH"):
        assert level == 5, kind + " to a client of level %d" % level
        ret["code"] = body[0] if body else 0
        if len(body) > 1:
            assert take_props(body, 1, ret) == len(body)
    elif kind == "PINGRESP":
        assert not body
    else:
        raise AssertionError("the server sent 0x%02x" % first)
    return kind, ret


def as_bytes(v):
    if isinstance(v, list):
        return b",".join(v)
    return v if isinstance(v, bytes) else str(v).encode()


def differs(words, kind, got, known):
    """What is not as expected; None: all is."""
    if words[0] != kind:
        return "it is " + kind
    want = dict(fields(words[1:]))
    for name in ("code", "dup", "retain", "present"):
        if name in got:
            want.setdefault(name, "0")
    for name, v in want.items():
        if "-" in v.split("||") and name not in got:
            continue
        if v == "-":
            return name + " is there"
        if name not in got:
            return name + " is not there"
        if v == "*":
            continue
        b = as_bytes(got[name])
        if v.startswith("$") and name in NAMED:
            if known.setdefault(v, b) != b:
                return "%s is not %r" % (name, known[v])
            continue
        if name == "code" or name == "codes":
            v = re.sub("0x[0-9a-f]+", lambda m: str(int(m[0], 16)), v)
        elif name == "sub_id":
            b = b",".join(sorted(got[name]))
        if b not in [value(x) for x in v.split("||")]:
            return "%s is %r" % (name, b)
    return None


# --- connections --------------------------------------------------------------

class Connection:
    def __init__(self, server, level):
        self.server, self.level = server, level
        self.s, self.buf, self.ws, self.began = None, b"", None, 0
        self.raw = b""  # of WebSocket: not yet a whole frame
        self.ended = False

    def open(self, port):
        if self.s is not None:
            self.s.close()
        self.s = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = self.raw = b""
        self.ws, self.began = None, time.monotonic()

    def upgrade(self, protocol):
        self.open(self.server.ws_port)
        line = "Sec-WebSocket-Protocol: %s\r\n" % protocol if protocol else ""
        self.s.sendall(("GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket"
                        "\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                        "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        + line + "\r\n").encode())

    def upgraded(self, status, protocol):
        while b"\r\n\r\n" not in self.buf:
            self.more(LIMIT)
        head, _, self.buf = self.buf.partition(b"\r\n\r\n")
        assert head.split()[1].decode() == status, head
        if status == "101":
            found = re.findall(rb"(?i)sec-websocket-protocol: (\S+)", head)
            assert found == [protocol.encode()], head
            self.ws, self.raw, self.buf = True, self.buf, b""

    def frame(self, op, payload, fin=True):
        n = len(payload)
        head = bytes([op | (128 if fin else 0)])
        head += bytes([128 | n]) if n < 126 else \
            bytes([254]) + struct.pack(">H", n)
        mask = b"\x11\x22\x33\x44"
        return head + mask + bytes(b ^ mask[i & 3]
                                   for i, b in enumerate(payload))

    def send(self, data, how=None):
        if self.ws:
            if how == "text":
                data = self.frame(1, data)
            elif how is not None:
                n = int(how)
                parts = [data[i:i + n] for i in range(0, len(data), n)]
                data = b"".join(self.frame(2, p) for p in parts)
            else:
                data = self.frame(2, data)
        try:
            self.s.sendall(data)
        except ConnectionError:
            pass  # it is closed; whether that is right is asked later

    def more(self, wait):
        self.s.settimeout(max(wait, 0.001))
        try:
            data = self.s.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("closed by the server")
        if not self.ws:
            self.buf += data
            return
        self.raw += data
        while len(self.raw) >= 2:
            n, at = self.raw[1] & 127, 2
            if n == 126:
                if len(self.raw) < 4:
                    return
                n, at = struct.unpack_from(">H", self.raw, 2)[0], 4
            if len(self.raw) < at + n:
                return
            op, payload = self.raw[0] & 15, self.raw[at:at + n]
            self.raw = self.raw[at + n:]
            if op == 8:
                raise EOFError("closed by WebSocket")
            assert op == 2, "a frame of type %d" % op
            self.buf += payload

    def take(self, wait=LIMIT):
        """First byte, body and all bytes of the next packet."""
        until = time.monotonic() + wait
        while True:
            if len(self.buf) >= 2:
                try:
                    n, at = take_varint(self.buf, 1)
                except IndexError:
                    n = at = 1 << 30
                if len(self.buf) >= at + n:
                    assert self.buf[1:at] == varint(n), "a length too long"
                    first, body = self.buf[0], self.buf[at:at + n]
                    whole = self.buf[:at + n]
                    self.buf = self.buf[at + n:]
                    return first, body, whole
            self.more(until - time.monotonic())

    def ends(self, wait=LIMIT):
        """Bytes that come before the end."""
        until = time.monotonic() + wait
        try:
            while True:
                self.more(until - time.monotonic())
        except EOFError:
            return self.buf


# --- running ------------------------------------------------------------------

class Run:
    def __init__(self, server, level):
        self.server, self.level = server, level
        self.conns, self.known = {}, {}

    def conn(self, name):
        if name not in self.conns:
            self.conns[name] = Connection(self.server, self.level)
        return self.conns[name]

    def out(self, c, words):
        if words[0] == "open":
            return c.open(self.server.port)
        if words[0] == "abort":
            c.s.close()
            c.s = None
            return None
        if words[0] == "upgrade":
            return c.upgrade(dict(fields(words[1:])).get("protocol", "mqtt"))
        if c.s is None or (words[0] == "CONNECT" and c.ended):
            c.open(self.server.port)
        c.ended = False
        if words[0] == "hex":
            return c.send(bytes.fromhex("".join(words[1:])))
        data, how, part = b"", None, []
        for w in words + ["+"]:
            if w.startswith("ws="):
                how = w[3:]
            elif w != "+":
                part.append(self.known_value(w))
            else:
                data, part = data + put_packet(part, c), []
        return c.send(data, how)

    def known_value(self, word):
        name, _, v = word.partition("=")
        if v in self.known:
            return name + "=" + self.known[v].decode("latin-1")
        return word

    def expect(self, c, options):
        """One packet, like one of `options`; returns which."""
        first, body, _ = c.take()
        kind, got = get_packet(first, body, c.level)
        why = []
        for i, words in enumerate(options):
            why.append(differs(words, kind, got, self.known))
            if why[-1] is None:
                return i
        raise AssertionError("%s: %s %r" % ("; ".join(why), kind, got))

    def incoming(self, c, words):
        if words[0] == "nothing":
            c.send(packet(0xc0))
            return self.expect(c, [["PINGRESP"]])
        if words[0] == "closed":
            low = float(words[1]) if len(words) > 1 else 0
            rest = c.ends()
            after = time.monotonic() - c.began
            c.ended = True
            assert rest == b"", "before it closed: %r" % rest
            assert after >= low, after
            return None
        if words[0] == "ended":
            least = [w for w in words if "." in w]
            self.expect(c, [["DISCONNECT", "code=" + code]
                            for code in words[1:] if code not in least])
            return self.incoming(c, ["closed"] + least)
        if words[0] == "refused":
            return self.refused(c, words[1:])
        if words[0] == "hex":
            want = bytes.fromhex("".join(words[1:]))
            got = c.take()[2]
            assert got == want, got.hex(" ")
            return None
        if words[0].isdigit():
            return c.upgraded(words[0], dict(fields(words[1:])).get(
                "protocol", "mqtt"))
        options, part = [], []
        for w in words + ["|"]:
            if w == "|":
                options, part = options + [part], []
            else:
                part.append(w)
        while options:
            del options[self.expect(c, options)]
        return None

    def refused(self, c, codes):
        try:
            first, body, _ = c.take()
        except EOFError:
            c.ended = True
            assert not codes, "closed without CONNACK"
            return
        kind, got = get_packet(first, body, c.level)
        assert kind == "CONNACK" and got["present"] == 0, (kind, got)
        assert got["code"] in [int(x, 0) for x in codes] or \
            not codes and got["code"] >= 0x80, got
        self.incoming(c, ["closed"])

    def line(self, line):
        if line.startswith("wait "):
            return time.sleep(float(line.split()[1]))
        if line.startswith("different "):
            a, b = line.split()[1:]
            assert self.known[a] != self.known[b]
            return None
        m = re.match(r"(\w+)([<>]) (.+)$", line)
        assert m, "not understood"
        c = self.conn(m[1])
        if m[2] == ">":
            return self.out(c, m[3].split())
        return self.incoming(c, m[3].split())

    def lines(self, where, lines):
        for n, line in enumerate(lines, 1):
            at = line if isinstance(line, tuple) else (
                "%s, line %d" % (where, n), line)
            try:
                self.line(at[1])
            except Exception as why:
                raise AssertionError("%s: %s\n    %s: %s" % (
                    *at, type(why).__name__, why)) from None
        for c in self.conns.values():
            if c.s is not None:
                c.s.close()

    def case(self, case):
        self.lines(case.number, case.lines)

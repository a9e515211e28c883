"""A double of the clouds that devices speak MQTT with: Cumulocity, Azure IoT
Hub, AWS IoT. It is no copy of them, but strict where they are: TLS, client
certificates, who one is by client id and user name, MQTT 3.1.1, the topics of
each, sizes, tokens. What it refuses it says in `refused`, and closes the
connection, as they do. It remembers every message it took, and can go away,
come back, or break off in the middle.

    cloud = Cloud("c8y", authority, folder)        # in a test
    python3 test/e2e/cloud.py c8y --port 8883      # by hand: a line for each
                                                   # message, commands on stdin
"""
import argparse
import asyncio
import base64
import collections
import hashlib
import hmac
import json
import pathlib
import re
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse

from ports import free_port

Message = collections.namedtuple("Message",
                                 "client topic payload qos retain dup")
TENANT = "t123456"
KEY = b"a secret of the double"
SAS_KEY = b"a shared key of the double"
LIMIT = 90  # seconds that anything may take

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK,
 UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT) = range(1, 15)


class Wrong(Exception):
    """The device did what this cloud does not allow."""


# --- packets -----------------------------------------------------------------

def text(s):
    s = s.encode() if isinstance(s, str) else s
    return len(s).to_bytes(2, "big") + s


def packet(kind, body=b"", flags=0):
    size, n = b"", len(body)
    while True:
        size += bytes([n % 128 | (128 if n > 127 else 0)])
        n //= 128
        if n == 0:
            return bytes([kind << 4 | flags]) + size + body


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, n):
        if self.at + n > len(self.body):
            raise Wrong("a packet that is too short for what it holds")
        self.at += n
        return self.body[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def bytes(self):
        return self.take(self.u16())

    def text(self):
        try:
            found = self.bytes().decode()
        except UnicodeDecodeError as e:
            raise Wrong("text that is not UTF-8") from e
        if "\0" in found:
            raise Wrong("a NUL in a text")
        return found

    def rest(self):
        return self.take(len(self.body) - self.at)


def matches(pattern, topic):
    p, t = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and p[0] in "+#":
        return False
    for i, level in enumerate(p):
        if level == "#":
            return True
        if i >= len(t) or level not in ("+", t[i]):
            return False
    return len(p) == len(t)


# --- the clouds --------------------------------------------------------------

class Role:
    name = ""
    max_payload = 0
    max_qos = 1
    keeps_sessions = True
    publish = ()    # patterns; {id} is the client's
    subscribe = ()  # filters, as they must be asked for

    def __init__(self, cloud):
        self.cloud = cloud

    def sign_in(self, conn, user, password):
        """Raises Wrong."""

    def heard(self, conn, topic, payload):
        """Answers what this cloud answers."""

    def check_publish(self, conn, topic, payload, qos):
        if len(payload) > self.max_payload:
            raise Wrong("%d bytes on %s: at most %d are taken"
                        % (len(payload), topic, self.max_payload))
        if qos > self.max_qos:
            raise Wrong("QoS %d on %s" % (qos, topic))
        for pattern in self.publish:
            if re.fullmatch(pattern.format(id=re.escape(conn.id)), topic):
                return
        raise Wrong("nothing may be published on %s" % topic)

    def check_subscribe(self, conn, wanted):
        for pattern in self.subscribe:
            if re.fullmatch(pattern.format(id=re.escape(conn.id)), wanted):
                return True
        return False


class Cumulocity(Role):
    name = "c8y"
    max_payload = 16184
    max_qos = 2
    keeps_sessions = False
    publish = (r"[stqc]/u[sc](/.+)?", r"[stqc]/ul(/.+)?", r"s/ut/.+", r"s/uat",
               r"inventory/managedObjects/update/[^/+#]+",
               r"(measurement/measurements|event/events|alarm/alarms)"
               r"/create(Bulk)?")
    subscribe = (r"s/(dt|ds|e|dat)", r"s/(dc|dl|ol)(/[^+#]+|/#)?", r"error",
                 r"devicecontrol/notifications")

    def __init__(self, cloud):
        super().__init__(cloud)
        self.devices = {}     # external id: (type, children)
        self.operations = []  # told when asked for by 500

    def sign_in(self, conn, user, password):
        if conn.cert is not None:
            if conn.id not in (conn.cert, "d:" + conn.cert):
                raise Wrong("the client id %r is not the certificate's %r"
                            % (conn.id, conn.cert))
            if user not in (None, "", TENANT + "/device_" + conn.cert):
                raise Wrong("user %r beside a certificate" % user)
        elif self.cloud.accounts.get(user) != password or user is None:
            raise Wrong("no certificate, and no good account: %r" % user)

    def check_publish(self, conn, topic, payload, qos):
        if self.cloud.service and not re.match(
                r"[stqc]/u|inventory/|measurement/|event/|alarm/", topic):
            if len(payload) > 1 << 20:
                raise Wrong("%d bytes on %s" % (len(payload), topic))
            return
        super().check_publish(conn, topic, payload, qos)
        if topic.startswith(("measurement/", "event/", "alarm/", "inventory/")):
            try:
                good = isinstance(json.loads(payload), dict)
            except ValueError:
                good = False
            if not good:
                raise Wrong("no JSON object on %s: %r" % (topic, payload[:80]))
        elif topic == "s/uat":
            if payload:
                raise Wrong("a payload on s/uat")
        elif topic.startswith("s/us"):
            for line in payload.decode().split("\n"):
                if not re.match(r"\d+(,|$)", line):
                    raise Wrong("no SmartREST on %s: %r" % (topic, line[:80]))

    def check_subscribe(self, conn, wanted):
        return self.cloud.service or super().check_subscribe(conn, wanted)

    def token(self, conn):
        def part(obj):
            return base64.urlsafe_b64encode(
                json.dumps(obj).encode()).rstrip(b"=")
        now = int(time.time())
        head = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({
            "iss": self.cloud.issuer, "aud": self.cloud.issuer, "ten": TENANT,
            "sub": "device_" + conn.id, "iat": now, "exp": now + 3600})
        sign = hmac.new(KEY, head, hashlib.sha256).digest()
        return (head + b"." + base64.urlsafe_b64encode(sign).rstrip(b"=")
                ).decode()

    def heard(self, conn, topic, payload):
        if topic == "s/uat":
            if conn.cert is None:
                raise Wrong("s/uat without a certificate")
            self.cloud.tokens.append(self.token(conn))
            for _ in range(self.cloud.times):  # as if others had asked, too
                conn.send("s/dat", "71," + self.cloud.tokens[-1], 0)
        if not topic.startswith("s/us"):
            return
        of = topic[5:] or conn.id
        for line in payload.decode().split("\n"):
            words = line.split(",")
            if words[0] == "100":
                if of in self.devices:
                    conn.send("s/e", "41,100,Device already existing", 0)
                else:
                    self.devices[of] = words[2] if len(words) > 2 else ""
            elif of not in self.devices and words[0] != "101":
                conn.send("s/e", "50,%s,Device not found" % words[0], 0)
            elif words[0] == "101":
                self.devices[words[1]] = words[3] if len(words) > 3 else ""
            elif words[0] == "123":
                conn.send("s/ds", "124,%s,%d" % (conn.id, 4711), 1)
            elif words[0] == "500":
                for operation in self.operations:
                    conn.send("devicecontrol/notifications",
                              json.dumps(operation), 1)


class Azure(Role):
    name = "az"
    max_payload = 256 * 1024
    publish = (r"devices/{id}/messages/events/.*",
               r"\$iothub/twin/GET/\?\$rid=.+",
               r"\$iothub/twin/PATCH/properties/reported/\?\$rid=.+",
               r"\$iothub/methods/res/\d+/\?\$rid=.+")
    subscribe = (r"devices/{id}/messages/devicebound/#",
                 r"\$iothub/twin/res/#", r"\$iothub/methods/POST/#",
                 r"\$iothub/twin/PATCH/properties/desired/#")

    def check_sas(self, conn, password):
        found = re.fullmatch(r"SharedAccessSignature (.*)", password or "")
        if not found:
            raise Wrong("neither a certificate nor a SharedAccessSignature")
        words = dict(urllib.parse.parse_qsl(found.group(1)))
        wanted = "%s/devices/%s" % (self.cloud.host, conn.id)
        signed = urllib.parse.quote(wanted, "") + "\n" + words.get("se", "")
        sign = base64.b64encode(hmac.new(
            SAS_KEY, signed.encode(), hashlib.sha256).digest()).decode()
        if (words.get("sr"), words.get("sig")) != (wanted, sign):
            raise Wrong("a SharedAccessSignature that does not fit")
        if int(words.get("se", "0")) < time.time():
            raise Wrong("a SharedAccessSignature that has expired")

    def sign_in(self, conn, user, password):
        wanted = r"%s/%s/\?api-version=\d{4}-\d\d-\d\d" % (
            re.escape(self.cloud.host), re.escape(conn.id))
        if not re.fullmatch(wanted, user or ""):
            raise Wrong("user name %r" % user)
        if conn.cert is None:
            self.check_sas(conn, password)
        elif conn.cert != conn.id:
            raise Wrong("the client id %r is not the certificate's %r"
                        % (conn.id, conn.cert))

    def heard(self, conn, topic, payload):
        found = re.fullmatch(r"\$iothub/twin/(GET|PATCH.*)/\?\$rid=(.+)", topic)
        if not found:
            return
        if found.group(1) == "GET":
            conn.send("$iothub/twin/res/200/?$rid=" + found.group(2),
                      '{"desired":{"$version":1},"reported":{"$version":1}}', 0)
        else:
            conn.send("$iothub/twin/res/204/?$rid=%s&$version=2"
                      % found.group(2), "", 0)


class Amazon(Role):
    name = "aws"
    max_payload = 128 * 1024
    publish = (r"thinedge/{id}/td/.+", r"thinedge/devices/{id}/test-connection",
               r"\$aws/things/{id}/shadow/.+")
    subscribe = (r"thinedge/{id}/cmd/#", r"\$aws/things/{id}/shadow/#",
                 r"thinedge/devices/{id}/test-connection")

    def sign_in(self, conn, user, password):
        if conn.cert is None:
            raise Wrong("no certificate")
        if conn.cert != conn.id:
            raise Wrong("the client id %r is not the certificate's %r"
                        % (conn.id, conn.cert))
        if user not in (None, conn.id):
            raise Wrong("user name %r" % user)

    def check_publish(self, conn, topic, payload, qos):
        if topic.count("/") > 7 and not topic.startswith("$aws/"):
            raise Wrong("more than seven slashes in %s" % topic)
        super().check_publish(conn, topic, payload, qos)


ROLES = {role.name: role for role in (Cumulocity, Azure, Amazon)}


# --- connections -------------------------------------------------------------

class Session:
    """What is remembered of a client: what it wants, and what it is owed."""

    def __init__(self):
        self.wants = {}  # filter: QoS
        self.owed = collections.OrderedDict()  # id: (topic, payload)
        self.received = set()  # ids of QoS 2 that were taken
        self.last_id = 0


class Connection(asyncio.Protocol):
    def __init__(self, cloud):
        self.cloud, self.role = cloud, cloud.role
        self.bytes = bytearray()
        self.id = self.cert = self.session = None
        self.unanswered = []  # acknowledgements that are held back

    def connection_made(self, transport):
        self.transport = transport
        self.cloud.connections.add(self)
        found = transport.get_extra_info("ssl_object")
        cert = found.getpeercert() if found else None
        for name in (cert or {}).get("subject", ()):
            if name[0][0] == "commonName":
                self.cert = name[0][1]

    def connection_lost(self, _why):
        self.cloud.connections.discard(self)
        if self.cloud.clients.get(self.id) is self:
            del self.cloud.clients[self.id]

    def data_received(self, data):
        self.bytes += data
        at = 0
        try:
            while not self.transport.is_closing():
                found = self.next_packet(at)
                if found is None:
                    break
                first, body, at = found
                self.serve(first >> 4, first & 15, body)
        except Wrong as why:
            self.cloud.refused.append(str(why))
            self.transport.close()
        del self.bytes[:at]

    def next_packet(self, at):
        size, shift, i = 0, 0, at + 1
        while True:
            if i >= len(self.bytes):
                return None
            size |= (self.bytes[i] & 127) << shift
            shift += 7
            i += 1
            if not self.bytes[i - 1] & 128:
                break
            if shift > 21:
                raise Wrong("a length of more than four bytes")
        if len(self.bytes) < i + size:
            return None
        return self.bytes[at], bytes(self.bytes[i:i + size]), i + size

    def say(self, *args, **more):
        self.transport.write(packet(*args, **more))

    def serve(self, kind, flags, body):
        if self.id is None:
            if kind != CONNECT:
                raise Wrong("packet %d before CONNECT" % kind)
            self.on_connect(Reader(body))
            return
        if kind == PUBLISH:
            self.on_publish(flags, Reader(body))
        elif kind == SUBSCRIBE:
            self.on_subscribe(flags, Reader(body))
        elif kind == UNSUBSCRIBE:
            self.on_unsubscribe(Reader(body))
        elif kind == PUBACK:
            self.session.owed.pop(Reader(body).u16(), None)
        elif kind == PUBREL:
            self.session.received.discard(Reader(body).u16())
            self.say(PUBCOMP, body)
        elif kind == PINGREQ:
            self.say(PINGRESP)
        elif kind == DISCONNECT:
            self.transport.close()
        else:
            raise Wrong("packet %d" % kind)

    def on_connect(self, r):
        name, level, flags = r.text(), r.u8(), r.u8()
        if name != "MQTT" or level != 4:
            self.say(CONNACK, b"\0\1")
            raise Wrong("protocol %r, level %#x" % (name, level))
        if flags & 1:
            raise Wrong("the reserved flag is set")
        r.u16()
        client = r.text()
        if flags & 4:
            r.text(), r.bytes()
        user = r.text() if flags & 128 else None
        password = r.text() if flags & 64 else None
        if not client:
            self.say(CONNACK, b"\0\2")
            raise Wrong("no client id")
        self.id = client
        try:
            self.role.sign_in(self, user, password)
        except Wrong:
            self.say(CONNACK, b"\0\5")
            raise
        self.begin(flags & 2)

    def begin(self, clean):
        cloud = self.cloud
        if self.id in cloud.clients:
            cloud.clients[self.id].transport.abort()
        cloud.clients[self.id] = self
        known = (not clean and self.role.keeps_sessions
                 and self.id in cloud.sessions)
        if not known:
            cloud.sessions[self.id] = Session()
        self.session = cloud.sessions[self.id]
        cloud.sign_ins.append((self.id, bool(clean)))
        self.say(CONNACK, bytes([known, 0]))
        for number, (topic, payload) in self.session.owed.items():
            self.say(PUBLISH, text(topic) + number.to_bytes(2, "big") + payload,
                     flags=2 | 8)

    def on_subscribe(self, flags, r):
        if flags != 2:
            raise Wrong("the flags of SUBSCRIBE")
        number, codes = r.take(2), b""
        while r.at < len(r.body):
            wanted, qos = r.text(), r.u8()
            if self.role.check_subscribe(self, wanted):
                qos = min(qos, 1)
                self.session.wants[wanted] = qos
                codes += bytes([qos])
            else:
                self.cloud.refused.append("no subscription to " + wanted)
                codes += b"\x80"
        self.say(SUBACK, number + codes)

    def on_unsubscribe(self, r):
        number = r.take(2)
        while r.at < len(r.body):
            self.session.wants.pop(r.text(), None)
        self.say(UNSUBACK, number)

    def on_publish(self, flags, r):
        cloud, qos = self.cloud, flags >> 1 & 3
        if qos == 3:
            raise Wrong("QoS 3")
        topic = r.text()
        if "+" in topic or "#" in topic or not topic:
            raise Wrong("the topic %r" % topic)
        number = r.u16() if qos else 0
        payload = r.rest()
        self.role.check_publish(self, topic, payload, qos)
        if qos == 2 and number in self.session.received:
            self.answer(PUBREC, number)
            return
        if qos == 2:
            self.session.received.add(number)
        cloud.take(Message(self.id, topic, payload, qos, bool(flags & 1),
                           bool(flags & 8)))
        if cloud.cut_in is not None:
            cloud.cut_in -= 1
            if cloud.cut_in <= 0:
                cloud.cut_in = None
                self.transport.abort()
                return
        if qos:
            self.answer(PUBACK if qos == 1 else PUBREC, number)
        self.role.heard(self, topic, payload)
        cloud.route(topic, payload, qos)

    def answer(self, kind, number):
        if self.cloud.holding:
            self.unanswered.append((kind, number))
            self.cloud.most_unanswered = max(self.cloud.most_unanswered,
                                             len(self.unanswered))
        else:
            self.say(kind, number.to_bytes(2, "big"))

    def send(self, topic, payload, qos):
        """To this client, if it wants it."""
        granted = [q for wanted, q in self.session.wants.items()
                   if matches(wanted, topic)]
        if granted:
            self.deliver(self.session, topic, payload, min(qos, max(granted)),
                         self)

    @staticmethod
    def deliver(session, topic, payload, qos, conn):
        payload = payload.encode() if isinstance(payload, str) else payload
        if qos == 0:
            if conn:
                conn.say(PUBLISH, text(topic) + payload)
            return
        session.last_id = session.last_id % 65535 + 1
        session.owed[session.last_id] = (topic, payload)
        if conn:
            conn.say(PUBLISH, text(topic)
                     + session.last_id.to_bytes(2, "big") + payload, flags=2)


# --- the double --------------------------------------------------------------

class Cloud:
    """`authority`: certificates.Authority, who signs the server's certificate;
    `trusted`: PEM files of who may come (devices' own, too); None: those that
    `authority` has signed. `accounts`: {user: password}, for those who come
    without a certificate. `service`: Cumulocity's MQTT service."""

    def __init__(self, role, authority, trusted=None, accounts=None,
                 host="localhost", issuer=None, service=False, port=0,
                 heard=None, need_cert=None):
        self.host, self.issuer = host, issuer or host
        self.tokens = []  # that it has given
        self.times = 1  # how often it sends one
        self.accounts, self.service = accounts or {}, service
        self.heard = heard
        self.lock = threading.Condition()
        self.messages = []  # in the order they came
        self.payloads = collections.defaultdict(list)  # the same by topic
        self.refused = []
        self.sign_ins = []  # (client id, clean session)
        self.sessions, self.clients, self.connections = {}, {}, set()
        self.holding, self.cut_in, self.most_unanswered = False, None, 0
        self.role = ROLES[role](self)
        cert, key = authority.sign("cloud", names="DNS:localhost,DNS:"
                                   + host + ",IP:127.0.0.1")
        self.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ssl.load_cert_chain(cert, key)
        for file in trusted or [authority.ca]:
            self.ssl.load_verify_locations(file)
        if need_cert is None:
            need_cert = not self.accounts
        self.ssl.verify_mode = (ssl.CERT_REQUIRED if need_cert
                                else ssl.CERT_OPTIONAL)
        self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        self.port, self.server = port or free_port(), None
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)  # broken handshakes
        self.thread = threading.Thread(target=self.loop.run_forever,
                                       daemon=True)
        self.thread.start()
        self.online()

    def do(self, function, *args):
        """On the thread of the loop; returns what it returned."""
        async def run():
            found = function(*args)
            return await found if asyncio.iscoroutine(found) else found
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT)

    # what happens to it

    def online(self):
        async def listen():
            self.server = await self.loop.create_server(
                lambda: Connection(self), "127.0.0.1", self.port, ssl=self.ssl)
        if self.server is None:
            self.do(listen)

    def offline(self):
        """Nobody answers any more; those that are connected are cut off."""
        def close():
            self.server.close()
            self.server = None
            self.abort_all()
        if self.server is not None:
            self.do(close)

    def abort_all(self):
        for conn in list(self.connections):
            conn.transport.abort()

    def cut(self):
        """Breaks the connections; they may come back."""
        self.do(self.abort_all)

    def cut_after(self, n):
        """Breaks off when `n` more messages have come, before the last of them
        is answered."""
        def later():
            self.cut_in = n
        self.do(later)

    def hold(self):
        """Takes messages and answers none, until release()."""
        self.holding = True

    def release(self):
        def answer():
            self.holding = False
            for conn in self.connections:
                for kind, number in conn.unanswered:
                    conn.say(kind, number.to_bytes(2, "big"))
                conn.unanswered = []
        self.do(answer)

    def send(self, topic, payload, qos=1):
        """To whoever wants it, now or (where sessions are kept) later."""
        self.do(self.route, topic, payload, qos)

    def stop(self):
        self.offline()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT)
        self.loop.close()

    # what it does, on the loop

    def take(self, message):
        with self.lock:
            self.messages.append(message)
            self.payloads[message.topic].append(message.payload)
            self.lock.notify_all()
        if self.heard:
            self.heard(message)

    def route(self, topic, payload, qos):
        for client, session in self.sessions.items():
            granted = [q for wanted, q in session.wants.items()
                       if matches(wanted, topic)]
            conn = self.clients.get(client)
            if granted and (conn or self.role.keeps_sessions):
                Connection.deliver(session, topic, payload,
                                   min(qos, max(granted)), conn)

    # what a test asks

    def on(self, topic):
        """The payloads that came on a topic, as text."""
        with self.lock:
            return [p.decode() for p in self.payloads[topic]]

    def wait(self, topic, n=1, limit=LIMIT):
        """The first `n` payloads on a topic, when there are so many."""
        end = time.monotonic() + limit
        with self.lock:
            while True:
                found = self.payloads[topic]
                if len(found) >= n:
                    return [p.decode() for p in found]
                if not self.lock.wait(end - time.monotonic()):
                    raise AssertionError(
                        "%d messages on %s, not %d; refused: %s; last: %s" % (
                            len(found), topic, n, self.refused,
                            self.messages[-5:]))

    def wait_client(self, client, limit=LIMIT):
        """Until this client is connected and has all its subscriptions."""
        end = time.monotonic() + limit
        while client not in self.clients or not self.clients[
                client].session.wants:
            assert time.monotonic() < end, (
                "%s did not come; refused: %s" % (client, self.refused))
            time.sleep(0.01)


# --- by hand -----------------------------------------------------------------

def main():
    from certificates import Authority
    parser = argparse.ArgumentParser(
        description="A double of a cloud. Commands on standard input: offline, "
        "online, cut, cut N, hold, release, send TOPIC PAYLOAD, cert NAME.")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--dir", help="for certificates; else a new one")
    parser.add_argument("--trust", action="append",
                        help="PEM file of a device, or of who signs devices")
    parser.add_argument("--account", action="append", default=[],
                        metavar="USER:PASSWORD")
    a = parser.parse_args()
    folder = pathlib.Path(a.dir or tempfile.mkdtemp(prefix="cloud-"))
    authority = Authority(folder)

    def heard(m):
        print(json.dumps({**m._asdict(),
                          "payload": m.payload.decode(errors="replace")}),
              flush=True)
    cloud = Cloud(a.role, authority, trusted=a.trust, port=a.port, heard=heard,
                  accounts=dict(x.split(":", 1) for x in a.account))
    print("ready on port %d; who signs: %s" % (cloud.port, authority.ca),
          file=sys.stderr)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "cert":
            print(*authority.sign(rest), file=sys.stderr)
        elif word == "send":
            cloud.send(*rest.split(" ", 1))
        elif word == "cut" and rest:
            cloud.cut_after(int(rest))
        elif word in ("offline", "online", "cut", "hold", "release"):
            getattr(cloud, word)()
        elif word:
            print("unknown: " + word, file=sys.stderr)
        while cloud.refused:
            print("refused: " + cloud.refused.pop(0), file=sys.stderr)
    cloud.stop()


if __name__ == "__main__":
    main()

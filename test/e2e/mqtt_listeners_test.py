"""What the MQTT server listens on: TLS, WebSocket, Unix sockets, PROXY."""
import os
import re
import signal
import socket
import ssl
import struct
import subprocess

import paho.mqtt.client as mqtt
import pytest

from certificates import Authority
from conftest import LIMIT, PROGRAM, Site, until
from ports import free_port


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def listener(no=1, **rows):
    """The flags of one listener, on a port of the kernel's."""
    if "address" not in rows or not rows["address"].startswith("unix:"):
        rows.setdefault("port", 0)
    return ["--mqtt.listener%d.%s=%s" % (no, key, value)
            for key, value in rows.items()]


def tls_listener(authority, name="server", no=1, **rows):
    cert, key = authority.sign("localhost", file=name)
    return listener(no, certFile=cert, keyFile=key, address="127.0.0.1",
                    **rows)


def publish(port, *options, host="localhost"):
    """mosquitto_pub: 0 when the message was acknowledged."""
    return subprocess.run(
        ["mosquitto_pub", "-h", host, "-p", str(port), "-q", "1", "-t", "t",
         "-m", "m", *map(str, options)], capture_output=True, timeout=LIMIT)


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def connect_packet(client="raw", user=None):
    body = text("MQTT") + bytes([4, 2 | (0x80 if user else 0)]) + \
        struct.pack(">H", 60) + text(client) + (text(user) if user else b"")
    return bytes([0x10, len(body)]) + body


def connack(sock, packet=None):
    """The answer's code; None: the server hung up."""
    sock.settimeout(LIMIT)
    try:
        sock.sendall(packet or connect_packet())
        answer = b""
        while len(answer) < 4:
            more = sock.recv(4 - len(answer))
            if not more:
                return None
            answer += more
    except (ConnectionError, ssl.SSLError):
        return None
    assert answer[0] == 0x20
    return answer[3]


def paho(port, tls=None, **more):
    """A client that is signed in, or None; it remembers that it was lost."""
    client = mqtt.Client(client_id="paho", **more)
    client.said = []
    client.lost = []
    client.on_connect = lambda _c, _d, _f, code: client.said.append(code)
    client.on_disconnect = lambda _c, _d, code: client.lost.append(code)
    if more.get("transport") == "websockets":
        client.ws_set_options(path="/mqtt")
    if tls:
        client.tls_set(str(tls))
    client.connect("localhost", port)
    client.loop_start()
    until("an answer", lambda: client.said)
    return client


def end(client):
    client.disconnect()
    client.loop_stop()


# --- TLS ----------------------------------------------------------------------

def version_spoken(port, ca, version):
    """What was agreed on, if only `version` is offered; None: nothing."""
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock, \
                context.wrap_socket(sock, server_hostname="localhost") as tls:
            assert connack(tls) == 0
            return tls.version()
    except ssl.SSLError:
        return None


def test_tls_of_both_versions_is_spoken(start, authority):
    server = start(*tls_listener(authority, allowAnonymous="true"), only=True)
    port = server.port("mqtts")
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                          (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        assert version_spoken(port, authority.ca, version) == name
    done = publish(port, "--cafile", authority.ca)
    assert done.returncode == 0, done.stderr


def test_an_older_version_than_minTls_is_refused(start, authority):
    server = start(*tls_listener(authority, allowAnonymous="true",
                                 minTls="1.3"), only=True)
    port = server.port("mqtts")
    for version, name in ((ssl.TLSVersion.TLSv1_2, None),
                          (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        assert version_spoken(port, authority.ca, version) == name


def test_the_certificate_of_https_is_good_for_mqtt(start, authority):
    cert, key = authority.sign("localhost")
    port = free_port()  # 0 would mean: none
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1", "--mqtt.tls-port", str(port),
                   "--mqtt.allow-anonymous")
    assert server.port("mqtts") == port
    context = ssl.create_default_context(cafile=str(authority.ca))
    with socket.create_connection(("127.0.0.1", port)) as sock, \
            context.wrap_socket(sock, server_hostname="localhost") as tls:
        assert connack(tls) == 0


def test_clear_mqtt_stays_on_loopback_beside_a_certificate(start, authority):
    cert, key = authority.sign("localhost")
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", only=True)
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True)
    if listening.returncode == 0:
        assert "127.0.0.1:%d" % server.mqtt_port in listening.stdout
    assert "in clear" not in server.logged()
    server = start("--listen", "0.0.0.0", only=True)
    assert "mqtt: passwords and messages cross the network in clear" in \
        server.logged()


def test_the_common_name_of_a_certificate_is_the_user(start, authority,
                                                      tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("user dev-7\ntopic dev/7/#\n")
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 peerUser="cn"),
                   "--mqtt.aclFile", str(acl), only=True)
    cert, key = authority.sign("dev-7")
    base = ["mosquitto_sub", "-h", "localhost", "-p", server.port("mqtts"),
            "--cafile", authority.ca, "--cert", cert, "--key", key, "-W",
            LIMIT, "-C", "1"]

    def subscribe(topic):
        return subprocess.run(list(map(str, [*base, "-t", topic, "-E"])),
                              capture_output=True, text=True)
    assert "denied" not in subscribe("dev/7/x").stderr
    assert "denied" in subscribe("dev/8/x").stderr
    # signed in another name: nobody of that name is in the file
    other = authority.sign("stranger")
    assert publish(server.port("mqtts"), "--cafile", authority.ca, "--cert",
                   other[0], "--key", other[1]).returncode != 0
    # without any, it is required here
    assert publish(server.port("mqtts"), "--cafile",
                   authority.ca).returncode != 0


def test_the_alternative_name_can_be_the_user(start, authority, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("user dev-7.example\ntopic t\n")
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 peerUser="san"),
                   "--mqtt.aclFile", str(acl), only=True)
    for name, good in (("dev-7.example", True), ("dev-8.example", False)):
        cert, key = authority.sign("client", file=name, names="DNS:" + name)
        done = publish(server.port("mqtts"), "--cafile", authority.ca,
                       "--cert", cert, "--key", key)
        assert (done.returncode == 0) == good, done.stderr


def test_a_network_signs_in_by_its_certificate(start, authority):
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 peerUser="cn"))
    site = Site(server, server.login())
    for name, good in (("network.demo.test-net-mqtt", True),
                       ("test-net-mqtt", False),  # not the whole name
                       ("network.demo.other", False)):
        cert, key = authority.sign(name)
        done = subprocess.run(
            ["mosquitto_pub", "-h", "localhost", "-p",
             str(server.port("mqtts")), "-q", "1", "-t",
             site.net_topic("uldata"), "-m", "{}", "--cafile",
             str(authority.ca), "--cert", str(cert), "--key", str(key)],
            capture_output=True, timeout=LIMIT)
        assert (done.returncode == 0) == good, (name, done.stderr)


def test_an_optional_certificate_may_be_left_out(start, authority):
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 clientCerts="optional",
                                 allowAnonymous="true"), only=True)
    ours = ["--cafile", authority.ca]
    port = server.port("mqtts")
    assert publish(port, *ours).returncode == 0
    cert, key = authority.sign("client")
    assert publish(port, *ours, "--cert", cert, "--key", key).returncode == 0
    foreign = Authority(authority.folder / "foreign", "Other CA")
    cert, key = foreign.sign("client")
    assert publish(port, *ours, "--cert", cert, "--key", key).returncode != 0


def test_expired_and_revoked_certificates_are_refused(start, authority):
    revoked = authority.sign("revoked")
    expired = authority.sign("expired", days=(-3, -1))
    good = authority.sign("good")
    authority.revoke(revoked[0])
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 crlFile=authority.crl,
                                 allowAnonymous="true"), only=True)
    for (cert, key), status in ((good, 0), (expired, 1), (revoked, 1)):
        done = publish(server.port("mqtts"), "--cafile", authority.ca,
                       "--cert", cert, "--key", key)
        assert (done.returncode != 0) == status, (cert, done.stderr)


def served_by(port, ca):
    """The serial number of the server's certificate."""
    context = ssl.create_default_context(cafile=str(ca))
    with socket.create_connection(("127.0.0.1", port)) as sock, \
            context.wrap_socket(sock, server_hostname="localhost") as tls:
        return tls.getpeercert()["serialNumber"]


def test_sighup_reads_certificates_again_and_drops_nobody(start, authority):
    server = start(*tls_listener(authority, allowAnonymous="true"), only=True)
    port = server.port("mqtts")
    first = served_by(port, authority.ca)
    client = paho(port, tls=authority.ca)
    authority.sign("localhost", file="server")  # over the old one
    server.process.send_signal(signal.SIGHUP)
    until("the new certificate",
          lambda: served_by(port, authority.ca) != first)
    second = served_by(port, authority.ca)

    (authority.folder / "server.pem").write_text("nonsense")
    server.process.send_signal(signal.SIGHUP)
    until("a complaint", lambda: "mqtt.listener1: " in server.logged() and
          "what was read before stays in use" in server.logged())
    assert str(authority.folder / "server.pem") in server.logged()
    assert served_by(port, authority.ca) == second

    sent = client.publish("t", "m", qos=1)
    sent.wait_for_publish(LIMIT)
    assert sent.is_published() and client.lost == []
    end(client)


def test_sighup_reads_the_revoked_again(start, authority):
    cert, key = authority.sign("client")
    server = start(*tls_listener(authority, caFile=authority.ca,
                                 crlFile=authority.crl,
                                 allowAnonymous="true"), only=True)

    def accepted():
        return publish(server.port("mqtts"), "--cafile", authority.ca,
                       "--cert", cert, "--key", key).returncode == 0
    assert accepted()
    authority.revoke(cert)
    server.process.send_signal(signal.SIGHUP)
    until("the refusal", lambda: not accepted())


# --- WebSocket ----------------------------------------------------------------

def test_websocket_on_a_listener_of_its_own(start):
    server = start(*listener(websocket="true", allowAnonymous="true"),
                   only=True)
    client = paho(server.port("ws"), transport="websockets")
    assert client.said == [0]
    end(client)


def test_websocket_over_tls_on_a_listener_of_its_own(start, authority):
    server = start(*tls_listener(authority, websocket="true",
                                 allowAnonymous="true"), only=True)
    client = paho(server.port("wss"), tls=authority.ca,
                  transport="websockets")
    assert client.said == [0]
    end(client)


def test_websocket_on_the_http_ports(start, authority):
    cert, key = authority.sign("localhost")
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1", "--mqtt.allow-anonymous")
    was = server.counter("mqtt_connections")
    clear = paho(server.port("http"), transport="websockets")
    assert clear.said == [0]
    end(clear)
    secure = paho(server.port("https"), tls=authority.ca,
                  transport="websockets")
    assert secure.said == [0]
    assert server.counter("mqtt_connections") == was + 1
    end(secure)
    until("both gone", lambda: server.counter("mqtt_connections") == was)
    # HTTP is served as before, on connections of its own
    assert server.call("GET", "/version").status == 200


def test_messages_of_all_sizes_pass_the_http_ports(start, authority):
    cert, key = authority.sign("localhost")
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1")
    from conftest import Site
    site = Site(server, server.login())
    for scheme, tls in (("http", None), ("https", authority.ca)):
        heard = site.application()
        client = mqtt.Client(client_id="ws", transport="websockets")
        client.ws_set_options(path="/mqtt")
        client.username_pw_set("network.demo.test-net-mqtt", "password")
        if tls:
            client.tls_set(str(tls))
        client.connect("localhost", server.port(scheme))
        client.loop_start()
        for size in (2, 20000, 300000):
            sent = client.publish(
                site.net_topic("uldata"),
                '{"time":"2023-07-08T06:55:02.000Z","networkAddr":'
                '"01000461","data":"%s"}' % ("ab" * (size // 2)), qos=1)
            sent.wait_for_publish(LIMIT)
            assert sent.is_published()
        assert [len(m["data"]) for m in heard.wait(3)] == [2, 20000, 300000]
        end(client)
        heard.close()


def upgrade(port, path="/mqtt", behind=b"", **changed):
    """Asks for a WebSocket by hand; returns the socket and the answer."""
    headers = {"Host": "localhost", "Upgrade": "websocket",
               "Connection": "keep-alive, Upgrade",
               "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Protocol": "chat, mqtt", **changed}
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(LIMIT)
    sock.sendall(("GET %s HTTP/1.1\r\n%s\r\n" % (path, "".join(
        "%s: %s\r\n" % h for h in headers.items() if h[1]))).encode() + behind)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(1)
    return sock, answer.decode()


def frame(payload):
    """A masked binary frame; the mask is 0."""
    return bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload


def test_what_comes_right_behind_the_request_is_not_lost(start):
    server = start("--mqtt.allow-anonymous")
    sock, answer = upgrade(server.http_port, behind=frame(connect_packet()))
    assert answer.startswith("HTTP/1.1 101 ")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert re.search(r"(?im)^sec-websocket-protocol: mqtt\r$", answer)
    assert sock.recv(6) == b"\x82\x04\x20\x02\x00\x00"
    sock.close()
    until("the end", lambda: server.counter("mqtt_connections") == 0)


@pytest.mark.parametrize("changed,status", [
    ({"Sec-WebSocket-Protocol": "chat"}, 400),
    ({"Sec-WebSocket-Protocol": None}, 400),
    ({"Sec-WebSocket-Key": "short"}, 400),
    ({"Sec-WebSocket-Version": "8"}, 426),
    ({"Upgrade": None}, 426),
    ({"Connection": "close"}, 400),
])
def test_what_is_no_websocket_for_mqtt_is_refused(server, changed, status):
    sock, answer = upgrade(server.http_port, **changed)
    assert answer.startswith("HTTP/1.1 %d " % status)
    if status == 426:
        assert "Sec-WebSocket-Version: 13" in answer
    sock.close()


def test_mqtt_on_the_http_port_can_be_limited_and_turned_off(start):
    server = start("--mqtt.max-http-web-sockets", "1",
                   "--mqtt.allow-anonymous")
    first = paho(server.http_port, transport="websockets")
    sock, answer = upgrade(server.http_port)
    assert answer.startswith("HTTP/1.1 101 ")
    assert sock.recv(1) == b""  # hung up
    assert server.counter("mqtt_connections_refused_total") == 1
    end(first)
    server = start("--mqtt.max-http-web-sockets", "0")
    sock, answer = upgrade(server.http_port)
    assert answer.startswith("HTTP/1.1 404 ")


def test_the_server_ends_while_websockets_are_open(start, authority):
    cert, key = authority.sign("localhost")
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1", "--mqtt.allow-anonymous")
    clear = paho(server.port("http"), transport="websockets")
    secure = paho(server.port("https"), tls=authority.ca,
                  transport="websockets", clean_session=False)
    assert server.stop() == 0
    for client in (clear, secure):
        until("the end", lambda c=client: c.lost)
        client.loop_stop()


# --- Unix sockets, IPv6, PROXY ------------------------------------------------

def test_a_unix_socket_with_its_permissions(start, tmp_path):
    path = tmp_path / "mqtt.sock"
    server = start(*listener(address="unix:%s" % path, socketMode="0600",
                             allowAnonymous="true"), only=True)
    assert " unix:%s " % path in server.said
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        assert connack(sock) == 0
    server.restart(signal.SIGKILL)  # the old file is in nobody's way
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        assert connack(sock) == 0
    server.stop()
    assert not path.exists()


def test_ipv6(start):
    server = start(*listener(address="::1", allowAnonymous="true"), only=True)
    port = int(re.search(r"mqtt://\[::1\]:(\d+)", server.said).group(1))
    with socket.create_connection(("::1", port)) as sock:
        assert connack(sock) == 0


def proxy_v2(address="192.0.2.9"):
    body = socket.inet_aton(address) + socket.inet_aton("192.0.2.1") + \
        struct.pack(">HH", 1000, 1883)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + \
        struct.pack(">H", len(body)) + body


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 1883\r\n", proxy_v2()])
def test_a_proxy_header_goes_before(start, header):
    server = start(*listener(proxy="true", allowAnonymous="true"), only=True)
    port = server.port("mqtt", 1)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        assert connack(sock, header + connect_packet()) == 0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        assert connack(sock) is None


def test_behind_a_proxy_the_senders_address_counts(start):
    server = start(*listener(proxy="true"), "--mqtt.max-auth-failures", "1",
                   "--mqtt.sys-interval", "50ms",
                   "--mqtt.passwordFile", "/dev/null",
                   *listener(2, allowAnonymous="true"), only=True)

    def ask(address):
        with socket.create_connection(
                ("127.0.0.1", server.port("mqtt", 1))) as sock:
            return connack(sock, proxy_v2(address) +
                           connect_packet(user="nobody"))
    limited = Sys(server, 2, "mqtt/auth_limited")
    assert ask("192.0.2.9") == 4
    for _ in range(3):
        ask("192.0.2.9")
    until("the limit", lambda: limited.value() and limited.value() >= 1)
    was = limited.value()
    assert ask("192.0.2.10") == 4
    assert limited.value() == was
    limited.close()


class Sys:
    """One number below $SYS/broker/counters/, as it was told last."""

    def __init__(self, server, no, name):
        self.said = None
        self.client = mqtt.Client(client_id="sys")
        self.client.on_message = self.on_message
        self.client.on_connect = lambda c, *_: c.subscribe(
            "$SYS/broker/counters/" + name)
        self.client.connect("127.0.0.1", server.port("mqtt", no))
        self.client.loop_start()

    def on_message(self, _client, _data, message):
        self.said = int(message.payload)

    def value(self):
        return self.said

    def close(self):
        end(self.client)


# --- per listener, and mistakes -----------------------------------------------

def test_each_listener_has_its_own_limits(start):
    server = start(*listener(1, maxConnections=1, allowAnonymous="true"),
                   *listener(2), "--mqtt.allow-anonymous", only=True)
    main, one, two = (server.port("mqtt", no) for no in range(3))
    with socket.create_connection(("127.0.0.1", one)) as first:
        assert connack(first) == 0
        with socket.create_connection(("127.0.0.1", one)) as second:
            assert connack(second) is None
        with socket.create_connection(("127.0.0.1", main)) as third:
            assert connack(third, connect_packet("other")) == 0
    with socket.create_connection(("127.0.0.1", two)) as sock:
        assert connack(sock) == 5  # nobody without a name


def test_durability_is_each_listeners_own(start):
    server = start("--mqtt.durability", "none", "--mqtt.allow-anonymous",
                   *listener(durability="os", allowAnonymous="true"),
                   only=True)

    def kept(port, name):
        client = mqtt.Client(client_id=name, clean_session=False)
        done = []
        client.on_connect = lambda c, *_: c.subscribe("t/" + name, 1)
        client.on_subscribe = lambda *_: done.append(1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        until("a subscription", lambda: done)
        end(client)
    kept(server.port("mqtt", 0), "forgotten")
    kept(server.port("mqtt", 1), "kept")
    server.restart(signal.SIGKILL)
    for no, name, there in ((0, "forgotten", 0), (1, "kept", 1)):
        with socket.create_connection(
                ("127.0.0.1", server.port("mqtt", no))) as sock:
            packet = bytearray(connect_packet(name))
            packet[9] = 0  # no clean session
            sock.sendall(packet)
            assert sock.recv(4) == bytes([0x20, 2, there, 0])


@pytest.mark.parametrize("rows,said", [
    ({"keyFile": "k"}, "mqtt.listener1.keyFile: certFile must be set, too"),
    ({"certFile": "c"}, "mqtt.listener1.certFile: keyFile must be set, too"),
    ({"certFile": "/no/c", "keyFile": "k"}, "mqtt.listener1: "),
    ({"caFile": "c"}, "mqtt.listener1.caFile: it is for TLS: set certFile"),
    ({"minTls": "1.3"}, "mqtt.listener1.minTls: it is for TLS: set certFile"),
    ({"minTls": "1.1"}, 'minTls: "1.1" must be one of 1.2, 1.3'),
    ({"crlFile": "c"}, "mqtt.listener1.crlFile: caFile must be set, too"),
    ({"clientCerts": "required"},
     "mqtt.listener1.clientCerts: caFile must say who may sign them"),
    ({"certFile": "c", "keyFile": "k", "caFile": "a", "clientCerts": "none"},
     "mqtt.listener1.clientCerts: caFile is set, but nobody is asked for a "
     "certificate"),
    ({"peerUser": "cn"}, "mqtt.listener1.peerUser: caFile must say who may "
     "sign the certificates"),
    ({"peerUser": "san", "proxy": "true"}, "mqtt.listener1.peerUser: caFile "
     "must say who may sign the certificates"),
    ({"address": "unix:", "port": None},
     "mqtt.listener1.address: a path must follow unix:"),
    ({"address": "unix:/x", "port": "1"},
     "mqtt.listener1.port: a Unix socket has none"),
    ({"socketMode": "0600"},
     "mqtt.listener1.socketMode: only a Unix socket has it"),
    ({"address": "unix:/tmp/x", "port": None, "socketMode": "rw"},
     'mqtt.listener1.socketMode: "rw" must be octal digits, as 0660'),
    ({"port": None, "websocket": "true"},
     "mqtt.listener1.websocket has no effect: neither port nor address of "
     "this listener is set"),
    ({"port": "99999"}, "port: must be 0 to 65535"),
    ({"address": "nowhere"}, "mqtt.listener1: address nowhere: "),
])
def test_settings_that_do_not_go_together_name_the_key(tmp_path, rows, said):
    rows = {"port": "0", **rows}
    flags = ["--mqtt.listener1.%s=%s" % row for row in rows.items() if row[1]]
    done = subprocess.run(
        [PROGRAM, "serve", "--only", "mqtt", "--data-dir", tmp_path / "d",
         "--mqtt-port", "0", *flags], capture_output=True, text=True,
        timeout=LIMIT)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_two_listeners_can_not_have_one_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [PROGRAM, "serve", "--only", "mqtt", "--data-dir",
             tmp_path / "d", "--mqtt-port", "0", "--mqtt.listener8.port",
             str(taken.getsockname()[1])], capture_output=True, text=True,
            timeout=LIMIT)
    assert done.returncode == 1
    assert "mqtt.listener8: listen on 127.0.0.1 port" in done.stderr


def test_listeners_from_a_file(start, tmp_path):
    config = tmp_path / "c.json5"
    config.write_text("""{ mqtt: { allowAnonymous: true,
        listener1: { port: 0, websocket: true },
        listener2: { address: "::1", port: 0 } } }""")
    server = start("-f", str(config), only=True)
    assert server.port("ws") and "mqtt://[::1]:" in server.said

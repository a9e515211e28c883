"""The device's proxy to Cumulocity's HTTP: a double of the tenant behind TLS,
whose MQTT gives the tokens."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import threading

import pytest

from conftest import LIMIT, until
from edge import EDGE, free_port
from edge_connect_test import world  # noqa: F401

LARGE = 24 << 20


class Tenant(http.server.ThreadingHTTPServer):
    """Remembers who asked for what; `refuse` requests are answered with 401
    before others are."""

    daemon_threads = True

    def __init__(self, authority, port=None):
        super().__init__(("127.0.0.1", port or free_port()), Door)
        self.asked, self.refuse, self.go = [], 0, threading.Event()
        self.knows = False  # the device's id
        self.bodies = []  # of events, their beginnings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign("tenant"))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_args):
        pass

    def stop(self):
        self.go.set()
        self.shutdown()
        self.server_close()


class Door(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_args):
        pass

    def chunks(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                size = int(self.rfile.readline(), 16)
                if size:
                    yield self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def answer(self):
        tenant, digest, n = self.server, hashlib.sha256(), 0
        small = b""
        for piece in self.chunks():
            digest.update(piece)
            n += len(piece)
            small = (small + piece)[:4096]
        if self.path.startswith("/identity/"):  # the mapper, for itself
            self.reply(200 if tenant.knows else 404,
                       b'{"managedObject":{"id":"4711"}}')
            return
        tenant.asked.append((self.command, self.path, self.headers,
                             n, digest.hexdigest()))
        if self.path == "/event/events":
            tenant.bodies.append(small)
        if tenant.refuse:
            tenant.refuse -= 1
            self.reply(401, b"not you")
        elif self.path == "/ws":
            self.echo()
        elif self.path == "/wait":
            tenant.go.wait(LIMIT)
            self.reply(200, b"late")
        elif self.path == "/large":
            self.reply(200, bytes(LARGE))
        elif self.path == "/event/events" and tenant.knows:
            self.reply(201, b'{"id":"99"}')
        elif self.path == "/none":
            self.reply(404, b"nothing there")
        else:
            self.reply(200, ("%s %s" % (self.command, self.path)).encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def echo(self):
        assert self.headers["Upgrade"] == "websocket"
        assert self.headers["Connection"] == "Upgrade"
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\n"
                         b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while True:
            got = self.connection.recv(4096)
            if not got:
                return
            self.connection.sendall(got.upper())


class Ask:
    def __init__(self, edge, method, path, body=None, headers=None, tls=None,
                 port=None):
        port = port or edge.settings["c8y.proxy.bind.port"]
        kind = http.client.HTTPSConnection if tls else (
            http.client.HTTPConnection)
        more = {"context": tls} if tls else {}
        conn = kind("localhost" if tls else "127.0.0.1", port, timeout=LIMIT,
                    **more)
        conn.request(method, path, body, headers or {},
                     encode_chunked=False)
        found = conn.getresponse()
        self.status, self.headers = found.status, found.headers
        self.body = found.read()
        conn.close()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def joined(world, settings=None, cloud=None, **more):
    """A tenant of two doors, and a device that is connected to it."""
    tenant = Tenant(world.authority)
    world.made.append(tenant)
    cloud = cloud or world.cloud("c8y")
    edge = world.edge({**world.to(cloud), "c8y.http": "localhost:%d"
                       % tenant.port, **(settings or {})}, **more)
    edge.good("connect", "c8y")
    until("the proxy listens",
          lambda: listens(edge.settings["c8y.proxy.bind.port"]))
    return cloud, tenant, edge


def bearer(cloud, asked):
    kind, _, token = asked[2]["Authorization"].partition(" ")
    assert kind == "Bearer" and len(asked[2].get_all("Authorization")) == 1
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
    text = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert b'"sub": "device_dev1"' in text, text
    return token


def test_who_asks_here_asks_there_as_the_device(world):
    cloud, tenant, edge = joined(world)
    said = edge.good("http", "get", "/c8y/inventory/managedObjects?a=b%20c")
    assert said.out == "GET /inventory/managedObjects?a=b%20c", said
    token = bearer(cloud, tenant.asked[0])
    assert tenant.asked[0][2]["Host"] == "localhost:%d" % tenant.port
    asked_for = len(cloud.on("s/uat"))
    said = edge.good("http", "post", "/c8y/event/events", '{"a":1}')
    assert said.out == "POST /event/events", said
    assert tenant.asked[1][2]["Content-Type"] == "application/json"
    assert tenant.asked[1][3] == 7
    # One token is good for many requests.
    assert bearer(cloud, tenant.asked[1]) == token
    for method in ("PUT", "PATCH", "DELETE", "HEAD"):
        assert Ask(edge, method, "/c8y/x").status == 200
        assert bearer(cloud, tenant.asked[-1]) == token
    assert len(cloud.on("s/uat")) == asked_for
    said = edge.tedge("http", "get", "/c8y/none")
    assert said.status == 1 and "HTTP client error: 404" in said.err, said
    assert "nothing there" in said.err
    # Who says who he is, is believed; and what is not Cumulocity's is not.
    Ask(edge, "GET", "/c8y/x", headers={"Authorization": "Basic eDp5"})
    assert tenant.asked[-1][2].get_all("Authorization") == ["Basic eDp5"]
    n = len(tenant.asked)
    assert Ask(edge, "GET", "/elsewhere").status == 404
    assert Ask(edge, "GET", "/c8y/x", headers={"X": "y" * 20000}).status == 431
    assert len(tenant.asked) == n
    assert token not in edge.logged()


def test_a_token_that_is_refused_is_asked_for_again_once(world):
    cloud, tenant, edge = joined(world)
    assert Ask(edge, "GET", "/c8y/x").status == 200
    before = len(cloud.on("s/uat"))
    tenant.asked.clear()
    tenant.refuse = 1
    got = Ask(edge, "POST", "/c8y/x", b"the body")
    assert (got.status, got.body) == (200, b"POST /x")
    assert [a[3] for a in tenant.asked] == [8, 8]
    assert len(cloud.on("s/uat")) == before + 1
    tenant.refuse = 2
    got = Ask(edge, "GET", "/c8y/x")
    assert (got.status, got.body) == (401, b"not you")
    assert len(tenant.asked) == 4
    # A token of the caller's own is the caller's to renew.
    tenant.refuse = 1
    got = Ask(edge, "GET", "/c8y/x", headers={"Authorization": "Bearer x"})
    assert got.status == 401 and len(tenant.asked) == 5
    # What is too large to be kept is not sent twice; the next one is.
    tenant.refuse = 1
    assert Ask(edge, "PUT", "/c8y/x", bytes(1 << 20)).status == 401
    assert Ask(edge, "GET", "/c8y/x").status == 200


def memory(edge):
    """KiB that are its own; clean pages of libraries are whose alone, or not,
    by who else runs."""
    text = open("/proc/%d/smaps_rollup" % edge.process.pid).read()
    return sum(int(n) for n in re.findall(r"^Private_Dirty:\s+(\d+)", text, re.M))


def test_large_bodies_pass_through_piece_by_piece(world):
    _, tenant, edge = joined(world)
    assert Ask(edge, "GET", "/c8y/x").status == 200
    before = memory(edge)
    body = os.urandom(LARGE)
    digest = hashlib.sha256(body).hexdigest()
    assert Ask(edge, "PUT", "/c8y/file", body).status == 200
    assert tenant.asked[-1][3:] == (LARGE, digest)
    conn = http.client.HTTPConnection(
        "127.0.0.1", edge.settings["c8y.proxy.bind.port"], timeout=LIMIT)
    conn.request("POST", "/c8y/file", encode_chunked=True, headers={
        "Transfer-Encoding": "chunked"}, body=(
            body[i:i + 100000] for i in range(0, LARGE, 100000)))
    assert conn.getresponse().read() == b"POST /file"
    conn.close()
    assert tenant.asked[-1][3:] == (LARGE, digest)
    assert Ask(edge, "GET", "/c8y/large").body == bytes(LARGE)
    if "asan" in EDGE:  # it keeps what was freed
        return
    assert memory(edge) - before < 4096, "KiB more than %d" % before


def test_a_cloud_that_is_away(world):
    cloud, tenant, edge = joined(world)
    assert Ask(edge, "GET", "/c8y/x").status == 200
    tenant.stop()
    got = Ask(edge, "GET", "/c8y/x")
    assert got.status == 502
    assert got.headers["Content-Type"].startswith("text/plain")
    assert b"can not be reached at localhost: connect" in got.body, got.body
    back = Tenant(world.authority, tenant.port)
    world.made[world.made.index(tenant)] = back
    assert Ask(edge, "GET", "/c8y/x").status == 200
    # Nor is there a token where MQTT does not reach the cloud.
    cloud.offline()
    back.refuse = 1
    got = Ask(edge, "GET", "/c8y/x")
    assert got.status == 502 and b"no token within 10 s" in got.body, got.body
    cloud.online()


def test_a_device_with_an_account(world):
    cloud = world.cloud("c8y", accounts={"t123456/octocat": "pa:ss"})
    file = world.folder / "credentials.toml"
    file.write_text(
        '[c8y]\nusername = "t123456/octocat"\npassword = "pa:ss"\n')
    _, tenant, edge = joined(world, {
        "c8y.auth_method": "basic", "c8y.credentials_path": str(file),
        "device.id": "dev1"}, cloud, name=None)
    assert Ask(edge, "GET", "/c8y/x").status == 200
    assert tenant.asked[0][2]["Authorization"] == "Basic " + (
        base64.b64encode(b"t123456/octocat:pa:ss").decode())


def test_https_and_certificates_of_clients(world):
    cert, key = world.authority.sign("proxy")
    mine = world.authority.sign("client")
    port = free_port()
    trusted = world.folder / "trusted"
    trusted.mkdir()
    (trusted / "ca.pem").write_bytes(world.authority.ca.read_bytes())
    _, tenant, edge = joined(world, {
        "c8y.proxy.cert_path": str(cert), "c8y.proxy.key_path": str(key),
        "c8y.proxy.ca_path": str(trusted),
        "c8y.proxy.client.host": "localhost", "c8y.proxy.bind.port": port,
        "http.client.auth.cert_file": str(mine[0]),
        "http.client.auth.key_file": str(mine[1])})
    got = Ask(edge, "GET", "/c8y/a?b", headers={"Host": "gateway:%d" % port})
    assert got.status == 307
    assert got.headers["Location"] == "https://gateway:%d/c8y/a?b" % port
    context = ssl.create_default_context(cafile=str(world.authority.ca))
    with pytest.raises((ssl.SSLError, ConnectionError,
                        http.client.RemoteDisconnected)):
        Ask(edge, "GET", "/c8y/x", tls=context)
    assert not tenant.asked
    context.load_cert_chain(*mine)
    assert Ask(edge, "GET", "/c8y/x", tls=context).body == b"GET /x"
    assert Ask(edge, "GET", "/c8y/large", tls=context).body == bytes(LARGE)
    assert Ask(edge, "PUT", "/c8y/f", bytes(LARGE), tls=context).status == 200
    assert tenant.asked[-1][3] == LARGE
    assert edge.good("http", "get", "/c8y/y").out == "GET /y"
    # The mapper shows the same certificate.
    tenant.knows = True
    local = edge.client()
    local.say("te/device/main///e/big", '{"text":"%s"}' % ("x" * 20000))
    local.close()
    until("the event is there", lambda: [
        a for a in tenant.asked if a[1] == "/event/events" and a[3] > 20000])


def test_a_file_becomes_an_event_of_the_cloud(world):
    cloud, tenant, edge = joined(world)
    tenant.knows = True
    file = edge.folder / "some.log"
    file.write_bytes(os.urandom(1 << 20))
    said = edge.good("upload", "c8y", "--file", file)
    assert said.out == "99\n"
    event = json.loads(tenant.bodies[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", event.pop("time"))
    assert event == {"source": {"id": "4711"}, "type": "tedge_UploadedFile",
                     "text": "Uploaded file: %s" % file}
    sent = [a for a in tenant.asked if a[1] == "/event/events/99/binaries"]
    assert [(a[0], a[2]["Content-Type"], a[3:]) for a in sent] == [
        ("POST", "text/plain", (1 << 20, hashlib.sha256(
            file.read_bytes()).hexdigest()))]
    bearer(cloud, sent[0])
    edge.good("upload", "c8y", "--file", file, "--type", "t", "--text", "x",
              "--mime-type", "a/b", "--json",
              '{"text":"said","source":"no","more":[1]}')
    event = json.loads(tenant.bodies[1])
    del event["time"]
    assert event == {"source": {"id": "4711"}, "type": "t", "text": "said",
                     "more": [1]}
    assert tenant.asked[-1][2]["Content-Type"] == "a/b"
    for words, why in ((("--json", "[1]"), "a JSON object is expected"),
                       (("--json", "{"), "a JSON object is expected")):
        said = edge.tedge("upload", "c8y", "--file", file, *words)
        assert said.status == 1 and why in said.err and not said.out, said
    said = edge.tedge("upload", "c8y", "--file", edge.folder / "none")
    assert said.status == 1 and "No such file" in said.err, said
    assert len(tenant.bodies) == 2
    tenant.knows = False
    said = edge.tedge("upload", "c8y", "--file", file)
    assert said.status == 1, said
    assert "find the device in the cloud" in said.err and "404" in said.err


def test_websockets_pass(world):
    cloud, tenant, edge = joined(world)
    with socket.create_connection(
            ("127.0.0.1", edge.settings["c8y.proxy.bind.port"]), LIMIT) as s:
        s.sendall(b"GET /c8y/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\nSec-WebSocket-Key: abc\r\n\r\n")
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += s.recv(4096)
        assert got.startswith(b"HTTP/1.1 101 "), got
        for word in (b"ping", b"pong"):
            s.sendall(word)
            assert s.recv(100) == word.upper()
    assert tenant.asked[0][2]["Sec-WebSocket-Key"] == "abc"
    bearer(cloud, tenant.asked[0])


def test_there_is_a_limit_to_requests_at_a_time(world):
    _, tenant, edge = joined(world, {"c8y.proxy.max_connections": 1})
    late = []

    def ask():  # the mapper may be there before
        while not late or late[-1].status == 503:
            late.append(Ask(edge, "GET", "/c8y/wait"))
    thread = threading.Thread(target=ask)
    thread.start()
    until("one waits", lambda: tenant.asked)
    got = Ask(edge, "GET", "/c8y/x")
    assert got.status == 503 and b"c8y.proxy.max_connections" in got.body
    tenant.go.set()
    thread.join(LIMIT)
    assert late[-1].body == b"late"
    until("there is room again",
          lambda: Ask(edge, "GET", "/c8y/x").status == 200)


def test_each_profile_has_a_port_of_its_own(world):
    port = free_port()
    cloud, tenant, edge = joined(world)
    edge.set(**{"c8y__profiles__second__url": "127.0.0.1",
                "c8y__profiles__second__mqtt": "localhost:%d" % cloud.port,
                "c8y__profiles__second__http": "localhost:%d" % tenant.port,
                "c8y__profiles__second__root_cert_path":
                    str(world.authority.ca),
                "c8y__profiles__second__proxy__bind__port": port,
                "c8y__profiles__second__bridge__topic_prefix": "c8y-second"})
    edge.good("connect", "c8y", "--profile", "second", "--offline")
    until("its proxy listens", lambda: listens(port))
    assert listens(edge.settings["c8y.proxy.bind.port"])
    assert Ask(edge, "GET", "/c8y/x", port=port, headers={
        "Authorization": "Basic eDp5"}).body == b"GET /x"


def test_a_port_that_is_taken_is_told_and_the_rest_goes_on(world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cloud, _, edge = joined(world, {"c8y.proxy.bind.port": port})
        until("it is told", lambda: "c8y.proxy.bind.port" in edge.logged())
    edge.good("mqtt", "pub", "tedge/measurements", '{"a": 1}')
    cloud.wait("measurement/measurements/create")
    until("it is tried again",
          lambda: listens(port) and Ask(edge, "GET", "/c8y/x").status == 200)

"""Servers, command lines and MQTT clients for the black-box tests.

The program under test is named by the variable MARRAM (default: build/marram).
Every server has a folder and ports of its own and is stopped by process id.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import paho.mqtt.client as mqtt
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("MARRAM", str(ROOT / "build" / "marram"))
LIMIT = 90  # seconds that anything may take before a test gives up
# Where a loaded library keeps its threads' variables ASan guesses by their address,
# and if it guesses wrong its search for leaks crashes; it finds them without, too.
os.environ.setdefault("ASAN_OPTIONS", "intercept_tls_get_addr=0")


SLOW = ("fleet_deploy_test", "fleet_linux_test", "backup_test")


def pytest_collection_modifyitems(items):
    """What takes longest begins first, spread over all that run beside each
    other: else the last of them would have it alone at the end."""
    items.sort(key=lambda item: item.path.stem not in SLOW)


def until(what, check, limit=LIMIT):
    """Waits for a condition; returns what it returned."""
    end = time.monotonic() + limit
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("%s did not happen in %d s" % (what, limit))
        time.sleep(0.01)


def all_bytes(folder):
    """What is in the files below it, of which some come and go."""
    found = b""
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.read_bytes() if path.is_file() else b""
    return found


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.text = body.decode()

    def json(self):
        return json.loads(self.text)

    @property
    def data(self):
        return self.json()["data"]

    @property
    def code(self):
        return self.json()["code"]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


class Server:
    """One `marram serve`; `only`: the MQTT server alone."""

    def __init__(self, folder, *options, program=None, env=None,
                 password="admin", only=False):
        self.folder = pathlib.Path(folder)
        self.options = options
        self.program = program or [PROGRAM, "serve"]
        self.env = env or {}
        self.password = password
        self.only = only
        self.process = None
        self.start()

    def start(self):
        command = [*self.program, "--data-dir", str(self.folder / "data"),
                   "--http-port", "0", "--mqtt-port", "0",
                   "--mqtt.tls-port", "0"]
        if self.only:
            command += ["--only", "mqtt"]
        elif self.password:
            command += ["--admin-password", self.password]
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [*command, *self.options], stdout=subprocess.PIPE,
            stderr=self.log, text=True, cwd=self.folder,
            env={**os.environ, **self.env})
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("ready:"):
                self.ports = [(scheme, int(port)) for scheme, port in
                              re.findall(r" (\w+)://\S+?:(\d+)(?= )", line)]
                self.http_port = self.port("http")
                self.mqtt_port = self.port("mqtt")
                return
        raise AssertionError("the server did not start: " + self.logged())

    def port(self, scheme, no=0):
        """The port of the n-th listener that speaks it, as it was said."""
        found = [port for name, port in self.ports if name == scheme]
        return found[no] if no < len(found) else None

    def logged(self):
        return (self.folder / "log").read_text()

    @property
    def url(self):
        return "http://localhost:%d" % self.http_port

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(how)
        status = self.process.wait(LIMIT)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return status

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        self.start()

    def call(self, method, path, body=None, token=None, form=None,
             headers=None, raw=None):
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if raw is not None:
            request.data = raw
        if form is not None:
            request.data = urllib.parse.urlencode(form).encode()
            request.add_header("Content-Type",
                               "application/x-www-form-urlencoded")
        if token:
            request.add_header("Authorization", "Bearer " + token)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with OPENER.open(request, timeout=LIMIT) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Reply(answer.code, answer.headers, answer.read())

    REDIRECT = "http://localhost:1080/auth/oauth2/redirect"

    def login(self, account="admin", password="admin", client="public",
              redirect=REDIRECT, scope=None):
        """The authorization code flow, as a browser goes it."""
        ask = {"response_type": "code", "client_id": client,
               "redirect_uri": redirect}
        if scope is not None:
            ask["scope"] = scope
        answer = self.call("POST", "/auth/oauth2/login", form={
            "state": urllib.parse.urlencode(ask), "account": account,
            "password": password})
        assert answer.status == 302, answer.text
        query = urllib.parse.urlparse(answer.headers["Location"]).query
        grant = dict(urllib.parse.parse_qsl(query))
        answer = self.call("POST", "/auth/oauth2/authorize",
                           form={**grant, "allow": "yes"})
        assert answer.status == 302, answer.text
        query = urllib.parse.urlparse(answer.headers["Location"]).query
        code = dict(urllib.parse.parse_qsl(query))["code"]
        answer = self.call("POST", "/auth/oauth2/token", form={
            "grant_type": "authorization_code", "code": code,
            "redirect_uri": redirect, "client_id": client})
        assert answer.status == 200, answer.text
        return answer.json()["access_token"]

    def counter(self, name):
        found = re.search(r"^marram_%s (\S+)" % name,
                          self.call("GET", "/metrics").text, re.M)
        return int(found.group(1))


class Client:
    """An MQTT client that remembers what it heard."""

    def __init__(self, server, user, password="password", topics=(),
                 client_id="", clean=True, protocol=mqtt.MQTTv311):
        self.heard = []
        self.granted = {}
        self.refused = None
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.lock = threading.Lock()
        self.topics = list(topics)
        self.client = mqtt.Client(client_id=client_id, clean_session=clean,
                                  protocol=protocol)
        self.client.username_pw_set(user, password)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_message = self.on_message
        self.client.on_disconnect = self.on_disconnect
        self.client.connect("127.0.0.1", server.mqtt_port)
        self.client.loop_start()
        until("the MQTT sign-in",
              lambda: self.ready.is_set() or self.refused is not None)

    def on_connect(self, client, _data, _flags, status):
        if status != 0:
            self.refused = status
            client.disconnect()
        elif self.topics:
            client.subscribe([(t, 1) for t in self.topics])
        else:
            self.ready.set()

    def on_subscribe(self, _client, _data, _mid, granted):
        self.granted = dict(zip(self.topics, granted))
        self.ready.set()

    def on_message(self, _client, _data, message):
        with self.lock:
            self.heard.append((message.topic, message.payload))

    def on_disconnect(self, *_args):
        self.gone.set()

    def publish(self, topic, payload, wait=True):
        if not isinstance(payload, (bytes, str)):
            payload = json.dumps(payload)
        sent = self.client.publish(topic, payload, qos=1)
        if wait:
            sent.wait_for_publish(LIMIT)
            assert sent.is_published()
        return sent

    def messages(self, queue=None):
        with self.lock:
            return [json.loads(p) for t, p in self.heard
                    if queue is None or t.endswith("." + queue)]

    def wait(self, n=1, queue=None):
        until("message %d" % n, lambda: len(self.messages(queue)) >= n)
        return self.messages(queue)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Site:
    """A unit with an application, a network, a device and a route."""

    def __init__(self, server, token, code="demo", app="test-app-mqtt",
                 net="test-net-mqtt"):
        self.server, self.token, self.code = server, token, code
        self.app_code, self.net_code = app, net
        self.unit = self.add("unit", {"code": code})["unitId"]
        self.app = self.make("application", app)
        self.net = self.make("network", net)
        self.device = self.add("device", {
            "unitId": self.unit, "networkId": self.net,
            "networkAddr": "01000461"})["deviceId"]
        self.route = self.add("device-route", {
            "deviceId": self.device, "applicationId": self.app})["routeId"]

    def call(self, method, path, body=None):
        return self.server.call(method, "/coremgr/api/v1/" + path, body,
                                self.token)

    def add(self, kind, data, **beside):
        answer = self.call("POST", kind, {"data": data, **beside})
        assert answer.status == 200, answer.text
        return answer.data

    def make(self, kind, code, password="password"):
        made = self.add(kind, {"code": code, "unitId": self.unit,
                               "hostUri": "mqtt://localhost"})
        answer = self.call("PATCH", "%s/%s" % (kind, made[kind + "Id"]),
                           {"data": {"password": password}})
        assert answer.status == 204, answer.text
        return made[kind + "Id"]

    def app_topic(self, queue, code=None):
        return "broker.application.%s.%s.%s" % (
            self.code, code or self.app_code, queue)

    def net_topic(self, queue, code=None):
        return "broker.network.%s.%s.%s" % (
            self.code, code or self.net_code, queue)

    def application(self, code=None, **more):
        code = code or self.app_code
        topics = [self.app_topic(q, code)
                  for q in ("uldata", "dldata-resp", "dldata-result")]
        return Client(self.server, "application.%s.%s" % (self.code, code),
                      topics=topics, **more)

    def network(self, code=None, **more):
        code = code or self.net_code
        topics = [self.net_topic(q, code) for q in ("dldata", "ctrl")]
        return Client(self.server, "network.%s.%s" % (self.code, code),
                      topics=topics, **more)


UPLINK = {"time": "2023-07-08T06:55:02.000Z", "networkAddr": "01000461",
          "data": "74657374"}


@pytest.fixture
def start(tmp_path):
    """Starts servers that end with the test."""
    servers = []

    def begin(*options, **more):
        folder = tmp_path / ("server%d" % len(servers))
        folder.mkdir()
        servers.append(Server(folder, *options, **more))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()
    for server in servers:  # of a build with sanitizers, also at its end
        assert "Sanitizer" not in server.logged(), server.logged()


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def site(server):
    return Site(server, server.login())

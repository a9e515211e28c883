"""Bridges by settings, to a Mosquitto."""
import os
import signal
import socket
import subprocess

import paho.mqtt.client as mqtt
import pytest

from certificates import Authority
from conftest import LIMIT, PROGRAM, Site, until
from ports import free_port

MOSQUITTO = "/usr/sbin/mosquitto"
pytestmark = pytest.mark.skipif(not os.path.exists(MOSQUITTO),
                                reason="needs mosquitto")


class Remote:
    """A Mosquitto that can go and come back; `lines`: of its settings."""

    def __init__(self, folder, lines="allow_anonymous true"):
        self.folder, self.lines = folder, lines
        self.port = free_port()
        self.process = None
        folder.mkdir()
        self.start()

    def start(self):
        config = self.folder / "conf"
        config.write_text(
            "listener %d 127.0.0.1\nuser root\npersistence true\n"
            "persistence_location %s/\nmax_queued_messages 10000\n%s\n"
            % (self.port, self.folder, self.lines))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-v", "-c", config],
                                            stdout=log, stderr=log)
        until("Mosquitto's port", self.answers)

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(LIMIT)
        self.process = None

    def logged(self):
        return (self.folder / "log").read_text()


@pytest.fixture
def remote_with(tmp_path):
    running = []

    def begin(*args):
        running.append(Remote(tmp_path / ("remote%d" % len(running)), *args))
        return running[-1]

    yield begin
    for r in running:
        r.stop()


@pytest.fixture
def remote(remote_with):
    return remote_with()


class Listener:
    """A client that remembers what it heard; keeps its session."""

    def __init__(self, port, *topics, name="listener", tls=None, user=None):
        self.heard, self.topics, self.granted = [], topics, []
        self.client = mqtt.Client(client_id=name, clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = self.on_message
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.granted.append(1)
        if tls:
            self.client.tls_set(str(tls[0]), *map(str, tls[1:]))
        if user:
            self.client.username_pw_set(*user)
        self.client.connect("localhost", port)
        self.client.loop_start()
        until("the subscription", lambda: self.granted)

    def on_connect(self, client, *_args):
        client.subscribe([(t, 2) for t in self.topics])

    def on_message(self, _client, _data, m):
        self.heard.append((m.topic, m.payload.decode(), m.retain))

    def texts(self):
        return [text for _topic, text, _retain in self.heard]

    def wait(self, n):
        until("message %d" % n, lambda: len(self.heard) >= n)
        return [(topic, text) for topic, text, _retain in self.heard]

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


def publish(port, topic, *texts, qos=1, options=()):
    for text in texts:
        subprocess.run(
            ["mosquitto_pub", "-h", "localhost", "-p", str(port), "-t", topic,
             "-m", text, "-q", str(qos), *map(str, options)], check=True,
            timeout=LIMIT)


def publish_many(port, topic, texts):
    """Each acknowledged before the call returns."""
    client = mqtt.Client()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.max_inflight_messages_set(1000)
    sent = [client.publish(topic, text, qos=1) for text in texts]
    for s in sent:
        s.wait_for_publish(LIMIT)
        assert s.is_published()
    client.disconnect()
    client.loop_stop()


def bridge(address, rules, no=1, **rows):
    rows = {"address": address, "rules": rules, "retryMin": "100ms",
            "retryMax": "300ms", **rows}
    return ["--mqtt.bridge%d.%s=%s" % (no, *row) for row in rows.items()]


def log_lines(server, text):
    return [line for line in server.logged().splitlines() if text in line]


def connected(server, no=1, local=1, remote=1):
    """Both sides, so many times."""
    for times, side in ((local, "this server"), (remote, "the remote server")):
        line = "mqtt.bridge%d: %s is connected" % (no, side)
        until(line, lambda: len(log_lines(server, line)) >= times)


def started(start, *flags, **more):
    server = start("--mqtt.allow-anonymous", *flags, only=True, **more)
    connected(server)
    return server


def client_of(port, *topics, **more):
    return Listener(port, *topics, **more)


# --- both ways ----------------------------------------------------------------

def test_messages_are_carried_both_ways_with_prefixes(start, remote):
    server = started(start, *bridge(
        "localhost:%d" % remote.port,
        "up/# out 1 site/ far/; news/+ in 2 here/ there/ ;cmd/# both 1"))
    ours = client_of(server.mqtt_port, "here/#", "cmd/#")
    theirs = client_of(remote.port, "far/#", "cmd/#")
    publish(server.mqtt_port, "site/up/1", "a")
    publish(server.mqtt_port, "up/1", "not under the prefix")
    publish(server.mqtt_port, "cmd/x", "b")
    assert theirs.wait(2) == [("far/up/1", "a"), ("cmd/x", "b")]
    publish(remote.port, "there/news/1", "c", qos=2)
    publish(remote.port, "there/news/1/2", "not of the pattern")
    publish(remote.port, "cmd/y", "d")
    assert sorted(ours.wait(3)) == [
        ("cmd/x", "b"), ("cmd/y", "d"), ("here/news/1", "c")]
    ours.end()
    theirs.end()


def test_what_goes_both_ways_is_not_doubled(start, remote):
    for protocol in "54":
        server = started(start, *bridge("mqtt://localhost:%d" % remote.port,
                                        "t/# both 1", protocol=protocol,
                                        clientId="b" + protocol))
        ours = client_of(server.mqtt_port, "t/#")
        theirs = client_of(remote.port, "t/#", name="of" + protocol)
        publish(server.mqtt_port, "t/1", "out")
        publish(remote.port, "t/2", "in")
        ours.wait(2)
        theirs.wait(2)
        # a round trip behind them: whatever came twice has come
        publish(server.mqtt_port, "t/1", "last")
        publish(remote.port, "t/2", "last")
        ours.wait(4)
        theirs.wait(4)
        assert sorted(ours.texts()) == ["in", "last", "last", "out"]
        assert sorted(theirs.texts()) == ["in", "last", "last", "out"]
        ours.end()
        theirs.end()
        server.stop()


def test_four_bridges_beside_the_platform(start, remote):
    flags = []
    for no in range(1, 5):
        flags += bridge("localhost:%d" % remote.port, "n%d out 1" % no, no)
    server = start("--mqtt.allow-anonymous", *flags)
    for no in range(1, 5):
        connected(server, no)
    assert server.counter("mqtt_bridge_refused_total") == 0


def test_the_platform_s_queues_can_be_bridged(start, remote):
    server = start(*bridge(
        "localhost:%d" % remote.port,
        "broker.application.demo.test-app-mqtt.uldata out 1 \"\" far/; "
        "broker.network.demo.test-net-mqtt.uldata in 1 \"\" far/"))
    connected(server)
    site = Site(server, server.login())
    theirs = client_of(remote.port, "far/#")
    publish(remote.port, "far/" + site.net_topic("uldata"),
            '{"time":"2023-07-08T06:55:02.000Z","networkAddr":"01000461",'
            '"data":"74657374"}')
    until("the uplink", lambda: any(
        topic == "far/" + site.app_topic("uldata") and '"74657374"' in text
        for topic, text, _retain in theirs.heard))
    until("its count", lambda: server.counter("mqtt_bridge_in_total") == 1)
    theirs.end()


# --- when something is away ---------------------------------------------------

def test_nothing_is_lost_while_the_remote_server_is_away(start, remote):
    server = started(start, *bridge("localhost:%d" % remote.port,
                                    "up/# out 1; down/# in 1"))
    theirs = client_of(remote.port, "up/#")
    ours = client_of(server.mqtt_port, "down/#")
    remote.stop()
    until("the loss", lambda: log_lines(
        server, "mqtt.bridge1: the remote server is not connected"))
    sent = [str(i) for i in range(500)]
    publish_many(server.mqtt_port, "up/1", sent)
    remote.start()
    connected(server, remote=2)
    theirs.wait(500)
    assert theirs.texts() == sent
    publish_many(remote.port, "down/1", sent)
    ours.wait(500)
    assert ours.texts() == sent
    # a long absence is told of once, not at each attempt
    lost = log_lines(server, "the remote server is not connected: connect")
    assert len(lost) <= 1, lost
    ours.end()
    theirs.end()


def test_what_waits_survives_the_kill_of_our_server(start, remote):
    server = started(start, *bridge("localhost:%d" % remote.port,
                                    "up/# out 1; down/# in 1",
                                    maxReceived="10"))
    theirs = client_of(remote.port, "up/#")
    remote.stop()
    sent = [str(i) for i in range(200)]
    publish_many(server.mqtt_port, "up/1", sent)
    server.stop(signal.SIGKILL)
    remote.start()
    publish_many(remote.port, "down/1", sent)  # waits there
    server.start()
    ours = client_of(server.mqtt_port, "down/#")
    theirs.wait(200)
    assert theirs.texts() == sent
    publish(remote.port, "down/1", "last")
    until("all of it", lambda: "last" in ours.texts())
    theirs.end()
    ours.end()


def test_what_comes_while_our_server_is_away_waits_there(start, remote):
    server = started(start, *bridge("localhost:%d" % remote.port,
                                    "down/# in 1"))
    ours = client_of(server.mqtt_port, "down/#")  # its session is kept
    server.stop(signal.SIGKILL)
    ours.client.loop_stop()
    sent = [str(i) for i in range(200)]
    publish_many(remote.port, "down/1", sent)
    server.start()
    ours = client_of(server.mqtt_port, "down/#")
    ours.wait(200)
    assert ours.texts() == sent
    ours.end()


def test_a_bridge_that_is_taken_out_leaves_nothing_behind(start, remote):
    server = started(start, *bridge("localhost:%d" % remote.port,
                                    "up/# out 1"))
    flags, server.options = server.options, ["--mqtt.allow-anonymous"]
    server.restart()
    publish_many(server.mqtt_port, "up/1", ["while it is not there"])
    server.options = flags
    theirs = client_of(remote.port, "up/#")
    server.restart()
    connected(server, local=2, remote=2)
    publish(server.mqtt_port, "up/1", "new")
    assert theirs.wait(1) == [("up/1", "new")]
    theirs.end()


# --- signing in ---------------------------------------------------------------

def test_tls_with_a_certificate_of_our_own(start, remote_with, tmp_path):
    authority = Authority(tmp_path / "ca")
    cert, key = authority.sign("localhost", file="server")
    ours, ours_key = authority.sign("bridge")
    remote = remote_with(
        "cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n"
        "use_identity_as_username true\nallow_anonymous true" % (
            authority.ca, cert, key))
    server = started(start, *bridge(
        "mqtts://localhost:%d/" % remote.port, "t out 1",
        caFile=authority.ca, certFile=ours, keyFile=ours_key))
    theirs = client_of(remote.port, "t", tls=(authority.ca, ours, ours_key))
    publish(server.mqtt_port, "t", "secret")
    assert theirs.wait(1) == [("t", "secret")]
    theirs.end()
    assert "u'bridge'" in remote.logged()


def test_a_server_that_shows_a_wrong_certificate_is_not_trusted(
        start, remote_with, tmp_path):
    authority = Authority(tmp_path / "ca")
    other = Authority(tmp_path / "other", "Other CA")
    cert, key = other.sign("localhost")
    remote = remote_with("certfile %s\nkeyfile %s\nallow_anonymous true" % (
        cert, key))
    address = "mqtts://localhost:%d" % remote.port
    server = start(*bridge(address, "t out 1", caFile=authority.ca),
                   only=True)
    until("the reason", lambda: log_lines(
        server, "mqtt.bridge1: the remote server is not connected: "
        "The certificate is NOT trusted"))
    started(start, *bridge(address, "t out 1", insecure="true"))


def passwords(folder):
    subprocess.run(["mosquitto_passwd", "-b", "-c", folder / "users", "ann",
                    "right"], check=True)
    return "password_file %s" % (folder / "users")


def test_a_wrong_password_is_told(start, remote_with, tmp_path):
    remote = remote_with(passwords(tmp_path))
    address = "localhost:%d" % remote.port
    server = start(*bridge(address, "t out 1", username="ann",
                           password="wrong"), only=True)
    until("the reason", lambda: log_lines(
        server, "mqtt.bridge1: the remote server is not connected: "))
    until("some attempts more",
          lambda: remote.logged().count("not authorised") > 3)
    told = log_lines(server, "the remote server is not connected")
    assert len(told) == 1, told
    assert "not authorized" in told[0].lower() or "password" in told[0]
    assert "wrong" not in server.logged()
    started(start, *bridge(address, "t out 1", username="ann",
                           password="right"))


def test_the_local_side_needs_no_open_door(start, remote, tmp_path):
    # nobody may sign in here, nor would they have any right
    acl = tmp_path / "acl"
    acl.write_text("user nobody\ntopic nothing\n")
    server = start("--mqtt.aclFile", str(acl), *bridge(
        "localhost:%d" % remote.port, "t both 1"), only=True)
    connected(server)
    assert not log_lines(server, "has not taken")


def test_what_is_refused_is_told_once(start, remote_with, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write good\n")
    remote = remote_with("allow_anonymous true\nacl_file %s" % acl)
    server = started(start, *bridge("localhost:%d" % remote.port,
                                    "# out 1"))
    theirs = client_of(remote.port, "good")
    publish(server.mqtt_port, "bad", "1", "2", "3")
    publish(server.mqtt_port, "good", "4")
    assert theirs.wait(1) == [("good", "4")]
    told = log_lines(server, "has not taken")
    assert len(told) == 1 and 'the remote server has not taken' in told[0]
    assert "bad" in told[0]
    theirs.end()


# --- notifications ------------------------------------------------------------

def test_the_notification_topic_says_whether_the_remote_is_there(start,
                                                                 remote):
    server = started(start, *bridge(
        "localhost:%d" % remote.port, "t out 1",
        notificationTopic="bridge/state"))
    ours = client_of(server.mqtt_port, "bridge/state")
    theirs = client_of(remote.port, "bridge/state")
    assert ours.wait(1) == [("bridge/state", "1")] and ours.heard[0][2]
    assert theirs.wait(1) == [("bridge/state", "1")]
    remote.stop()
    assert ours.wait(2)[1] == ("bridge/state", "0")
    remote.start()
    assert ours.wait(3)[2] == ("bridge/state", "1")
    until("the reconnection", lambda: theirs.texts()[-1:] == ["1"])
    server.stop()
    until("the goodbye", lambda: theirs.texts()[-1] == "0")
    ours.end()
    theirs.end()


def test_notifications_can_stay_on_this_side(start, remote):
    server = started(start, *bridge(
        "localhost:%d" % remote.port, "t out 1",
        notificationTopic="bridge/state", notifyLocalOnly="true"))
    theirs = client_of(remote.port, "bridge/state", "t")
    ours = client_of(server.mqtt_port, "bridge/state")
    ours.wait(1)
    publish(server.mqtt_port, "t", "x")
    assert theirs.wait(1) == [("t", "x")]
    ours.end()
    theirs.end()


# --- settings -----------------------------------------------------------------

GOOD = {"address": "localhost:1", "rules": "t out 1"}


@pytest.mark.parametrize("rows, said", [
    ({"rules": ""}, "mqtt.bridge1.rules: they must say what is to be carried"),
    ({"rules": " ; "}, "mqtt.bridge1.rules: "),
    ({"rules": "t out 1; a sideways 1"},
     'mqtt.bridge1.rules: "a sideways 1": behind the pattern in, out or both'),
    ({"rules": "t out 3"}, 'mqtt.bridge1.rules: "t out 3": behind the dir'),
    ({"rules": "t out 1 a/ b/ c"}, "there is more behind the second prefix"),
    ({"rules": "a#b out 1"}, 'mqtt.bridge1.rules: rule for "a#b": '),
    ({"rules": "t out 1 a/+/ b/"}, 'mqtt.bridge1.rules: rule for "t": '),
    ({"rules": '"" out 1'}, 'mqtt.bridge1.rules: rule for "": '),
    ({"address": ""}, "mqtt.bridge1.rules has no effect: address"),
    ({"address": "localhost:0"}, "mqtt.bridge1.address: "),
    ({"address": "localhost:"}, "mqtt.bridge1.address: "),
    ({"address": ":1883"}, "mqtt.bridge1.address: there is no host"),
    ({"address": "::1"}, "mqtt.bridge1.address: an IPv6 address must"),
    ({"address": "[::1"}, "mqtt.bridge1.address: "),
    ({"address": "[::1]1"}, "mqtt.bridge1.address: "),
    ({"address": "mqtt://ann:x@localhost"}, "mqtt.bridge1.address: user name"),
    ({"address": "ws://localhost"}, "mqtt.bridge1.address: it must be"),
    ({"address": "unix:"}, "mqtt.bridge1.address: behind unix:"),
    ({"address": "unix:" + "x" * 200}, "mqtt.bridge1.address: behind unix:"),
    ({"caFile": "ca.pem"}, "mqtt.bridge1.caFile: it is for TLS"),
    ({"insecure": "true"}, "mqtt.bridge1.insecure: it is for TLS"),
    ({"address": "mqtts://localhost", "certFile": "c.pem"},
     "mqtt.bridge1.certFile: keyFile must be set, too"),
    ({"address": "mqtts://localhost", "keyFile": "c.pem"},
     "mqtt.bridge1.keyFile: certFile must be set, too"),
    ({"address": "mqtts://localhost", "caFile": "/none.pem"},
     "mqtt.bridge1: load /none.pem: "),
    ({"password": "x"}, "mqtt.bridge1.password: username must be set, too"),
    ({"notificationTopic": "a/#"}, "mqtt.bridge1.notificationTopic: "),
    ({"notifyLocalOnly": "true"}, "mqtt.bridge1.notifyLocalOnly: "),
    ({"retryMin": "5s", "retryMax": "1s"}, "mqtt.bridge1.retryMax: "),
    ({"protocol": "3"}, "mqtt.bridge1.protocol"),
])
def test_a_wrong_setting_ends_the_start_and_is_named(tmp_path, rows, said):
    flags = ["--mqtt.bridge1.%s=%s" % row
             for row in {**GOOD, **rows}.items() if row[1]]
    done = subprocess.run(
        [PROGRAM, "serve", "--only", "mqtt", "--data-dir", tmp_path / "d",
         "--mqtt-port", "0", *flags], capture_output=True, text=True,
        timeout=LIMIT)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_a_bridge_from_a_file_over_a_unix_socket(start, tmp_path):
    far = start("--mqtt.allow-anonymous", "--mqtt.listener1.address",
                "unix:%s/far.sock" % tmp_path,
                "--mqtt.listener1.allowAnonymous=true", only=True)
    config = tmp_path / "c.json5"
    config.write_text("""{ mqtt: { allowAnonymous: true, bridge4: {
        address: "unix:%s/far.sock", rules: "t both 1 here/ \\"\\"" } } }"""
                      % tmp_path)
    server = start("-f", str(config), only=True)
    connected(server, 4)
    theirs = client_of(far.mqtt_port, "t")
    ours = client_of(server.mqtt_port, "here/t")
    publish(server.mqtt_port, "here/t", "1")
    assert theirs.wait(1) == [("t", "1")]
    publish(far.mqtt_port, "t", "2")
    assert ours.wait(2)[1] == ("here/t", "2")
    ours.end()
    theirs.end()

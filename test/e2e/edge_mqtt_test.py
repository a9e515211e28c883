"""`tedge mqtt pub` and `sub`: on the embedded broker, and on a Mosquitto."""
import base64
import signal
import subprocess
import time

import pytest

from certificates import Authority
from conftest import LIMIT, until
from edge import EDGE, Edge, LocalClient, free_port
from mqtt_bridge_test import Remote, pytestmark  # noqa: F401


class Bus:
    """A device and its broker, ours or Mosquitto's."""

    def __init__(self, folder, kind):
        self.edge = Edge(folder / "edge")
        self.remote = None
        if kind == "mosquitto":
            self.remote = Remote(folder / "mosquitto")
            self.edge.port = self.remote.port
            self.edge.set(mqtt__bind__port=self.remote.port)
        else:
            self.edge.start()

    def close(self):
        if self.remote:
            self.remote.stop()
        self.edge.stop()


@pytest.fixture(params=["ours", "mosquitto"])
def bus(request, tmp_path):
    made = Bus(tmp_path, request.param)
    yield made
    made.close()


def hear(bus, *filters, qos=1):
    return LocalClient(bus.edge.port, *filters, qos=qos)


def test_what_is_published_is_printed_in_its_form(bus):
    tedge = bus.edge.good
    tedge("mqtt", "pub", "-r", "tedge/x", '{"temperature": 23}')
    assert tedge("mqtt", "sub", "tedge/x", "-C", "1").out == (
        '[tedge/x] {"temperature": 23}\n')
    assert tedge("mqtt", "sub", "tedge/x", "-C1", "--no-topic").out == (
        '{"temperature": 23}\n')
    assert tedge("mqtt", "sub", "--base64", "-C=1", "tedge/x").out == (
        "[tedge/x] %s\n" % base64.b64encode(b'{"temperature": 23}').decode())
    tedge("mqtt", "pub", "-rq", "2", "tedge/x", "--base64", "/wB4")
    assert tedge("mqtt", "sub", "tedge/x", "-C", "1").out == (
        "[tedge/x] <ERR=NON-UTF8> /wB4\n")
    assert tedge("mqtt", "sub", "tedge/x", "-C", "1", "--base64",
                 "--no-topic").out == "/wB4\n"


@pytest.mark.parametrize("words,qos,retain", [
    ([], 1, 0), (["-q", "0"], 0, 0), (["--qos=2", "--retain"], 2, 1),
    (["-rq1"], 1, 1)])
def test_each_qos_is_what_the_broker_gets(bus, words, qos, retain):
    heard, got = hear(bus, "a/b", qos=2), []
    heard.client.on_message = lambda _c, _d, m: got.append(
        (m.topic, m.payload, m.qos, m.retain))
    bus.edge.good("mqtt", "pub", "a/b", "hi", *words)
    until("it is heard", lambda: got)
    # to who is there already it does not come as a retained one
    assert got == [("a/b", b"hi", qos, 0)]
    heard.close()
    later = bus.edge.good("mqtt", "sub", "a/b", "-C", "1", "-W",
                          "30" if retain else "100ms")
    assert later.out == ("[a/b] hi\n" if retain else "")


def test_repeat_and_sleep(bus):
    heard = hear(bus, "a/b")
    began = time.monotonic()
    bus.edge.good("mqtt", "pub", "a/b", "hi", "--repeat", "4", "--sleep",
                  "100ms")
    assert time.monotonic() - began >= 0.3  # three pauses
    assert heard.wait("a/b", 4) == ["hi"] * 4
    heard.close()


def test_repeat_for_ever_ends_when_told(bus):
    heard = hear(bus, "a/b")
    pub = subprocess.Popen(
        [EDGE, "--config-dir", bus.edge.config, "mqtt", "pub", "a/b", "hi",
         "--repeat", "0", "--sleep", "10ms"], env=bus.edge.env)
    heard.wait("a/b", 5)
    pub.send_signal(signal.SIGINT)
    assert pub.wait(LIMIT) == 0
    heard.close()


def test_sub_ends_after_a_time_and_when_told(bus):
    began = time.monotonic()
    assert bus.edge.good("mqtt", "sub", "none", "-W", "1").out == ""
    assert time.monotonic() - began >= 1
    sub = subprocess.Popen(
        [EDGE, "--config-dir", bus.edge.config, "mqtt", "sub", "#"],
        stdout=subprocess.PIPE, text=True, env=bus.edge.env)
    bus.edge.good("mqtt", "pub", "-r", "a/b", "hi")
    assert sub.stdout.readline() == "[a/b] hi\n"
    sub.send_signal(signal.SIGTERM)
    assert sub.wait(LIMIT) == 0
    sub.stdout.close()


def test_retained_only_ends_with_the_first_that_is_not(bus):
    for i in range(3):
        bus.edge.good("mqtt", "pub", "-r", "a/%d" % i, "kept")
    sub = subprocess.Popen(
        [EDGE, "--config-dir", bus.edge.config, "mqtt", "sub", "a/+",
         "--retained-only"], stdout=subprocess.PIPE, text=True,
        env=bus.edge.env)
    first = [sub.stdout.readline() for _ in range(3)]
    bus.edge.good("mqtt", "pub", "a/live", "now")
    rest, _ = sub.communicate(timeout=LIMIT)
    assert (sorted(first), rest, sub.returncode) == (
        ["[a/%d] kept\n" % i for i in range(3)], "", 0)


def test_what_is_no_topic_is_refused(bus):
    for words, why in (
            (["pub", "a/#", "x"], '"a/#" is not a topic to publish to'),
            (["sub", "a#"], '"a#" is not a topic filter'),
            (["pub", "a", "@", "--base64"], "it is not base64")):
        got = bus.edge.tedge("mqtt", *words)
        assert got.status == 1 and why in got.err, words


def test_wrong_calls(bus):
    for words in (["pub", "a"], ["pub", "a", "b", "-q", "3"],
                  ["pub", "a", "b", "--sleep", "soon"],
                  ["sub", "a", "-C", "0"], ["sub"], ["sub", "a", "-x"],
                  ["pub", "a", "b", "--repeat", "-1"],
                  ["sub", "a", "--connection-timeout", "x"]):
        got = bus.edge.tedge("mqtt", *words)
        assert got.status == 2 and "Usage: tedge mqtt" in got.err, words


@pytest.mark.parametrize("words", [["pub", "a", "b"], ["sub", "a"]])
def test_without_a_broker_it_is_given_up(tmp_path, words):
    edge = Edge(tmp_path / "edge")
    edge.set(mqtt__client__port=free_port())
    began = time.monotonic()
    got = edge.tedge("mqtt", *words, "--connection-timeout", "1s")
    assert got.status == 1 and 1 <= time.monotonic() - began < LIMIT
    assert "Operation timed out. Is mosquitto running?" in got.err
    assert "Connection refused" in got.err


def test_a_broker_that_comes_late_is_waited_for(tmp_path):
    edge = Edge(tmp_path / "edge")
    pub = subprocess.Popen(
        [EDGE, "--config-dir", edge.config, "mqtt", "pub", "-r", "a", "b",
         "--connection-timeout", "60s"], env=edge.env)
    edge.start()
    try:
        assert pub.wait(LIMIT) == 0
        assert edge.good("mqtt", "sub", "a", "-C", "1").out == "[a] b\n"
    finally:
        edge.stop()


def test_tls_certificate_user_and_password(tmp_path):
    ca = Authority(tmp_path / "ca")
    cert, key = ca.sign("localhost")
    own, own_key = ca.sign("me")
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "tedge", "secret"],
                   check=True, capture_output=True)
    remote = Remote(
        tmp_path / "mosquitto",
        "allow_anonymous false\npassword_file %s\ncafile %s\ncertfile %s\n"
        "keyfile %s\nrequire_certificate true" % (
            users, ca.ca, cert, key))
    (tmp_path / "password").write_text("secret\n")
    edge = Edge(tmp_path / "edge")
    try:
        edge.set(mqtt__bind__port=remote.port, mqtt__client__host="localhost",
                 mqtt__client__auth__ca_file=str(ca.ca),
                 mqtt__client__auth__cert_file=str(own),
                 mqtt__client__auth__key_file=str(own_key),
                 mqtt__client__auth__username="tedge",
                 mqtt__client__auth__password_file=str(tmp_path / "password"))
        edge.good("mqtt", "pub", "-r", "a/b", "hi")
        assert edge.good("mqtt", "sub", "a/b", "-C", "1").out == "[a/b] hi\n"
        (tmp_path / "password").write_text("wrong\n")
        got = edge.tedge("mqtt", "pub", "a/b", "hi")
        assert got.status == 1 and "secret" not in got.err
        assert "wrong" not in got.err
    finally:
        remote.stop()

"""The double of the clouds is as strict as it says."""
import base64
import hashlib
import hmac
import json
import ssl
import time
import urllib.parse

import paho.mqtt.client as mqtt
import pytest

from certificates import Authority
from cloud import SAS_KEY, Cloud
from conftest import LIMIT, until


class Device:
    def __init__(self, cloud, authority, name, cert=None, user=None,
                 password=None, clean=True, protocol=mqtt.MQTTv311):
        self.heard, self.status, self.gone = [], None, False
        self.client = c = mqtt.Client(client_id=name, clean_session=clean,
                                      protocol=protocol)
        context = ssl.create_default_context(cafile=authority.ca)
        if cert:
            context.load_cert_chain(*cert)
        c.tls_set_context(context)
        if user:
            c.username_pw_set(user, password)
        c.on_connect = self.on_connect
        c.on_message = lambda _c, _d, m: self.heard.append(
            (m.topic, m.payload.decode()))
        c.on_disconnect = self.on_disconnect
        c.connect("localhost", cloud.port)
        c.loop_start()

    def on_connect(self, _client, _data, _flags, status):
        self.status = status

    def on_disconnect(self, *_args):
        self.gone = True

    def up(self):
        until("the sign-in", lambda: self.status == 0)
        return self

    def refused(self):
        until("the end", lambda: self.gone)

    def want(self, *filters):
        granted = []
        self.client.on_subscribe = lambda _c, _d, _m, q: granted.extend(q)
        self.client.subscribe([(f, 1) for f in filters])
        until("the answer", lambda: granted)
        return granted

    def say(self, topic, payload=b"", qos=1):
        self.client.publish(topic, payload, qos=qos)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def play(tmp_path):
    authority = Authority(tmp_path / "ca")
    made = []

    def begin(role, **more):
        cloud = Cloud(role, authority, **more)
        made.append(cloud)

        def come(name, cert=True, **how):
            pair = authority.sign(name) if cert is True else cert
            made.append(Device(cloud, authority, name, cert=pair, **how))
            return made[-1]
        return cloud, come

    yield begin
    for thing in reversed(made):
        getattr(thing, "close", getattr(thing, "stop", None))()


def refuses(cloud, what):
    until("a refusal", lambda: any(what in r for r in cloud.refused))


def test_cumulocity_answers_as_it_does(play):
    cloud, come = play("c8y")
    device = come("dev1").up()
    assert device.want("s/e", "s/dat", "s/ds", "s/dc/#", "te/#") == [
        1, 1, 1, 1, 128]
    device.say("s/us", "100,dev1,thin-edge.io")
    device.say("s/us", "100,dev1,thin-edge.io")
    device.say("s/uat", qos=0)
    until("both answers", lambda: len(device.heard) == 2)
    assert device.heard[0] == ("s/e", "41,100,Device already existing")
    topic, token = device.heard[1]
    assert topic == "s/dat" and token.startswith("71,")
    body = token[3:].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert claims["iss"] == "localhost"
    device.say("measurement/measurements/create", "x" * 16185)
    refuses(cloud, "16185 bytes")
    device.refused()


@pytest.mark.parametrize("topic, payload, what", [
    ("te/device/main///m/", "{}", "nothing may be published"),
    ("measurement/measurements/create", "[1]", "no JSON object"),
    ("s/us", "hello", "no SmartREST"),
    ("s/uat", "x", "a payload"),
])
def test_cumulocity_refuses(play, topic, payload, what):
    cloud, come = play("c8y")
    device = come("dev1").up()
    device.say(topic, payload)
    refuses(cloud, what)
    device.refused()


def test_who_one_is_must_fit(play):
    cloud, come = play("c8y", accounts={"t1/me": "secret"})
    come("dev1", cert=False, user="t1/me", password="secret").up()
    come("dev2", cert=False, user="t1/me", password="wrong").refused()
    come("dev3", cert=False).refused()
    come("dev4").up()
    refuses(cloud, "no good account")
    cloud, come = play("aws")
    device = come("dev1", user="somebody")
    refuses(cloud, "user name")
    device.refused()


def test_azure_wants_its_names_sizes_and_tokens(play):
    cloud, come = play("az", need_cert=False)
    come("dev1").refused()
    user = "localhost/dev2/?api-version=2018-06-30"
    device = come("dev2", user=user).up()
    device.want("$iothub/twin/res/#")
    device.say("$iothub/twin/GET/?$rid=1")
    until("the twin", lambda: device.heard)
    assert device.heard[0][0] == "$iothub/twin/res/200/?$rid=1"
    device.say("devices/dev2/messages/events/", "x" * 256 * 1024)
    cloud.wait("devices/dev2/messages/events/")
    device.say("devices/dev2/messages/events/", "x" * (256 * 1024 + 1))
    refuses(cloud, "262145 bytes")
    device.refused()

    end = str(int(time.time()) + 60)
    of = "localhost/devices/dev3"
    sign = base64.b64encode(hmac.new(
        SAS_KEY, (urllib.parse.quote(of, "") + "\n" + end).encode(),
        hashlib.sha256).digest()).decode()
    user = "localhost/dev3/?api-version=2018-06-30"
    token = "SharedAccessSignature " + urllib.parse.urlencode(
        {"sr": of, "sig": sign, "se": end})
    come("dev3", cert=False, user=user, password=token).up()
    come("dev3", cert=False, user=user, password=token + "0").refused()


def test_aws_keeps_sessions_and_counts_slashes(play):
    cloud, come = play("aws")
    device = come("dev1", clean=False).up()
    device.want("thinedge/dev1/cmd/#", "thinedge/devices/dev1/test-connection")
    device.say("thinedge/devices/dev1/test-connection", "x")
    until("the echo", lambda: device.heard)
    device.close()
    until("the end", lambda: not cloud.clients)
    cloud.send("thinedge/dev1/cmd/a", "later")
    again = come("dev1", clean=False).up()
    until("what waited", lambda: again.heard == [("thinedge/dev1/cmd/a",
                                                  "later")])
    again.say("thinedge/dev1/td/a/b/c/d/e/f", "x")
    refuses(cloud, "slashes")
    again.refused()
    cloud.send("thinedge/dev1/cmd/b", "1")
    assert cloud.on("thinedge/dev1/td/a/b/c/d/e/f") == []


def test_it_breaks_off_before_the_answer(play):
    cloud, come = play("aws")
    device = come("dev1").up()
    cloud.cut_after(3)
    device.client.max_inflight_messages_set(1)
    for n in range(5):
        device.say("thinedge/dev1/td/x", str(n))
    cloud.wait("thinedge/dev1/td/x", 6, LIMIT)
    assert cloud.on("thinedge/dev1/td/x") == ["0", "1", "2", "2", "3", "4"]
    assert [m.dup for m in cloud.messages] == [False] * 3 + [True] + [False] * 2


def test_old_and_new_protocols_are_refused(play):
    cloud, come = play("c8y")
    come("dev1", protocol=mqtt.MQTTv31).refused()
    refuses(cloud, "level")

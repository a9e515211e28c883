"""`tedge connect`: to doubles of the clouds, by the bridge in the program and
by a Mosquitto."""
import base64
import contextlib
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import threading
import urllib.parse

import pytest

from certificates import Authority
from cloud import Cloud
from conftest import until
from edge import EDGE, Edge, free_port

MOSQUITTO = "/usr/sbin/mosquitto"
FAST = {"mqtt.bridge.reconnect_policy.initial_interval": "1s",
        "mqtt.bridge.reconnect_policy.maximum_interval": "1s"}
MEASURED = "measurement/measurements/create"


class World:
    """Clouds and devices that end with the test."""

    def __init__(self, folder):
        self.folder, self.made = folder, []
        self.authority = Authority(folder / "ca")

    def cloud(self, role, **more):
        cloud = Cloud(role, self.authority, **more)
        self.made.append(cloud)
        return cloud

    def edge(self, settings=None, name="dev1", signer=True, run=True, **more):
        edge = Edge(self.folder / ("edge%d" % len(self.made)),
                    {**FAST, **(settings or {})}, **more)
        self.made.append(edge)
        if name:
            edge.certificate(name, self.authority if signer else None)
        return edge.start() if run else edge

    def to(self, cloud, key=None):
        """The settings for a cloud."""
        key = key or cloud.role.name
        found = {key + ".url": "localhost:%d" % cloud.port,
                 key + ".root_cert_path": str(self.authority.ca)}
        if cloud.role.name == "c8y":
            found[key + ".url"] = "localhost"
            found[key + ".mqtt"] = "localhost:%d" % cloud.port
        return found

    def connected(self, role, **more):
        cloud = self.cloud(role)
        edge = self.edge(self.to(cloud), **more)
        edge.good("connect", role)
        return cloud, edge


    def stop(self):
        for thing in reversed(self.made):
            thing.stop()
        for edge in self.made:
            if isinstance(edge, Edge):
                assert "Sanitizer" not in edge.logged(), edge.logged()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


def steps(said):
    return re.findall(r"^(.*)\.\.\. ([✓✗])", said.err, re.M)


def bridge_file(edge, name):
    return edge.config / "mosquitto-conf" / (name + "-bridge.conf")


# --- Cumulocity ----------------------------------------------------------------

def test_connect_says_what_it_does(world):
    cloud = world.cloud("c8y")
    edge = world.edge(world.to(cloud))
    said = edge.good("connect", "c8y")
    cert = edge.config / "device-certs/tedge-certificate.pem"
    assert said.err.startswith("""\
Connecting to Cumulocity with config:
\tmapper configuration file: %s/tedge.toml
\tdevice id: dev1
\tcloud profile: <none>
\tcloud host: localhost:%d
\tauth type: certificate
\tcertificate file: %s
\tcryptoki: off
\tbridge: built-in
\tservice manager: none
\tproxy: not configured
""" % (edge.config, cloud.port, cert)), said
    assert steps(said) == [
        ("Creating device in Cumulocity cloud", "✓"),
        ("Enabling tedge-mapper-c8y", "✓"),
        ("Verifying device is connected to cloud", "✓"),
        ("Checking Cumulocity is connected to intended tenant", "✓"),
        ("Enabling tedge-agent", "✓")], said
    assert said.out == ""
    assert cloud.role.devices == {"dev1": "thin-edge.io"}
    assert bridge_file(edge, "c8y").read_text() == (
        "# The bridge to Cumulocity is built in: tedge-mapper-c8y runs it.\n")
    said = edge.good("connect", "c8y", "--test")
    assert ("Connection check to Cumulocity cloud is successful." in said.err)
    assert not [r for r in cloud.refused], cloud.refused


def test_messages_go_both_ways(world):
    cloud, edge = world.connected("c8y")
    local = edge.client("c8y/s/ds", "c8y/s/dc/#", "te/+/+/+/+/status/health")
    local.say("c8y/s/us", "400,x,\"text\"")
    local.say("c8y/%s" % MEASURED, '{"a":1}')
    cloud.wait(MEASURED)
    assert '400,x,"text"' in cloud.on("s/us")
    measured = [m for m in cloud.messages if m.topic == MEASURED]
    assert [(m.qos, m.retain, m.client) for m in measured] == [(1, False,
                                                                "dev1")]
    cloud.send("s/ds", "510,dev1")
    cloud.send("s/dc/template", "xyz")
    assert local.wait("c8y/s/ds") == ["510,dev1"]
    assert local.wait("c8y/s/dc/template") == ["xyz"]
    health = "te/device/main/service/tedge-mapper-bridge-c8y/status/health"
    until("the bridge is told to be up",
          lambda: '"status":"up"' in local.wait(health)[-1])
    cloud.offline()
    until("the bridge is told to be down",
          lambda: '"status":"down"' in local.on(health)[-1])
    local.close()


def test_offline_and_back(world):
    cloud, edge = world.connected("c8y")
    cloud.offline()
    local = edge.client()
    for n in range(100):
        local.say("c8y/" + MEASURED, '{"n":%d}' % n, wait=n == 99)
    local.close()
    edge.restart()
    local = edge.client()
    for n in range(100, 200):
        local.say("c8y/" + MEASURED, '{"n":%d}' % n, wait=n == 199)
    cloud.online()
    assert cloud.wait(MEASURED, 200)[:200] == [
        '{"n":%d}' % n for n in range(200)]
    local.close()


def test_a_cut_in_the_middle_loses_nothing(world):
    cloud, edge = world.connected("c8y")
    local = edge.client()
    for after in (3, 7):
        cloud.cut_after(after)
        for n in range(50):
            local.say("c8y/" + MEASURED, '{"n":%d}' % (after * 100 + n))
        until("all have come", lambda: '{"n":%d}' % (after * 100 + 49)
              in cloud.on(MEASURED))
    once = list(dict.fromkeys(cloud.on(MEASURED)))
    assert once == ['{"n":%d}' % (a * 100 + n) for a in (3, 7)
                    for n in range(50)]
    local.close()


def test_what_is_too_large_is_dropped_and_told(world):
    cloud, edge = world.connected("c8y")
    local = edge.client("te/errors")
    local.say("c8y/" + MEASURED, '{"a":"%s"}' % ("x" * 16200))
    local.say("c8y/" + MEASURED, '{"a":1}')
    assert cloud.wait(MEASURED) == ['{"a":1}']
    assert local.wait("te/errors")[0] == (
        "The message to Cumulocity on topic 'measurement/measurements/create' "
        "is larger than 16184 bytes (c8y.mapper.mqtt.max_payload_size): it "
        "was dropped")
    assert not cloud.refused
    local.close()


def test_user_and_password_instead_of_a_certificate(world):
    cloud = world.cloud("c8y", accounts={"t123456/me": "s3cret"})
    edge = world.edge({**world.to(cloud), "c8y.auth_method": "basic",
                       "device.id": "dev1"}, name=None)
    said = edge.tedge("connect", "c8y")
    assert said.status == 1 and "credentials.toml" in said.err, said
    credentials = edge.config / "credentials.toml"
    credentials.write_text(
        '[c8y]\nusername = "t123456/me"\npassword = "wrong"\n')
    said = edge.tedge("connect", "c8y")
    assert said.status == 1 and "not authorized" in said.err, said
    credentials.write_text(
        '[c8y]\nusername = "t123456/me"\npassword = "s3cret"\n')
    said = edge.good("connect", "c8y")
    assert "\tauth type: basic\n" in said.err
    assert "s3cret" not in said.err + edge.logged()
    assert "Checking Cumulocity" not in said.err  # there are no tokens
    assert not cloud.on("s/uat")


# --- Azure, AWS ------------------------------------------------------------------

def test_azure_and_aws_are_connected_and_asked(world):
    az, aws = world.cloud("az"), world.cloud("aws")
    edge = world.edge({**world.to(az), **world.to(aws)})
    for cloud, title in ((az, "Azure"), (aws, "AWS")):
        said = edge.good("connect", cloud.role.name)
        assert steps(said) == [
            ("Trying to connect to the cloud", "✓"),
            ("Enabling tedge-mapper-" + cloud.role.name, "✓"),
            ("Verifying device is connected to cloud", "✓"),
            ("Enabling tedge-agent", "✓")], said
        said = edge.good("connect", cloud.role.name, "--test")
        assert "Connection check to %s cloud is successful." % title \
            in said.err
    local = edge.client("az/messages/devicebound/#", "aws/cmd/#")
    local.say("az/messages/events/", '{"a":1}')
    local.say("aws/td/device:main/m/", '{"b":2}')
    until("both have come", lambda:
          '{"a":1}' in az.on("devices/dev1/messages/events/") and
          '{"b":2}' in aws.on("thinedge/dev1/td/device:main/m/"))
    az.send("devices/dev1/messages/devicebound/x", "hello")
    aws.send("thinedge/dev1/cmd/y", "there")
    local.wait("az/messages/devicebound/x")
    local.wait("aws/cmd/y")
    # what a cloud with sessions was told meanwhile comes when it is back
    aws.offline()
    aws.send("thinedge/dev1/cmd/z", "later")
    aws.online()
    local.wait("aws/cmd/z")
    assert not az.refused + aws.refused
    local.close()


# --- several ---------------------------------------------------------------------

def test_profiles_of_one_cloud_at_once(world):
    one, two = world.cloud("c8y"), world.cloud("c8y")
    edge = world.edge({
        **world.to(one), **world.to(two, "c8y.profiles.second"),
        "c8y.profiles.second.proxy.bind.port": free_port(),
    })
    edge.good("connect", "c8y")
    said = edge.tedge("connect", "c8y", "--profile", "second")
    assert said.status == 1
    assert ("c8y.profiles.second.url, c8y.url should be set to different "
            "values before connecting, but are currently set to the same "
            "value") in " ".join(said.err.split()), said
    edge.set(**{"c8y.profiles.second.url": "127.0.0.1"})
    said = edge.tedge("connect", "c8y", "--profile", "second")
    assert "bridge.topic_prefix should be set to different" in said.err, said
    edge.set(**{"c8y.profiles.second.bridge.topic_prefix": "c8y-second"})
    two.issuer = "127.0.0.1"
    said = edge.good("connect", "c8y", env={"TEDGE_CLOUD_PROFILE": "second"})
    assert "\tcloud profile: second\n" in said.err
    assert ("Enabling tedge-mapper-c8y@second", "✓") in steps(said)
    local = edge.client()
    local.say("c8y/s/us", "400,first")
    local.say("c8y-second/s/us", "400,second")
    until("both have come", lambda: "400,first" in one.on("s/us")
          and "400,second" in two.on("s/us"))
    assert "400,second" not in one.on("s/us")
    assert "400,first" not in two.on("s/us")
    edge.good("disconnect", "c8y", "--profile", "second")
    assert bridge_file(edge, "c8y").exists()
    assert not bridge_file(edge, "c8y@second").exists()
    until("it has gone, and the other has not", lambda:
          "dev1" not in two.clients and "dev1" in one.clients)
    local.close()


# --- what can go wrong -------------------------------------------------------------

def refused(edge, cloud, *texts):
    said = edge.tedge("connect", cloud)
    assert said.status == 1, said
    assert said.err.rstrip().count("Error: ") == 1, said
    for text in texts:
        assert text in said.err, said
    assert not bridge_file(edge, cloud).exists(), said
    return said


def test_each_failure_reads_well(world):
    cloud = world.cloud("c8y")
    edge = world.edge()
    refused(edge, "c8y", "'c8y.url' is not set",
            "tedge config set c8y.url")
    edge.set(**{"c8y.url": "nowhere.invalid"})
    said = refused(edge, "c8y", "nowhere.invalid")
    assert ("Creating device in Cumulocity cloud", "✗") in steps(said)
    closed = free_port()
    edge.set(**{"c8y.url": "localhost:%d" % closed})
    refused(edge, "c8y", "localhost, port %d" % closed, "Connection refused")
    # who signed the server's certificate is not known
    other = Authority(world.folder / "other")
    edge.set(**{**world.to(cloud), "c8y.root_cert_path": str(other.ca)})
    refused(edge, "c8y", "issuer is unknown")
    edge.set(**{"c8y.root_cert_path": "/nowhere/ca.pem"})
    refused(edge, "c8y", "/nowhere/ca.pem", "No such file")
    # a key that is none is found when there is a connection
    cert = edge.config / "device-certs/tedge-certificate.pem"
    key = cert.with_name("tedge-private-key.pem")
    good = key.read_bytes()
    key.write_text("nonsense")
    edge.set(**world.to(cloud))
    refused(edge, "c8y", "localhost, port %d: load %s with " % (
        cloud.port, cert))
    key.write_bytes(good)
    # another name than the certificate's
    edge.set(**{**world.to(cloud), "c8y.mqtt": "127.0.0.2:%d" % cloud.port})
    refused(edge, "c8y", "127.0.0.2")


def test_a_key_is_for_marram(world):
    edge = world.edge({"az.url": "localhost", "marram.url": "mqtt://localhost",
                       "marram.unit": "u", "marram.gateway": "g"})
    said = edge.tedge("connect", "az", "--key", "x")
    assert said.status == 1 and "--key is for marram only" in said.err, said
    edge.good("connect", "az", "--offline", env={"MARRAM_KEY": "x"})
    credentials = edge.config / "credentials.toml"
    said = edge.tedge("connect", "marram")
    assert said.status == 1 and "tedge connect marram --key KEY" in said.err
    assert not credentials.exists()
    credentials.write_text('# kept\n[c8y]\nusername = "u"\npassword = "p"\n')
    edge.good("connect", "marram", "--offline", env={"MARRAM_KEY": "x"})
    text = credentials.read_text()
    assert text.startswith('# kept\n[c8y]\nusername = "u"\npassword = "p"\n')
    assert re.search(r'\[marram\]\npassword = "[A-Za-z0-9]{40}"\n', text), text
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    edge.good("disconnect", "marram")
    edge.good("connect", "marram", "--offline", "--key", "y")
    assert credentials.read_text() == text  # a secret stays


def test_a_certificate_that_is_not_known_there(world):
    cloud = world.cloud("c8y")
    edge = world.edge(world.to(cloud), signer=False)
    said = refused(edge, "c8y", "localhost, port %d" % cloud.port)
    assert re.search("the peer says: .*(certificate|CA)|it may not know the "
                     "device's certificate", said.err), said


def test_no_certificate(world):
    cloud = world.cloud("c8y")
    edge = world.edge({**world.to(cloud), "device.id": "dev1"}, name=None)
    refused(edge, "c8y", "there is no certificate at", "tedge cert create")
    edge = world.edge(world.to(cloud), name=None)
    refused(edge, "c8y", "the device has no id", "tedge cert create")


def test_a_cloud_that_does_not_answer_is_told(world):
    cloud, edge = world.connected("c8y")
    cloud.offline()
    said = edge.tedge("connect", "c8y", "--test")
    assert said.status == 1, said
    assert "Connection check failed" in said.err, said
    assert bridge_file(edge, "c8y").exists()  # to look changes nothing
    cloud.online()
    cloud.wait_client("dev1")
    edge.good("connect", "c8y", "--test")


def test_another_tenant_than_the_one_that_was_meant(world):
    cloud = world.cloud("c8y", issuer="other.example.com")
    edge = world.edge(world.to(cloud))
    said = edge.good("connect", "c8y")
    assert ("Checking Cumulocity is connected to intended tenant", "✗") in \
        steps(said)
    assert ("warning: The device is connected to other.example.com, but the "
            "configured URL is localhost") in said.err, said


# --- by a proxy ------------------------------------------------------------------------

class Proxy:
    """An HTTP proxy that knows CONNECT, and requests for http://; `account`:
    "user:password"."""

    def __init__(self, account=None):
        self.asked, self.account = [], account
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = conn.recv(1)
            if not more:
                return
            head += more
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0])
        good = self.account is None or (
            "Proxy-Authorization: Basic "
            + base64.b64encode(self.account.encode()).decode()) in lines
        if not good:
            conn.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            conn.close()
            return
        method, target = lines[0].split(" ")[:2]
        if method == "CONNECT":
            host, port = target.rsplit(":", 1)
        else:
            to = urllib.parse.urlsplit(target)
            host, port = to.hostname, to.port or 80
        try:
            far = socket.create_connection((host, int(port)))
        except OSError:
            conn.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            conn.close()
            return
        if method == "CONNECT":
            conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far.sendall(head.replace(target.encode(), to.path.encode(), 1))
        threading.Thread(target=self.copy, args=(far, conn),
                         daemon=True).start()
        self.copy(conn, far)

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.close()


def test_by_a_proxy(world):
    cloud, proxy = world.cloud("c8y"), Proxy("me:s3cret")
    world.made.append(proxy)
    edge = world.edge({**world.to(cloud), "proxy.address":
                       "http://127.0.0.1:%d" % proxy.port})
    refused(edge, "c8y",
            "the proxy says: 407 Proxy Authentication Required")
    edge.set(**{"proxy.username": "me", "proxy.password": "s3cret"})
    said = edge.good("connect", "c8y")
    assert "\tproxy: http://127.0.0.1:%d\n" % proxy.port in said.err
    assert "s3cret" not in said.err + edge.logged()

    def asked():  # for MQTT; HTTP has its own
        return proxy.asked.count("CONNECT localhost:%d HTTP/1.1" % cloud.port)
    assert asked() > 0
    local = edge.client()
    local.say("c8y/" + MEASURED, '{"a":"%s"}' % ("x" * 15000))
    assert len(cloud.wait(MEASURED)[0]) > 15000
    local.close()
    before = asked()
    edge.set(**{"proxy.no_proxy": "10.0.0.0/8, localhost"})
    edge.good("reconnect", "c8y")
    assert asked() == before
    edge.set(**{"proxy.no_proxy": "", "proxy.address": "ftp://x"})
    said = edge.tedge("connect", "c8y", "--test")
    assert 'proxy.address: "ftp://x" is no address' in said.err, said


# --- its life ------------------------------------------------------------------------

def test_twice_disconnect_and_again(world):
    cloud, edge = world.connected("c8y")
    said = edge.tedge("connect", "c8y")
    assert said.status == 1
    assert ("Connection is already established. To remove the existing "
            "connection, run 'tedge disconnect c8y' and try again."
            ) in said.err, said
    said = edge.good("reconnect", "c8y")
    assert said.err.startswith("Disconnecting from c8y:\n"), said
    assert ("Verifying device is connected to cloud", "✓") in steps(said)
    said = edge.good("disconnect", "c8y")
    assert steps(said) == [("Stopping tedge-mapper-c8y", "✓"),
                           ("Disabling tedge-mapper-c8y", "✓")], said
    until("it has gone", lambda: not cloud.clients)
    said = edge.good("disconnect", "c8y")
    assert "Bridge doesn't exist. Operation finished!" in said.err, said
    said = edge.tedge("connect", "c8y", "--test")
    assert said.status == 1
    assert "Device is not connected to Cumulocity cloud" in said.err, said
    edge.restart()  # it does not come back by itself
    assert "tedge-mapper-c8y\tup" not in edge.good("part", "status").out


def test_it_is_connected_again_after_a_restart(world):
    cloud, edge = world.connected("c8y")
    edge.restart()
    cloud.wait_client("dev1")


def test_offline_asks_nothing(world):
    cloud = world.cloud("c8y")
    cloud.offline()
    edge = world.edge(world.to(cloud))
    said = edge.good("connect", "c8y", "--offline")
    assert steps(said) == [("Enabling tedge-mapper-c8y", "✓"),
                           ("Enabling tedge-agent", "✓")], said
    cloud.online()
    cloud.wait_client("dev1")


def test_where_nothing_runs_it_is_set_up_all_the_same(world):
    cloud = world.cloud("az")
    edge = world.edge(world.to(cloud), run=False)
    said = edge.good("connect", "az")
    assert "marram-edge run" in said.err, said
    assert "Verifying" not in said.err
    assert bridge_file(edge, "az").exists()
    edge.start()
    cloud.wait_client("dev1")
    edge.good("connect", "az", "--test")


def test_a_new_certificate_is_tried_and_taken(world):
    cloud = world.cloud("c8y")
    edge = world.edge(world.to(cloud))
    current = edge.config / "device-certs/tedge-certificate.pem"
    new = current.with_name(current.name + ".new")
    # for the same key, by the same authority, but later
    old = current.read_bytes()
    csr = world.folder / "again.csr"
    key = current.with_name("tedge-private-key.pem")
    subprocess.run(["openssl", "req", "-new", "-key", key, "-out", csr,
                    "-subj", "/CN=dev1"], check=True)
    subprocess.run(["openssl", "ca", "-batch", "-notext", "-config",
                    world.authority.config, "-in", csr, "-out", new, "-days",
                    "1"], check=True, capture_output=True)
    fresh = new.read_bytes()
    said = edge.good("connect", "c8y")
    assert ("Trying the new certificate", "✓") in steps(said), said
    assert current.read_bytes() == fresh != old and not new.exists()
    # one that the cloud does not know
    stranger = Authority(world.folder / "stranger").sign("dev1")[0]
    new.write_bytes(stranger.read_bytes())
    said = edge.tedge("reconnect", "c8y")
    assert said.status == 3, said
    assert ("Trying the new certificate", "✗") in steps(said), said
    assert ("Successfully connected, however not using the new certificate"
            in said.err), said
    assert current.read_bytes() == fresh and new.exists()
    cloud.wait_client("dev1")


# --- service managers ------------------------------------------------------------------

MANAGER = """user = "nobody"
[init]
name = "test-init"
is_available = ["{script}", "available"]
restart = ["{script}", "restart", "{{}}"]
stop = ["{script}", "stop", "{{}}"]
enable = ["{script}", "enable", "{{}}"]
disable = ["{script}", "disable", "{{}}"]
is_active = ["{script}", "is-active", "{{}}"]
"""


def manager(folder, script):
    folder.mkdir(exist_ok=True)
    path = folder / "manager"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return MANAGER.format(script=path), folder / "called"


def test_services_are_started_as_system_toml_says(world):
    cloud = world.cloud("az")
    system, called = manager(world.folder / "init", """
[ "$1" = available ] || echo "$@" >>%s/init/called
""" % world.folder)
    edge = world.edge(world.to(cloud), system=system)
    said = edge.good("connect", "az", "--offline")
    assert "\tservice manager: test-init\n" in said.err, said
    assert called.read_text().split("\n")[:-1] == [
        "enable tedge-mapper-az", "restart tedge-mapper-az",
        "enable tedge-agent", "restart tedge-agent"]
    called.unlink()
    edge.good("disconnect", "az")
    assert called.read_text().split("\n")[:-1] == [
        "stop tedge-mapper-az", "disable tedge-mapper-az"]


def test_what_the_service_manager_says_is_told(world):
    cloud = world.cloud("az")
    system, _ = manager(world.folder / "init", """
[ "$1 $2" != "restart tedge-mapper-az" ] || { echo no such unit >&2; exit 5; }
""")
    edge = world.edge(world.to(cloud), system=system)
    said = refused(edge, "az", "manager exited with 5: no such unit")
    assert ("Enabling tedge-mapper-az", "✗") in steps(said)


@pytest.mark.parametrize("text, what", [
    ("[init]\nname = 1\n", "line 2"),
    ("[init]\nstart_it = ['a']\n", "line 2: [init] has name, is_available"),
    ("[init]\nname = 'a'\n", "[init] has no is_available"),
    ("[init]\nstop = 'a'\n", "line 2: a program and its arguments"),
    ("[system]\nreboot_timeout_seconds = 0\n", "line 2: a number of seconds"),
    ("nonsense\n", "system.toml: line 1"),
])
def test_a_bad_system_toml_is_explained(world, text, what):
    edge = world.edge({"az.url": "localhost"}, system=text, run=False)
    refused(edge, "az", "system.toml", what)


# --- Mosquitto --------------------------------------------------------------------------

class Mosquitto:
    """The service "mosquitto" of a machine: its file includes conf.d, and is
    what a service manager of ours starts."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "conf.d").mkdir(parents=True)
        self.conf = folder / "mosquitto.conf"
        self.conf.write_text(
            "# of the machine\nuser root\npersistence true\n"
            "persistence_location %s/\nlog_dest file %s/log\npid_file %s/pid\n"
            "include_dir %s/conf.d\n" % ((folder,) * 4))
        self.script = """
dir=%s
[ "$1" = available ] && exit 0
[ "$2" = mosquitto ] || exit 0
[ -f $dir/pid ] && kill $(cat $dir/pid) && while kill -0 $(cat $dir/pid) \\
    2>/dev/null; do sleep 0.02; done
rm -f $dir/pid
[ "$1" = stop ] && exit 0
%s -d -c $dir/mosquitto.conf >$dir/out 2>&1 || exit 1
until [ -s $dir/pid ]; do sleep 0.02; done
""" % (folder, MOSQUITTO)

    def stop(self):
        pid = self.folder / "pid"
        if pid.exists():
            subprocess.run(["kill", pid.read_text().strip()], check=False)

    def logged(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""


needs_mosquitto = pytest.mark.skipif(not os.path.exists(MOSQUITTO),
                                     reason="needs mosquitto")


@pytest.fixture
def mosquitto(world):
    made = Mosquitto(world.folder / "mosquitto")
    world.made.append(made)
    return made


def by_mosquitto(world, mosquitto, cloud, **more):
    system, _ = manager(world.folder / "init", mosquitto.script)
    return world.edge({
        **world.to(cloud), "mqtt.bridge.built_in": False,
        "mqtt.broker.built_in": False,
        "mqtt.bridge.mosquitto_conf": str(mosquitto.conf), **more},
        system=system, run=False)


@needs_mosquitto
def test_a_mosquitto_is_the_bridge(world, mosquitto):
    cloud = world.cloud("c8y")
    edge = by_mosquitto(world, mosquitto, cloud)
    said = edge.good("connect", "c8y")
    assert "\tbridge: mosquitto\n" in said.err
    assert re.search(r"\tmosquitto version: \d+\.\d+\.\d+\n", said.err), said
    assert steps(said) == [
        ("Creating device in Cumulocity cloud", "✓"),
        ("Creating mosquitto bridge", "✓"),
        ("Restarting mosquitto", "✓"),
        ("Waiting for mosquitto to be listening for connections", "✓"),
        ("Enabling tedge-mapper-c8y", "✓"),
        ("Verifying device is connected to cloud", "✓"),
        ("Checking Cumulocity is connected to intended tenant", "✓"),
        ("Enabling tedge-agent", "✓")], said
    folder = edge.config / "mosquitto-conf"
    lines = mosquitto.conf.read_text().split("\n")
    assert lines[6:8] == ["include_dir %s" % folder,
                          "include_dir %s/conf.d" % mosquitto.folder]
    common = (folder / "tedge-mosquitto.conf").read_text()
    assert common.startswith("per_listener_settings true\n")
    assert "\nlistener %d 127.0.0.1\n" % edge.port in common
    bridge = bridge_file(edge, "c8y").read_text()
    assert bridge.startswith("connection edge_to_c8y\naddress localhost:%d\n"
                             % cloud.port), bridge
    assert '\ntopic s/us/# out 1 c8y/ ""\n' in bridge

    health = "te/device/main/service/mosquitto-c8y-bridge/status/health"
    local = edge.client("c8y/s/ds", health)
    local.say("c8y/s/us", "400,over Mosquitto")
    until("it has come", lambda: "400,over Mosquitto" in cloud.on("s/us"))
    cloud.send("s/ds", "510,dev1")
    assert local.wait("c8y/s/ds") == ["510,dev1"]
    assert local.wait(health)[0] == "1"
    local.close()

    said = edge.good("refresh-bridges")
    assert said.err.startswith("Refreshing bridge c8y\n"), said
    cloud.wait_client("dev1")
    said = edge.good("disconnect", "c8y")
    assert steps(said)[0] == ("Restarting mosquitto", "✓")
    until("it has gone", lambda: not cloud.clients)
    said = edge.good("refresh-bridges")
    assert said.err == "No bridges to refresh.\n"
    assert mosquitto.conf.read_text().split("\n") == lines  # included once


@needs_mosquitto
def test_a_mosquitto_may_be_the_broker_only(world, mosquitto):
    cloud = world.cloud("az")
    system, _ = manager(world.folder / "init", """
case "$1 $2" in
available*|enable*|disable*) exit 0 ;;
*" tedge-"*) exec %s --config-dir %s part "$1" "$2" ;;
esac
""" % (EDGE, world.folder / "edge2" / "etc") + mosquitto.script)
    edge = world.edge({**world.to(cloud), "mqtt.broker.built_in": False,
                       "mqtt.bridge.mosquitto_conf": str(mosquitto.conf)},
                      system=system)
    said = edge.good("connect", "az")
    assert "\tbridge: built-in\n" in said.err
    assert ("Restarting mosquitto", "✓") in steps(said), said
    assert bridge_file(edge, "az").read_text().startswith("# The bridge to")
    assert "edge_to_az" not in mosquitto.logged()
    local = edge.client("az/messages/devicebound/#")
    cloud.offline()
    for n in range(300):
        local.say("az/messages/events/", '{"n":%d}' % n, wait=n == 299)
    edge.restart(signal.SIGKILL)
    edge.good("part", "start", "tedge-mapper-az")
    cloud.online()
    events = "devices/dev1/messages/events/"
    until("all have come", lambda: '{"n":299}' in cloud.on(events))
    told = [p for p in cloud.on(events) if p.startswith('{"n":')]
    assert list(dict.fromkeys(told)) == ['{"n":%d}' % n for n in range(300)]
    cloud.send("devices/dev1/messages/devicebound/x", "hello")
    assert local.wait("az/messages/devicebound/x")[0] == "hello"
    local.close()


@needs_mosquitto
def test_passwords_in_the_bridge_file_are_for_its_owner_only(world, mosquitto):
    cloud = world.cloud("c8y", accounts={"t123456/me": "s3cret"})
    edge = by_mosquitto(world, mosquitto, cloud,
                        **{"c8y.auth_method": "basic"})
    (edge.config / "credentials.toml").write_text(
        '[c8y]\nusername = "t123456/me"\npassword = "s3cret"\n')
    edge.good("connect", "c8y")
    path = bridge_file(edge, "c8y")
    assert "\nremote_password s3cret\n" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_modes_that_do_not_go_together_are_explained(world):
    edge = world.edge({"az.url": "localhost", "mqtt.bridge.built_in": False},
                      run=False)
    refused(edge, "az", "mqtt.broker.built_in must be false")
    said = edge.good("refresh-bridges")
    assert said.err == "No bridges to refresh.\n"


def test_no_file_of_others_is_given_away(world):
    """Who may write to the folder of certificates must not have root give it
    what a link there stands for."""
    cloud = world.cloud("c8y")
    edge = world.edge(world.to(cloud))
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    system = edge.config / "system.toml"
    system.write_text('user = "nobody"\ngroup = "nogroup"\n'
                      + system.read_text())
    folder, own = edge.config / "device-certs", edge.folder / "own.pem"
    cert = folder / "tedge-certificate.pem"
    cert.rename(own)
    cert.symlink_to(own)
    edge.good("connect", "c8y", "--offline")
    assert own.stat().st_uid == 0
    key = folder / "tedge-private-key.pem"
    assert key.stat().st_uid == pwd.getpwnam("nobody").pw_uid

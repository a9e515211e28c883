"""Connection tests: each stage is told, with what is wrong and what to do; and
the figures of queues. Peers are real: a Mosquitto, a serial line, HTTP."""
import http.server
import os
import pty
import socket
import subprocess
import threading

import pytest

from certificates import Authority
from conftest import LIMIT, Client, Site, until
from mqtt_bridge_test import pytestmark, remote_with  # noqa: F401
from ports import free_port


class Tester:
    __test__ = False

    def __init__(self, server):
        self.site = Site(server, server.login())
        self.server, self.token = server, self.site.token

    def ask(self, path, data, status=200):
        answer = self.server.call("POST", "/hub/api/v1/" + path,
                                  {"data": data}, self.token)
        assert answer.status == status, answer.text
        return answer

    def look(self, test, token=None):
        return self.server.call("GET", "/hub/api/v1/test/" + test,
                                token=token or self.token)

    def end(self, answer):
        """The stages of a test, when it is over."""
        test = answer.data["testId"]
        self.last = until("the end of the test", lambda: [
            t for t in [self.look(test).data] if t["done"]])[0]
        return [(s["name"], s["status"]) for s in self.last["stages"]]

    def stages(self, provider, **more):
        return self.end(self.ask("test", {
            "unitId": self.site.unit, "provider": provider,
            "listenMs": 200, **more}))

    def fault(self):
        s = self.last["stages"][-1]
        assert s["advice"]
        return s["message"]

    def gateway(self, code, provider):
        return self.server.call("POST", "/hub/api/v1/gateway", {"data": {
            "unitId": self.site.unit, "code": code, "provider": provider,
            "reconnectDelay": "1s"}}, self.token).data["id"]


def mqtt(port, scheme="tcp", host="localhost", **more):
    return {"type": "generic_mqtt", "protocol": {
        "type": "mqtt", "broker": "%s://%s:%d" % (scheme, host, port),
        "subscribe": "a/#", **more}}


@pytest.fixture
def tester(server):
    return Tester(server)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def with_password(folder):
    subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "users", "me",
                    "right"], check=True)
    return "allow_anonymous false\npassword_file %s/users" % folder


NAMED = [("resolve", "ok"), ("connect", "ok")]


def test_a_mosquitto_that_is_up(tester, remote_with):
    remote = remote_with()
    assert tester.stages(mqtt(remote.port)) == [
        *NAMED, ("signIn", "ok"), ("subscribe", "ok"), ("hear", "skipped")]
    assert tester.last["ok"]
    assert tester.last["stages"][1]["message"].endswith(
        "port %d" % remote.port)
    assert tester.stages(mqtt(remote.port, host="127.0.0.1"))[0] == (
        "connect", "ok")


def test_a_first_message_is_seen_and_not_taken_from_others(tester,
                                                           remote_with):
    remote = remote_with()
    subprocess.run(["mosquitto_pub", "-p", str(remote.port), "-t", "a/b",
                    "-m", "1", "-r"], check=True)
    assert tester.stages(mqtt(remote.port))[-1] == ("hear", "ok")
    assert tester.last["stages"][-1]["message"] == "a/b"
    other = subprocess.Popen(
        ["mosquitto_sub", "-p", str(remote.port), "-t", "$share/g/a/c", "-C",
         "10", "-W", str(LIMIT)], stdout=subprocess.PIPE)
    until("the other", lambda: "$share/g/a/c" in remote.logged())
    test = tester.ask("test", {
        "unitId": tester.site.unit, "listenMs": 20000,
        "provider": mqtt(remote.port, subscribe="$share/g/a/c")})
    until("the subscription", lambda: len(tester.look(
        test.data["testId"]).data["stages"]) == 5)
    subprocess.run(["mosquitto_pub", "-p", str(remote.port), "-t", "a/c",
                    "-m", "1", "--repeat", "10"], check=True)
    assert tester.end(test)[-1] == ("hear", "ok")
    assert other.wait(LIMIT) == 0  # it has all ten
    other.stdout.close()


def test_a_wrong_password(tester, remote_with, tmp_path):
    remote = remote_with(with_password(tmp_path))
    assert tester.stages(mqtt(remote.port, username="me", password="right")
                         )[-1] == ("hear", "skipped")
    assert tester.stages(mqtt(remote.port, username="me", password="wrong")
                         ) == [*NAMED, ("signIn", "failed")]
    assert "uthor" in tester.fault() and not tester.last["ok"]
    assert "wrong" not in tester.server.call(
        "GET", "/hub/api/v1/test/" + tester.last["testId"],
        token=tester.token).text


def test_a_wrong_port_and_a_wrong_name(tester):
    free = free_port()
    assert tester.stages(mqtt(free)) == [("resolve", "ok"),
                                         ("connect", "failed")]
    assert "refused" in tester.fault()
    assert tester.stages(mqtt(1, host="no.such.invalid")) == [
        ("resolve", "failed")]


def test_certificates(start, remote_with, authority):
    tester = Tester(start("--hub.gateway.ca-file", str(authority.ca)))
    tls = "allow_anonymous true\ncertfile %s\nkeyfile %s"
    good = remote_with(tls % authority.sign("localhost"))
    assert tester.stages(mqtt(good.port, "tls")) == [
        *NAMED, ("tls", "ok"), ("signIn", "ok"), ("subscribe", "ok"),
        ("hear", "skipped")]
    about = tester.last["stages"][2]["message"]
    assert "TLS1.3" in about and "localhost" in about and "until" in about
    other = remote_with(tls % authority.sign("other", names="DNS:other"))
    assert tester.stages(mqtt(other.port, "tls")) == [
        *NAMED, ("tls", "failed")]
    assert "name" in tester.fault()
    old = remote_with(tls % authority.sign("old", days=(-3, -1)))
    assert tester.stages(mqtt(old.port, "tls"))[-1] == ("tls", "failed")
    assert "expired" in tester.fault()


def test_what_is_not_allowed_is_not_tried(start):
    tester = Tester(start("--hub.gateway.allow-hosts", "good.example"))
    answer = tester.ask("test", {
        "unitId": tester.site.unit, "provider": mqtt(1883)}, 400)
    assert "allowHosts" in answer.json()["message"]
    answer = tester.ask("application/" + tester.site.app + "/test",
                        {"url": "mqtt://bad.example:1883"}, 400)
    assert "allowHosts" in answer.json()["message"]


def test_a_serial_port(start):
    tester = Tester(start("--hub.gateway.allow-ports", "/dev/pts/*"))
    radio, line = pty.openpty()

    def serial(port):
        return {"type": "mysensors_v2", "protocol": {
            "type": "serial", "portname": port}}
    assert tester.stages(serial(os.ttyname(line))) == [
        ("port", "ok"), ("open", "ok"), ("hear", "skipped")]
    answer = tester.ask("test", {
        "unitId": tester.site.unit, "provider": serial(os.ttyname(line)),
        "listenMs": 20000})
    until("the open port", lambda: len(tester.look(
        answer.data["testId"]).data["stages"]) == 3)
    os.write(radio, b"255;255;3;0;3;\n")  # a node wants an id
    assert tester.end(answer)[-1] == ("hear", "ok")
    os.set_blocking(radio, False)
    with pytest.raises(BlockingIOError):  # and is given none by a test
        os.read(radio, 100)
    assert tester.stages(serial("/dev/pts/99999")) == [("port", "failed")]
    os.close(radio)
    os.close(line)


def test_an_ethernet_gateway(tester):
    with socket.create_server(("127.0.0.1", 0)) as s:
        provider = {"type": "mysensors_v2", "protocol": {
            "type": "ethernet",
            "server": "tcp://localhost:%d" % s.getsockname()[1]}}
        assert tester.stages(provider) == [
            *NAMED, ("hear", "skipped")]
    assert tester.stages(provider)[-1] == ("connect", "failed")


def test_http_endpoints(tester):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/good" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass
    peer = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/" % peer.server_port

    def asks(**paths):
        return {"type": "generic_http", "protocol": {
            "type": "http", "endpoints": {
                name: {"url": url + path} for name, path in paths.items()}}}
    assert tester.stages(asks(now="good")) == [("request", "ok")]
    assert sorted(tester.stages(asks(a="good", b="bad"))) == [
        ("request", "failed"), ("request", "ok")]
    assert tester.stages(asks(b="bad")) == [("request", "failed")]
    assert "404" in tester.fault()
    peer.shutdown()
    peer.server_close()


def test_a_gateway_that_is_up_keeps_its_connection(tester, remote_with,
                                                   tmp_path):
    remote = remote_with(with_password(tmp_path))
    gateway = tester.gateway("mine", mqtt(
        remote.port, username="me", password="right", clientId="one"))
    until("the connection", lambda: tester.server.call(
        "GET", "/hub/api/v1/gateway/" + gateway,
        token=tester.token).data["state"]["status"] == "up")
    until("its stages", lambda: tester.end(tester.ask(
        "gateway/%s/test" % gateway, {})) == [
        *NAMED, ("signIn", "ok"), ("subscribe", "ok"), ("hear", "skipped")])
    def state():
        return tester.server.call("GET", "/hub/api/v1/gateway/" + gateway,
                                  token=tester.token).data["state"]
    before = state()
    # what is changed of it is tried with the password that it has
    assert tester.stages(mqtt(remote.port, username="me", clientId="one"),
                         gatewayId=gateway)[-1] == ("hear", "skipped")
    until("the end of the test's connection", lambda: remote.logged().count(
        "Received DISCONNECT") >= 1)
    assert state() == before  # nobody has taken its session over


def test_a_gateway_on_our_own_server(tester):
    assert tester.stages({"type": "tasmota", "protocol": {"type": "mqtt"}},
                         code="lamps") == [("subscribe", "ok"),
                                           ("hear", "skipped")]


@pytest.mark.parametrize("kind", ["application", "network"])
def test_the_account_of_a_queue(tester, kind):
    site = tester.site
    path = "%s/%s/test" % (kind, site.app if kind == "application"
                           else site.net)
    assert tester.end(tester.ask(path, {"password": "password"})) == [
        ("account", "ok"), ("resolve", "ok"), ("connect", "ok"),
        ("signIn", "ok"), ("subscribe", "ok"), ("echo", "ok")]
    assert tester.last["ok"]
    assert tester.end(tester.ask(path, {"password": "wrong"}))[-1] == (
        "signIn", "failed")
    assert tester.end(tester.ask(path, {}))[-1] == ("signIn", "skipped")
    assert tester.last["ok"]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = "mqtt://localhost:%d" % s.getsockname()[1]
        assert tester.end(tester.ask(path, {
            "password": "password", "url": url}))[-1] == (
            "connect", "failed")


def test_a_test_leaves_queues_alone(tester):
    site = tester.site
    network = site.network()
    network.publish(site.net_topic("uldata"), {
        "time": "2023-07-08T06:55:02.000Z", "networkAddr": "01000461",
        "data": "74657374"})
    figures = until("the message", lambda: [
        f for f in queues(tester, site.app)
        if f["queues"][0]["messages"] == 1])[0]
    assert figures["queues"][0]["name"] == "uldata"
    assert figures["queues"][0]["last"]
    tester.end(tester.ask("application/%s/test" % site.app,
                          {"password": "password"}))
    assert tester.last["ok"]
    assert queues(tester, site.app)[0]["queues"][0]["messages"] == 1
    application = site.application()
    assert application.wait(queue="uldata")[0]["data"] == "74657374"
    application.close()
    network.close()


def queues(tester, *ids, unit=None, token=None, status=200):
    answer = tester.server.call(
        "GET", "/coremgr/api/v1/queue/list?unit=%s&ids=%s" % (
            unit or tester.site.unit, ",".join(ids)),
        token=token or tester.token)
    assert answer.status == status, answer.text
    return answer.data if status == 200 else answer


def test_figures_of_many_queues(tester):
    site = tester.site
    gateway = tester.gateway("g", {"type": "tasmota",
                                   "protocol": {"type": "mqtt"}})
    found = queues(tester, site.app, site.net, gateway, "nobody")
    assert [f["id"] for f in found] == [site.app, site.net, gateway]
    assert [[q["name"] for q in f["queues"]] for f in found] == [
        ["uldata", "dldata-resp", "dldata-result"], ["dldata", "ctrl"],
        ["dldata"]]
    assert found[1]["received"] == 0 and found[1]["lastReceived"] is None
    site.call("PATCH", "application/" + site.app, {"data": {"length": 2}})
    network = site.network()
    for _ in range(3):
        network.publish(site.net_topic("uldata"), {
            "time": "2023-07-08T06:55:02.000Z", "networkAddr": "01000461",
            "data": "00"}, wait=False)
    app = until("a full queue", lambda: [
        f for f in queues(tester, site.app)
        if f["queues"][0]["refused"] > 0])[0]
    assert app["queues"][0]["messages"] == 2
    net = queues(tester, site.net)[0]
    assert net["received"] >= 3 and net["lastReceived"]
    queues(tester, *["x"] * 201, status=400)
    network.close()


def test_other_units_see_nothing(tester):
    user = tester.server.call("POST", "/auth/api/v1/user", {"data": {
        "account": "other", "password": "a long password"}}, tester.token)
    assert user.status == 200, user.text
    token = tester.server.login("other", "a long password")
    mine = tester.server.call("POST", "/broker/api/v1/unit", {"data": {
        "code": "mine"}}, token).data["unitId"]
    site = tester.site
    queues(tester, site.app, token=token, status=400)
    assert queues(tester, site.app, unit=mine, token=token) == []
    done = tester.ask("application/%s/test" % site.app, {}).data["testId"]
    assert tester.look(done, token).status == 404
    for path in ("application/" + site.app, "network/" + site.net,
                 "gateway/" + tester.gateway("g", mqtt(1))):
        assert tester.server.call(
            "POST", "/hub/api/v1/%s/test" % path, {"data": {}},
            token).status == 404
    assert tester.server.call("POST", "/hub/api/v1/test", {"data": {
        "unitId": site.unit, "provider": mqtt(1)}}, token).status == 400


def test_only_so_many_at_once(start):
    tester = Tester(start("--hub.gateway.tests", "1"))
    with socket.create_server(("127.0.0.1", 0)) as s:
        silent = mqtt(s.getsockname()[1])
        first = tester.ask("test", {
            "unitId": tester.site.unit, "provider": silent})
        answer = tester.ask("test", {
            "unitId": tester.site.unit, "provider": silent}, 503)
        assert "hub.gateway.tests" in answer.json()["message"]
        assert tester.end(first) == [*NAMED, ("signIn", "failed")]
        assert "no answer" in tester.fault()
        assert tester.stages(silent)[-1] == ("signIn", "failed")


def test_an_account_reads_nobody_elses_echo(tester):
    site = tester.site
    client = Client(site.server, "application.demo.test-app-mqtt", topics=[
        site.app_topic("echo"), site.net_topic("echo")])
    assert client.granted == {site.app_topic("echo"): 1,
                              site.net_topic("echo"): 128}
    client.close()

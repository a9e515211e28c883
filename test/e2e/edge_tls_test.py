"""A device, really marram-edge, and its platform over TLS: whom they trust, and
how the device is known by its certificate."""
import datetime
import pathlib
import tempfile

import pytest

from certificates import Authority
from conftest import until
from edge import Edge, free_port
from edge_connect_test import FAST, steps
from edge_gateway_test import KEY, node
from gateways_test import Garden


class Site:
    """A platform with MQTT over TLS, whose authority is the test's own."""

    def __init__(self, start, folder):
        self.folder, self.made, self.start_server = folder, [], start
        self.authority = Authority(folder / "ca")
        self.cert, self.key = (folder / n for n in ("site.pem", "site.key"))
        self.show("localhost")
        self.port = free_port()

    def show(self, name, signer=None, **more):
        """What the platform shows; it is read again by SIGHUP, or a start."""
        made = (signer or self.authority).sign(name, **more)
        self.cert.write_bytes(made[0].read_bytes())
        self.key.write_bytes(made[1].read_bytes())

    def serve(self, *options):
        self.garden = Garden(self.start_server(
            "--server.certfile", str(self.cert), "--server.keyfile",
            str(self.key), "--server.httpsport", "0", "--mqtt-port",
            str(free_port()), "--mqtt.tls-port", str(self.port),
            "--server.listen", "127.0.0.1", *options))
        self.gateway = self.garden.gateway(
            "field", {"type": "marram_edge", "protocol": {"type": "mqtt"}},
            password=KEY)
        return self.garden

    def edge(self, name="gw01", cert="own", **more):
        """`cert`: "own" signed by itself, an Authority, or None."""
        d = Edge(self.folder / ("edge%d" % len(self.made)), {
            **FAST, "marram.url": "localhost:%d" % self.port,
            "marram.unit": "garden", "marram.gateway": "field",
            "marram.root_cert_path": str(self.authority.ca), **more})
        self.made.append(d)
        if cert is None:
            d.set(device__id=name)
        elif cert == "own":
            d.good("cert", "create", "--device-id", name)
        else:
            d.certificate(name, cert)
        return d.start()

    def enrolled(self):
        return {x["name"]: x for x in self.garden.hub(
            "GET", "enrolment/list?gateway=" + self.gateway).data}

    def block(self, name, blocked=True):
        self.garden.hub("PATCH", "enrolment/" + self.enrolled()[name]["id"],
                        {"data": {"blocked": blocked}}, 204)

    def stop(self):
        for d in self.made:
            d.stop()
        for d in self.made:
            assert "Sanitizer" not in d.logged(), d.logged()


@pytest.fixture
def site(start):
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        s = Site(start, pathlib.Path(folder))
        yield s
        s.stop()


def measures(site, d, name, value):
    d.good("mqtt", "pub", "te/device/main///m/env", '{"t": %d}' % value)
    site.garden.field("field.%s.env.t" % name, value)


def is_down(site, name):
    until(name + " is down", lambda: node(
        site.garden, name)["state"]["status"] == "down")


# --- whom the device trusts ----------------------------------------------------

def test_a_secret_over_tls(site):
    site.serve()
    d = site.edge(cert=None)
    said = d.good("connect", "marram", "--key", KEY)
    assert "\tauth type: basic\n" in said.err, said
    assert ("Verifying device is connected to cloud", "✓") in steps(said)
    measures(site, d, "gw01", 1)
    row = site.enrolled()["gw01"]
    assert (row["certKey"], row["thumbprint"]) == ("", "")
    assert KEY not in said.err + d.logged() + site.garden.server.logged()


def day(days):
    return (datetime.datetime.now(datetime.timezone.utc) +
            datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def test_a_server_that_is_not_to_be_trusted(site):
    site.serve()
    d = site.edge(cert=None)

    def fails(*texts):
        said = refuses(d, *texts)
        assert not (d.config / "mosquitto-conf/marram-bridge.conf").exists()
        assert KEY not in said.err
    other = Authority(site.folder / "other", "Other CA")
    d.set(marram__root_cert_path=str(other.ca))
    fails("localhost, port %d: " % site.port, "issuer is unknown (CN=Test CA)",
          "who has signed it must be in marram.root_cert_path, now "
          + str(other.ca))
    d.set(marram__root_cert_path=str(site.authority.ca))
    site.show("gate.example", names="DNS:gate.example")
    site.garden.server.restart()
    fails("(it is of gate.example, not of localhost)",
          "set a name that is in it as marram.url")
    for days, word in (((-9, -2), "expired"), ((2, 9), "not yet")):
        site.show("localhost", file="bad%d" % days[0], days=days)
        site.garden.server.restart()
        fails("The certificate is NOT trusted", word,
              "(it is good from %s to %s)" % tuple(map(day, days)),
              "renew it at the server, or set this device's clock",
              "says " + day(0))
    # a bridge that runs tells it, too, and goes on when it is mended
    site.show("localhost", file="good")
    site.garden.server.restart()
    d.good("connect", "marram", "--key", KEY)
    site.show("localhost", file="late", days=(-9, -2))
    site.garden.server.restart()
    until("the log tells it", lambda: "renew it at the server" in d.logged())
    site.show("localhost", file="again")
    site.garden.server.restart()
    site.garden.token = site.garden.server.login()
    measures(site, d, "gw01", 3)


# --- how the device is known ---------------------------------------------------

def thumbprint(d):
    line, = [x for x in d.good("cert", "show").out.splitlines()
             if x.startswith("Thumbprint:")]
    return line.split()[1]


def refuses(d, *texts, key=KEY):
    said = d.tedge("connect", "marram", *(["--key", key] if key else []))
    assert said.status == 1, said
    for text in texts:
        assert text in " ".join(said.err.split()), said
    return said


def test_by_key_once_and_by_its_certificate_then(site):
    garden = site.serve()
    d = site.edge()
    refuses(d, "gw01 is not known there by this certificate",
            "the first time it needs --key KEY", key=None)
    refuses(d, "the key is not that of the gateway", key="another")
    assert not site.enrolled()
    said = d.good("connect", "marram", "--key", KEY)
    assert "\tauth type: certificate\n" in said.err, said
    assert not (d.config / "credentials.toml").exists()
    measures(site, d, "gw01", 1)
    row = site.enrolled()["gw01"]
    assert row["thumbprint"] == thumbprint(d).lower(), row
    assert len(row["certKey"]) == 64 and "secret" not in row
    # it comes back without the key, and with a new one of the gateway
    garden.hub("PATCH", "gateway/" + site.gateway, {"data": {
        "password": "another key"}}, 204)
    d.good("reconnect", "marram")
    measures(site, d, "gw01", 2)
    # a new certificate of the same key is the same device
    d.good("cert", "renew", "--ca", "self-signed")
    said = d.good("reconnect", "marram")
    assert ("Trying the new certificate", "✓") in steps(said), said
    assert thumbprint(d).lower() != row["thumbprint"]
    until("it is noted", lambda: site.enrolled()["gw01"]["thumbprint"] ==
          thumbprint(d).lower())
    assert site.enrolled()["gw01"]["certKey"] == row["certKey"]
    # who has the gateway's key, and another certificate, is not gw01
    thief = site.edge()
    refuses(thief, "gw01 is known there already", key="another key")
    assert "shows another certificate" in garden.server.logged()


def test_who_is_blocked_stays_outside_until_it_is_let_in_again(site):
    site.serve()
    d = site.edge()
    d.good("connect", "marram", "--key", KEY)
    measures(site, d, "gw01", 1)
    site.block("gw01")
    is_down(site, "gw01")
    d.good("disconnect", "marram")
    refuses(d, "or blocked", "(tab Enrolment)")
    assert "gw01 at the gateway garden.field is blocked" in (
        site.garden.server.logged())
    # nor does a start forget it
    site.garden.server.restart()
    site.garden.token = site.garden.server.login()
    refuses(d, "or is blocked", key=None)
    site.block("gw01", False)
    d.good("connect", "marram")
    measures(site, d, "gw01", 2)


def test_who_is_forgotten_needs_the_key_again(site):
    site.serve()
    d = site.edge()
    d.good("connect", "marram", "--key", KEY)
    measures(site, d, "gw01", 1)
    site.garden.hub("DELETE", "enrolment/" + site.enrolled()["gw01"]["id"],
                    None, 204)
    is_down(site, "gw01")
    d.good("disconnect", "marram")
    refuses(d, "is not known there", key=None)
    d.good("connect", "marram", "--key", KEY)
    measures(site, d, "gw01", 2)


def test_a_thumbprint_that_was_noted_needs_no_key(site):
    garden = site.serve()
    d = site.edge()
    mine = thumbprint(d)
    colons = ":".join(mine[i:i + 2] for i in range(0, 40, 2))

    def add(status=200, **more):
        return garden.hub("POST", "enrolment", {"data": {
            "unitId": garden.unit, "gatewayId": site.gateway, "name": "gw01",
            "thumbprint": colons, **more}}, status)
    assert "40 hexadecimal digits" in add(400, thumbprint="12:34").text
    assert "40 hexadecimal digits" in add(400, thumbprint="x" * 40).text
    assert "none of / + # :" in add(400, name="a:b").text
    assert "marram_edge" in add(400, gatewayId="nowhere").text
    add()
    add(400)
    d.good("connect", "marram")
    measures(site, d, "gw01", 1)
    row = site.enrolled()["gw01"]
    assert row["thumbprint"] == mine.lower() and len(row["certKey"]) == 64


def test_a_certificate_that_is_signed_by_who_may_needs_no_key(site):
    devices = Authority(site.folder / "devices", "Devices")
    site.serve("--server.cacertfile", str(devices.ca))
    name = "edge.garden.field.gw01"
    # the same name, signed by nobody
    d = site.edge(name, cert="own")
    refuses(d, "gw01 is not known there", key=None)
    d.certificate(name, devices)
    d.good("connect", "marram")
    measures(site, d, "gw01", 1)
    assert site.enrolled()["gw01"]["certKey"] == ""
    # it is shut out from here all the same
    site.block("gw01")
    is_down(site, "gw01")
    d.good("disconnect", "marram")
    refuses(d, "gw01 is not known there", key=None)
    # who signs devices does not say so of every name
    other = site.edge("gw03", cert=devices)
    refuses(other, "gw03 is not known there", key=None)


def test_a_certificate_of_the_device_that_has_ended(site):
    site.serve()
    d = site.edge(cert=None)
    d.certificate("gw01", Authority(site.folder / "mine"))
    late = site.authority.sign("gw01", file="ended", days=(-9, -2))
    folder = d.config / "device-certs"
    (folder / "tedge-certificate.pem").write_bytes(late[0].read_bytes())
    (folder / "tedge-private-key.pem").write_bytes(late[1].read_bytes())
    for _ in range(10):  # a reset may overtake what the peer says
        said = refuses(d)
        if "non-properly terminated" not in said.err:
            break
    assert "the peer says: " in said.err, said
    assert "renew it by: tedge cert renew" in " ".join(said.err.split()), said
    assert not site.enrolled()


def test_accounts_of_one_file(site):
    """What another cloud has in credentials.toml makes nobody an account here."""
    site.serve()
    d = site.edge()
    (d.config / "credentials.toml").write_text(
        '[c8y]\nusername = "u"\npassword = "p"\n')
    said = d.good("connect", "marram", "--key", KEY)
    assert "\tauth type: certificate\n" in said.err, said
    d.good("disconnect", "marram")
    # a secret, where a certificate is not wanted
    d.set(**{"marram.auth_method": "basic"})
    refuses(d, "gw01 is known there already")
    site.garden.hub("DELETE", "enrolment/" + site.enrolled()["gw01"]["id"],
                    None, 204)
    said = d.good("connect", "marram", "--key", KEY)
    assert "\tauth type: basic\n" in said.err, said
    measures(site, d, "gw01", 1)

"""`tedge cert`: what it makes is looked at by openssl; Cumulocity's HTTP API is
a double in this file, over HTTPS."""
import base64
import http.server
import json
import os
import re
import ssl
import stat
import subprocess
import threading

import pytest

from certificates import Authority, openssl
from cloud import Cloud
from conftest import LIMIT, until
from edge import EDGE, Edge

USER = "admin:secret"
NEW = ".new"


def run(*words, **more):
    return subprocess.run([*map(str, words)], check=True, capture_output=True,
                          text=True, **more).stdout


@pytest.fixture
def edge(tmp_path):
    edge = Edge(tmp_path / "edge")
    yield edge
    edge.stop()


def cert_of(edge):
    return edge.config / "device-certs/tedge-certificate.pem"


def key_of(edge):
    return edge.config / "device-certs/tedge-private-key.pem"


def public(path, kind="x509"):
    return run("openssl", kind, "-in", path, "-noout" if kind == "x509" else
               "-pubout", *(["-pubkey"] if kind == "x509" else []))


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --- the program ---------------------------------------------------------------

def test_the_program_links_no_cryptography():
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", EDGE))
    assert needed, "readelf says nothing"
    ours = [n for n in needed if not re.match(
        r"libuv|libc\.|ld-linux|lib[aut]san|libm\.|libgcc_s|libubsan", n)]
    assert ours == []


# --- create, show, remove ------------------------------------------------------

def test_a_certificate_is_made_once(edge):
    said = edge.good("cert", "create", "--device-id", "dev-1")
    assert "Certificate was successfully created" in said.err
    text = run("openssl", "x509", "-in", cert_of(edge), "-noout", "-text")
    assert "Version: 3" in text
    assert "Subject: CN = dev-1, O = Thin Edge, OU = Device" in text
    assert "Issuer: CN = dev-1, O = Thin Edge, OU = Device" in text
    assert "ecdsa-with-SHA256" in text and "prime256v1" in text
    assert "CA:TRUE" in text
    assert "pathlen" not in text
    run("openssl", "verify", "-CAfile", cert_of(edge), cert_of(edge))
    assert public(cert_of(edge)) == public(key_of(edge), "pkey")
    assert mode(cert_of(edge)) == 0o444 and mode(key_of(edge)) == 0o400
    before = cert_of(edge).read_bytes(), key_of(edge).read_bytes()
    said = edge.tedge("cert", "create", "--device-id", "dev-2")
    assert said.status == 1
    assert "A certificate already exists and would be overwritten." in said.err
    assert "Run 'tedge cert remove' first" in said.err
    cert_of(edge).unlink()
    said = edge.tedge("cert", "create", "--device-id", "dev-2")
    assert said.status == 1 and "A private key already exists" in said.err
    assert key_of(edge).read_bytes() == before[1]
    assert not cert_of(edge).exists()


def test_it_is_good_from_yesterday_for_as_long_as_is_set(edge):
    edge.set(certificate__validity__requested_duration="10d",
             certificate__organization="Marsh",
             certificate__organization_unit="Birds")
    edge.good("cert", "create", "--device-id", "dev-1")
    for seconds, good in ((9.9 * 86400, True), (10.1 * 86400, False)):
        done = subprocess.run(["openssl", "x509", "-in", cert_of(edge),
                               "-checkend", str(int(seconds)), "-noout"],
                              capture_output=True)
        assert (done.returncode == 0) == good
    assert "O = Marsh, OU = Birds" in run(
        "openssl", "x509", "-in", cert_of(edge), "-noout", "-subject")
    now = run("date", "+%s", "-d", run(
        "openssl", "x509", "-in", cert_of(edge), "-noout",
        "-startdate").split("=")[1])
    age = int(run("date", "+%s")) - int(now)
    assert 86400 <= age < 86400 + 3600


@pytest.mark.parametrize("name,text", [
    ("", "The empty string cannot be used as a name"),
    ("a" * 65, "is more than 64 characters long and cannot be used as a name"),
    ("a b", "The string '\"a b\"' contains characters which cannot be used in "
     "a name [use only A-Z, a-z, 0-9, ' = ( ) , - . ? % * _ ! @]"),
    ("a/b", "contains characters"), ("a+b", "contains characters"),
    ("ä", "contains characters"), ("a#", "contains characters")])
def test_names_that_no_device_may_have(edge, name, text):
    said = edge.tedge("cert", "create", "--device-id", name)
    assert said.status == 1 and text in said.err, said
    assert not cert_of(edge).exists() and not key_of(edge).exists()


def test_a_name_may_have_every_sign_that_is_allowed(edge):
    name = "Az09'=(),-.?%*_!@" + "x" * 47
    edge.good("cert", "create", "--device-id", name)
    assert edge.good("config", "get", "device.id").out == name + "\n"


def test_no_name_at_all(edge):
    said = edge.tedge("cert", "create")
    assert said.status == 1 and "--device-id" in said.err
    edge.set(device__id="of-the-settings")
    edge.good("cert", "create")
    assert "CN=of-the-settings" in edge.good("cert", "show").out


def test_show_has_eight_lines_that_are_those_of_openssl(edge):
    edge.good("cert", "create", "--device-id", "dev-1")
    lines = edge.good("cert", "show").out.splitlines()
    labels = ["Certificate:", "Subject:", "Issuer:", "Status:", "Valid from:",
              "Valid until:", "Serial number:", "Thumbprint:"]
    assert [line[:15].rstrip() for line in lines] == labels
    found = dict(zip(labels, (line[15:] for line in lines)))
    assert found["Certificate:"] == str(cert_of(edge))
    assert found["Subject:"] == "CN=dev-1, O=Thin Edge, OU=Device"
    assert re.fullmatch(r"VALID \(expires in: 36[45]d( \d+h)?( \d+m)?( \d+s)?\)",
                        found["Status:"])
    serial = run("openssl", "x509", "-in", cert_of(edge), "-noout",
                 "-serial").strip().split("=")[1]
    assert found["Serial number:"] == "%d (0x%s)" % (
        int(serial, 16), serial.lstrip("0").lower())
    print_ = run("openssl", "x509", "-in", cert_of(edge), "-noout",
                 "-fingerprint", "-sha1").strip().split("=")[1]
    assert found["Thumbprint:"] == print_.replace(":", "")
    until_ = run("openssl", "x509", "-in", cert_of(edge), "-noout",
                 "-enddate").strip().split("=")[1]
    assert run("date", "-u", "-R", "-d", until_).strip() == found[
        "Valid until:"]


def test_status_tells_of_the_time(edge, tmp_path):
    authority = Authority(tmp_path / "ca")
    for days, words in (((-9, -2), r"EXPIRED \(since: 2d"),
                        ((2, 9), r"NOT VALID YET \(will be in: (1d 23h|2d)"),
                        ((-2, 9), r"EXPIRES SOON \(expires in: (8d 23h|9d)"),
                        ((-9, 500), r"VALID \(expires in: 1y 134d")):
        cert, _ = authority.sign("x", file="x%d" % days[0], days=days)
        said = edge.good("cert", "show", "--cert-path", cert)
        assert re.search(r"Status: +" + words, said.out), said
        status = edge.tedge("cert", "needs-renewal", "--cert-path",
                            cert).status
        assert status == (0 if words[:7] in ("EXPIRED", "EXPIRES") else 1)
    said = edge.tedge("cert", "needs-renewal")
    assert said.status == 2 and "No certificate has been attached" in said.err


def test_what_is_no_certificate(edge):
    cert_of(edge).parent.mkdir()
    cert_of(edge).write_text("-----BEGIN CERTIFICATE-----\nMIIB\n"
                             "-----END CERTIFICATE-----\n")
    said = edge.tedge("cert", "show")
    assert said.status == 1 and str(cert_of(edge)) in said.err
    assert edge.tedge("cert", "needs-renewal").status == 2


def test_remove(edge):
    edge.good("cert", "create", "--device-id", "dev-1")
    edge.good("cert", "renew", "--ca", "self-signed")
    said = edge.good("cert", "remove")
    assert "Certificate was successfully removed" in said.err
    assert list(cert_of(edge).parent.iterdir()) == []
    said = edge.good("cert", "remove")
    assert "There is no certificate to remove" in said.err
    said = edge.tedge("cert", "show")
    assert said.status == 1
    assert "No certificate has been attached to that device." in said.err
    assert "Run 'tedge cert create'" in said.err


def test_a_cloud_and_a_profile_have_files_of_their_own(edge):
    folder = edge.config / "other"
    edge.set(**{"c8y.profiles.two.url": "localhost",
                "c8y.profiles.two.device.cert_path": str(folder / "c.pem"),
                "c8y.profiles.two.device.key_path": str(folder / "k.pem")})
    edge.good("cert", "create", "--device-id", "one")
    edge.good("cert", "create", "c8y", "--profile", "two", "--device-id",
              "two")
    assert "CN=one" in edge.good("cert", "show", "c8y").out
    assert "CN=two" in edge.good("cert", "show", "c8y", "--profile", "two").out
    assert mode(folder / "k.pem") == 0o400
    edge.good("cert", "remove", "c8y", "--profile", "two")
    assert not (folder / "c.pem").exists() and cert_of(edge).exists()


# --- requests, renewal -----------------------------------------------------------

def test_a_request_has_the_key_that_is_there(edge):
    edge.good("cert", "create-csr", "--device-id", "dev-1")
    csr = edge.config / "device-certs/tedge.csr"
    assert mode(key_of(edge)) == 0o400
    text = run("openssl", "req", "-in", csr, "-noout", "-text", "-verify")
    assert "Subject: CN = dev-1, O = Thin Edge, OU = Device" in text
    key = key_of(edge).read_bytes()
    other = edge.folder / "other.csr"
    edge.good("cert", "create-csr", "--device-id", "dev-1", "--output-path",
              other)
    assert key_of(edge).read_bytes() == key
    keys = [run("openssl", "req", "-in", f, "-noout", "-pubkey")
            for f in (csr, other)]
    assert keys[0] == keys[1] == public(key_of(edge), "pkey")


def test_a_renewed_one_lies_beside(edge):
    edge.good("cert", "create", "--device-id", "dev-1")
    before = cert_of(edge).read_bytes()
    edge.good("cert", "renew", "--ca", "self-signed")
    assert cert_of(edge).read_bytes() == before
    new = str(cert_of(edge)) + NEW
    assert public(new) == public(cert_of(edge)) and mode(new) == 0o444
    shown = edge.good("cert", "show", "--new").out
    assert "CN=dev-1, " in shown and new in shown
    assert shown != edge.good("cert", "show").out
    said = edge.tedge("cert", "renew", "--ca", "me")
    assert said.status == 2 and "c8y or self-signed" in said.err


# --- Cumulocity --------------------------------------------------------------------

class Tenant(http.server.ThreadingHTTPServer):
    """What Cumulocity's HTTP API says about certificates."""

    daemon_threads = True

    def __init__(self, authority):
        super().__init__(("127.0.0.1", 0), Door)
        self.authority, self.trusted, self.heard = authority, {}, []
        self.registered = {}  # device id: one-time password
        self.tokens = []  # that are good
        self.answer = None  # in the place of a signed certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign("tenant"))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def sign(self, csr):
        folder = self.authority.folder
        (folder / "asked.csr").write_bytes(csr)
        openssl("ca", "-batch", "-notext", "-config", self.authority.config,
                "-in", folder / "asked.csr", "-out", folder / "given.pem",
                "-days", "40")
        openssl("crl2pkcs7", "-nocrl", "-certfile", folder / "given.pem",
                "-outform", "DER", "-out", folder / "given.p7")
        return base64.encodebytes((folder / "given.p7").read_bytes())


class Door(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_args):
        pass

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def account(self):
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        return kind, (base64.b64decode(text).decode() if kind == "Basic"
                      else text)

    def do_GET(self):
        if self.account() != ("Basic", USER):
            self.reply(401)
        elif self.path == "/tenant/currentTenant":
            self.reply(200, b'{"domainName":"x","name":"t12345"}')
        else:
            self.reply(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tenant = self.server
        tenant.heard.append((self.path, self.headers, body))
        kind, who = self.account()
        if self.path == "/tenant/tenants/t12345/trusted-certificates":
            told = json.loads(body)
            if (kind, who) != ("Basic", USER):
                self.reply(401)
            elif told["certInPemFormat"] in tenant.trusted:
                self.reply(409)
            elif told["name"] == "bad":
                self.reply(422)
            else:
                tenant.trusted[told["certInPemFormat"]] = told
                self.reply(201, b"{}")
        elif self.path == "/.well-known/est/simpleenroll":
            name, _, password = who.partition(":")
            good = (kind == "Basic" and password
                    and tenant.registered.get(name) == password)
            self.reply(200, tenant.answer or tenant.sign(body)) if good else (
                self.reply(401))
        elif self.path == "/.well-known/est/simplereenroll":
            good = kind == "Bearer" and who in tenant.tokens
            self.reply(200, tenant.answer or tenant.sign(body)) if good else (
                self.reply(401))
        else:
            self.reply(404)


@pytest.fixture
def tenant(tmp_path):
    tenant = Tenant(Authority(tmp_path / "ca"))
    yield tenant
    tenant.shutdown()
    tenant.server_close()


@pytest.fixture
def device(edge, tenant):
    edge.set(c8y__url="localhost",
             c8y__http="localhost:%d" % tenant.server_port,
             c8y__root_cert_path=str(tenant.authority.ca))
    return edge


ACCOUNT = {"C8Y_USER": "admin", "C8Y_PASSWORD": "secret"}


def test_upload(device, tenant):
    device.good("cert", "create", "--device-id", "dev-1")
    said = device.good("cert", "upload", "c8y", env=ACCOUNT)
    assert "Certificate uploaded successfully." in said.err
    assert list(tenant.trusted.values()) == [{
        "name": "dev-1", "certInPemFormat": cert_of(device).read_text(),
        "autoRegistrationEnabled": True, "status": "ENABLED"}]
    said = device.good("cert", "upload", "c8y", "--user", "admin",
                       env={"C8YPASS": "secret"})
    assert "Certificate already exists in the cloud." in said.err


def test_an_upload_that_is_refused(device, tenant):
    said = device.tedge("cert", "upload", "c8y", env=ACCOUNT)
    assert said.status == 1 and "No certificate has been" in said.err
    device.good("cert", "create", "--device-id", "bad")
    said = device.tedge("cert", "upload", "c8y", env=ACCOUNT)
    assert said.status == 1 and "Something went wrong: 422" in said.err
    said = device.tedge("cert", "upload", "c8y", "--user", "admin",
                        "--password", "wrong-one")
    assert said.status == 1 and "does not know that user" in said.err
    assert "wrong-one" not in said.err
    tenant.shutdown()
    tenant.server_close()
    said = device.tedge("cert", "upload", "c8y", env=ACCOUNT)
    assert said.status == 1 and "localhost:%d" % tenant.server_port in said.err
    assert tenant.trusted == {}


def test_a_tenant_that_is_not_trusted_learns_nothing(device, tenant,
                                                     tmp_path):
    device.set(c8y__root_cert_path=str(Authority(tmp_path / "other").ca))
    device.good("cert", "create", "--device-id", "dev-1")
    said = device.tedge("cert", "upload", "c8y", env=ACCOUNT)
    assert said.status == 1 and tenant.heard == []


def test_download(device, tenant):
    tenant.registered["dev-1"] = "once"
    said = device.good("cert", "download", "c8y", "--device-id", "dev-1", "-p",
                       "once", "--no-registration-url")
    assert "Certificate downloaded successfully" in said.err
    assert "deviceregistration" not in said.err
    assert public(cert_of(device)) == public(key_of(device), "pkey")
    assert mode(cert_of(device)) == 0o444 and mode(key_of(device)) == 0o400
    run("openssl", "verify", "-CAfile", tenant.authority.ca, cert_of(device))
    assert device.good("config", "get", "device.id").out == "dev-1\n"
    said = device.tedge("cert", "download", "c8y", "--device-id", "dev-1",
                        "-p", "once")
    assert said.status == 1 and "already exists" in said.err


def test_a_download_waits_until_the_device_is_registered(device, tenant):
    process = subprocess.Popen(
        [EDGE, "--config-dir", str(device.config), "cert", "download", "c8y",
         "--device-id", "dev-1", "--retry-every", "200ms"],
        stderr=subprocess.PIPE, text=True, env=device.env)
    until("it has asked twice", lambda: len(tenant.heard) >= 2)
    password = base64.b64decode(tenant.heard[0][1]["Authorization"].split()[1]
                                ).decode().split(":")[1]
    assert len(password) == 32
    tenant.registered["dev-1"] = password
    _, text = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, text
    assert ("https://localhost:%d/apps/devicemanagement/index.html#/"
            "deviceregistration?externalId=dev-1&one-time-password=%s"
            % (tenant.server_port, password)) in text
    assert cert_of(device).exists()


def test_a_download_gives_up_in_time(device, tenant):
    said = device.tedge("cert", "download", "c8y", "--device-id", "dev-1", "-p",
                        "once", "--retry-every", "1s", "--max-timeout", "3s")
    assert said.status == 1 and "Something went wrong: 401" in said.err
    # how often depends on the machine; that it asks again, the test above
    assert 1 <= len(tenant.heard) <= 4 and not cert_of(device).exists()


def test_a_certificate_of_another_key_is_refused(device, tenant):
    tenant.registered["dev-1"] = "once"
    cert, _ = tenant.authority.sign("dev-1")
    tenant.answer = base64.b64encode(subprocess.run(
        ["openssl", "crl2pkcs7", "-nocrl", "-certfile", cert, "-outform",
         "DER"], check=True, capture_output=True).stdout)
    said = device.tedge("cert", "download", "c8y", "--device-id", "dev-1", "-p",
                        "once")
    assert said.status == 1 and "of another key" in said.err
    tenant.answer = b"<html>no</html>"
    said = device.tedge("cert", "download", "c8y", "--device-id", "dev-1", "-p",
                        "once")
    assert said.status == 1 and "is no certificate" in said.err
    assert not cert_of(device).exists()


def test_cumulocity_renews_for_its_token(device, tenant):
    cloud = Cloud("c8y", tenant.authority)
    try:
        device.certificate("dev1", tenant.authority)
        device.set(c8y__mqtt="localhost:%d" % cloud.port)
        device.start()
        device.good("connect", "c8y")
        tenant.tokens, cloud.times = cloud.tokens, 3
        device.good("cert", "renew", "c8y")
        new = str(cert_of(device)) + NEW
        assert public(new) == public(cert_of(device))
        assert tenant.heard[-1][0] == "/.well-known/est/simplereenroll"
        device.good("reconnect", "c8y")
        assert not os.path.exists(new)
        assert re.search(r"in: (39d|40d)", device.good("cert", "show").out)
    finally:
        device.stop()
        cloud.stop()

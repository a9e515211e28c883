"""HTTPS: the certificate, and another one without a restart."""
import http.client
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from certificates import Authority
from conftest import LIMIT, PROGRAM, until


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(start, authority):
    cert, key = authority.sign("localhost", file="server")
    return start("--server.certfile", str(cert), "--server.keyfile", str(key),
                 "--server.httpsport", "0", "--listen", "127.0.0.1")


def context(authority, version=None):
    c = ssl.create_default_context(cafile=str(authority.ca))
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def serial(server, authority, version=None):
    with socket.create_connection(("127.0.0.1", server.port("https"))) as s, \
            context(authority, version).wrap_socket(
                s, server_hostname="localhost") as tls:
        return tls.getpeercert()["serialNumber"]


def get(connection):
    connection.request("GET", "/version")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_sighup_reads_the_certificate_again_and_drops_nobody(server,
                                                             authority):
    first = serial(server, authority)
    up = http.client.HTTPSConnection("localhost", server.port("https"),
                                     context=context(authority))
    assert get(up) == 200
    sock = up.sock
    authority.sign("localhost", file="server")  # over the old one
    server.process.send_signal(signal.SIGHUP)
    until("the new certificate", lambda: serial(server, authority) != first)
    second = serial(server, authority)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert serial(server, authority, version) == second
    assert get(up) == 200 and up.sock is sock
    assert "server.certFile: the certificate of HTTPS was read again" in \
        server.logged()
    up.close()


def test_a_bad_file_leaves_the_old_certificate(server, authority):
    first = serial(server, authority)
    cert, key = (authority.folder / ("server" + end)
                 for end in (".pem", ".key"))
    other, other_key = authority.sign("localhost", file="other")

    def complaints():
        return [line for line in server.logged().splitlines()
                if "server.certFile: " in line and
                "what was read before stays in use" in line]

    def spoil(how, n):
        how()
        server.process.send_signal(signal.SIGHUP)
        until("a complaint", lambda: len(complaints()) == n)
        assert serial(server, authority) == first
    spoil(lambda: shutil.copy(other, cert), 1)  # not of this key
    assert str(cert) in complaints()[0] and str(key) in complaints()[0]
    spoil(lambda: cert.write_text("nonsense"), 2)
    spoil(cert.unlink, 3)
    shutil.copy(other, cert)
    shutil.copy(other_key, key)
    server.process.send_signal(signal.SIGHUP)
    until("the good one", lambda: serial(server, authority) != first)


def test_handshakes_under_way_outlive_the_change(server, authority):
    first = serial(server, authority)
    began = [socket.create_connection(("127.0.0.1", server.port("https")))
             for _ in range(20)]
    authority.sign("localhost", file="server")
    server.process.send_signal(signal.SIGHUP)
    until("the new certificate", lambda: serial(server, authority) != first)
    for s in began:
        with context(authority).wrap_socket(
                s, server_hostname="localhost") as tls:
            tls.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            assert tls.recv(12).endswith(b"200")


def test_a_chain_is_shown_whole(start, authority, tmp_path):
    cert, key = authority.sign("localhost")
    chain = tmp_path / "chain.pem"
    chain.write_text(cert.read_text() + authority.ca.read_text())
    server = start("--server.certfile", str(chain), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1")
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", "localhost:%d" % server.port(
            "https"), "-showcerts"], input="", capture_output=True,
        text=True, timeout=LIMIT).stdout
    assert shown.count("BEGIN CERTIFICATE") == 2


def test_a_key_of_another_certificate_ends_the_start(authority, tmp_path):
    cert, _key = authority.sign("localhost")
    _cert, key = authority.sign("other")
    done = subprocess.run(
        [PROGRAM, "serve", "--data-dir", tmp_path / "d", "--http-port", "0",
         "--mqtt-port", "0", "--mqtt.tls-port", "0", "--server.httpsport",
         "0", "--server.certfile", cert, "--server.keyfile", key],
        capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 1
    assert "the certificate of HTTPS: " in done.stderr

"""Files that go over the device's HTTP server: with curl and `tedge http`, in
clear and by TLS, with and without a certificate of the client."""
import hashlib
import os
import shutil
import signal
import socket
import subprocess

import pytest

from certificates import openssl
from conftest import LIMIT, until
from edge_entities_test import Device
from edge import EDGE

FILES = "/te/v1/files/"


@pytest.fixture
def device(tmp_path):
    d = Device(tmp_path / "edge").start()
    yield d
    d.stop()


def certificate(folder, name, signer=None):
    """A certificate and its key; with its own signature, or `signer`'s."""
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
            "-days", "2", "-subj", "/CN=" + name, "-addext",
            "subjectAltName=IP:127.0.0.1",
            *(("-CA", signer[0], "-CAkey", signer[1], "-addext",
               "basicConstraints=CA:FALSE") if signer else ()))
    return cert, key


def test_a_file_goes_up_and_comes_down(device, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(5_000_000))
    assert device.curl(FILES + "child/log/x", "-T", str(big))[0] == 201
    got = tmp_path / "got"
    assert device.curl(FILES + "child/log/x", "-o", str(got))[0] == 200
    assert got.read_bytes() == big.read_bytes()
    assert (device.folder / "data/file-transfer/child/log/x").exists()
    # chunked, without a length
    done = subprocess.run(
        ["curl", "-sS", "-f", "-T", "-", device.url + FILES + "piped"],
        stdin=open(big, "rb"), timeout=LIMIT)
    assert done.returncode == 0
    status, _ = device.curl(FILES + "piped", "-o", str(got))
    assert status == 200 and got.read_bytes() == big.read_bytes()
    assert device.curl(FILES + "piped", "-X", "DELETE")[0] == 202
    assert device.curl(FILES + "piped") == (
        404, 'File not found: "piped"')


def test_tedge_http_brings_files_and_takes_them(device, tmp_path):
    big = tmp_path / "source.txt"
    big.write_bytes(os.urandom(300_000))
    device.good("http", "put", FILES + "target.txt", "--file", big,
                "--content-type", "text/plain; charset=utf-8")
    done = subprocess.run(
        [EDGE, "--config-dir", str(device.config), "http", "get",
         FILES + "target.txt"], capture_output=True, timeout=LIMIT,
        env=device.env)
    assert done.returncode == 0
    assert (hashlib.sha256(done.stdout).digest() ==
            hashlib.sha256(big.read_bytes()).digest())
    device.good("http", "delete", FILES + "target.txt")
    said = device.tedge("http", "get", FILES + "target.txt")
    assert said.status == 1
    assert "HTTP client error: 404 Not Found\n" in said.err
    assert 'File not found: "target.txt"' in said.err


@pytest.mark.parametrize("path", [
    "../secret", "x/../../secret", "%2e%2e/secret", "/etc/passwd",
    "..%2f..%2fetc/tedge.toml", ".uploads/0"])
def test_nobody_gets_out(device, path):
    (device.folder / "data" / "secret").write_text("secret")
    status, text = device.curl(FILES + path)
    assert status == 404 and text.startswith("Invalid file path: ")
    status, _ = device.curl(FILES + path, "-X", "PUT", "-d", "bad")
    assert status == 404
    assert (device.folder / "data" / "secret").read_text() == "secret"


def test_what_is_too_large_is_refused_and_leaves_nothing(tmp_path):
    d = Device(tmp_path / "edge", {"http.max_file_size": 100_000})
    try:
        d.start()
        big = tmp_path / "big"
        big.write_bytes(b"x" * 100_001)
        assert d.curl(FILES + "x", "-T", str(big))[0] == 413
        big.write_bytes(b"x" * 100_000)
        assert d.curl(FILES + "x", "-T", str(big))[0] == 201
        assert os.listdir(d.folder / "data/file-transfer/.uploads") == []
    finally:
        d.stop()


def test_a_kill_leaves_the_old_file_whole(device, tmp_path):
    device.curl(FILES + "x", "-X", "PUT", "-d", "old")
    slow = subprocess.Popen(
        ["curl", "-sS", "-T", "-", device.url + FILES + "x"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    slow.stdin.write(b"new" * 100_000)
    slow.stdin.flush()
    folder = device.folder / "data/file-transfer/.uploads"
    until("it is being written", lambda: os.listdir(folder))
    device.stop(signal.SIGKILL)
    slow.stdin.close()
    slow.wait(LIMIT)
    device.start()
    assert device.curl(FILES + "x") == (200, "old")
    assert os.listdir(folder) == []


def test_the_old_path_is_there(device):
    assert device.curl("/tedge/file-transfer/c/x", "-X", "PUT", "-d",
                       "old")[0] == 201
    _, text = device.curl("/tedge/file-transfer/c/x", "-i")
    assert "Deprecation: true" in text and "\n\nold" in text
    assert device.curl(FILES + "c/x") == (200, "old")


def test_tls_on_the_same_port_and_certificates_of_clients(tmp_path):
    ca = certificate(tmp_path, "ca")
    server = certificate(tmp_path, "server", ca)
    good = certificate(tmp_path, "client", ca)
    bad = certificate(tmp_path, "stranger")
    d = Device(tmp_path / "edge", {
        "http.cert_path": str(server[0]), "http.key_path": str(server[1])})
    d.url = d.url.replace("http:", "https:")
    here = ("--cacert", str(ca[0]))
    curl = d.curl
    d.curl = lambda path, *more, **kw: curl(path, *here, *more, **kw)
    try:
        d.start()
        assert d.curl(FILES + "x", "-X", "PUT", "-d", "hello")[0] == 201
        assert d.curl(FILES + "x") == (200, "hello")
        # in clear: sent there
        clear = d.url.replace("https:", "http:")
        status, text = d.curl(FILES + "x?y=1", "-i", url=clear)
        assert status == 308
        assert "Location: %s%sx?y=1" % (d.url, FILES) in text
        d.set(c8y__root_cert_path=str(ca[0]))
        assert d.good("http", "get", FILES + "x").out == "hello"
        d.stop()
        # now everybody must show a certificate
        d.set(http__ca_path=str(ca[0]))
        here = (*here, "--cert", str(good[0]), "--key", str(good[1]))
        d.start()
        assert d.curl(FILES + "x") == (200, "hello")
        for who in ((), ("--cert", str(bad[0]), "--key", str(bad[1]))):
            done = subprocess.run(
                ["curl", "-sS", "--cacert", str(ca[0]), *who,
                 d.url + FILES + "x"], capture_output=True, timeout=LIMIT)
            assert done.returncode != 0 and done.stdout == b""
        assert d.tedge("http", "get", FILES + "x").status == 1
        d.set(http__client__auth__cert_file=str(good[0]),
              http__client__auth__key_file=str(good[1]))
        assert d.good("http", "get", FILES + "x").out == "hello"
    finally:
        d.stop()


def test_a_device_without_the_module_says_so_and_works(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = shutil.copy(EDGE, folder / "marram-edge")
    d = Device(tmp_path / "edge")
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [program, "--config-dir", str(d.config), "run"], stderr=log,
            stdout=log, cwd=d.folder, env=d.env)
    try:
        until("it listens", lambda: subprocess.run(
            ["mosquitto_pub", "-p", str(d.port), "-t", "x", "-m", "y"],
            stderr=subprocess.DEVNULL).returncode == 0)
        until("it says so", lambda: "there is no marram-edge-http.so" in
              (tmp_path / "log").read_text())
        bus = d.client("te/#")
        bus.wait("te/device/main/service/tedge-agent/status/health")
        bus.close()
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0


def test_nobody_is_lost_who_comes_while_it_is_loaded(tmp_path):
    d = Device(tmp_path / "edge")
    try:
        Device.__mro__[1].start(d)
        until("it listens", lambda: "HTTP on" in d.logged())
        assert not d.has_loaded("libmicrohttpd")
        port = d.settings["http.bind.port"]
        all_ = [socket.create_connection(("127.0.0.1", port), LIMIT)
                for _ in range(20)]
        for s in all_:
            s.sendall(b"GET /te/v1/health HTTP/1.1\r\nHost: x\r\n"
                      b"Connection: close\r\n\r\n")
        for s in all_:
            with s, s.makefile("rb") as f:
                assert f.read().endswith(b'\r\n\r\n{"status":"up"}')
        assert d.has_loaded("libmicrohttpd")
    finally:
        d.stop()


def test_a_bad_certificate_is_told_and_can_be_mended(tmp_path):
    cert, key = certificate(tmp_path, "server")
    good = cert.read_bytes()
    cert.write_text("nonsense")
    d = Device(tmp_path / "edge", {
        "http.cert_path": str(cert), "http.key_path": str(key)})
    d.url = d.url.replace("http:", "https:")
    try:
        Device.__mro__[1].start(d)
        until("it listens", lambda: "HTTPS on" in d.logged())
        assert d.curl("/te/v1/health", "-k")[0] == 0
        until("it says so", lambda: "no HTTP: the certificate of HTTPS: "
              in d.logged())
        cert.write_bytes(good)
        until("it answers", lambda: d.curl(
            "/te/v1/health", "--cacert", str(cert))[0] == 200)
    finally:
        d.stop()


def test_a_missing_certificate_is_told_at_start(tmp_path):
    _, key = certificate(tmp_path, "server")
    d = Device(tmp_path / "edge", {
        "http.cert_path": "/x/cert.pem", "http.key_path": str(key)})
    try:
        Device.__mro__[1].start(d)
        until("it says so", lambda: "no HTTP: load /x/cert.pem: No such file"
              in d.logged())
    finally:
        d.stop()


def test_settings_that_do_not_go_together_are_named(tmp_path):
    d = Device(tmp_path / "edge", {"http.cert_path": "/x/cert.pem"})
    try:
        Device.__mro__[1].start(d)
        until("it says so", lambda: "http.cert_path and http.key_path belong "
              "together" in d.logged())
    finally:
        d.stop()

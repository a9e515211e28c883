"""Keys in a PKCS#11 token (SoftHSM): used by the device itself, or by way of
tedge-p11-server, and `tedge hsm`."""
import os
import re
import socket
import stat
import subprocess
import threading

import pytest

from certificates import Authority, openssl
from cloud import Cloud
from conftest import LIMIT, until
from edge import EDGE, Edge
from edge_cert_test import NEW, cert_of, key_of, public, run

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "98431752"
URI = "pkcs11:token=marsh;object=device;type=private"


class Token:
    """A SoftHSM with one key."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "tokens").mkdir()
        conf = folder / "conf"
        conf.write_text("directories.tokendir = %s\nobjectstore.backend = "
                        "file\nlog.level = ERROR\n" % (folder / "tokens"))
        self.env = {"SOFTHSM2_CONF": str(conf)}
        self.fill()

    def fill(self):
        self.key = self.folder / "key.pem"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-out", self.key)
        self.util("--init-token", "--free", "--label", "marsh", "--so-pin",
                  "11112222", "--pin", PIN)
        self.util("--import", self.key, "--token", "marsh", "--label",
                  "device", "--id", "a1", "--pin", PIN)

    def util(self, *words):
        run("softhsm2-util", *words, env={**os.environ, **self.env})


class Server:
    """tedge-p11-server: it has the token, and the device only its socket."""

    def __init__(self, edge, token, *options):
        self.socket, self.said = edge.folder / "p11.sock", edge.folder / "p11"
        with open(self.said, "ab") as log:
            self.process = subprocess.Popen(
                [EDGE, "--config-dir", edge.folder / "none", "run",
                 "tedge-p11-server", "--socket-path", self.socket,
                 "--module-path", SOFTHSM, "--pin", PIN, *options],
                env={**edge.env, **token.env}, stderr=log)
        until("it listens", self.answers)

    def answers(self):
        assert self.process.poll() is None, self.said.read_text()
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.socket)) == 0

    def stop(self):
        self.process.terminate()
        assert self.process.wait(LIMIT) == 0


def device(folder, token, mode, **settings):
    """With the token, by its library or behind a socket."""
    more = {"device.cryptoki.mode": mode}
    if mode == "module":
        more.update({"device.cryptoki.module_path": SOFTHSM,
                     "device.cryptoki.pin": PIN})
    else:
        more["device.cryptoki.socket_path"] = str(folder / "p11.sock")
    edge = Edge(folder, {**more, **settings},
                env=token.env if mode == "module" else None)
    edge.token = token
    edge.server = Server(edge, token) if mode == "socket" else None
    return edge


@pytest.fixture(params=["module", "socket"])
def hsm(tmp_path, request):
    edge = device(tmp_path / "edge", Token(tmp_path / "hsm"), request.param,
                  **{"device.key_uri": URI})
    yield edge
    edge.stop()
    if edge.server is not None:
        edge.server.stop()


def test_a_certificate_of_a_key_in_a_token(hsm):
    hsm.good("cert", "create", "--device-id", "hsm-1")
    assert not key_of(hsm).exists()
    assert public(cert_of(hsm)) == public(hsm.token.key, "pkey")
    run("openssl", "verify", "-CAfile", cert_of(hsm), cert_of(hsm))
    hsm.good("cert", "create-csr", "--device-id", "hsm-1")
    run("openssl", "req", "-noout", "-verify", "-in",
        hsm.config / "device-certs/tedge.csr")
    hsm.good("cert", "renew", "--ca", "self-signed")
    assert public(str(cert_of(hsm)) + NEW) == public(cert_of(hsm))
    hsm.good("cert", "remove")
    hsm.token.util("--show-slots")  # the key is still in it:
    hsm.good("cert", "create", "--device-id", "hsm-2")


def test_a_bridge_with_a_key_in_a_token(hsm, tmp_path):
    hsm.good("cert", "create", "--device-id", "hsm-1")
    authority = Authority(tmp_path / "ca")
    cloud = Cloud("c8y", authority, trusted=[cert_of(hsm)])
    try:
        hsm.set(c8y__url="localhost", c8y__mqtt="localhost:%d" % cloud.port,
                c8y__root_cert_path=str(authority.ca))
        hsm.start()
        said = hsm.good("connect", "c8y")
        assert "cryptoki: %s" % hsm.settings["device.cryptoki.mode"] in said.err
        local = hsm.client()
        local.say("tedge/measurements", '{"temperature": 21}')
        assert "21" in cloud.wait("measurement/measurements/create")[0]
        cloud.cut()
        local.say("tedge/measurements", '{"temperature": 22}')
        until("it has come, after a handshake more", lambda: any(
            '"value":22' in p for p in cloud.on(
                "measurement/measurements/create")))
        local.close()
    finally:
        hsm.stop()
        cloud.stop()


def test_a_token_that_can_not_be_opened(tmp_path):
    hsm = device(tmp_path / "edge", Token(tmp_path / "hsm"), "module",
                 **{"device.key_uri": URI})
    hsm.set(device__cryptoki__pin="13572468")
    said = hsm.tedge("cert", "create", "--device-id", "hsm-1")
    assert said.status == 1 and "PIN" in said.err, said
    assert "13572468" not in said.err and not cert_of(hsm).exists()
    hsm.set(device__cryptoki__pin=PIN, device__key_uri="pkcs11:token=other")
    assert hsm.tedge("cert", "create", "--device-id", "hsm-1").status == 1
    hsm.set(device__key_uri="")
    said = hsm.tedge("cert", "create", "--device-id", "hsm-1")
    assert said.status == 1 and "device.key_uri is not set" in said.err


def test_the_server_has_token_and_pin_alone(tmp_path):
    hsm = device(tmp_path / "edge", Token(tmp_path / "hsm"), "socket")
    path = hsm.server.socket
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        # Which key it is may be left to it.
        hsm.good("cert", "create", "--device-id", "hsm-1")
        assert public(cert_of(hsm)) == public(hsm.token.key, "pkey")
        # One of a name, no more than one server, and nobody holds it up.
        hsm.set(device__key_uri="pkcs11:token=marsh;object=other")
        hsm.good("cert", "remove")
        said = hsm.tedge("cert", "create", "--device-id", "hsm-1")
        assert said.status == 1, said
        second = subprocess.run(
            [EDGE, "run", "tedge-p11-server", "--socket-path", path],
            capture_output=True, text=True, env=hsm.env, timeout=LIMIT)
        assert second.returncode == 1 and "another tedge-p11-server runs" in (
            second.stderr)
        idle = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for s in idle:
            s.connect(str(path))
        assert "token=marsh" in hsm.good("hsm", "list-tokens").out
        for request in (b"", b"do\n", b"do fly\n", b"\xff\0\n" * 9,
                        b"do sign\nalgorithm ECDSA-SHA256\ndata !\n",
                        b"do sign\nalgorithm x\ndata YQ==\n",
                        b"do create-key\nlabel a\ntype des\nsize 1\n",
                        b"do list-keys\nuri http://x\n", b"x" * 70000):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(str(path))
                try:
                    s.sendall(request)
                    s.shutdown(socket.SHUT_WR)
                    answer = s.recv(1000)
                except (BrokenPipeError, ConnectionResetError):
                    answer = b""
                assert answer == b"" or answer.startswith(b"error "), (
                    request[:50], answer)
        for s in idle:
            s.close()
    finally:
        hsm.server.stop()
    assert not path.exists()
    assert PIN not in (hsm.folder / "p11").read_text()
    said = hsm.tedge("hsm", "list-keys")
    assert said.status == 1 and "ask the holder of the token" in said.err


def test_systemd_may_give_it_its_socket(tmp_path):
    token = Token(tmp_path / "hsm")
    edge = Edge(tmp_path / "edge", {
        "device.cryptoki.mode": "socket",
        "device.cryptoki.socket_path": str(tmp_path / "given")})
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "given"))
        s.listen()
        server = subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", EDGE,
             "run", "tedge-p11-server"], close_fds=False,
            preexec_fn=lambda: os.dup2(s.fileno(), 3),
            env={**edge.env, **token.env,
                 "TEDGE_DEVICE_CRYPTOKI_MODULE_PATH": SOFTHSM,
                 "TEDGE_DEVICE_CRYPTOKI_PIN": PIN})
        try:
            said = edge.good("hsm", "list-keys")
            assert "object=device" in said.out
        finally:
            server.terminate()
            assert server.wait(LIMIT) == 0
    assert (tmp_path / "given").exists()


# --- tedge hsm -------------------------------------------------------------------

class Empty(Token):
    """A SoftHSM in which nothing is initialized."""

    def fill(self):
        pass


@pytest.mark.parametrize("mode", ["module", "socket"])
def test_from_an_empty_token_to_a_certificate(tmp_path, mode):
    hsm = device(tmp_path / "edge", Empty(tmp_path / "hsm"), mode)
    out = tmp_path / "public"
    try:
        assert hsm.good("hsm", "list-tokens").out == ""
        said = hsm.good("hsm", "init", "--token-label", "mine", "--so-pin",
                        "11112222", "--pin", PIN)
        token = said.out.strip()
        assert re.fullmatch("pkcs11:.*token=mine", token), said
        assert hsm.good("hsm", "list-tokens").out == said.out
        # What is in it is not lost by a second one.
        said = hsm.tedge("hsm", "init", "--token-label", "mine")
        assert said.status == 1 and "mine" in said.err
        assert hsm.good("hsm", "list-keys").out == ""

        said = hsm.good("hsm", "create-key", "--outfile-pubkey", out)
        key = hsm.good("config", "get", "device.key_uri").out.strip()
        assert "object=tedge" in key and "token=mine" in key
        assert said.out.startswith("-----BEGIN PUBLIC KEY-----")
        assert out.read_text().strip() == said.out.strip()
        assert hsm.good("hsm", "list-keys").out.strip() == key
        hsm.settings["device.key_uri"] = key
        hsm.good("cert", "create", "--device-id", "hsm-1")
        assert public(cert_of(hsm)).strip() == said.out.strip()
        run("openssl", "verify", "-CAfile", cert_of(hsm), cert_of(hsm))
        # Once more: it is the same.
        again = hsm.good("hsm", "create-key")
        assert again.out == said.out and "is there already" in again.err
        # Another kind of key, for one cloud.
        objects = hsm.token.folder / "tokens"
        before = len(list(objects.rglob("*.object")))
        said = hsm.good("hsm", "create-key", "--type", "rsa", "--label", "r",
                        "--id", "a1b2", "c8y", token)
        assert "id=%A1%B2" in hsm.good("config", "get",
                                       "c8y.device.key_uri").out
        hsm.good("cert", "create-csr", "--device-id", "x", "c8y")
        run("openssl", "req", "-noout", "-verify", "-in",
            hsm.config / "device-certs/tedge.csr")
        assert hsm.good("hsm", "list-keys", "--id", "a1b2").out == (
            hsm.good("hsm", "list-keys", "--label", "r").out)
        assert len(hsm.good("hsm", "list-keys").out.splitlines()) == 2

        said = hsm.tedge("hsm", "delete-key", "--label", "r")
        assert said.status == 1 and "--force" in said.err
        assert hsm.tedge("hsm", "delete-key").status == 2
        said = hsm.tedge("hsm", "delete-key", "--force", token)
        assert said.status == 1 and "2 keys are meant" in said.err
        assert "object=r" in hsm.good("hsm", "delete-key", "--force",
                                      "--label", "r").out
        assert hsm.good("hsm", "list-keys").out.strip() == key
        assert len(list(objects.rglob("*.object"))) == before
    finally:
        if hsm.server is not None:
            hsm.server.stop()


def test_a_key_is_not_meant_by_half_an_id(tmp_path):
    hsm = device(tmp_path / "edge", Token(tmp_path / "hsm"), "module")
    for wrong in ["a", "zz", "a1 ", "a" * 130]:
        said = hsm.tedge("hsm", "delete-key", "--force", "--id", wrong)
        assert said.status == 1 and "hexadecimal digits" in said.err, wrong
    assert "object=device" in hsm.good("hsm", "list-keys").out
    said = hsm.tedge("hsm", "list-keys", "--id", "a")
    assert said.status == 1 and "hexadecimal digits" in said.err
    hsm.good("hsm", "delete-key", "--force", "--id", "a1")
    assert "object=device" not in hsm.good("hsm", "list-keys").out


def test_who_speaks_slowly_holds_nobody_up(tmp_path):
    """A byte now and then, for as long as it likes."""
    hsm = device(tmp_path / "edge", Token(tmp_path / "hsm"), "socket")
    over = threading.Event()

    def drip():
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(hsm.server.socket))
            began.set()
            while not over.wait(0.5):
                try:
                    slow.send(b"d")
                except OSError:
                    return
    began = threading.Event()
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert began.wait(LIMIT)
        assert "object=device" in hsm.good("hsm", "list-keys").out
    finally:
        over.set()
        thread.join()
        hsm.server.stop()


def test_the_pin_of_a_token(tmp_path):
    hsm = device(tmp_path / "edge", Token(tmp_path / "hsm"), "module")
    said = hsm.tedge("hsm", "change-pin", "--new-pin", "445566")
    assert said.status == 0 and "device.cryptoki.pin" in said.err
    assert hsm.tedge("hsm", "list-keys").status == 1
    hsm.set(device__cryptoki__pin="445566")
    assert "object=device" in hsm.good("hsm", "list-keys").out
    said = hsm.tedge("hsm", "change-pin", "--new-pin", "1", "--reset")
    assert said.status == 2 and "--so-pin" in said.err
    said = hsm.tedge("hsm", "change-pin", "--new-pin", "778899", "--reset",
                     "--so-pin", "99998888")
    assert said.status == 1 and "99998888" not in said.err
    hsm.good("hsm", "change-pin", "--reset",
             env={"HSM_NEW_PIN": "778899", "HSM_SO_PIN": "11112222"})
    hsm.set(device__cryptoki__pin="778899")
    assert "object=device" in hsm.good("hsm", "list-keys").out


def test_wrong_calls(tmp_path):
    edge = Edge(tmp_path)
    said = edge.tedge("hsm", "list-keys")
    assert said.status == 1 and "device.cryptoki.mode is off" in said.err
    assert edge.tedge("hsm", "create-key", "--type", "des").status == 2
    edge.set(device__cryptoki__mode="module",
             device__cryptoki__module_path="/nil/none.so")
    said = edge.tedge("hsm", "list-keys")
    assert said.status == 1 and "/nil/none.so" in said.err

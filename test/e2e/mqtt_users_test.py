"""`marram serve --only mqtt`: users and rights from files, and what is kept."""
import json
import os
import pty
import re
import signal
import subprocess

import paho.mqtt.client as mqtt
import pytest

from conftest import LIMIT, PROGRAM, until


def passwd(*words, password=None):
    return subprocess.run([PROGRAM, "mqtt", "passwd", *map(str, words)],
                          input=password, capture_output=True, text=True,
                          timeout=LIMIT)


class Person:
    """An MQTT client; `code` is the answer to its CONNECT."""

    def __init__(self, server, user=None, password=None, client_id="",
                 clean=True):
        self.code = None
        self.heard, self.granted, self.lost = [], [], []
        self.present = False
        self.client = mqtt.Client(client_id=client_id, clean_session=clean)
        if user is not None:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self.on_connect
        self.client.on_message = lambda _c, _d, m: self.heard.append(
            (m.topic, m.payload.decode()))
        self.client.on_subscribe = lambda _c, _d, _mid, granted: \
            self.granted.extend(granted)
        self.client.on_disconnect = lambda _c, _d, code: \
            self.lost.append(code)
        self.client.connect("127.0.0.1", server.mqtt_port)
        self.client.loop_start()
        until("an answer", lambda: self.code is not None)

    def on_connect(self, client, _data, flags, code):
        self.code = code
        self.present = bool(flags["session present"])
        if code != 0:
            client.disconnect()

    def subscribe(self, topic):
        """True when it was granted."""
        n = len(self.granted)
        self.client.subscribe(topic, 1)
        until("a SUBACK", lambda: len(self.granted) > n)
        return self.granted[-1] < 128

    def publish(self, topic, payload="m", **more):
        sent = self.client.publish(topic, payload, qos=1, **more)
        sent.wait_for_publish(LIMIT)
        assert sent.is_published()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def sign_in(server, *args, **more):
    person = Person(server, *args, **more)
    person.close()
    return person.code


@pytest.fixture
def files(tmp_path):
    class Files:
        passwords, acl = tmp_path / "passwords", tmp_path / "acl"
        flags = ["--mqtt.passwordFile", str(passwords), "--mqtt.aclFile",
                 str(acl)]
    for user in ("alice", "bob"):
        assert passwd(Files.passwords, user, "--iterations", 100,
                      password=user + "'s\n").returncode == 0
    Files.acl.write_text("topic read open/#\n"
                         "user alice\n"
                         "topic home/#\n"
                         "topic read $SYS/#\n"
                         "user bob\n"
                         "topic read home/kitchen\n"
                         "pattern dev/%u/%c/#\n")
    return Files


# --- the command --------------------------------------------------------------

def test_passwd_writes_what_mosquitto_reads_and_back(tmp_path, start):
    file = tmp_path / "p"
    assert passwd(file, "ours", password="secret\n").returncode == 0
    assert os.stat(file).st_mode & 0o777 == 0o600
    subprocess.run(["mosquitto_passwd", "-b", file, "theirs", "secret"],
                   check=True)
    subprocess.run(["mosquitto_passwd", "-H", "sha512", "-b", file, "old",
                    "secret"], check=True)
    server = start("--mqtt.passwordFile", str(file), only=True)
    for user in ("ours", "theirs", "old"):
        assert sign_in(server, user, "secret") == 0
        assert sign_in(server, user, "Secret") == 4


def test_passwd_takes_a_user_away(tmp_path):
    file = tmp_path / "p"
    file.write_text("# people\na:1\nb:2\n")
    assert passwd(file, "a", "--delete").returncode == 0
    assert file.read_text() == "# people\nb:2\n"
    done = passwd(file, "a", "--delete")
    assert done.returncode == 1 and 'has no user "a"' in done.stderr


@pytest.mark.parametrize("words,password,status,said", [
    (["f", "a:b"], "x", 1, "can not be a user name"),
    (["f", "a"], "", 1, "the password is empty"),
    (["f", "a"], "x" * 70000, 1, "the password is too long"),
    (["f"], "", 2, "a file and a user must be named"),
    (["f", "a", "--iterations", "0"], "", 2, "--iterations"),
    (["f", "a", "--bad"], "", 2, "there is no such option"),
    (["/no/such/folder/f", "a"], "x", 1, "create /no/such/folder/f"),
])
def test_passwd_says_what_is_wrong(tmp_path, words, password, status, said):
    done = subprocess.run([PROGRAM, "mqtt", "passwd", *words], cwd=tmp_path,
                          input=password, capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.returncode == status and said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("second,status", [("secret", 0), ("sekret", 1)])
def test_on_a_terminal_passwd_asks_twice_without_echo(tmp_path, second,
                                                      status):
    here, there = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "mqtt", "passwd", str(tmp_path / "p"), "a"], stdin=there,
        stdout=there, stderr=there, start_new_session=True)
    os.close(there)
    seen = ""
    for prompt, answer in (("Password: ", "secret"), ("Once more: ", second)):
        while prompt not in seen:
            seen += os.read(here, 100).decode()
        os.write(here, (answer + "\n").encode())
    try:
        while True:
            more = os.read(here, 100).decode()
            if not more:
                break
            seen += more
    except OSError:
        pass  # the terminal's other side was closed
    assert process.wait(LIMIT) == status
    os.close(here)
    assert "secret" not in seen and "sekret" not in seen
    assert (tmp_path / "p").exists() == (status == 0)


# --- rights -------------------------------------------------------------------

def test_only_users_with_the_right_password_come_in(start, files):
    server = start(*files.flags, only=True)
    assert sign_in(server, "alice", "alice's") == 0
    assert sign_in(server, "alice", "bob's") == 4
    assert sign_in(server, "alice", "") == 4
    assert sign_in(server, "carol", "alice's") == 4
    assert sign_in(server) == 5


def test_each_does_what_its_lines_allow(start, files):
    server = start(*files.flags, "--mqtt.allow-anonymous", only=True)
    alice = Person(server, "alice", "alice's", client_id="a")
    bob = Person(server, "bob", "bob's", client_id="b")
    nobody = Person(server)
    assert alice.subscribe("home/#") and not alice.subscribe("#")
    assert alice.subscribe("dev/alice/a/x")
    assert not alice.subscribe("dev/alice/b/x")
    assert bob.subscribe("home/kitchen") and not bob.subscribe("home/+")
    assert bob.subscribe("$share/g/home/kitchen")
    assert not bob.subscribe("$share/g/home/bath")
    assert nobody.subscribe("open/x") and not nobody.subscribe("home/kitchen")

    bob.publish("home/kitchen", "not allowed")
    nobody.publish("open/x", "not allowed")
    alice.publish("home/kitchen", "tea")
    bob.publish("dev/bob/b/1")
    until("the tea", lambda: ("home/kitchen", "tea") in bob.heard)
    assert {payload for _, payload in alice.heard + bob.heard +
            nobody.heard} == {"tea"}
    for person in (alice, bob, nobody):
        person.close()


def test_sys_is_for_those_who_may_read_it(start, files):
    server = start(*files.flags, "--mqtt.sys-interval", "50ms", only=True)
    alice = Person(server, "alice", "alice's")
    bob = Person(server, "bob", "bob's")
    assert alice.subscribe("$SYS/broker/#")
    assert not bob.subscribe("$SYS/broker/#")
    until("the number of clients", lambda:
          ("$SYS/broker/clients/connected", "2") in alice.heard)
    topics = {topic for topic, _ in alice.heard}
    assert {"$SYS/broker/version", "$SYS/broker/uptime",
            "$SYS/broker/counters/mqtt/auth_failures"} <= topics
    alice.close()
    bob.close()


def test_without_an_acl_file_everything_is_allowed(start, files):
    server = start(*files.flags[:2], only=True)
    alice = Person(server, "alice", "alice's")
    assert alice.subscribe("#")
    alice.publish("any/thing", "x")
    until("it", lambda: alice.heard == [("any/thing", "x")])
    alice.close()


# --- reading them again -------------------------------------------------------

def reload(server, times):
    server.process.send_signal(signal.SIGHUP)
    until("the reload", lambda: server.logged().count("were read again") ==
          times)


def test_sighup_ends_the_sessions_of_those_whose_lines_changed(start, files):
    server = start(*files.flags, only=True)
    alice = Person(server, "alice", "alice's", client_id="a")
    bob = Person(server, "bob", "bob's", client_id="b")
    reload(server, 1)  # nothing has changed
    assert bob.subscribe("home/kitchen")
    alice.publish("home/kitchen", "1")

    assert passwd(files.passwords, "bob",
                  password="new\n").returncode == 0
    assert passwd(files.passwords, "carol",
                  password="carol's\n").returncode == 0
    reload(server, 2)
    until("bob's end", lambda: bob.lost)
    assert sign_in(server, "bob", "bob's") == 4
    assert sign_in(server, "bob", "new") == 0
    assert sign_in(server, "carol", "carol's") == 0

    files.acl.write_text("user alice\ntopic read home/#\nuser bob\n"
                         "topic home/#\n")
    reload(server, 3)
    until("alice's end", lambda: alice.lost)
    bob.close()
    alice.close()
    bob = Person(server, "bob", "new")
    assert bob.subscribe("home/bath")
    bob.close()


def test_sighup_with_a_bad_file_changes_nothing(start, files):
    server = start(*files.flags, only=True)
    alice = Person(server, "alice", "alice's")
    files.acl.write_text("user alice\ntopic a\ntpoic b\n")
    server.process.send_signal(signal.SIGHUP)
    until("a complaint", lambda: "tpoic" in server.logged())
    said = [json.loads(line)["msg"] for line in
            server.logged().splitlines() if "tpoic" in line][0]
    assert said == ('mqtt.aclFile: %s: line 3: "tpoic" must be user, topic '
                    "or pattern; what was read before stays in use" %
                    files.acl)
    assert alice.subscribe("home/#") and alice.lost == []
    assert sign_in(server, "bob", "bob's") == 0
    alice.close()


def test_the_nameless_get_new_rights_at_once(start, files):
    server = start(*files.flags, "--mqtt.allow-anonymous", only=True)
    nobody = Person(server)
    assert not nobody.subscribe("news/#")
    files.acl.write_text("topic read news/#\n")
    reload(server, 1)
    until("the right", lambda: nobody.subscribe("news/#"))
    nobody.close()


# --- starting -----------------------------------------------------------------

def run(tmp_path, *options):
    return subprocess.run(
        [PROGRAM, "serve", "--data-dir", str(tmp_path / "d"), "--mqtt-port",
         "0", *options], capture_output=True, text=True, timeout=LIMIT)


def test_bad_files_end_the_start_with_file_and_line(tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("a:b\n")
    done = run(tmp_path, "--only", "mqtt", "--mqtt.passwordFile", str(bad))
    assert done.returncode == 1
    assert "mqtt.passwordFile: %s: line 1: the password must be hashed" \
        % bad in done.stderr
    done = run(tmp_path, "--only", "mqtt", "--mqtt.aclFile", str(bad))
    assert done.returncode == 1
    assert 'mqtt.aclFile: %s: line 1: "a:b"' % bad in done.stderr
    done = run(tmp_path, "--only", "mqtt", "--mqtt.aclFile", "/no/file")
    assert done.returncode == 1 and "open /no/file" in done.stderr


@pytest.mark.parametrize("words", [["--only", "http"], ["--only=x"],
                                   ["--only"]])
def test_only_mqtt_can_be_started_alone(tmp_path, words):
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert "--only: what can be started alone is mqtt" in done.stderr


def test_alone_there_is_neither_http_nor_database(start):
    server = start("--mqtt.allow-anonymous", only=True)
    assert re.match(r"ready: mqtt://localhost:\d+ data \S+\n$", server.said)
    assert sorted(p.name for p in (server.folder / "data").iterdir()) == [
        "lock", "mqtt"]
    assert server.stop() == 0


def test_a_server_that_nobody_can_use_says_so(start):
    assert "nobody can sign in" in start(only=True).logged()
    assert "nobody can sign in" not in start("--mqtt.allow-anonymous",
                                             only=True).logged()


def test_the_platform_has_users_of_its_own(start, files):
    server = start(*files.flags)
    assert "mqtt.passwordFile and mqtt.aclFile have no effect" in \
        server.logged()
    assert sign_in(server, "alice", "alice's") == 4


# --- what is kept -------------------------------------------------------------

@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_persistent_session_survives_kill(start, files, durability):
    server = start(*files.flags, "--mqtt.durability", durability, only=True)
    bob = Person(server, "bob", "bob's", client_id="b", clean=False)
    assert bob.subscribe("home/kitchen")
    bob.close()
    alice = Person(server, "alice", "alice's", client_id="a")
    for n in range(20):
        alice.publish("home/kitchen", str(n))
    alice.publish("home/bath", "wet", retain=True)
    alice.close()
    server.restart(signal.SIGKILL)

    bob = Person(server, "bob", "bob's", client_id="b", clean=False)
    assert bob.present
    until("all messages", lambda: len(bob.heard) >= 20)
    assert bob.heard == [("home/kitchen", str(n)) for n in range(20)]
    # alice's client of that name is another one
    alice = Person(server, "alice", "alice's", client_id="b", clean=False)
    assert not alice.present and bob.lost == []
    assert alice.subscribe("home/bath")
    until("what was retained", lambda: alice.heard == [("home/bath", "wet")])
    alice.close()
    bob.close()


def test_without_durability_nothing_is_kept(start, files):
    server = start(*files.flags, "--mqtt.durability", "none", only=True)
    bob = Person(server, "bob", "bob's", client_id="b", clean=False)
    bob.close()
    assert not (server.folder / "data" / "mqtt").exists()
    server.restart(signal.SIGKILL)
    bob = Person(server, "bob", "bob's", client_id="b", clean=False)
    assert not bob.present
    bob.close()

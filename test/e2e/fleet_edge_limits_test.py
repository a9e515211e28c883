"""marram-edge in a fleet, where the platform or the machine is not as it should be: with
a double of the platform that says what no real one would."""
import base64
import contextlib
import socket
import threading
import time
import uuid

import pytest

from conftest import LIMIT, until
from fleet_edge_test import (current, devices, joined, nixos, order,  # noqa: F401
                             platform, system, up)
from fleet_edge_test import fleet as real  # noqa: F401

MIB = 1 << 20


def answer(platform, limit=LIMIT):
    """It has done what was said before: messages are taken one by one."""
    number = str(uuid.uuid4())
    platform.say(kind="initiate_connection", connection_id=number, target_ip="10.1.2.3",
                 target_port=9, protocol="tcp")
    until("an answer", lambda: any(m.get("connection_id") == number
                                   for m in list(platform.heard)), limit)


def test_a_name_that_is_none_is_not_taken(devices, platform):
    d = devices("a")
    joined(d, platform)
    path = d.root / "etc/hostname"
    platform.say(kind="update_hostname", hostname="pump-7")
    until("its name", lambda: path.read_text() == "pump-7\n")
    for name in ("", "x" * 64, "two words", "a.b", "a\nb", "../x", "ä"):
        platform.say(kind="update_hostname", hostname=name)
        answer(platform)
        assert path.read_text() == "pump-7\n", name
    platform.say(kind="update_hostname", hostname="y" * 63)
    until("the longest", lambda: path.read_text() == "y" * 63 + "\n")


def test_one_change_at_a_time(devices, platform):
    d = devices("a")
    log, paths = nixos(d)
    joined(d, platform)
    slow = system(d, "slow", more="while [ ! -e %s ]; do sleep 0.05; done" % (d.folder / "go"))
    order(platform, slow, "t1")
    until("it has begun", lambda: "switch slow" in log.read_text())
    order(platform, paths[1], "t2")
    refused = platform.wait("switch_to_new_config_result")
    assert refused["task_id"] == "t2" and "another change is under way" in refused["stderr"]
    assert not refused["switch_success"] and "switch two" not in log.read_text()
    # A platform that was started anew orders the same again.
    order(platform, slow, "t3")
    answer(platform)
    (d.folder / "go").touch()
    done = platform.wait("switch_to_new_config_result", 2)
    assert done["task_id"] == "t3" and done["switch_success"] and current(d) == "slow"
    assert log.read_text().count("switch slow") == 1


@pytest.mark.parametrize("said", ["Activation script failed", "Failed to run activate script"])
def test_what_was_not_activated_goes_back(devices, platform, said):
    """Though it says that it was about to."""
    d = devices("a")
    nixos(d)
    joined(d, platform)
    order(platform, system(d, "half", last="echo '%s' >&2; exit 2" % said))
    result = platform.wait("switch_to_new_config_result")
    assert not result["is_activated"] and said in result["stderr"]
    until("it goes back", lambda: current(d) == "one")
    assert platform.count == 1  # there was nothing to test


@pytest.mark.parametrize("end", [".new", ".old"])
def test_what_it_is_is_found_in_the_other_files_too(devices, platform, end):
    """A machine that lost its power while it wrote has only those."""
    d = devices("a")
    nixos(d)
    path = d.root / "boot/thymis-metadata.json"
    path.rename(path.with_name(path.name + end))
    assert joined(d, platform)["deployed_config_id"] == "hall"


def test_the_key_of_an_image_is_let_in_once(devices, platform):
    d = devices("a")
    d.authorized.write_text("ssh-ed25519 AAAA mine")  # without an end of its line
    (d.root / "boot/thymis-token.txt").write_text("t" * 40)
    (d.root / "boot/thymis-controller-ssh-pubkey.txt").write_text("ssh-ed25519 BBBB platform\n")
    joined(d, platform)
    want = "ssh-ed25519 AAAA mine\nssh-ed25519 BBBB platform\n"
    assert d.authorized.read_text() == want
    d.edge.restart()
    platform.wait("start", 2)
    assert d.authorized.read_text() == want


def test_who_is_not_let_in_waits_longer_each_time(devices):
    d = devices("a")
    times = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        def shut():
            while True:
                try:
                    s, _ = door.accept()
                except OSError:
                    return
                times.append(time.monotonic())
                s.close()
        threading.Thread(target=shut, daemon=True).start()

        class Nobody:
            url = "http://127.0.0.1:%d" % door.getsockname()[1]

            @staticmethod
            def wait(_):
                return until("four tries", lambda: len(times) >= 4)
        joined(d, Nobody)
        waits = [b - a for a, b in zip(times, times[1:])]
        # 1 s, 2 s, 4 s; this machine may be late to see one
        assert waits[1] > 1.5 and waits[2] > 3, waits
        door.shutdown(socket.SHUT_RDWR)


def test_a_token_that_was_revoked_is_told_on_the_device(real, devices):
    d = devices("a")
    d.enroll(real.server.url, "--token", real.first["token"])
    d.edge.start()
    up(real, d)
    real.call("PATCH", "agent-token/" + real.first["id"], {"revoked": True}, 204)
    until("it is told", lambda: "does not take the token; enrol anew" in d.edge.logged())


# --- tunnels -----------------------------------------------------------------

class Target:
    """What a tunnel leads to; it reads when it is told."""

    def __init__(self):
        self.door = socket.socket()
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.door.bind(("127.0.0.1", 0))
        self.door.listen()
        self.port = self.door.getsockname()[1]

    def accept(self):
        self.door.settimeout(LIMIT)
        self.socket, _ = self.door.accept()
        return self.socket

    def rest(self):
        self.socket.settimeout(LIMIT)
        got = 0
        while data := self.socket.recv(65536):
            got += len(data)
        return got


def tunnel(d, platform, target, n=1):
    number = str(uuid.uuid4())
    platform.say(kind="initiate_connection", connection_id=number, target_ip="localhost",
                 target_port=target.port, protocol="tcp")
    target.accept()
    platform.wait("initiate_connection_ok", n)
    return number


def send(platform, number, chunks):
    data = base64.b64encode(b"x" * 32768).decode()
    for _ in range(chunks):
        platform.say(kind="tcp_data", connection_id=number, data_base64=data)


def beside(target):
    """In a thread; gives the list that is not empty when it has ended."""
    ended = []
    threading.Thread(target=lambda: ended.append(target()), daemon=True).start()
    return ended


def test_who_does_not_read_holds_up_the_platform(devices, platform):
    """And no more is kept for it than a little; nothing of it is lost, its end neither."""
    target = Target()
    d = devices("a", **{"fleet.tunnels": ["localhost:%d" % target.port]})
    joined(d, platform)
    number = tunnel(d, platform, target)
    chunks = 64 * MIB // 32768

    def all_of_it():
        send(platform, number, chunks)
        platform.say(kind="connection_close", connection_id=number)
        return True
    before, ended = d.edge.peak(), beside(all_of_it)
    begun = time.monotonic() + 3
    until("it would have taken it", lambda: ended or time.monotonic() > begun)
    assert not ended
    assert d.edge.peak() - before < 8 * MIB
    assert target.rest() == chunks * 32768
    until("all was sent", lambda: ended)


def test_the_end_comes_behind_what_was_sent(devices, platform):
    target, chunks = Target(), 0
    d = devices("a", **{"fleet.tunnels": ["localhost:%d" % target.port]})
    joined(d, platform)
    # how much the system keeps for one that does not read, and the agent behind it
    number = tunnel(d, platform, target)
    with contextlib.suppress(AssertionError):
        while True:
            send(platform, number, 1)
            chunks += 1
            answer(platform, 4)
    platform.say(kind="connection_close", connection_id=number)
    assert target.rest() == chunks * 32768
    # now the agent has some of it yet when the end comes
    chunks = max(chunks - 8, 1)
    number = tunnel(d, platform, target, 2)
    send(platform, number, chunks)
    platform.say(kind="connection_close", connection_id=number)
    answer(platform)
    assert target.rest() == chunks * 32768


def test_a_platform_that_does_not_read_holds_up_the_tunnel(devices, platform):
    target = Target()
    d = devices("a", **{"fleet.tunnels": ["localhost:%d" % target.port]})
    joined(d, platform)
    tunnel(d, platform, target)
    platform.reads.clear()
    before = d.edge.peak()
    ended = beside(lambda: target.socket.sendall(b"x" * 64 * MIB))
    begun = time.monotonic() + 3
    until("it would have taken it", lambda: ended or time.monotonic() > begun)
    assert not ended
    assert d.edge.peak() - before < 8 * MIB
    platform.reads.set()
    until("all was taken", lambda: ended)

"""What is on disk: over crashes, a full disk, and a damaged journal.

    MQTTD=build/test/conformance/mqttd python3 -m pytest durable_test.py
"""
import random
import shutil
import signal

import pytest

from durable import (LIMIT, Publisher, Server, Subscriber, check, crash_rounds,
                     wait_until)


@pytest.fixture(autouse=True)
def ended():
    yield
    for server in Server.running:
        server.stop()
    Server.running.clear()


@pytest.mark.parametrize("durability,threads", [("disk", 2), ("os", 1)])
def test_a_few_crashes_lose_nothing(tmp_path, durability, threads):
    n = crash_rounds(tmp_path / "j", 12, random.Random(7), durability,
                     threads)
    assert n > 200


def test_a_full_disk_stops_answers_and_is_told_and_old_data_is_safe(tmp_path):
    server = Server(tmp_path / "j")
    assert server.start()
    sub = Subscriber(server, "sub", "t/#", 1)
    assert sub.subscribed.wait(LIMIT)
    sub.stop()
    pub = Publisher(server, "pub", "t/0", 1)
    wait_until(lambda: len(pub.acked) > 100)
    server.limit_files(4096)  # the journal has more, what it says has less
    wait_until(lambda: "mqttd: " in server.said())
    assert "j" in server.said()
    before = len(pub.acked)
    # nothing is acknowledged until there is room again
    other = Subscriber(server, "other", "u", 0)
    other.up.wait(0.3)
    assert len(pub.acked) <= before + 10
    server.limit_files(1 << 40)
    wait_until(lambda: len(pub.acked) > before + 100)
    wait_until(lambda: "all is well" in server.said())
    pub.stop()
    other.stop()
    server.kill()
    assert server.start()
    sub = Subscriber(server, "sub", "t/#", 1)
    wait_until(lambda: set(pub.acked) <= set(sub.got.get("t/0", [])))
    sub.stop()
    check([pub], sub)
    server.stop()


def journal_with_messages(tmp_path):
    server = Server(tmp_path / "j", "--threads", 2)
    assert server.start()
    sub = Subscriber(server, "sub", "t/#", 1)
    assert sub.subscribed.wait(LIMIT)
    sub.stop()
    pub = Publisher(server, "pub", "t/0", 1)
    wait_until(lambda: len(pub.acked) > 300)
    server.kill()
    pub.stop()
    return server, pub


def what_is_left(server):
    sub = Subscriber(server, "sub", "t/#", 1)
    end = Publisher(server, "end", "t/end", 1)
    wait_until(lambda: len(end.acked) > 3)
    wait_until(lambda: len(sub.got.get("t/end", [])) > 3)
    end.stop()
    sub.stop()
    return sub.got.get("t/0", [])


def test_a_truncated_journal_gives_a_prefix(tmp_path):
    server, _ = journal_with_messages(tmp_path)
    rng = random.Random(3)
    shutil.copytree(tmp_path / "j", tmp_path / "whole")
    for i in range(6):
        shutil.rmtree(tmp_path / "j")
        shutil.copytree(tmp_path / "whole", tmp_path / "j")
        log = sorted((tmp_path / "j").glob("*.log"))[-1]
        size = log.stat().st_size
        with open(log, "r+b") as f:
            f.truncate(size - rng.randrange(1, size // 2))
        server.port = 0
        assert server.start(), server.said()
        got = what_is_left(server)
        assert got == list(range(len(got)))
        server.stop()


def test_a_flipped_bit_is_never_believed(tmp_path):
    server, pub = journal_with_messages(tmp_path)
    rng = random.Random(5)
    shutil.copytree(tmp_path / "j", tmp_path / "whole")
    refused = 0
    for i in range(8):
        shutil.rmtree(tmp_path / "j")
        shutil.copytree(tmp_path / "whole", tmp_path / "j")
        log = sorted((tmp_path / "j").glob("*.log"))[-1]
        data = bytearray(log.read_bytes())
        data[rng.randrange(200, len(data))] ^= 1 << rng.randrange(8)
        log.write_bytes(data)
        server.port = 0
        if not server.start():
            assert log.name in server.said()
            refused += 1
            server.p.wait()
            server.args += ["--salvage", "1"]
            assert server.start(), server.said()
            server.args = server.args[:-2]
            assert list((tmp_path / "j").glob("*.bad"))
        got = what_is_left(server)
        assert got == list(range(len(got)))
        server.stop()
    assert refused > 0


def size_of(folder):
    return sum(f.stat().st_size for f in folder.glob("*.log"))


def test_the_journal_is_cleaned_and_what_counts_stays(tmp_path):
    server = Server(tmp_path / "j", "--queue", "q", durability="os")
    assert server.start()
    away = Subscriber(server, "away", "old/#", 2)
    shared = Subscriber(server, "member", "$share/g/shared", 1)
    reader = Subscriber(server, "reader", "new/#", 1)
    for s in away, shared, reader:
        assert s.subscribed.wait(LIMIT)
    away.stop()
    shared.stop()
    old = [Publisher(server, "old0", "old/0", 1),
           Publisher(server, "old1", "old/1", 2),
           Publisher(server, "old2", "q", 1),
           Publisher(server, "old3", "shared", 1)]
    # so many that most of them are packed
    wait_until(lambda: all(len(p.acked) > 1500 for p in old))
    for p in old:
        p.stop()
    # far more than is ever waiting goes through the journal
    busy = [Publisher(server, f"new{i}", f"new/{i}", 1, pad=20000)
            for i in range(4)]
    wait_until(lambda: sum(len(p.acked) for p in busy) > 6000)
    for p in busy:
        p.stop()
    written = 20000 * sum(len(p.acked) for p in busy)
    wait_until(lambda: size_of(tmp_path / "j") < written / 2)
    reader.stop()
    server.kill()
    assert server.start(), server.said()
    away = Subscriber(server, "away", "old/#", 2)
    shared = Subscriber(server, "member", "$share/g/shared", 1)
    queue = Subscriber(server, "taker", "q", 1)
    wait_until(lambda: set(old[0].acked) <= set(away.got.get("old/0", [])))
    wait_until(lambda: set(old[1].acked) <= set(away.got.get("old/1", [])))
    wait_until(lambda: set(old[3].acked) <= set(shared.got.get("shared", [])))
    wait_until(lambda: set(old[2].acked) <= set(queue.got.get("q", [])))
    for s in away, shared, queue:
        s.stop()
    check(old[:2], away)
    check([old[2]], queue)
    check([old[3]], shared)
    server.stop()

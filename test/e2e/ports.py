"""Ports for servers that must know theirs before they start, or that come back
on the one they had.

They lie outside of what the kernel gives to whoever asks for any: else another
test's connection takes one between two starts of its server. Each is kept by a
name that only one process of the machine can have, of these tests and of those
in test/browser, which do the same."""
import collections
import os
import pathlib
import random
import socket

COUNT = 12_000
KEPT = collections.deque(maxlen=300)  # more than one test ever has


def begin():
    low = int(pathlib.Path(
        "/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return low - COUNT if low > COUNT + 1024 else 20_000


FIRST = begin()
ANY = random.Random(os.urandom(8))  # not what a test's seed says


def free_port():
    while True:
        port = FIRST + ANY.randrange(COUNT)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind((b"\0marram-test-port-%d" % port).ljust(108, b"\0"))
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("", port))
        except OSError:
            name.close()
            continue
        KEPT.append(name)
        return port

#!/usr/bin/env python3
"""The device side: memory, start, size, and what a message costs from the local
bus through mapper and bridge to the cloud, which is a Mosquitto behind TLS. In the
same run Debian's Mosquitto as a bridge to it, for the same messages.

edge.py [--count N] [--long N] [--runs N] [--write]: --long are the messages of the
run after which memory is read again; --write puts the table into bench/README.md.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "test" / "e2e"))
PROGRAM = pathlib.Path(os.environ.get(
    "MARRAM_EDGE", root / "build" / "src" / "app" / "marram-edge"))
os.environ["MARRAM_EDGE"] = str(PROGRAM)
os.environ.setdefault("MARRAM", str(PROGRAM.with_name("marram")))
import uplink  # noqa: E402
from certificates import Authority  # noqa: E402
from edge import Edge, free_port  # noqa: E402

LOAD = root / "build" / "bench" / "edgeload"
MAPPED = "te/device/main///m/"
CREATED = "measurement/measurements/create"
WINDOW = 500
STARTS = 20


def memory(pid):
    """Private memory, and beside it RSS and PSS; MiB."""
    found = {}
    text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    for line in text.splitlines():
        words = line.split()
        if words[0].endswith(":"):
            found[words[0][:-1]] = int(words[1]) / 1024
    return (found["Private_Clean"] + found["Private_Dirty"], found["Rss"],
            found["Pss"])


def wait_for(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.001)
    sys.exit("nothing listens on port %d" % port)


class Mosquitto:
    def __init__(self, folder, *lines):
        folder.mkdir()
        self.port = free_port()
        conf = folder / "conf"
        conf.write_text("per_listener_settings true\nuser root\n"
                        "max_inflight_messages 0\nmax_queued_messages 0\n"
                        "listener %d 127.0.0.1\nallow_anonymous true\n%s\n"
                        % (self.port, "\n".join(lines)))
        self.process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(conf)],
            stderr=subprocess.DEVNULL)
        wait_for(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class World:
    """A cloud with a device, and with a Mosquitto that bridges."""

    def __init__(self, folder):
        folder.mkdir()
        authority = Authority(folder / "ca")
        cert, key = authority.sign("cloud")
        self.tls = free_port()
        self.cloud = Mosquitto(
            folder / "cloud", "listener %d 127.0.0.1" % self.tls,
            "allow_anonymous true", "cafile %s" % authority.ca,
            "certfile %s" % cert, "keyfile %s" % key,
            "require_certificate true")
        cert, key = authority.sign("peer")
        self.peer = Mosquitto(
            folder / "peer", "connection out", "address localhost:%d"
            % self.tls, "topic # out 1 c8y/ \"\"", "cleansession false",
            "bridge_cafile %s" % authority.ca, "bridge_certfile %s" % cert,
            "bridge_keyfile %s" % key, "try_private false",
            "notifications false")
        self.edge = Edge(folder / "edge", {
            "c8y.url": "localhost", "c8y.mqtt": "localhost:%d" % self.tls,
            "c8y.root_cert_path": str(authority.ca)})
        self.edge.certificate("dev1", authority)
        self.edge.good("connect", "c8y", "--offline")

    def load(self, port, topic, count):
        def run():
            out = subprocess.run(
                [str(LOAD), str(port), topic, str(self.cloud.port), CREATED,
                 str(count), str(WINDOW)], text=True, capture_output=True,
                check=True).stdout
            return json.loads(out)
        return run

    def through_mapper(self, count):
        return uplink.measure(self.edge.process.pid, self.load(
            self.edge.port, MAPPED, count))

    def over_bridge(self, count):
        return uplink.measure(self.edge.process.pid, self.load(
            self.edge.port, "c8y/" + CREATED, count))

    def over_mosquitto(self, count):
        return uplink.measure(self.peer.process.pid, self.load(
            self.peer.port, "c8y/" + CREATED, count))

    def stop(self):
        self.edge.stop()
        self.peer.stop()
        self.cloud.stop()


def ready_ms(world):
    """From exec to the first connection that is taken; median."""
    found = []
    for _ in range(STARTS):
        begin = time.monotonic()
        process = subprocess.Popen(
            [str(PROGRAM), "--config-dir", str(world.edge.config), "run"],
            stderr=subprocess.DEVNULL, env=world.edge.env)
        wait_for(world.edge.port)
        found.append((time.monotonic() - begin) * 1e3)
        process.terminate()
        process.wait()
    return statistics.median(found)


def settled(world):
    """Its memory, when nothing more happens at the start."""
    time.sleep(2)
    return memory(world.edge.process.pid)


def before_tls(folder):
    """All parts on, and the cloud away."""
    world = World(folder)
    try:
        world.cloud.stop()
        world.edge.start()
        return settled(world)
    finally:
        world.edge.stop()
        world.peer.stop()


def stripped_mb(folder):
    copy = folder / "stripped"
    subprocess.run(["strip", "-o", str(copy), str(PROGRAM)], check=True)
    return copy.stat().st_size / 1e6


def measure(args):
    found = {}
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        found["size"] = stripped_mb(folder)
        found["before"] = before_tls(folder / "before")
        world = World(folder / "world")
        try:
            found["ready"] = ready_ms(world)
            world.edge.start()
            found["bridge"] = settled(world)
            ways = {"marram-edge: mapper and bridge": world.through_mapper,
                    "marram-edge: bridge": world.over_bridge,
                    "Mosquitto: bridge": world.over_mosquitto}
            for name, way in ways.items():
                way(args.count // 10)  # warm
                found.setdefault("ways", {})[name] = []
            for _ in range(args.runs):
                for name, way in ways.items():
                    found["ways"][name].append(way(args.count))
            world.through_mapper(args.long)
            found["after"] = settled(world)
            found["peer"] = memory(world.peer.process.pid)
        finally:
            world.stop()
    return found


def table(found, args):
    def row(name, m, bar=""):
        return "| %s | %.1f | %.1f | %.1f | %s |\n" % (name, *m, bar)

    text = ("| MiB | private | RSS | PSS | bar |\n|---|---|---|---|---|\n"
            + row("broker, agent, c8y mapper and bridge, cloud away",
                  found["before"], "3")
            + row("the same, bridge up", found["bridge"], "6")
            + row("after %s messages more"
                  % format(args.long + args.count * args.runs * 2, ","),
                  found["after"], "6")
            + row("Mosquitto, which only bridges, after %s" % format(
                args.count * args.runs, ","), found["peer"])
            + "\nThe program, stripped: %.2f MB (bar 1.5). From its start until "
            "its broker takes connections: %.0f ms (bar 50, median of %d).\n\n"
            "| | messages/s | µs CPU per message |\n|---|---|---|\n"
            % (found["size"], found["ready"], STARTS))
    for name, runs in found["ways"].items():
        text += "| %s | %s | %.1f |\n" % (
            name, format(round(statistics.median(r["rate"] for r in runs)),
                         ","), statistics.median(r["cpu"] for r in runs))
    return text + ("\nQoS 1 all the way, TLS to the cloud, %s messages a run, %d "
                   "not yet there at a time; medians of %d runs in turn.\n"
                   % (format(args.count, ","), WINDOW, args.runs))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--count", type=int, default=100000)
    args.add_argument("--long", type=int, default=1000000)
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--write", action="store_true")
    args = args.parse_args()
    text = table(measure(args), args)
    print(text)
    if args.write:
        page = root / "bench" / "README.md"
        head, _, rest = page.read_text().partition("<!-- edge -->\n")
        tail = rest.partition("<!-- end -->")[2]
        page.write_text(head + "<!-- edge -->\n" + text + "<!-- end -->" + tail)


if __name__ == "__main__":
    main()

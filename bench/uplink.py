#!/usr/bin/env python3
"""Measures the whole way of an uplink, beside plain publish and subscribe
through Mosquitto in the same run.

uplink.py [--count N] [--pairs N] [--write]: the two take turns; --write puts
the table into bench/README.md.
"""
import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "test" / "e2e"))
os.environ.setdefault("MARRAM", str(root / "build" / "marram"))
from conftest import Server, Site  # noqa: E402

FLOOD = root / "build" / "bench" / "flood"
DEVICES = 1000
TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    stat = pathlib.Path("/proc/%d/stat" % pid).read_text()
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def flood(port, count, window, pub, sub):
    out = subprocess.run(
        [str(FLOOD), str(port), str(count), str(window), *pub, *sub,
         str(DEVICES)], text=True, capture_output=True, check=True).stdout
    return json.loads(out)


def measure(pid, run):
    before = cpu(pid)
    result = run()
    assert result["received"] == result["sent"], result
    used = cpu(pid) - before
    return {"rate": result["sent"] / result["seconds"],
            "cpu": used / result["sent"] * 1e6, "memory": memory(pid)}


class Marram:
    def __init__(self, folder, *options):
        folder.mkdir()
        self.server = Server(folder, "--log.level", "warn", *options)
        site = Site(self.server, self.server.login())
        for start in range(0, DEVICES, 1000):
            answer = site.call("POST", "device/bulk", {"data": {
                "unitId": site.unit, "networkId": site.net,
                "networkAddrs": ["%08x" % n for n in
                                 range(start, start + 1000)]}})
            assert answer.status == 204, answer.text
        site.add("network-route", {"networkId": site.net,
                                   "applicationId": site.app})
        self.pub = ("network.demo.test-net-mqtt", "password",
                    site.net_topic("uldata"))
        self.sub = ("application.demo.test-app-mqtt", "password",
                    site.app_topic("uldata"))

    def run(self, count, window):
        return measure(self.server.process.pid, lambda: flood(
            self.server.mqtt_port, count, window, self.pub, self.sub))

    def stop(self):
        self.server.stop()


class Mosquitto:
    def __init__(self, folder):
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        conf = folder / "conf"
        conf.write_text("listener %d 127.0.0.1\nallow_anonymous true\n"
                        "user root\nmax_inflight_messages 0\n"
                        "max_queued_messages 0\n" % self.port)
        self.process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(conf)],
            stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)

    def run(self, count, window):
        topic = "broker.network.demo.test-net-mqtt.uldata"
        return measure(self.process.pid, lambda: flood(
            self.port, count, window, ("u", "p", topic), ("u", "p", topic)))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def rows(pairs, count, window):
    found = {}
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        peers = {
            "marram: look-up, history on disk, application":
                Marram(folder / "sync"),
            "marram: the same, history not flushed":
                Marram(folder / "fast", "--data.db.sqlite.sync", "false"),
            "Mosquitto: publish, subscribe":
                Mosquitto(folder / "mosquitto"),
        }
        try:
            for peer in peers.values():
                peer.run(2000, window)  # warm: caches, pages
            for _ in range(pairs):
                for name, peer in peers.items():
                    found.setdefault(name, []).append(peer.run(count, window))
        finally:
            for peer in peers.values():
                peer.stop()
    return found


def table(found, count, window):
    text = ("QoS 1 on both sides, %d messages a run, %d unanswered at a time, "
            "%d devices, one publisher, one subscriber. Medians of %d runs in "
            "turn; CPU is the server's, user and system.\n\n"
            "| | messages/s | µs CPU per message | peak memory |\n"
            "|---|---|---|---|\n"
            % (count, window, DEVICES, len(next(iter(found.values())))))
    for name, runs in found.items():
        def middle(key, runs=runs):
            return statistics.median(r[key] for r in runs)
        text += "| %s | %s | %.1f | %.0f MiB |\n" % (
            name, format(round(middle("rate")), ","), middle("cpu"),
            middle("memory"))
    return text


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--count", type=int, default=50000)
    args.add_argument("--pairs", type=int, default=5)
    args.add_argument("--window", type=int, default=500)
    args.add_argument("--write", action="store_true")
    args = args.parse_args()
    text = table(rows(args.pairs, args.count, args.window), args.count,
                 args.window)
    print(text)
    if args.write:
        page = root / "bench" / "README.md"
        head, _, rest = page.read_text().partition("<!-- uplink -->\n")
        tail = rest.partition("<!-- end -->")[2]
        page.write_text(head + "<!-- uplink -->\n" + text + "<!-- end -->"
                        + tail)


if __name__ == "__main__":
    main()

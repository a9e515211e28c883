#!/usr/bin/env python3
"""Metric stores side by side: CPU per point in, bytes per point, a month's hours.

    bench/metric.py [--build DIR] [--days N] [--runs N] [--write]

100 series, a point a minute, values like a real sensor's (a slow wave, one
decimal, noise); once at regular times, once up to 20 s late. The same lines go
to Debian's InfluxDB 1.x and VictoriaMetrics over HTTP, 5,000 in a request, and
to the embedded engine (load/metricload) over a pipe: the parsing of the lines is
in all figures, HTTP is in the servers' only. CPU is user and system time of the
whole process, from /proc, with 15 s after the last point for the servers; the
embedded engine is closed instead, which packs everything. Size is all files
after that, indexes and hours included. What is left of the embedded engine's log
(less than 1 MiB, however many points there are) is told by itself.

Then the mean of each hour over all days is asked for, of one series and of all:
from the servers over HTTP with their JSON, from the embedded engine by a call.
CPU and time per query, the median of some.
"""
import argparse
import json
import math
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERIES, STEP, LINES = 100, 60, 5000
END = 1700006400 // 86400 * 86400
TICK = os.sysconf("SC_CLK_TCK")


def write_lines(path, days, late):
    rnd, points = random.Random(1), 0
    with open(path, "w") as f:
        for t in range(END - days * 86400, END, STEP):
            for s in range(SERIES):
                v = 20 + 5 * math.sin(t / 86400 * 6.283 + s)
                v += rnd.gauss(0, .15)
                at = t + (rnd.randrange(20) if late else 0)
                f.write(f"room,device=d{s:03d} temperature={v:.1f} {at}\n")
                points += 1
    return points


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def folder_size(folder):
    return sum(f.stat().st_size for f in Path(folder).rglob("*")
               if f.is_file())


class Server:
    """One that is spoken to over HTTP."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.p = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                self.get(self.health)
                break
            except OSError:
                time.sleep(0.02)
        self.prepare()

    def prepare(self):
        pass

    def get(self, path, **form):
        query = "?" + urllib.parse.urlencode(form) if form else ""
        with urllib.request.urlopen(self.url + path + query,
                                    timeout=60) as r:
            return r.read()

    def post(self, path, body):
        urllib.request.urlopen(
            urllib.request.Request(self.url + path, body),
            timeout=60).read()

    def cpu(self):
        stat = Path(f"/proc/{self.p.pid}/stat").read_text()
        f = stat.rsplit(") ", 1)[1].split()
        return (int(f[11]) + int(f[12])) / TICK

    def write(self, lines, points):
        begin = time.time()
        before = self.cpu()
        with open(lines, "rb") as f:
            batch = []
            for line in f:
                batch.append(line)
                if len(batch) == LINES:
                    self.post(self.write_path, b"".join(batch))
                    batch = []
            if batch:
                self.post(self.write_path, b"".join(batch))
        wall = time.time() - begin
        time.sleep(15)
        self.settle()
        return {"cpu": (self.cpu() - before) / points * 1e6,
                "rate": points / wall,
                "size": folder_size(self.folder) / points}

    def settle(self):
        pass

    def query(self, days, count):
        rounds = 20 if count == 1 else 5
        walls, before = [], self.cpu()
        for _ in range(rounds):
            begin = time.time()
            answer = self.ask(days, count)
            walls.append((time.time() - begin) * 1e3)
        n = self.windows(json.loads(answer))
        return {"cpu": (self.cpu() - before) / rounds * 1e3,
                "wall": statistics.median(walls), "windows": n}

    def stop(self):
        self.p.kill()
        self.p.wait()


class Influx(Server):
    name, health = "InfluxDB 1.6", "/ping"
    write_path = "/write?db=b&precision=s"

    def command(self):
        conf = self.folder / "conf"
        conf.write_text(
            f'reporting-disabled = true\nbind-address = '
            f'"127.0.0.1:{free_port()}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\n'
            f'wal-dir = "{self.folder}/wal"\nindex-version = "tsi1"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\n'
            'log-enabled = false\n[monitor]\nstore-enabled = false\n')
        return ["/usr/bin/influxd", "run", "-config", str(conf)]

    def prepare(self):
        self.post("/query", b"q=CREATE+DATABASE+b")

    def ask(self, days, count):
        one = " AND device='d000'" if count == 1 else ""
        return self.get(
            "/query", db="b", epoch="s",
            q=f"SELECT mean(temperature) FROM room WHERE time >= "
              f"{END - days * 86400}s AND time < {END}s{one} "
              "GROUP BY time(1h), device")

    @staticmethod
    def windows(answer):
        return sum(len(s["values"]) for s in answer["results"][0]["series"])


class Victoria(Server):
    name, health = "VictoriaMetrics", "/health"
    write_path = "/write?precision=s"

    def command(self):
        return ["/usr/bin/victoria-metrics",
                f"-storageDataPath={self.folder}/data",
                f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-memory.allowedPercent=10",
                "-search.latencyOffset=0s", "-loggerLevel=ERROR",
                "-search.disableCache"]

    def settle(self):
        self.get("/internal/force_flush")

    def ask(self, days, count):
        one = '{device="d000"}' if count == 1 else ""
        return self.get(
            "/api/v1/query_range", nocache="1", step="3600",
            query=f"avg_over_time(room_temperature{one}[1h])",
            start=str(END - days * 86400 + 3599), end=str(END - 1))

    @staticmethod
    def windows(answer):
        return sum(len(s["values"]) for s in answer["data"]["result"])


class Embedded:
    name = "marram, embedded"

    def __init__(self, build, folder):
        self.load, self.folder = build / "bench/metricload", folder

    def run(self, *args, stdin=None):
        done = subprocess.run(
            [self.load, *map(str, args)], stdin=stdin, check=True,
            capture_output=True, text=True, timeout=300)
        return json.loads(done.stdout)

    def write(self, lines, points):
        with open(lines, "rb") as f:
            r = self.run("write", self.folder, stdin=f)
        assert r["points"] == points
        log = folder_size(self.folder / "metric/log")
        return {"cpu": r["cpu"] / points * 1e6, "rate": points / r["wall"],
                "size": (folder_size(self.folder) - log) / points,
                "log": log / points}

    def query(self, days, count):
        r = self.run("query", self.folder, (END - days * 86400) * 1000,
                     END * 1000, 3600000, count, 20)
        return {"cpu": r["cpu"] * 1e3, "wall": r["wall"] * 1e3,
                "windows": r["windows"]}

    def stop(self):
        pass


def measure(make, lines, points, days):
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder))
        try:
            ret = {"in": store.write(lines, points)}
            for count in (1, SERIES):
                ret[count] = store.query(days, count)
                if ret[count]["windows"] != count * days * 24:
                    sys.exit(f"{store.name}: {ret[count]['windows']} windows")
            return store.name, ret
        finally:
            store.stop()


def lines_only(build, lines, points, runs):
    """What reading the lines and finding their series costs."""
    found = []
    for _ in range(runs):
        with open(lines, "rb") as f:
            done = subprocess.run(
                [build / "bench/metricload", "write", "/tmp"], stdin=f,
                check=True, capture_output=True, text=True, timeout=300,
                env={**os.environ, "ENGINE": "void"})
        found.append(json.loads(done.stdout))
    return (f"| marram, lines only (`void`) "
            f"| {statistics.median(r['cpu'] for r in found) / points * 1e6:.2f}"
            f" | {points / statistics.median(r['wall'] for r in found) / 1e6:.2f}"
            " | | | | | |")


def row(name, runs):
    def mid(part, key):
        return statistics.median(r[part][key] for r in runs)

    log = ""
    if "log" in runs[0]["in"]:
        log = f" (log: {mid('in', 'log'):.2f})"
    return (f"| {name} | {mid('in', 'cpu'):.2f} "
            f"| {mid('in', 'rate') / 1e6:.2f} | {mid('in', 'size'):.2f}{log} "
            f"| {mid(1, 'cpu'):.2f} | {mid(1, 'wall'):.2f} "
            f"| {mid(SERIES, 'cpu'):.1f} | {mid(SERIES, 'wall'):.1f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=HERE.parent / "build")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    makers = [lambda f: Embedded(args.build, f), Victoria, Influx]
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for late in (False, True):
            lines = Path(folder) / "lines"
            points = write_lines(lines, args.days, late)
            found = {}
            for i in range(args.runs):
                for k in range(len(makers)):
                    name, r = measure(makers[(i + k) % len(makers)], lines,
                                      points, args.days)
                    found.setdefault(name, []).append(r)
                    print(name, json.dumps(r), file=sys.stderr, flush=True)
            out += [("Up to 20 s late:" if late else
                     f"{points:,} points at regular times, "
                     f"{args.runs} runs, medians:"), "",
                    "| | µs CPU per point | million points/s | bytes per "
                    "point | 1 series: ms CPU | ms | 100 series: ms CPU "
                    "| ms |", "|---|---|---|---|---|---|---|---|"]
            out += [row(n, r) for n, r in found.items()]
            out += [lines_only(args.build, lines, points, args.runs), ""]
    text = "\n".join(out).rstrip()
    print(text)
    if args.write:
        path = HERE / "README.md"
        old = path.read_text()
        path.write_text(re.sub(
            r"(<!-- metric -->\n).*?(<!-- end -->)",
            lambda m: m.group(1) + text + "\n" + m.group(2), old,
            flags=re.S))


main()

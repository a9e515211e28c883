#!/usr/bin/env python3
"""MQTT servers side by side: CPU per delivered message, latency, memory.

    bench/mqtt.py [--build DIR] [--runs N] [--only NAME,...] [--write]

Starts, on free ports: Debian's mosquitto, the floor (load/rawforward: sockets
and copying only) and marram as a plain server, and floods each in turn with
load/mqttbench, which checks every delivery. One round runs all of them once, in
changing order; a ratio compares two servers of the same round. Prints medians
with the 95 % interval of the median. A run that loses a message, or during
which other programs took much of a core, does not count and is repeated.
"""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOISE = 0.25
TARGET_S = 0.5

# name: options, count of the probe, bars: share of mosquitto, multiple of floor
SCENARIOS = {
    "1to1-q0": ("--qos 0 --outstanding 1000 --batch 64", 40000, 0.04, 4.0),
    "1to1-q1": ("--qos 1 --window 100 --batch 64", 20000, 0.055, 2.2),
    "100to1-q1": ("--pubs 100 --qos 1 --window 10 --batch 1", 300, 0.30, 1.25),
    "1to100-q0": ("--subs 100 --qos 0 --outstanding 100 --batch 16", 1000,
                  0.045, 3.0),
    "1to100-q1": ("--subs 100 --qos 1 --outstanding 100 --window 50 "
                  "--batch 16", 500, 0.06, 2.0),
}
RATE = "--qos 1 --rate 5000 --count 20000"
# The same for what has no bar: name, options, probe.
MORE = {
    "1to1-q2": ("--qos 2 --window 100 --batch 64", 20000),
    "1to1-q0-mqtt5": ("--level 5 --qos 0 --outstanding 1000 --batch 64",
                      40000),
    "1to1-q1-mqtt5": ("--level 5 --qos 1 --window 100 --batch 64", 20000),
    "1to100-q0-mqtt5": ("--level 5 --subs 100 --qos 0 --outstanding 100 "
                        "--batch 16", 1000),
}
DISK_WINDOW = 50
IDLE = "--idle 10000 --idle-subscribe --burst 50 --hold 2"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


class Servers:
    def __init__(self, build, folder):
        self.build, self.folder, self.all = build, folder, {}

    def start(self, name, *command):
        port = free_port()
        command = [str(c).replace("PORT", str(port)) for c in command]
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        wait_for(port)
        self.all[name] = (port, p)

    def mosquitto(self):
        port = free_port()
        conf = self.folder / "mosquitto.conf"
        # enough room that it does not drop what it has acknowledged
        conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n"
                        "user root\nmax_queued_messages 1000000\n"
                        "max_inflight_messages 1000\n")
        p = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(conf)],
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        wait_for(port)
        self.all["mosquitto"] = (port, p)

    def floor(self):
        self.start("floor", self.build / "bench/rawforward", "PORT", "batch")

    def marram(self, name="marram", *more):
        self.start(name, self.build / "test/conformance/mqttd", "--port",
                   "PORT", *more)

    def stop(self):
        for _, p in self.all.values():
            p.kill()
            p.wait()


def run(servers, name, options):
    port, p = servers.all[name]
    done = subprocess.run(
        [servers.build / "bench/mqttbench", "--name", name, "--port",
         str(port), "--pid", str(p.pid), *options.split()],
        capture_output=True, text=True, timeout=300)
    if done.returncode:
        return {"end": done.stderr.strip() or "error"}
    return json.loads(done.stdout)


def good(r):
    return (r.get("end") == "complete" and not r.get("lost")
            and not r.get("duplicates") and not r.get("misordered"))


def interval(values):
    """Median, and the order statistics that hold it with 95 %."""
    v = sorted(values)
    n = len(v)
    k = max(int(n / 2 - 0.98 * n ** 0.5), 0)
    return statistics.median(v), v[k], v[n - 1 - k]


def rounds(servers, options, probe, runs):
    names = list(servers.all)
    counts = {}
    for name in names:
        r = run(servers, name, f"{options} --count {probe}")
        scale = TARGET_S / max(r.get("wall_s", TARGET_S), 0.001)
        counts[name] = max(probe, min(int(probe * scale), 4_000_000))
    out, tries = [], 0
    while len(out) < runs and tries < runs * 3:
        tries += 1
        row = {}
        for i in range(len(names)):
            name = names[(i + tries) % len(names)]
            row[name] = run(servers, name, f"{options} --count {counts[name]}")
        bad = [n for n, r in row.items() if not good(r)]
        if bad:
            print(f"  a run of {', '.join(bad)} does not count: "
                  f"{ {n: row[n].get('end') for n in bad} } "
                  f"lost {[row[n].get('lost') for n in bad]}")
            if "marram" in bad:
                out.append(row)
        elif all(r["other_util"] < NOISE for r in row.values()) or tries > runs:
            out.append(row)
    return out


def cost(row, name):
    return row[name]["broker_us_per_delivery"]


def show(name, rows, share, multiple):
    ours, floor = "marram", "floor"
    good_rows = [r for r in rows if all(good(x) for x in r.values())]
    if not good_rows:
        return f"| {name} | no run without loss |"
    cells = [f"{statistics.median(cost(r, n) for r in good_rows):.2f}"
             for n in ("mosquitto", floor, ours)]
    a = interval([cost(r, ours) / cost(r, "mosquitto") for r in good_rows])
    b = interval([cost(r, ours) / cost(r, floor) for r in good_rows])
    rate = statistics.median(r[ours]["recv_per_s"] for r in good_rows)
    ok = "met" if a[1] <= share and b[1] <= multiple else "not met"
    return (f"| {name} | {' | '.join(cells)} | {rate / 1e6:.2f} "
            f"| {a[0]:.3f} ({a[1]:.3f}–{a[2]:.3f}), bar {share} "
            f"| {b[0]:.2f} ({b[1]:.2f}–{b[2]:.2f}), bar {multiple} | {ok} |")


def floods(servers, args):
    lines = ["| | mosquitto µs | floor µs | marram µs | marram million/s "
             "| share of mosquitto | multiple of the floor | |",
             "|---|---|---|---|---|---|---|---|"]
    for name, (options, probe, share, multiple) in SCENARIOS.items():
        if args.only and name not in args.only:
            continue
        lines.append(show(name, rounds(servers, options, probe, args.runs),
                          share, multiple))
        print(lines[-1], flush=True)
    port_floor = servers.all.pop("floor")  # it knows only 3.1.1, QoS 0 and 1
    for name, (options, probe) in MORE.items():
        if args.only and name not in args.only:
            continue
        rows = [r for r in rounds(servers, options, probe, args.runs)
                if all(good(x) for x in r.values())]
        a = interval([cost(r, "marram") / cost(r, "mosquitto") for r in rows])
        them, us = (statistics.median(cost(r, n) for r in rows)
                    for n in ("mosquitto", "marram"))
        rate = statistics.median(r["marram"]["recv_per_s"] for r in rows)
        lines.append(f"| {name} | {them:.2f} | | {us:.2f} | {rate / 1e6:.2f} "
                     f"| {a[0]:.3f} ({a[1]:.3f}–{a[2]:.3f}) | | |")
        print(lines[-1], flush=True)
    servers.all["floor"] = port_floor
    return lines


def latency(servers, runs):
    p50 = {n: [] for n in servers.all}
    for i in range(runs):
        for n in servers.all:
            p50[n].append(run(servers, n, RATE)["lat_us"]["p50"])
    apart = [m - f for m, f in zip(p50["marram"], p50["floor"])]
    mid = interval(apart)
    return ["", "At 5,000 messages/s, QoS 1, median latency: " + ", ".join(
        f"{n} {statistics.median(v):.0f} µs" for n, v in p50.items()) +
        f"; marram is {mid[0]:.0f} µs ({mid[1]:.0f}–{mid[2]:.0f}) behind the "
        "floor, bar 30."]


def memory(servers):
    out = ["", "10,000 idle connections with a subscription each, bytes of "
           "the server's memory per connection: "]
    parts = []
    for n in servers.all:
        if n != "floor":
            r = run(servers, n, IDLE)
            parts.append(f"{n} {r.get('bytes_per_connection', 0):.0f}")
    out[-1] += ", ".join(parts) + "; bar 1536."
    return out


# What is measured over layers: name, QoS, subscribers, count of the probe.
LAYERS = [("1to1-q1", 1, 1, 20000), ("1to50-q0", 0, 50, 1000)]


def layered(build, layer, port, pid, count, qos, subs):
    done = subprocess.run(
        [str(x) for x in (build / "bench/layers", layer, port, pid, count,
                          qos, subs)],
        capture_output=True, text=True, timeout=300)
    r = json.loads(done.stdout) if done.returncode == 0 else {}
    return r if r and not r["lost"] else None


def layers(servers, folder, runs):
    """TLS 1.3 and WebSocket, with the load of our own client on both."""
    build = servers.build
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
         "-days", "2", "-subj", "/CN=localhost"], check=True,
        capture_output=True)
    ports = {(n, x): free_port() for n in ("mosquitto", "marram")
             for x in ("plain", "ws", "tls")}
    conf = folder / "layers.conf"
    conf.write_text("\n".join([
        "user root", "allow_anonymous true", "max_queued_messages 1000000",
        "max_inflight_messages 1000", "per_listener_settings false",
        f"listener {ports['mosquitto', 'plain']} 127.0.0.1",
        f"listener {ports['mosquitto', 'ws']} 127.0.0.1",
        "protocol websockets",
        f"listener {ports['mosquitto', 'tls']} 127.0.0.1",
        f"certfile {cert}", f"keyfile {key}"]) + "\n")
    local = ["--mqtt.allow-anonymous", "true", "--mqtt.durability", "none"]
    for i, x in ((1, "ws"), (2, "tls")):
        local += [f"--mqtt.listener{i}.address", "127.0.0.1",
                  f"--mqtt.listener{i}.port", ports["marram", x],
                  f"--mqtt.listener{i}.allow-anonymous", "true"]
    local += ["--mqtt.listener1.websocket", "true",
              "--mqtt.listener2.cert-file", cert,
              "--mqtt.listener2.key-file", key]
    started = {
        "mosquitto": ["/usr/sbin/mosquitto", "-c", conf],
        "marram": [build / "src/app/marram", "serve", "--only", "mqtt",
                   "--data-dir", folder / "data", "--mqtt-port",
                   ports["marram", "plain"], *local],
    }
    lines = ["", "Over layers (load of our own client; µs of the server's "
             "processor time per delivery):", "",
             "| | mosquitto | marram | share |", "|---|---|---|---|"]
    running = {}
    try:
        for n, command in started.items():
            running[n] = subprocess.Popen(
                [str(c) for c in command], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
        for port in ports.values():
            wait_for(port)
        for name, qos, subs, probe in LAYERS:
            for x in ("plain", "ws", "tls"):
                lines.append(layer_row(build, ports, running, runs, x, name,
                                       qos, subs, probe))
    finally:
        for p in running.values():
            p.kill()
            p.wait()
    return lines


def layer_row(build, ports, running, runs, x, name, qos, subs, probe):
    counts, cost = {}, {"mosquitto": [], "marram": []}
    for n, p in running.items():
        r = layered(build, x, ports[n, x], p.pid, probe, qos, subs)
        counts[n] = min(int(probe * TARGET_S / max(r["seconds"], 0.001)),
                        1_000_000)
    for _ in range(runs):
        pair = {n: layered(build, x, ports[n, x], p.pid, counts[n], qos, subs)
                for n, p in running.items()}
        if all(pair.values()):
            for n, r in pair.items():
                cost[n].append(r["us_per_delivery"])
    share = interval([a / b for a, b in zip(cost["marram"],
                                            cost["mosquitto"])])
    return (f"| {name} {x} | {statistics.median(cost['mosquitto']):.2f} "
            f"| {statistics.median(cost['marram']):.2f} "
            f"| {share[0]:.3f} ({share[1]:.3f}–{share[2]:.3f}) |")


def sync_ms(folder, n=300):
    """What the disk itself takes to flush 32 KiB: median and p99."""
    took = []
    with open(folder / "sync", "wb", buffering=0) as f:
        for _ in range(n):
            f.write(bytes(32768))
            before = time.monotonic()
            os.fdatasync(f)
            took.append((time.monotonic() - before) * 1000)
    took.sort()
    return took[n // 2], took[n * 99 // 100]


def disk(servers, folder, runs):
    """What a session that is away keeps: acknowledged only when flushed."""
    rates, p99 = [], []
    servers.marram("disk", "--dir", folder / "journal", "--durability",
                   "disk", "--session-expiry-ms", "0", "--queue-messages",
                   10_000_000, "--queue-bytes", 1 << 33)
    port, p = servers.all.pop("disk")
    try:
        for i in range(runs):
            subprocess.run(["mosquitto_sub", "-p", str(port), "-i", "keeper",
                            "-c", "-q", "1", "-t", "bench/#", "-E"],
                           check=True)
            servers.all["disk"] = port, p
            r = run(servers, "disk", "--subs 0 --pubs 20 --qos 1 --window "
                    f"{DISK_WINDOW} --batch 16 --count 10000")
            del servers.all["disk"]
            if r.get("end") != "complete":
                print("  a run with the journal does not count:", r)
                continue
            rates.append(r["acked_per_s"])
            p99.append(r["ack_us"]["p99"] / 1000)
            # the session ends with what it had
            subprocess.run(["mosquitto_sub", "-p", str(port), "-i", "keeper",
                            "-t", "none", "-E"], check=True)
    finally:
        p.kill()
        p.wait()
    r, t, d = interval(rates), interval(p99), sync_ms(folder)
    return ["", "With `disk` durability, 20 publishers, QoS 1, everything "
            f"kept for a session that is away: {r[0]:,.0f} acknowledged "
            f"messages/s ({r[1]:,.0f}–{r[2]:,.0f}), bar 100,000; "
            f"acknowledgement p99 {t[0]:.1f} ms ({t[1]:.1f}–{t[2]:.1f}), "
            f"bar 5; the disk's own fdatasync of 32 KiB takes {d[0]:.1f} ms, "
            f"p99 {d[1]:.1f}."]


def threads(servers, runs):
    """The fan-out shared by two threads: cost per delivery, against one."""
    servers.marram("two", "--threads", 2)
    ratios = []
    options = SCENARIOS["1to100-q0"][0] + " --count 30000"
    for _ in range(runs):
        one, two = (run(servers, n, options) for n in ("marram", "two"))
        if good(one) and good(two):
            ratios.append(two["broker_us_per_delivery"] /
                          one["broker_us_per_delivery"])
    _, p = servers.all.pop("two")
    p.kill()
    p.wait()
    m = interval(ratios)
    return ["", "Two threads sharing the fan-out of 1 to 100, QoS 0: "
            f"{m[0]:.2f} times the cost of one ({m[1]:.2f}–{m[2]:.2f}), "
            "bar 1.15."]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", default=HERE.parent / "build", type=Path)
    ap.add_argument("--runs", default=11, type=int)
    ap.add_argument("--only", type=lambda s: s.split(","))
    ap.add_argument("--write", action="store_true",
                    help="renew the table in bench/README.md")
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(args.build, Path(folder))
        try:
            servers.mosquitto()
            servers.floor()
            servers.marram()
            lines = floods(servers, args)
            for name, more in (
                    ("latency", lambda: latency(servers, args.runs)),
                    ("memory", lambda: memory(servers)),
                    ("threads", lambda: threads(servers, args.runs)),
                    ("layers", lambda: layers(servers, Path(folder),
                                              args.runs)),
                    ("disk", lambda: disk(servers, Path(folder),
                                          args.runs))):
                if not args.only or name in args.only:
                    found = more()
                    print(*found, sep="\n", flush=True)
                    lines += found
        finally:
            servers.stop()
    if args.write:
        page = HERE / "README.md"
        page.write_text(re.sub(
            r"(<!-- mqtt -->\n).*?(<!-- end -->)",
            lambda m: m[1] + "\n".join(lines) + "\n" + m[2],
            page.read_text(), flags=re.S))


if __name__ == "__main__":
    main()

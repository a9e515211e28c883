#!/usr/bin/env python3
"""Measures users' scripts: calls of a LoRaWAN codec through a pool of helpers.

script.py [--build DIR] [--runs N] [--calls N] [--write]: prints medians;
--write puts the table into bench/README.md.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent

# label, groups, share of the calls, arguments
ROWS = [
    ("codec", 1, 1, ("jit", "frozen")),
    ("codec, JIT off", 1, 1, ("nojit", "frozen")),
    ("codec, four units", 4, 1, ("jit", "frozen")),
    ("codec that changes prototypes", 1, 0.02, ("jit", "once")),
]


def run(build, groups, calls, options):
    out = subprocess.run(
        [build / "bench/script", str(groups), str(calls), "1000", *options],
        check=True, capture_output=True, text=True, timeout=300).stdout
    r = json.loads(out)
    assert r["failed"] == 0, r
    return {"rate": r["calls"] / r["seconds"],
            "helper": r["helper_us"], "stopped": r["stopped_ms"],
            "next": r["next_ms"], "hog": r["hog_bytes"] / 2**20,
            "pool": r["pool_us"], "first": r["first_ms"],
            "fresh": r["fresh_bytes"] / 2**20, "memory": r["bytes"] / 2**20}


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", type=pathlib.Path,
                    default=HERE.parent / "build")
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--calls", type=int, default=400000)
    ap.add_argument("--write", action="store_true")
    args = ap.parse_args()

    results = {row[0]: [] for row in ROWS}
    for _ in range(args.runs):
        for label, groups, share, options in ROWS:
            results[label].append(
                run(args.build, groups, int(args.calls * share), options))

    text = [
        "Medians of %d runs in turn, %d calls each (%d for the last row), "
        "1,000 waiting at a time; five values in 18 bytes." % (
            args.runs, args.calls, int(args.calls * ROWS[-1][2])), "",
        "| | calls/s | µs CPU of the helper per call | µs CPU of the pool "
        "per call | first call, ms | helper's own memory: ready | after |",
        "|---|---|---|---|---|---|---|"]
    for label, runs in results.items():
        m = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        text.append(
            "| %s | %s | %.1f | %.1f | %.0f | %.0f MiB | %.0f MiB |" % (
                label, format(int(m["rate"]), ","), m["helper"], m["pool"],
                m["first"], m["fresh"], m["memory"]))
    stop = [r for runs in results.values() for r in runs]
    text += ["", "An endless call with 100 ms is over after %.0f ms; the "
             "call behind it, in a new process, after %.0f ms. A call that "
             "takes memory as fast as it can, with 128 MiB, was stopped at "
             "%.0f MiB (at most %.0f), shared memory included." % (
                 statistics.median(r["stopped"] for r in stop),
                 statistics.median(r["next"] for r in stop),
                 statistics.median(r["hog"] for r in stop),
                 max(r["hog"] for r in stop))]
    text = "\n".join(text)
    print(text)
    if args.write:
        path = HERE / "README.md"
        page = path.read_text()
        page, n = re.subn(r"(<!-- script -->\n).*?(<!-- end -->)",
                          lambda m: m[1] + text + "\n" + m[2], page,
                          flags=re.S)
        assert n == 1
        path.write_text(page)


if __name__ == "__main__":
    main()

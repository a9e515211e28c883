#!/usr/bin/env python3
"""What values and rules cost: the same messages through routing alone, and with
fields, history, events and tasks.

hub.py [--count N] [--runs N] [--write]: the servers take turns; --write puts the
table into bench/README.md.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

import uplink
from conftest import Server, Site

FIELDS = 10000
TASKS = 1000
SCRIPT = """function decodeUplink(input) {
  return {data: JSON.parse(String.fromCharCode.apply(null, input.bytes))};
}"""


def task(site, name, node):
    return {"id": name, "unitId": site.unit,
            "eventFilter": {"entityTypes": ["field"],
                            "filters": {"nodeId": node, "fieldId": "t"}},
            "variables": {"t": {"type": "resource_by_quick_id",
                                "resourceType": "field",
                                "quickId": "test-net-mqtt.%s.data.t" % node,
                                "keyPath": "current.value"}},
            "evaluationConfig": {"rule": {"conditions": [
                {"variable": "t", "operator": "gt", "value": "1000"}]}}}


class Hub:
    def __init__(self, folder, codec=None, listening=0, deaf=0):
        folder.mkdir()
        self.server = Server(folder, "--log.level", "warn")
        self.site = site = Site(self.server, self.server.login())
        if codec:
            self.post("profile", {"unitId": site.unit, "code": "p",
                                  "codec": codec, "script": SCRIPT})
        for start in range(0, FIELDS, 1000):
            answer = site.call("POST", "device/bulk", {"data": {
                "unitId": site.unit, "networkId": site.net,
                "profile": "p" if codec else "",
                "networkAddrs": ["%08x" % n for n in
                                 range(start, start + 1000)]}})
            assert answer.status == 204, answer.text
        for n in range(listening):
            self.post("task", task(site, "on%d" % n, "%08x" % n))
        for n in range(deaf):
            self.post("task", task(site, "off%d" % n, "f%07x" % n))
        self.pub = ("network.demo.test-net-mqtt", "password",
                    site.net_topic("uldata"))
        self.sub = ("application.demo.test-app-mqtt", "password",
                    site.app_topic("uldata"))
        site.add("network-route", {"networkId": site.net,
                                   "applicationId": site.app})

    def post(self, kind, data):
        answer = self.server.call("POST", "/hub/api/v1/" + kind,
                                  {"data": data}, token=self.site.token)
        assert answer.status == 200, answer.text

    def run(self, count):
        def flood():
            out = subprocess.run(
                [str(uplink.FLOOD), str(self.server.mqtt_port), str(count),
                 "500", *self.pub, *self.sub, str(FIELDS), "json"],
                text=True, capture_output=True, check=True).stdout
            return json.loads(out)
        return uplink.measure(self.server.process.pid, flood)

    def stop(self):
        self.server.stop()


def rows(runs, count):
    found = {}
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        peers = {
            "routing and raw history alone": Hub(folder / "a"),
            "and a field with history and event": Hub(folder / "b", "json"),
            "and a task for every field of ten": Hub(
                folder / "c", "json", listening=10),
            "and %d tasks for other fields" % TASKS: Hub(
                folder / "d", "json", deaf=TASKS),
            "a field by a script": Hub(folder / "e", "javascript"),
        }
        try:
            for peer in peers.values():
                peer.run(FIELDS)  # every field is there
            for _ in range(runs):
                for name, peer in peers.items():
                    found.setdefault(name, []).append(peer.run(count))
        finally:
            for peer in peers.values():
                peer.stop()
    return found


def table(found, count):
    first = None
    text = ("QoS 1, %d messages a run, %d devices with a field each, 500 "
            "unanswered at a time; medians of %d runs in turn. CPU is that of "
            "the server, without its helper processes.\n\n"
            "| | messages/s | µs CPU per message | more than the first |\n"
            "|---|---|---|---|\n"
            % (count, FIELDS, len(next(iter(found.values())))))
    for name, runs in found.items():
        rate = statistics.median(r["rate"] for r in runs)
        cpu = statistics.median(r["cpu"] for r in runs)
        first = cpu if first is None else first
        text += "| %s | %s | %.1f | %.1f |\n" % (
            name, format(round(rate), ","), cpu, cpu - first)
    return text


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--count", type=int, default=20000)
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--write", action="store_true")
    args = args.parse_args()
    text = table(rows(args.runs, args.count), args.count)
    print(text)
    if args.write:
        page = uplink.root / "bench" / "README.md"
        head, _, rest = page.read_text().partition("<!-- hub -->\n")
        tail = rest.partition("<!-- end -->")[2]
        page.write_text(head + "<!-- hub -->\n" + text + "<!-- end -->" + tail)


if __name__ == "__main__":
    main()

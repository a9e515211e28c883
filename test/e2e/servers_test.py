"""History in real servers: Debian's InfluxDB and VictoriaMetrics, killed and
started again while values come in."""
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import LIMIT, Site, until
from ports import free_port

IN_FLIGHT = 100  # messages that are not acknowledged yet, at most
BASE = (int(time.time()) // 60 * 60 - 7200) * 1000
STEP = 20  # ms between the values of the device


class Database:
    """A server in a folder and on ports of its own."""
    ready = "/ping"

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.process = None

    def ask(self, path, **form):
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(self.url + path, data, LIMIT) as answer:
            return answer.read().decode()

    def answers(self):
        try:
            self.ask(self.ready)
            return True
        except OSError:
            return False

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log,
                                            stderr=log, cwd=self.folder)
        until("the database", self.answers)

    def kill(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(LIMIT)
            self.process = None


class Influx(Database):
    program = "/usr/bin/influxd"
    options = ()

    def __init__(self, folder):
        super().__init__(folder)
        (folder / "conf").write_text("""
reporting-disabled = true
bind-address = "127.0.0.1:%d"
[meta]
dir = "meta"
[data]
dir = "data"
wal-dir = "wal"
[http]
bind-address = "127.0.0.1:%d"
log-enabled = false
[monitor]
store-enabled = false
""" % (free_port(), self.port))

    def command(self):
        return [self.program, "run", "-config", "conf"]

    def taken(self):
        """Points that it has taken since it was started."""
        written = [row["values"] for row in json.loads(self.ask(
            "/debug/vars")).values() if isinstance(row, dict)
            and row.get("name") == "write"]
        return written[0]["pointReq"]

    def points(self, field):
        """Time (ms) and value, as the server has them."""
        answer = json.loads(self.ask(
            "/query", db="marram", epoch="ms",
            q='SELECT value FROM mc_gauge_float_data WHERE "field"=\'%s\''
              % field))
        series = answer["results"][0].get("series", [{"values": []}])
        return [tuple(row) for row in series[0]["values"]]


class Victoria(Database):
    program = "/usr/bin/victoria-metrics"
    ready = "/health"
    options = ("--hub.metric.influx.version", "victoria")

    def command(self):
        return [self.program, "-storageDataPath=data",
                "-httpListenAddr=127.0.0.1:%d" % self.port,
                "-memory.allowedPercent=10", "-loggerLevel=WARN"]

    def taken(self):
        return int(re.search(r'^vm_rows_inserted_total{type="influx"} (\d+)',
                             self.ask("/metrics"), re.M).group(1))

    def points(self, field):
        found = []
        for line in self.ask("/api/v1/export", **{
                "match[]": '{__name__=~"mc_gauge_float_data_.+",field="%s"}'
                           % field}).splitlines():
            row = json.loads(line)
            found += zip(row["timestamps"], row["values"])
        return found


@pytest.fixture(params=[Influx, Victoria])
def database(request, tmp_path):
    if not shutil.which(request.param.program):
        pytest.skip("Debian's package is not installed")
    folder = tmp_path / "database"
    folder.mkdir()
    made = request.param(folder)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def probe(database, start):
    """A site whose values go to the database."""
    server = start("--hub.metric.engine", "influx",
                   "--hub.metric.influx.url", database.url,
                   *database.options)
    site = Site(server, server.login())
    made = server.call("POST", "/hub/api/v1/profile", {"data": {
        "unitId": site.unit, "code": "probe"}}, token=site.token)
    assert made.status == 200, made.text
    site.call("PATCH", "device/" + site.device, {"data": {"profile": "probe"}})
    return site


def value_of(n):
    return n % 977 + 0.5


def stamp(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + \
        ".%03dZ" % (ms % 1000)


class Load:
    """Uplinks with a value each."""

    def __init__(self, site):
        self.site = site
        self.sent = []      # what was sent on this connection: (n, info)
        self.kept = set()   # what was acknowledged
        self.n = 0
        self.client = site.network()

    def publish(self, n):
        self.sent.append((n, self.client.publish(
            self.site.net_topic("uldata"),
            {"time": stamp(BASE + n * STEP), "networkAddr": "01000461",
             "data": json.dumps({"n": value_of(n)}).encode().hex()},
            wait=False)))

    def settle(self):
        waiting = []
        for n, info in self.sent:
            if info.is_published():
                self.kept.add(n)
            else:
                waiting.append((n, info))
        self.sent = waiting
        return len(self.sent)

    def run(self, count):
        """Until so many more were acknowledged."""
        goal = len(self.kept) + count
        end = time.monotonic() + LIMIT
        while len(self.kept) < goal:
            if self.settle() < IN_FLIGHT:
                self.publish(self.n)
                self.n += 1
            else:
                time.sleep(0.001)
            assert time.monotonic() < end, "no acknowledgements"

    def until(self, what, check):
        """Waits while values come in, no more than one question answers."""
        def step():
            self.run(20)
            assert self.n < 90_000, "%s: not in time" % what
            time.sleep(0.02)
            return check()
        until(what, step)

    def again(self):
        """On a new connection, with what was not acknowledged."""
        self.settle()
        self.client.client.loop_stop()
        self.client = self.site.network()
        missing, self.sent = self.sent, []
        for n, _ in missing:
            self.publish(n)

    def end(self):
        until("the last acknowledgements", lambda: self.settle() == 0)
        self.client.close()


def history(site, **query):
    r = site.server.call("POST", "/hub/api/v1/metric", {"data": {
        "unitId": site.unit, "queries": [{
            "quickId": "field:test-net-mqtt.01000461.data.n", "name": "n",
            "start": stamp(BASE), **query}]}}, token=site.token)
    assert r.status == 200, r.text
    return r.data["n"]


def test_nothing_that_was_acknowledged_is_lost(probe, database):
    load = Load(probe)
    for round in range(4):
        load.until("points at the database", database.taken)
        if round == 0:
            probe.server.restart(signal.SIGKILL)
            load.again()
        database.kill()
        load.run(150)  # they wait in our queue
        if round == 1:
            probe.server.restart(signal.SIGKILL)
            load.again()
        database.start()
    load.end()
    probe.token = probe.server.login()

    wanted = {(BASE + n * STEP, value_of(n)) for n in load.kept}
    assert len(wanted) == load.n
    until("all of them", lambda: wanted <= set(database.points("n")))
    # none has another value, and none is there that nobody sent
    assert set(database.points("n")) == wanted
    rows = history(probe, window="")
    assert [(r["timestamp"], r["metric"]["value"]) for r in rows] == \
        [(stamp(at), value) for at, value in sorted(wanted)]
    counts = history(probe, window="1h", functions=["count", "max"])
    assert sum(r["metric"]["count"] for r in counts) == len(wanted)
    r = probe.server.call(
        "GET", "/prom/api/v1/query?" + urllib.parse.urlencode({
            "query": "count_over_time(n[3h])", "time": BASE // 1000 + 7200}),
        token=probe.token)
    assert r.json()["data"]["result"][0]["value"][1] == str(len(wanted))


ODD = "it's \"odd\", x=1 \\"


def test_21_names_are_escaped_and_the_end_is_not_part(probe, database):
    """A field may be called anything; of a stop only what was before it."""
    network = probe.network()
    for n in range(3):
        network.publish(probe.net_topic("uldata"), {
            "time": stamp(BASE + n * 1000), "networkAddr": "01000461",
            "data": json.dumps({ODD: n + 0.5, "n": n + 10.5}).encode().hex()})
    network.close()

    def of(name, **query):
        r = probe.server.call("POST", "/hub/api/v1/metric", {"data": {
            "unitId": probe.unit, "queries": [{
                "quickId": "field:test-net-mqtt.01000461.data." + name,
                "name": "x", "window": "", "start": stamp(BASE), **query}]}},
            token=probe.token)
        assert r.status == 200, r.text
        return [row["metric"].get("value", row["metric"].get("count"))
                for row in r.data["x"]]

    names = [f["fieldId"] for f in probe.server.call(
        "GET", "/hub/api/v1/field/list?unit=" + probe.unit,
        token=probe.token).data]
    odd = next(name for name in names if name != "n")
    assert "'" in odd and '"' in odd
    until("all of them", lambda: len(of(odd)) == 3 and len(of("n")) == 3)
    assert (of(odd), of("n")) == ([0.5, 1.5, 2.5], [10.5, 11.5, 12.5])
    stop = stamp(BASE + 2000)
    assert of(odd, stop=stop) == [0.5, 1.5]
    assert of(odd, stop=stop, window="2s", functions=["count"]) == [2]

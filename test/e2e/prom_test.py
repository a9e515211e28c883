"""The history as others ask for it and send it: Grafana, Telegraf."""
import base64
import gzip
import shutil
import subprocess
import time
import urllib.parse

import pytest

from conftest import LIMIT, Site, until

PROM = "/prom/api/v1/"
NOW = int(time.time()) // 60 * 60


def ask(site, path, token=None, status=200, **params):
    query = urllib.parse.urlencode(
        {k.replace("match", "match[]"): v for k, v in params.items()}, True)
    r = site.server.call("GET", PROM + path + ("?" + query if query else ""),
                         token=token or site.token)
    assert r.status == status, r.text
    return r.json()


def result(answer, kind="vector"):
    assert answer["status"] == "success"
    assert answer["data"]["resultType"] == kind
    return answer["data"]["result"]


def write(site, lines, path="/api/v2/write?org=demo&bucket=x&precision=s",
          status=204, token=None, **more):
    raw = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
    headers = {"Authorization": "Token " + (token or site.token)}
    headers.update(more.pop("headers", {}))
    r = site.server.call("POST", path, raw=raw, headers=headers, **more)
    assert r.status == status, r.text
    return r


@pytest.fixture
def filled(site):
    """A thermometer and a counter of an hour, a value per minute."""
    write(site, ["air,room=cellar temperature=%g,rain_total=%di %d"
                 % (10 + i / 10, i * 6, NOW - 3600 + i * 60)
                 for i in range(61)])
    return site


# --- Grafana ----------------------------------------------------------------------


def test_the_health_check_of_grafana_passes(site):
    r = site.server.call("POST", PROM + "query", token=site.token,
                         form={"query": "1+1", "time": "1763830800"})
    assert r.status == 200
    assert r.headers["Content-Type"].startswith("application/json")
    assert r.json() == {"status": "success", "data": {
        "resultType": "scalar", "result": [1763830800, "2"]}}
    assert ask(site, "query", query="1+1")["data"]["result"][1] == "2"
    version = ask(site, "status/buildinfo")["data"]["version"]
    assert int(version.split(".")[0]) >= 2


def test_values_of_devices_are_asked_for(site):
    profile = site.server.call("POST", "/hub/api/v1/profile", {"data": {
        "unitId": site.unit, "code": "probe",
        "fields": {"temperature": {"unit": "°C"}}}}, token=site.token)
    assert profile.status == 200, profile.text
    site.call("PATCH", "device/" + site.device, {"data": {"profile": "probe"}})
    network = site.network()
    network.publish(site.net_topic("uldata"), {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW)),
        "networkAddr": "01000461",
        "data": b'{"temperature": 21.5}'.hex()})
    found = until("the value", lambda: result(ask(
        site, "query", query="temperature_celsius", time=NOW)))
    network.close()
    assert found[0]["value"] == [NOW, "21.5"]
    labels = found[0]["metric"]
    assert labels["unit"] == "demo" and labels["device"] == "01000461"
    assert labels["field"] == "temperature"


def test_a_query_gives_the_last_value(filled):
    assert result(ask(filled, "query", query='air_temperature{room="cellar"}',
                      time=NOW)) == [{
        "metric": {"__name__": "air_temperature", "room": "cellar",
                   "unit": "demo"}, "value": [NOW, "16"]}]
    assert result(ask(filled, "query", query="air_temperature",
                      time=NOW + 3600)) == []
    assert result(ask(filled, "query", query="scalar(air_temperature)",
                      time=NOW + 0.5), "scalar") == [NOW + 0.5, "16"]


def test_a_range_gives_a_matrix(filled):
    rows = result(ask(filled, "query_range", query="air_temperature",
                      start=NOW - 600, end=NOW, step="5m"), "matrix")
    assert [r["values"] for r in rows] == [
        [[NOW - 600, "15"], [NOW - 300, "15.5"], [NOW, "16"]]]
    rows = result(ask(filled, "query_range", start=NOW - 600, end=NOW,
                      query="sum(rate(air_rain_total[5m])) * 60", step=300),
                  "matrix")
    assert [round(float(v), 6) for _, v in rows[0]["values"]] == [6, 6, 6]
    posted = filled.server.call(
        "POST", PROM + "query_range", token=filled.token,
        form={"query": "air_temperature > 15.4", "start": NOW - 600,
              "end": NOW, "step": "300"})
    assert [v for _, v in posted.json()["data"]["result"][0]["values"]] == [
        "15.5", "16"]


def test_series_and_labels_are_listed(filled):
    assert ask(filled, "series", match='{room="cellar"}')["data"] == [
        {"__name__": "air_temperature", "room": "cellar", "unit": "demo"},
        {"__name__": "air_rain_total", "room": "cellar", "unit": "demo"}]
    assert ask(filled, "labels", match="air_temperature")["data"] == [
        "__name__", "room", "unit"]
    assert ask(filled, "label/__name__/values")["data"] == [
        "air_rain_total", "air_temperature"]
    assert ask(filled, "label/room/values",
               match=["air_rain_total", "other"])["data"] == ["cellar"]
    kinds = ask(filled, "metadata")["data"]
    assert kinds["air_rain_total"][0]["type"] == "counter"
    assert kinds["air_temperature"][0]["type"] == "gauge"


def test_errors_have_their_types(filled):
    def wrong(status, path="query", **params):
        answer = ask(filled, path, status=status, **params)
        assert answer["status"] == "error"
        return answer["errorType"], answer["error"]

    kind, text = wrong(400, query="sum(")
    assert kind == "bad_data" and "parse error at char 5" in text
    assert wrong(400)[0] == "bad_data"
    assert wrong(400, query="1", time="yesterday")[0] == "bad_data"
    assert wrong(400, "query_range", query="1", start=0, end=20000,
                 step=1)[0] == "bad_data"
    assert wrong(400, "series")[0] == "bad_data"
    kind, text = wrong(422, query='{__name__=~"air.*"} + on (room) '
                                  '{__name__=~"air.*"}', time=NOW)
    assert kind == "execution" and "duplicate series" in text
    assert filled.server.call("GET", PROM + "query?query=1").status == 400
    assert filled.server.call("GET", PROM + "query?query=1",
                              token="wrong").status == 401


def test_everybody_sees_the_series_of_his_units(filled):
    user = filled.add("user", {"account": "guest",
                               "password": "secret-1"})["userId"]
    guest = filled.server.login("guest", "secret-1")
    other = Site(filled.server, guest, code="other", app="other-app",
                 net="other-net")
    write(other, ["air,room=attic temperature=30 %d" % NOW],
          "/api/v2/write?org=other&precision=s")

    def rooms(token, query="air_temperature"):
        return {s["metric"]["room"] for s in result(ask(
            filled, "query", token, query=query, time=NOW))}

    assert rooms(filled.token) == {"attic", "cellar"}
    assert rooms(guest) == {"attic"}
    assert rooms(guest, 'air_temperature{unit="demo"}') == set()
    assert rooms(guest, 'air_temperature{unit=~".*"} or '
                        '{__name__=~".+",unit!="other"}') == {"attic"}
    assert ask(filled, "label/unit/values", guest)["data"] == ["other"]
    assert ask(filled, "series", guest, match='{unit="demo"}')["data"] == []
    write(filled, ["air temperature=1"], status=404, token=guest)
    filled.call("PATCH", "unit/" + filled.unit,
                {"data": {"memberIds": [user]}})
    assert rooms(guest) == {"attic", "cellar"}
    # a member reads, the owner writes
    write(filled, ["air temperature=1"], status=404, token=guest)


class Grafana:
    """What its Prometheus data source sends: the paths, forms and headers of
    version 10, whose back end passes them on."""

    def __init__(self, site):
        self.server, self.token = site.server, site.token

    def call(self, method, path, status=200, **params):
        text = urllib.parse.urlencode(
            {k.replace("match", "match[]"): v for k, v in params.items()},
            True)
        post = method == "POST"
        headers = {"Authorization": "Bearer " + self.token,
                   "Accept-Encoding": "identity", "User-Agent": "Grafana/10"}
        if post:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        r = self.server.call(
            method, PROM + path + ("" if post or not text else "?" + text),
            raw=text.encode() if post else None, headers=headers)
        assert r.status == status, r.text
        assert r.headers["Content-Type"].startswith("application/json")
        return r.json()

    def data(self, method, path, **params):
        answer = self.call(method, path, **params)
        assert answer["status"] == "success"
        return answer["data"]


def test_the_calls_of_grafanas_data_source_are_answered(filled):
    g = Grafana(filled)
    span = {"start": NOW - 3600, "end": NOW}

    # "Save & test"; then what it may ask: by name and version
    assert g.data("POST", "query", query="1+1", time=str(NOW) + ".123") == {
        "resultType": "scalar", "result": [NOW + 0.123, "2"]}
    assert g.data("GET", "status/buildinfo")["version"] >= "2.24.0"
    assert g.data("GET", "query_exemplars", query="test", **span) == []
    assert g.data("GET", "rules") == {"groups": []}
    assert g.data("GET", "alerts") == {"alerts": []}

    # the query builder: metrics, labels, values, each narrowed by the last
    assert g.data("GET", "label/__name__/values", **span) == [
        "air_rain_total", "air_temperature"]
    assert g.data("GET", "label/__name__/values", limit=1, **span) == [
        "air_rain_total"]
    assert g.data("GET", "metadata", limit=40000)["air_temperature"] == [
        {"type": "gauge", "help": "", "unit": ""}]
    assert g.data("POST", "labels", match='{__name__="air_temperature"}',
                  **span) == ["__name__", "room", "unit"]
    assert g.data("GET", "label/room/values",
                  match='{__name__="air_temperature",unit="demo"}',
                  **span) == ["cellar"]
    assert g.data("POST", "series", match='air_temperature{room=~".+"}',
                  **span) == [{"__name__": "air_temperature",
                               "room": "cellar", "unit": "demo"}]
    assert g.data("GET", "series", match=["air_temperature", "up"], limit=5,
                  **span)[0]["room"] == "cellar"

    # a panel 1200 pixels wide that shows an hour: a step of 60 s from
    # timeInterval, start and end on multiples of it, rate_interval four steps
    shown = g.data("POST", "query_range", query="avg by (room) "
                   "(rate(air_rain_total[4m0s]))", step="60", **span)
    assert shown["resultType"] == "matrix"
    (row,) = shown["result"]
    assert row["metric"] == {"room": "cellar"}
    assert [at for at, _ in row["values"]] == list(
        range(NOW - 3600 + 60, NOW + 60, 60))
    assert {round(float(v), 9) for _, v in row["values"][4:]} == {0.1}
    # "Min step" 15s and 2m, as it writes them down
    for step, count in (("15", 241), ("120", 31)):
        (row,) = g.data("POST", "query_range", query="air_temperature",
                        step=step, **span)["result"]
        assert len(row["values"]) == count, step
        assert row["values"][-1] == [NOW, "16"]
    # milliseconds, as a fractional number
    (row,) = g.data("POST", "query_range", query="air_temperature",
                    start="%d.250" % (NOW - 60), end="%d.250" % NOW,
                    step="30.5")["result"]
    assert [at for at, _ in row["values"]] == [NOW - 59.75, NOW - 29.25]
    # "Instant", as of a table; its exemplar query beside
    (row,) = g.data("POST", "query", query="topk(1, air_temperature)",
                    time=NOW)["result"]
    assert row["value"] == [NOW, "16"]
    assert g.data("POST", "query_exemplars", query="air_temperature",
                  **span) == []
    # a variable: label_values() and query_result()
    assert g.data("GET", "label/room/values", match="air_rain_total",
                  **span) == ["cellar"]
    assert g.data("POST", "query", query="sum(air_rain_total) by (room)",
                  time=NOW)["result"][0]["metric"] == {"room": "cellar"}
    # an alert rule: its back end asks for a range, and reduces
    assert g.data("POST", "query_range", query="air_temperature > 100",
                  step="60", **span) == {"resultType": "matrix", "result": []}
    # what a panel shows of a mistake
    wrong = g.call("POST", "query_range", 400, query="air_temperature{",
                   step="60", **span)
    assert wrong["errorType"] == "bad_data" and "parse error" in wrong["error"]
    # there is no formatter
    assert g.server.call("POST", PROM + "format_query", token=g.token,
                         form={"query": "1"}).status == 404


# --- Telegraf ---------------------------------------------------------------------


def test_lines_of_every_version_are_taken(site):
    basic = base64.b64encode(("me:" + site.token).encode()).decode()
    write(site, ["a v=1 %d" % NOW])
    write(site, ["b v=2 %d" % (NOW * 1000)],
          "/write?db=demo&precision=ms")
    r = site.server.call(
        "POST", "/write?db=demo&precision=s&u=me&p=" + site.token,
        raw=b"c v=3 %d" % NOW)
    assert r.status == 204, r.text
    r = site.server.call("POST", "/write?db=demo",
                         raw=b"d v=4 %d" % (NOW * 10**9),
                         headers={"Authorization": "Basic " + basic})
    assert r.status == 204, r.text
    write(site, gzip.compress(b"e v=5 %d\n" % NOW),
          headers={"Content-Encoding": "gzip"})
    assert {s["metric"]["__name__"]: s["value"][1] for s in result(ask(
        site, "query", query='{unit="demo"}', time=NOW))} == {
        "a_v": "1", "b_v": "2", "c_v": "3", "d_v": "4", "e_v": "5"}


def test_bad_lines_are_told_and_the_others_kept(site):
    r = write(site, ["a v=1 %d" % NOW, "nonsense", "a v=x %d" % NOW,
                     "b v=2 %d" % NOW], status=400)
    assert r.json()["code"] == "invalid"
    assert "line 2:" in r.json()["message"]
    assert "line 3:" in r.json()["message"]
    assert "line 4:" not in r.json()["message"]
    assert len(result(ask(site, "query", query='{unit="demo"}',
                          time=NOW))) == 2


def test_who_may_not_write_is_told(site):
    for token, org, status in (("wrong", "demo", 401),
                               (site.token, "nowhere", 404),
                               (site.token, "", 400)):
        r = write(site, ["a v=1"], "/api/v2/write?org=" + org, status, token)
        assert r.json()["code"] and r.json()["message"]
    assert site.server.call("POST", "/api/v2/write?org=demo",
                            raw=b"a v=1").status == 401


def test_clients_may_ask_first(site):
    r = site.server.call("GET", "/ping")
    assert r.status == 204 and r.headers["X-Influxdb-Version"]
    assert site.server.call("HEAD", "/ping").status == 204
    r = site.server.call("POST", "/query",
                         form={"q": 'CREATE DATABASE "telegraf"'})
    assert r.status == 200
    assert r.json() == {"results": [{"statement_id": 0}]}


def test_what_was_acknowledged_is_there_after_a_kill(site):
    write(site, ["a v=1 %d" % NOW])
    site.server.restart(9)
    assert result(ask(site, "query", query="a_v", time=NOW))[0]["value"] == [
        NOW, "1"]


# What its serializer makes of measurements, tags and fields of all types.
TELEGRAF = [
    "cpu,cpu=cpu-total,host=pi usage_idle=97.59615384615384,"
    "usage_user=1.5625 %d",
    "mem,host=pi used=812138496i,used_percent=19.4,huge_pages_total=0i %d",
    "disk,device=mmcblk0p2,fstype=ext4,host=pi,mode=rw,path=/ "
    "inodes_free=1804283u,used_percent=31.2 %d",
    "system,host=pi load1=0.02,uptime_format=\" 9:02\" %d",
    "docker\\ container,host=pi,container_name=web\\,1,label\\=x=a\\ b "
    "running=true,image=\"a\\\"b\\\\c\" %d",
]
SHOWN = {"cpu_usage_idle": "97.59615384615384", "cpu_usage_user": "1.5625",
         "mem_used": "812138496", "mem_used_percent": "19.4",
         "mem_huge_pages_total": "0", "disk_inodes_free": "1804283",
         "disk_used_percent": "31.2", "system_load1": "0.02",
         "docker_container_running": "1"}


def telegraf(site, method, path, lines=None, zipped=True, form=None, **auth):
    headers = {"User-Agent": "Telegraf/1.30.0 Go/1.22.2", **auth}
    raw = None
    if lines is not None:
        raw = "".join(line % (NOW * 10**9) + "\n" for line in lines).encode()
        headers["Content-Type"] = "text/plain; charset=utf-8"
        if zipped:
            raw = gzip.compress(raw)
            headers["Content-Encoding"] = "gzip"
    return site.server.call(method, path, raw=raw, form=form, headers=headers)


def shown(site):
    return {s["metric"]["__name__"]: s["value"][1] for s in result(ask(
        site, "query", query='{unit="demo",host="pi"}', time=NOW))}


@pytest.mark.parametrize("zipped", [True, False])
def test_telegrafs_output_for_influxdb_2_is_taken(site, zipped):
    auth = {"Authorization": "Token " + site.token}
    r = telegraf(site, "POST", "/api/v2/write?bucket=telegraf&org=demo",
                 TELEGRAF, zipped, **auth)
    assert (r.status, r.text) == (204, "")
    assert shown(site) == SHOWN
    # the same lines again, as after an answer that did not come
    assert telegraf(site, "POST", "/api/v2/write?bucket=telegraf&org=demo",
                    TELEGRAF, zipped, **auth).status == 204
    assert result(ask(site, "query", query="count_over_time(cpu_usage_idle"
                      "[5m])", time=NOW))[0]["value"][1] == "1"
    # it drops lines on a 400, and tries others again
    r = telegraf(site, "POST", "/api/v2/write?bucket=telegraf&org=demo",
                 ["cpu,cpu=cpu-total,host=pi usage_idle=t %d"], zipped, **auth)
    assert r.status == 400 and r.json()["code"] == "invalid"


@pytest.mark.parametrize("zipped", [True, False])
def test_telegrafs_output_for_influxdb_1_is_taken(site, zipped):
    basic = base64.b64encode(("telegraf:" + site.token).encode()).decode()
    auth = {"Authorization": "Basic " + basic}
    # without skip_database_creation it begins so
    r = telegraf(site, "POST", "/query", form={
        "q": 'CREATE DATABASE "demo"'}, **auth)
    assert r.status == 200
    assert r.json() == {"results": [{"statement_id": 0}]}
    r = telegraf(site, "POST", "/query?db=&q=CREATE+DATABASE+%22demo%22",
                 **auth)
    assert r.status == 200 and "error" not in r.text
    for path in ("/write?db=demo", "/write?consistency=any&db=demo&rp="):
        r = telegraf(site, "POST", path, TELEGRAF, zipped, **auth)
        assert (r.status, r.text) == (204, "")
    assert shown(site) == SHOWN
    # errors are under the name that its parser looks for
    wrong = base64.b64encode(b"telegraf:no").decode()
    r = telegraf(site, "POST", "/write?db=demo", TELEGRAF, zipped,
                 Authorization="Basic " + wrong)
    assert r.status == 401 and r.json()["error"]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_sends_as_telegraf_does(site):
    done = subprocess.run(
        ["curl", "-sS", "-o", "-", "-w", "%{http_code}", "--max-time", "20",
         "-H", "Authorization: Token " + site.token,
         "-H", "Content-Type: text/plain; charset=utf-8",
         "-H", "User-Agent: Telegraf", "--data-binary",
         "cpu,host=pi,cpu=cpu-total usage_idle=97.5 %d\n" % (NOW * 10**9),
         site.server.url + "/api/v2/write?bucket=telegraf&org=demo"],
        capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout == "204", done
    assert result(ask(site, "query", query='cpu_usage_idle{host="pi"}',
                      time=NOW))[0]["value"] == [NOW, "97.5"]

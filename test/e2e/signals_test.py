"""Looking at what passes: a codec tried out, topics followed, publishing."""
import base64
import json

from conftest import LIMIT, Client, Site, until
from live_test import Live
from values_test import hub, listed, uplink

CODEC = """function decodeUplink(input) {
  console.log("port", input.fPort, input.recvTime.getUTCFullYear());
  const t = (input.bytes[0] << 8 | input.bytes[1]) / 10;
  return { data: { temperature: t, air: { open: input.bytes[2] === 1 } },
           warnings: t > 100 ? ["hot"] : [] };
}
function encodeDownlink(input) {
  return { bytes: [input.data.led ? 1 : 0, 300], fPort: 10 };
}"""


def someone(site, account, unit_member=False):
    """The token of a user who is no administrator."""
    made = site.add("user", {"account": account, "password": "secret",
                             "name": account})["userId"]
    if unit_member:
        r = site.call("PATCH", "unit/" + site.unit,
                      {"data": {"memberIds": [made]}})
        assert r.status == 204, r.text
    return site.server.login(account, "secret")


# --- a profile, before it is saved

def attempt(site, status=200, **data):
    r = hub(site, "POST", "profile/try", {"data": {
        "unitId": site.unit, **data}}, status)
    return r.data if status == 200 else r.text


def test_a_script_is_tried_with_all_that_it_says(site):
    got = attempt(site, codec="javascript", script=CODEC, data="00e701",
                  fPort=3, time="2024-05-01T00:00:00Z",
                  fields={"temperature": {"unit": "°C", "name": "Air"}})
    assert "error" not in got
    assert got["console"] == "port 3 2024\n"
    assert got["result"]["data"]["temperature"] == 23.1
    assert got["result"].get("warnings", []) == []
    assert [(f["sourceId"], f["fieldId"], f["name"], f["value"],
             f["metricType"], f["unit"]) for f in got["fields"]] == [
        ("data", "temperature", "Air", 23.1, "gauge_float", "°C"),
        ("air", "open", "open", True, "binary", "")]
    hot = attempt(site, codec="javascript", script=CODEC, data="0fff00")
    assert hot["result"]["warnings"] == ["hot"]
    # and nothing of it was kept
    assert listed(site, "profile") == [] and listed(site, "field") == []


def test_what_is_wrong_with_a_script_has_its_line(site):
    got = attempt(site, codec="javascript", data="00",
                  script="function decodeUplink(i) {\n  return i.x.y;\n}")
    assert got["line"] == 2 and "TypeError" in got["error"]
    assert got["fields"] == []
    got = attempt(site, codec="javascript", data="00",
                  script="function decodeUplink(i) {\n  return {\n")
    assert got["line"] == 3 and "SyntaxError" in got["error"]
    got = attempt(site, codec="javascript", data="00",
                  script="function decodeUplink() { for (;;); }")
    assert "it ran for more than 100 ms" in got["error"]
    got = attempt(site, codec="javascript", data="00",
                  script="function decodeUplink() { return {}; }")
    assert got["error"] == "decodeUplink returned no data"
    got = attempt(site, codec="javascript", data="00",
                  script="function decodeUplink() "
                         "{ return { errors: ['too short'] }; }")
    assert "too short" in got["error"]


def test_codecs_of_ours_are_tried(site):
    got = attempt(site, codec="cayenne", data="016700e7")
    assert [(f["fieldId"], f["value"], f["unit"]) for f in got["fields"]] == [
        ("temperature_1", 23.1, "°C")]
    got = attempt(site, codec="json", data=b'{"t":{"in":7}}'.hex(),
                  paths={"inside": "t.in"},
                  fields={"inside": {"metricType": "gauge"}})
    assert [(f["fieldId"], f["value"], f["metricType"])
            for f in got["fields"]] == [("inside", 7, "gauge")]
    got = attempt(site, codec="thin_edge_json",
                  data=b'{"time":1700000000,"current":{"L1":9.5}}'.hex())
    assert got["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert got["fields"][0]["sourceId"] == "current"
    got = attempt(site, codec="json", data=b"no".hex())
    assert got["error"] == "the payload is not JSON"
    got = attempt(site, codec="json", data=b'{"t":"warm"}'.hex(),
                  fields={"t": {"metricType": "gauge"}})
    assert "is no gauge" in got["fields"][0]["problem"]


def test_a_downlink_is_tried(site):
    got = attempt(site, codec="javascript", script=CODEC, way="downlink",
                  value={"led": True})
    assert got["data"] == "012c" and got["fPort"] == 10  # 300 is cut
    got = attempt(site, codec="json", way="downlink", value={"led": True})
    assert bytes.fromhex(got["data"]) == b'{"led":true}'
    got = attempt(site, codec="cayenne", way="downlink", value={"led": 1})
    assert "can not encode" in got["error"]


def test_a_trial_is_for_who_may_change_the_unit(site):
    admin, site.token = site.token, someone(site, "ann", unit_member=True)
    r = hub(site, "POST", "profile/try", {"data": {
        "unitId": site.unit, "codec": "json"}}, 400)
    assert r.text.count("err_hub_unit_not_exist")
    site.token = admin
    for wrong in ({"data": "0g"}, {"codec": "none2"}, {"way": "side"},
                  {"fPort": 256}, {"fields": []}):
        attempt(site, 400, **wrong)


# --- what passes

def is_queue(m):
    return m["topic"].startswith("broker.")


def messages(live, n=1, want=lambda m: True):
    """Reads until so many were shown."""
    seen, left = [], 0
    while len(seen) < n:
        frame = live.get()
        if frame["type"] == "messages":
            seen += [m for m in frame["data"] if want(m)]
            left += frame["left"]
    return seen


def test_topics_are_followed_as_they_pass(site):
    live = Live(site.server, site.token)
    live.subscribe("all", topics=["#"])
    network = site.network()
    network.publish(site.net_topic("uldata"), uplink({"t": 1}))
    seen = messages(live, 2, is_queue)
    assert [m["topic"] for m in seen] == [
        site.net_topic("uldata"), site.app_topic("uldata")]
    assert json.loads(seen[0]["payload"])["networkAddr"] == "01000461"
    assert (seen[0]["qos"], seen[0]["retain"], seen[0]["held"]) == (
        1, False, False)
    network.publish(site.net_topic("uldata"), b"\xff\x00" * 3000)
    last = messages(live, 1, is_queue)[0]
    assert last["size"] == 6000
    assert base64.b64decode(last["base64"]) == b"\xff\x00" * 2048
    # to look is no subscription: the application's queue keeps the message
    app = site.application()
    assert app.wait(1, "uldata")
    assert live.ask(type="unsubscribe", id="all")["type"] == "unsubscribed"
    network.publish(site.net_topic("uldata"), uplink({"t": 2}))
    assert live.ask(type="ping", id="p")["type"] == "pong"
    live.close()


def test_what_is_retained_and_sys_are_shown_to_administrators(start):
    server = start("--mqtt.sysInterval", "1s")
    site = Site(server, server.login())
    done = hub(site, "POST", "topic/publish", {"data": {
        "topic": "house/lamp", "payload": "on", "retain": True}}, 200).data
    assert done == {"targets": 0}
    live = Live(server, site.token)
    live.subscribe("1", topics=["house/#", "$SYS/broker/version"],
                   initial=True)
    seen = {m["topic"]: m for m in messages(live, 2)}
    assert seen["house/lamp"]["held"] and seen["house/lamp"]["payload"] == "on"
    assert seen["$SYS/broker/version"]["payload"].startswith("marram")
    live.close()


def test_a_member_sees_the_topics_of_the_unit_and_no_other(site):
    other = Site(site.server, site.token, code="other", app="a", net="n")
    token = someone(site, "ann", unit_member=True)
    live = Live(site.server, token)
    assert live.ask(type="subscribe", id="1", topics=["#"])["code"] == \
        "err_param"
    assert live.ask(type="subscribe", id="1", topics=["#"],
                    unit=other.unit)["code"] == "err_hub_unit_not_exist"
    live.subscribe("1", topics=["#", "$SYS/#"], unit=site.unit, initial=True)
    other.network().publish(other.net_topic("uldata"), uplink({"t": 1}))
    hub(site, "POST", "topic/publish", {"data": {"topic": "demo",
                                                 "payload": "x"}}, 200)
    site.network().publish(site.net_topic("uldata"), uplink({"t": 2}))
    seen = messages(live, 2, is_queue)
    assert [m["topic"] for m in seen] == [
        site.net_topic("uldata"), site.app_topic("uldata")]
    assert all(m["topic"].startswith("marram/demo/") for f in live.heard
               if f["type"] == "messages" for m in f["data"]
               if not is_queue(m))
    # nor is it for others than owners to publish
    site.token = token
    hub(site, "POST", "topic/publish", {"data": {
        "unitId": site.unit, "topic": "marram/demo/x"}}, 400)
    live.close()


def test_an_owner_publishes_to_the_unit_alone(site):
    made = site.add("user", {"account": "bob", "password": "secret"})["userId"]
    r = site.call("PATCH", "unit/" + site.unit, {"data": {"ownerId": made}})
    assert r.status == 204, r.text
    app = site.application()
    site.token = site.server.login("bob", "secret")

    def publish(status, **data):
        return hub(site, "POST", "topic/publish", {"data": data}, status)

    assert "unitId" in publish(400, topic="a").text
    publish(400, topic="a/#")
    publish(400, topic="$SYS/broker/version", unitId=site.unit)
    r = publish(403, topic="broker.network.other.n.uldata", unitId=site.unit)
    assert "broker.network.demo." in r.text
    raw = json.dumps(uplink({"t": 1})).encode()
    done = publish(200, topic=site.net_topic("uldata"), unitId=site.unit,
                   base64=base64.b64encode(raw).decode(), qos=1).data
    assert done["targets"] == 1
    assert app.wait(1, "uldata")[0]["networkAddr"] == "01000461"


def test_a_flood_is_counted_and_hides_nobody(start):
    server = start("--hub.live.topicRate", "80")
    site = Site(server, server.login())
    live = Live(server, site.token)
    live.subscribe("1", topics=["#"])
    sender = Client(server, "network.demo.test-net-mqtt")
    for _ in range(300):
        sender.publish(site.net_topic("dldata-result"), b"x", wait=False)
    sender.publish(site.net_topic("uldata"), b"y")
    seen, left = [], 0
    while len(seen) + left < 301:
        frame = live.get()
        if frame["type"] == "messages":
            seen += [m["payload"] for m in frame["data"]]
            left += frame["left"]
    assert "y" in seen and left > 200 and len(seen) + left == 301
    live.close()


def test_who_is_no_member_any_more_sees_nothing_more(start):
    server = start("--hub.live.checkInterval", "200ms")
    site = Site(server, server.login())
    live = Live(server, someone(site, "ann", unit_member=True))
    live.subscribe("1", topics=["#"], unit=site.unit)
    site.call("PATCH", "unit/" + site.unit, {"data": {"memberIds": []}})
    got = live.get()
    assert (got["type"], got["code"]) == ("error", "err_hub_unit_not_exist")
    site.network().publish(site.net_topic("uldata"), uplink({"t": 1}))
    assert live.ask(type="ping", id="p")["type"] == "pong"
    assert not [f for f in live.heard if f["type"] == "messages"]
    live.close()


# --- devices that do not exist

def simulator(site, method, path, status=200, **data):
    r = hub(site, method, "simulator/" + path,
            {"data": data} if method == "POST" else None, status)
    return r.data if status == 200 else r.text


class Owner:
    """Somebody with a token, as tests of a site have it."""

    def __init__(self, server, token):
        self.server, self.token = server, token


def fields_of(site, unit):
    rows = hub(site, "GET", "field/list?limit=0&unit=" + unit,
               status=200).data
    return {(f["nodeId"], f["fieldId"]): f for f in rows}


def test_the_simulator_makes_a_home_and_takes_it_away(server):
    me = Owner(server, server.login())
    made = simulator(me, "POST", "start")
    assert made["running"] and made["unitCode"] == "home"
    unit = made["unitId"]
    assert [d["name"] for d in made["devices"]] == [
        "Living room", "Greenhouse", "Cellar", "Front door", "Pump"]
    assert [(m["kind"], m["name"]) for m in made["made"]] == [
        ("device", n) for n in ("Living room", "Greenhouse", "Cellar",
                                "Front door", "Pump")] + [
        ("network", "Simulator"), ("application", "Simulator"),
        ("profile", "Climate (demo)"), ("profile", "Door contact (demo)"),
        ("profile", "Relay (demo)"), ("unit", "Home")]
    until("all fields", lambda: len(fields_of(me, unit)) == 13)
    field = fields_of(me, unit)["de000001", "temperature_1"]
    assert field["name"] == "Temperature" and field["unit"] == "°C"
    # a day of it is there, and the newest value is of now
    def hours():
        return hub(me, "GET", "metric?unit=%s&start=-25h&window=1h&quickId="
                   "field:simulator.de000001.data.temperature_1" % unit,
                   status=200).text.count('"timestamp"')
    until("a day", lambda: hours() >= 24)
    again = simulator(me, "POST", "start", 400, unitId=unit)
    assert "runs already" in again
    stopped = simulator(me, "POST", "stop", unitId=unit)
    assert not stopped["running"] and stopped["message"] == "it was stopped"
    assert stopped["sent"] > 400
    # what is there is used again, and no second past is made
    simulator(me, "POST", "start", unitId=unit)
    until("new values", lambda: simulator(me, "GET", unit)["sent"] >= 5)
    assert simulator(me, "GET", unit)["sent"] < 50
    simulator(me, "DELETE", unit, 204)
    assert server.call("GET", "/coremgr/api/v1/unit/count",
                       token=me.token).data == {"count": 0}
    for kind in "field", "profile", "node":
        until(kind, lambda: hub(me, "GET", kind + "/count",
                                status=200).data == {"count": 0})


def test_the_simulated_relay_does_as_it_is_told(site):
    simulator(site, "POST", "start", unitId=site.unit)
    relay = ("de000005", "relay")
    until("the relay", lambda: relay in fields_of(site, site.unit))
    assert fields_of(site, site.unit)[relay]["current"]["value"] is False
    hub(site, "POST", "action", {"data": {
        "unitId": site.unit, "payload": "true",
        "resource": "field:simulator.de000005.data.relay"}}, 204)
    until("it is on", lambda: fields_of(
        site, site.unit)[relay]["current"]["value"] is True)
    state = simulator(site, "GET", site.unit)
    assert state["answered"] == 1
    # the unit is not the simulator's: it stays, with all that was there
    simulator(site, "DELETE", site.unit, 204)
    assert [d["deviceId"] for d in site.call(
        "GET", "device/list?unit=" + site.unit).data] == [site.device]
    assert simulator(site, "GET", site.unit)["made"] == []


def test_the_simulator_leaves_alone_what_is_not_its_own(site):
    mine = site.add("network", {"code": "simulator", "unitId": site.unit,
                                "hostUri": "mqtt://localhost"})["networkId"]
    assert "has not made" in simulator(site, "POST", "start", 400,
                                       unitId=site.unit)
    simulator(site, "DELETE", site.unit, 204)
    assert site.call("GET", "network/" + mine).status == 200
    site.call("DELETE", "network/" + mine)
    # a profile of it that somebody uses stays
    simulator(site, "POST", "start", unitId=site.unit)
    site.call("PATCH", "device/" + site.device,
              {"data": {"profile": "demo-door"}})
    simulator(site, "DELETE", site.unit, 204)
    assert [p["code"] for p in listed(site, "profile")] == ["demo-door"]


def test_the_simulator_ends_by_itself(start):
    server = start("--simulator.duration", "4s", "--simulator.runs", "1",
                   "--simulator.interval", "100ms", "--simulator.history",
                   "0s")
    site = Site(server, server.login())
    other = Site(server, site.token, code="other", app="a", net="n")
    simulator(site, "POST", "start", unitId=site.unit)
    assert "too many" in simulator(other, "POST", "start", 503,
                                   unitId=other.unit)
    until("its end", lambda: not simulator(
        site, "GET", site.unit)["running"])
    assert "simulator.duration" in simulator(site, "GET", site.unit)["message"]
    simulator(other, "POST", "start", unitId=other.unit)
    # its network is taken away under it
    state = simulator(other, "GET", other.unit)
    net = next(m["id"] for m in state["made"] if m["kind"] == "network")
    other.call("DELETE", "network/" + net)
    until("its end", lambda: not simulator(
        other, "GET", other.unit)["running"])


def test_the_simulator_is_for_owners(site):
    token = someone(site, "ann", unit_member=True)
    admin, site.token = site.token, token
    assert simulator(site, "GET", site.unit)["running"] is False
    simulator(site, "POST", "start", 400, unitId=site.unit)
    simulator(site, "POST", "stop", 400, unitId=site.unit)
    simulator(site, "DELETE", site.unit, 400)
    site.token = site.server.login("ann", "secret")
    stranger = Site(site.server, admin, code="other", app="a", net="n")
    simulator(site, "GET", stranger.unit, 400)


def test_there_may_be_no_simulator(start):
    server = start("--simulator.runs", "0")
    site = Site(server, server.login())
    assert simulator(site, "GET", site.unit)["available"] is False
    assert "simulator.runs" in simulator(site, "POST", "start", 503,
                                         unitId=site.unit)

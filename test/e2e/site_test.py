"""/hub/api/v1/site: where it listens, and for those who run it how full it is."""

from conftest import until


def test_the_site_says_where_it_listens(site):
    answer = site.server.call("GET", "/hub/api/v1/site", token=site.token).data
    assert answer["version"] and answer["startedAt"].endswith("Z")
    ports = {(p["scheme"], p["port"]): p for p in answer["listeners"]}
    place = ports["mqtt", int(site.server.mqtt_port)]
    assert place["local"] is True and place["host"] == "127.0.0.1"
    storage = answer["storage"]
    names = [s["name"] for s in storage["stores"]]
    assert {"auth.db", "hub.db"} <= set(names)
    assert not [n for n in names if n.endswith(("-wal", "-shm"))]
    assert storage["used"] == sum(s["bytes"] for s in storage["stores"]) > 0
    assert 0 < storage["free"] <= storage["total"]


def test_how_full_it_is_is_not_for_everybody(site):
    made = site.call("POST", "user", {"data": {
        "account": "ann", "password": "password"}})
    assert made.status == 200, made.text
    token = site.server.login("ann", "password")
    answer = site.server.call("GET", "/hub/api/v1/site", token=token).data
    assert answer["listeners"] and "storage" not in answer
    assert site.server.call("GET", "/hub/api/v1/site").status == 400


def test_lists_are_narrowed_to_what_is_shown(site):
    """Nodes by id and status; fields of some devices; devices by id."""
    hub = lambda path, **q: site.server.call(
        "GET", "/hub/api/v1/" + path + "?" + "&".join(
            "%s=%s" % i for i in {"unit": site.unit, **q}.items()),
        token=site.token)
    network = site.make("network", "narrow")
    profile = site.server.call("POST", "/hub/api/v1/profile", {"data": {
        "unitId": site.unit, "code": "plain", "codec": "json"}}, site.token)
    assert profile.status == 200, profile.text
    made = [site.add("device", {
        "unitId": site.unit, "networkId": network,
        "networkAddr": "a%d" % i,
        "profile": "plain"})["deviceId"] for i in range(4)]
    for device in made:
        sent = site.call("POST", "network/%s/uldata" % network, {
            "data": {"deviceId": device, "payload": "7b2274223a317d"}})
        assert sent.status == 204, sent.text
    until("the nodes are there", lambda: len(hub("node/list").data) >= 4)
    ids = sorted(made[1:3])
    got = hub("node/list", ids=",".join(ids))
    assert sorted(n["id"] for n in got.data) == ids
    assert hub("node/count", ids=",".join(ids)).data["count"] == 2
    assert hub("node/list", ids="nonsense").data == []
    assert len(hub("node/list", state="up,down", sort="state:asc").data) >= 4
    assert hub("node/list", state="down").data == []
    until("the fields are there",
          lambda: len(hub("field/list", devices=",".join(ids)).data) == 2)
    devices = site.server.call(
        "GET", "/broker/api/v1/device/list?unit=%s&ids=%s" % (
            site.unit, ",".join(ids)), token=site.token)
    assert sorted(d["deviceId"] for d in devices.data) == ids
    answer = hub("node/list", ids="," * 1001)
    assert answer.status == 400 and "more than 1000" in answer.json()["message"]

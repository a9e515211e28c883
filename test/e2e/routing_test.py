"""What happens to messages: up, down, results, moved devices, bad input."""
import json

import pytest

from conftest import UPLINK, Client, Site, until


def data_list(site, collection, **query):
    text = "&".join("%s=%s" % kv for kv in query.items())
    return site.server.call(
        "GET", "/data/api/v1/%s/list?unit=%s&%s"
        % (collection, site.unit, text), token=site.token).data


# --- downlink -----------------------------------------------------------------

@pytest.mark.parametrize("target", ["id", "address"])
def test_a_downlink_goes_down_and_its_result_comes_back(site, target):
    application, network = site.application(), site.network()
    other_app = site.make("application", "other")
    other = site.application("other")
    ask = {"correlationId": "c1", "data": "ABcd", "extension": {"port": 2}}
    if target == "id":
        ask["deviceId"] = site.device
    else:
        ask.update(networkCode="test-net-mqtt", networkAddr="01000461")
    application.publish(site.app_topic("dldata"), ask)

    down = network.wait(1, "dldata")[0]
    assert list(down) == ["dataId", "pub", "expiresIn", "networkAddr", "data",
                          "extension"]
    assert down["expiresIn"] == 86400
    assert down["networkAddr"] == "01000461"
    assert down["data"] == "abcd"
    assert down["extension"] == {"port": 2}
    answer = application.wait(1, "dldata-resp")[0]
    assert answer == {"correlationId": "c1", "dataId": down["dataId"]}

    result = {"dataId": down["dataId"], "status": -1}
    network.publish(site.net_topic("dldata-result"), result)
    assert application.wait(1, "dldata-result")[0] == result
    result = {"dataId": down["dataId"], "status": 0, "message": "ok"}
    network.publish(site.net_topic("dldata-result"), result)
    assert application.wait(2, "dldata-result")[1] == result
    # the last one: later results go nowhere
    bad = site.server.counter("route_result_bad_total")
    network.publish(site.net_topic("dldata-result"), result)
    assert site.server.counter("route_result_bad_total") == bad + 1
    assert len(application.messages("dldata-result")) == 2
    assert other.messages() == []

    stored = until("both results stored", lambda: [
        r for r in data_list(site, "application-dldata")
        if r["status"] == 0])[0]
    assert stored["dataId"] == down["dataId"]
    assert data_list(site, "network-dldata")[0]["status"] == 0
    assert other_app
    for client in (application, network, other):
        client.close()


def test_another_networks_result_does_not_count(site):
    application, network = site.application(), site.network()
    site.make("network", "foreign")
    foreign = site.network("foreign")
    application.publish(site.app_topic("dldata"), {
        "correlationId": "1", "deviceId": site.device, "data": ""})
    down = network.wait(1, "dldata")[0]
    foreign.publish(site.net_topic("dldata-result", "foreign"),
                    {"dataId": down["dataId"], "status": 0})
    network.publish(site.net_topic("dldata-result"),
                    {"dataId": down["dataId"], "status": 7})
    assert [r["status"] for r in application.wait(1, "dldata-result")] == [7]
    for client in (application, network, foreign):
        client.close()


@pytest.mark.parametrize("ask,error,message", [
    ("no json", "err_param", "invalid format"),
    ({"data": "00"}, "err_param", "invalid format"),
    ({"correlationId": "", "data": "00"}, "err_param",
     "invalid `correlationId`"),
    ({"correlationId": "1", "deviceId": "", "data": "00"}, "err_param",
     "invalid `deviceId`"),
    ({"correlationId": "1", "networkAddr": "1", "data": "00"}, "err_param",
     "invalid `networkCode`"),
    ({"correlationId": "1", "networkCode": "n", "data": "00"}, "err_param",
     "invalid `networkAddr`"),
    ({"correlationId": "1", "deviceId": "x", "data": "0"}, "err_param",
     "invalid `data`"),
    ({"correlationId": "1", "deviceId": "x", "data": "00"},
     "err_broker_device_not_exist", None),
    ({"correlationId": "1", "networkCode": "test-net-mqtt",
      "networkAddr": "ffff", "data": "00", "deviceId": None},
     "err_broker_device_not_exist", None),
])
def test_a_wrong_downlink_is_answered(site, ask, error, message):
    application = site.application()
    application.publish(site.app_topic("dldata"), ask)
    answer = application.wait(1, "dldata-resp")[0]
    assert answer["error"] == error
    assert answer.get("message") == message
    assert "dataId" not in answer
    application.close()


# --- devices that move ----------------------------------------------------------

def test_the_network_hears_of_devices_that_come_move_and_go(site):
    second = site.make("network", "second")
    first, other = site.network(), site.network("second")
    add = site.add("device", {"unitId": site.unit, "networkId": site.net,
                              "networkAddr": " 0A0B "})["deviceId"]
    patch = "device/" + add
    site.call("PATCH", patch, {"data": {"networkAddr": "0c"}})
    site.call("PATCH", patch, {"data": {"networkId": second}})
    site.call("PATCH", patch, {"data": {"name": "no ctrl for this"}})
    site.call("DELETE", patch)
    bulk = {"unitId": site.unit, "networkId": site.net}
    for kind in ("bulk", "bulk-delete"):
        assert site.call("POST", "device/" + kind, {"data": {
            **bulk, "networkAddrs": ["A1", "a2"]}}).status == 204
    for kind in ("range", "range-delete"):
        assert site.call("POST", "device/" + kind, {"data": {
            **bulk, "startAddr": "00fe", "endAddr": "0101"}}).status == 204

    heard = [(m["operation"], m["new"]) for m in first.wait(9, "ctrl")]
    one = {"networkAddr": "01000461"}  # from making the site
    assert heard == [
        ("add-device", one),
        ("add-device", {"networkAddr": "0a0b"}),
        ("del-device", {"networkAddr": "0a0b"}),
        ("add-device", {"networkAddr": "0c"}),
        ("del-device", {"networkAddr": "0c"}),
        ("add-device-bulk", {"networkAddrs": ["a1", "a2"]}),
        ("del-device-bulk", {"networkAddrs": ["a1", "a2"]}),
        ("add-device-range", {"startAddr": "00fe", "endAddr": "0101"}),
        ("del-device-range", {"startAddr": "00fe", "endAddr": "0101"}),
    ]
    assert [m["operation"] for m in other.wait(2, "ctrl")] == [
        "add-device", "del-device"]
    assert set(first.messages("ctrl")[0]) == {"time", "operation", "new"}
    first.close()
    other.close()


def test_uplinks_follow_a_device_that_moved(site):
    second = site.make("network", "second")
    application = site.application()
    first, other = site.network(), site.network("second")
    first.publish(site.net_topic("uldata"), UPLINK)
    application.wait(1, "uldata")
    answer = site.call("PATCH", "device/" + site.device,
                       {"data": {"networkId": second, "profile": "Door"}})
    assert answer.status == 204
    unknown = site.server.counter("route_uplink_unknown_total")
    first.publish(site.net_topic("uldata"), UPLINK)
    assert site.server.counter("route_uplink_unknown_total") == unknown + 1
    other.publish(site.net_topic("uldata", "second"), UPLINK)
    heard = application.wait(2, "uldata")
    assert heard[1]["networkCode"] == "second"
    assert heard[1]["profile"] == "door"
    # D7: the old network's end leaves the moved device's route alone
    assert site.call("DELETE", "network/" + site.net).status == 204
    other.publish(site.net_topic("uldata", "second"), UPLINK)
    application.wait(3, "uldata")
    for client in (application, first, other):
        client.close()


def test_a_device_may_keep_its_address_when_patched(site):
    patch = {"data": {"networkAddr": "01000461", "name": "same"}}
    assert site.call("PATCH", "device/" + site.device, patch).status == 204
    site.add("device", {"unitId": site.unit, "networkId": site.net,
                        "networkAddr": "02"})
    patch["data"]["networkAddr"] = "02"
    answer = site.call("PATCH", "device/" + site.device, patch)
    assert (answer.status, answer.code) == (
        400, "err_broker_network_addr_exist")


# --- routes ------------------------------------------------------------------------

def test_an_application_gets_a_message_once_however_it_is_routed(site):
    second = site.make("application", "second")
    for app in (site.app, second):
        site.add("network-route", {"networkId": site.net,
                                   "applicationId": app})
    network = site.network()
    application, other = site.application(), site.application("second")
    network.publish(site.net_topic("uldata"), UPLINK)
    network.publish(site.net_topic("uldata"), {**UPLINK, "data": "01"})
    mine, theirs = application.wait(2, "uldata"), other.wait(2, "uldata")
    assert [m["data"] for m in mine] == ["74657374", "01"]
    assert [m["data"] for m in theirs] == ["74657374", "01"]
    assert len({m["dataId"] for m in mine + theirs}) == 4
    for client in (network, application, other):
        client.close()


def test_a_deleted_route_routes_no_more(site):
    network, application = site.network(), site.application()
    network.publish(site.net_topic("uldata"), UPLINK)
    application.wait(1, "uldata")
    assert site.call("DELETE", "device-route/" + site.route).status == 204
    routed = site.server.counter("route_uplink_routed_total")
    network.publish(site.net_topic("uldata"), UPLINK)
    assert site.server.counter("route_uplink_routed_total") == routed
    assert len(application.messages("uldata")) == 1
    site.add("device-route", {"deviceId": site.device,
                              "applicationId": site.app})
    network.publish(site.net_topic("uldata"), UPLINK)
    application.wait(2, "uldata")
    network.close()
    application.close()


def test_order_is_kept_per_device_while_look_ups_are_under_way(site):
    addrs = ["%04x" % i for i in range(20)]
    body = {"data": {"unitId": site.unit, "networkId": site.net,
                     "networkAddrs": addrs}}
    assert site.call("POST", "device/bulk", body).status == 204
    site.add("network-route", {"networkId": site.net,
                               "applicationId": site.app})
    network, application = site.network(), site.application()
    for n in range(500):
        network.publish(site.net_topic("uldata"), {
            "time": UPLINK["time"], "networkAddr": addrs[n % 20],
            "data": "%08x" % n}, wait=False)
    heard = application.wait(500, "uldata")
    for addr in addrs:
        mine = [m["data"] for m in heard if m["networkAddr"] == addr]
        assert len(mine) == 25 and mine == sorted(mine)
    network.close()
    application.close()


def test_an_application_that_comes_back_under_its_old_name_has_no_old_routes(
        site):
    network = site.network()
    application = site.application()
    network.publish(site.net_topic("uldata"), UPLINK)
    application.wait(1, "uldata")
    assert site.call("DELETE", "application/" + site.app).status == 204
    until("the session to end", application.gone.is_set)
    site.app = site.make("application", site.app_code)
    again = site.application()
    network.publish(site.net_topic("uldata"), UPLINK)
    assert again.messages() == []
    site.add("device-route", {"deviceId": site.device,
                              "applicationId": site.app})
    network.publish(site.net_topic("uldata"), UPLINK)
    again.wait(1, "uldata")
    for client in (network, application, again):
        client.close()


# --- public networks -----------------------------------------------------------------

def test_a_public_network_is_marked_and_its_devices_are_routed(site):
    made = site.add("network", {"code": "pub", "unitId": None,
                                "hostUri": "mqtt://localhost"})
    dev = site.add("device", {"unitId": site.unit,
                              "networkId": made["networkId"],
                              "networkAddr": "77"})["deviceId"]
    site.add("device-route", {"deviceId": dev, "applicationId": site.app})
    network = Client(site.server, "network._.pub", made["password"])
    application = site.application()
    network.publish("broker.network._.pub.uldata",
                    {**UPLINK, "networkAddr": "77"})
    heard = application.wait(1, "uldata")[0]
    assert heard["isPublic"] is True
    assert heard["networkCode"] == "pub"
    answer = site.call("POST", "network-route", {"data": {
        "networkId": made["networkId"], "applicationId": site.app}})
    assert answer.status == 400
    # by id the application reaches a device of a public network
    application.publish(site.app_topic("dldata"), {
        "correlationId": "1", "deviceId": dev, "data": "00"})
    assert "dataId" in application.wait(1, "dldata-resp")[0]
    network.close()
    application.close()


# --- bad input -------------------------------------------------------------------------

@pytest.mark.parametrize("payload", [
    b"", b"no json", b"[]", b'{"time":"2023-07-08T06:55:02.000Z"}',
    json.dumps({**UPLINK, "data": "abc"}).encode(),
    json.dumps({**UPLINK, "time": "yesterday"}).encode(),
    json.dumps({**UPLINK, "networkAddr": ""}).encode(),
    json.dumps({**UPLINK, "networkAddr": 5}).encode(),
    json.dumps({**UPLINK, "extension": "text"}).encode(),
    b'{"time":"2023-07-08T06:55:02.000Z","networkAddr":"\xff","data":""}',
    b"{" * 100000,
])
def test_an_unreadable_uplink_is_dropped_and_counted(site, payload):
    network, application = site.network(), site.application()
    bad = site.server.counter("route_uplink_bad_total")
    network.publish(site.net_topic("uldata"), payload)
    assert site.server.counter("route_uplink_bad_total") == bad + 1
    network.publish(site.net_topic("uldata"), UPLINK)
    assert len(application.wait(1, "uldata")) == 1
    network.close()
    application.close()


def test_a_payload_of_a_mebibyte_ends_only_its_sender(site):
    network, application = site.network(), site.application()
    big = Client(site.server, "network.demo.test-net-mqtt")
    big.client.reconnect_delay_set(60, 60)
    big.publish(site.net_topic("uldata"), b"x" * (1 << 20), wait=False)
    until("the sender's end", big.gone.is_set)
    network.publish(site.net_topic("uldata"), UPLINK)
    assert len(application.wait(1, "uldata")) == 1
    for client in (network, application, big):
        client.close()


def test_an_unknown_device_is_recorded_and_not_routed(site):
    network, application = site.network(), site.application()
    network.publish(site.net_topic("uldata"),
                    {**UPLINK, "networkAddr": "FFFF"})
    assert site.server.counter("route_uplink_unknown_total") == 1
    stored = site.server.call(
        "GET", "/data/api/v1/network-uldata/list?addr=ffff",
        token=site.token).data
    assert len(stored) == 1
    assert "deviceId" not in stored[0]
    assert stored[0]["networkAddr"] == "ffff"
    assert stored[0]["profile"] == ""
    assert application.messages() == []
    network.close()
    application.close()


# --- signing in ---------------------------------------------------------------------------

def test_a_wrong_password_is_refused_and_counted(site):
    failed = site.server.counter("route_login_failed_total")
    for user, password in (("test-net-mqtt", "wrong"),
                           ("network.demo.test-net-mqtt", ""),
                           ("nobody", "password"),
                           ("network.demo.nobody", "password")):
        assert Client(site.server, user, password).refused in (4, 5)
    assert site.server.counter("route_login_failed_total") == failed + 4
    site.network().close()


def test_failures_are_limited_by_address(start):
    server = start("--mqtt.max-auth-failures", "3")
    site = Site(server, server.login())
    for _ in range(3):
        Client(server, "test-net-mqtt", "wrong")
    asked = server.counter("route_login_failed_total")
    assert Client(server, "test-net-mqtt", "wrong").refused == 5
    assert Client(server, "test-net-mqtt", "password").refused == 5
    assert server.counter("route_login_failed_total") == asked
    assert site


def test_the_bare_code_needs_the_only_account_with_that_password(site):
    Client(site.server, "test-net-mqtt").close()
    twin = Site(site.server, site.token, "twin")
    # two accounts of one code with one password: nobody knows which
    assert Client(site.server, "test-net-mqtt").refused is not None
    twin.call("PATCH", "network/" + twin.net,
              {"data": {"password": "different"}})
    one = Client(site.server, "test-net-mqtt", "different",
                 topics=["broker.network.twin.test-net-mqtt.dldata"])
    assert list(one.granted.values()) == [1]
    one.close()


@pytest.mark.parametrize("topic", [
    "broker.network.demo.test-net-mqtt.uldata",
    "broker/#", "#", "+",
    "broker.network.demo.other.dldata",
    "broker.application.demo.test-app-mqtt.uldata",
    "$share/g/broker.application.demo.test-app-mqtt.uldata",
    "broker.data", "broker.ctrl.device",
])
def test_a_network_subscribes_to_its_own_queues_only(site, topic):
    client = Client(site.server, "network.demo.test-net-mqtt", topics=[topic])
    assert list(client.granted.values()) == [128]
    client.close()


def test_a_network_publishes_to_its_own_queues_only(site):
    site.make("network", "other")
    other = site.network("other")
    application = site.application()
    refused = site.server.counter("mqtt_publish_denied_total")
    for topic in (site.net_topic("uldata"), site.app_topic("dldata"),
                  site.app_topic("uldata"), "anything"):
        other.publish(topic, UPLINK)
    assert site.server.counter("mqtt_publish_denied_total") == refused + 4
    assert application.messages() == []
    other.close()
    application.close()


def test_a_new_password_ends_the_sessions_of_the_old_one(site):
    network = site.network()
    network.client.reconnect_delay_set(60, 60)
    site.call("PATCH", "network/" + site.net, {"data": {"password": "new"}})
    until("the session to end", network.gone.is_set)
    assert Client(site.server, "network.demo.test-net-mqtt").refused
    Client(site.server, "network.demo.test-net-mqtt", "new").close()
    network.close()


def test_shared_groups_share_and_plain_subscribers_get_all(site):
    topic = site.app_topic("uldata")
    user = "application.demo.test-app-mqtt"
    group = [Client(site.server, user, topics=["$share/g/" + topic])
             for _ in range(2)]
    plain = Client(site.server, user, topics=[topic])
    network = site.network()
    for n in range(20):
        network.publish(site.net_topic("uldata"),
                        {**UPLINK, "data": "%02x" % n})
    assert len(plain.wait(20)) == 20
    until("the group's share",
          lambda: sum(len(c.messages()) for c in group) == 20)
    assert all(c.messages() for c in group)
    for client in (*group, plain, network):
        client.close()


# --- figures and trials --------------------------------------------------------------------

def test_figures_and_trial_messages(site):
    application, network = site.application(), site.network()
    answer = site.call("POST", "network/%s/uldata" % site.net, {"data": {
        "deviceId": site.device, "payload": "0102"}})
    assert answer.status == 204
    assert application.wait(1, "uldata")[0]["data"] == "0102"
    answer = site.call("POST", "application/%s/dldata" % site.app, {"data": {
        "deviceId": site.device, "payload": "03"}})
    assert answer.status == 204
    assert network.wait(1, "dldata")[0]["data"] == "03"
    stats = site.call("GET", "application/%s/stats" % site.app).data
    assert set(stats) == {"uldata", "dldataResp", "dldataResult"}
    assert stats["uldata"]["consumers"] == 1
    assert set(stats["uldata"]) == {"consumers", "messages", "publishRate",
                                    "deliverRate"}
    stats = site.call("GET", "network/%s/stats" % site.net).data
    assert set(stats) == {"dldata", "ctrl"}
    application.close()
    network.close()
    until("the application to be gone", lambda: site.call(
        "GET", "application/%s/stats" % site.app
    ).data["uldata"]["consumers"] == 0)


def test_the_history_has_what_passed(site):
    network, application = site.network(), site.application()
    network.publish(site.net_topic("uldata"),
                    {**UPLINK, "extension": {"rssi": -70}})
    copy = application.wait(1, "uldata")[0]
    assert copy["extension"] == {"rssi": -70}
    up = data_list(site, "network-uldata")
    down = data_list(site, "application-uldata")
    assert len(up) == len(down) == 1
    assert down[0]["dataId"] == copy["dataId"]
    assert up[0]["dataId"] != copy["dataId"]
    assert set(up[0]) == {"dataId", "proc", "unitCode", "networkCode",
                          "networkAddr", "unitId", "deviceId", "time",
                          "profile", "data", "extension"}
    assert set(down[0]) == set(up[0]) | {"pub"}
    network.close()
    application.close()

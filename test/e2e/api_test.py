"""The REST API as its users call it: rights, lists, errors, CSV, records."""
import csv
import io
import re

import pytest

from conftest import LIMIT, UPLINK, until

BROKER = "/broker/api/v1/"
COREMGR = "/coremgr/api/v1/"


def add_user(site, account, password="secret-1"):
    return site.add("user", {"account": account,
                             "password": password})["userId"]


@pytest.fixture
def stranger(site):
    """A user without roles: the token, and the id."""
    user = add_user(site, "stranger")
    return site.server.login("stranger", "secret-1"), user


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer.text


# --- who may ----------------------------------------------------------------------

@pytest.mark.parametrize("prefix,body", [
    ("/auth/api/v1/user", ""), (BROKER + "unit/list", '{"code":"err_auth"}'),
    ("/data/api/v1/network-uldata/list?unit=x", '{"code":"err_auth"}')])
def test_a_token_is_asked_for(server, prefix, body):
    answer = server.call("GET", prefix)
    refused(answer, 400, "err_param")
    assert answer.json()["message"] == "missing token"
    answer = server.call("GET", prefix, token="0" * 64)
    assert answer.status == 401 and answer.text == body
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_what_one_may_not_see_is_not_there(site, stranger):
    token, _ = stranger
    call = site.server.call
    for path, code in (("unit/" + site.unit, "err_not_found"),
                       ("application/" + site.app, "err_not_found"),
                       ("network/" + site.net, "err_not_found"),
                       ("device/" + site.device, "err_not_found")):
        for prefix in (BROKER, COREMGR):
            refused(call("GET", prefix + path, token=token), 404, code)
            assert call("DELETE", prefix + path, token=token).status in (
                204, 404)
            refused(call("PATCH", BROKER + path, {"data": {"name": "x"}},
                         token), 404, code)
            assert site.call("GET", path).status == 200
    for kind in ("application", "network", "device", "device-route",
                 "network-route", "dldata-buffer"):
        path = COREMGR + kind + "/list"
        refused(call("GET", path, token=token), 400, "err_param")
        refused(call("GET", path + "?unit=" + site.unit, token=token), 400,
                "err_broker_unit_not_exist")
    refused(call("POST", COREMGR + "device", {"data": {
        "unitId": site.unit, "networkId": site.net, "networkAddr": "9"}},
        token), 400, "err_broker_unit_not_exist")
    refused(call("GET", "/data/api/v1/network-uldata/list?unit=", token=token),
            400, "err_param")
    refused(call("GET", "/data/api/v1/network-uldata/list?unit=" + site.unit,
                 token=token), 400, "err_data_unit_not_exist")


def test_members_read_and_owners_write(site, stranger):
    token, user = stranger
    assert site.call("PATCH", "unit/" + site.unit, {"data": {
        "memberIds": [user]}}).status == 204
    unit = site.call("GET", "unit/" + site.unit).data
    assert sorted(unit["memberIds"]) == sorted(["admin", user])
    call = site.server.call
    assert call("GET", COREMGR + "device/" + site.device,
                token=token).status == 200
    refused(call("PATCH", COREMGR + "device/" + site.device,
                 {"data": {"name": "x"}}, token), 404, "err_not_found")
    assert [u["code"] for u in call("GET", COREMGR + "unit/list",
                                    token=token).data] == ["demo"]
    refused(call("POST", COREMGR + "unit", {"data": {"code": "demo"}}, token),
            400, "err_broker_unit_exist")
    own = call("POST", COREMGR + "unit", {"data": {
        "code": "OWN", "ownerId": "admin"}}, token).data["unitId"]
    mine = call("GET", COREMGR + "unit/" + own, token=token).data
    assert (mine["code"], mine["ownerId"]) == ("own", user)


def test_roles_open_doors(site, stranger):
    token, user = stranger
    call = site.server.call
    for path in ("user/list", "user/count", "user/admin", "client/list"):
        refused(call("GET", COREMGR + path, token=token), 403, "err_perm")
    assert site.call("PATCH", "user/" + user, {"data": {
        "roles": {"manager": True, "dev": True}}}).status == 204
    assert call("GET", COREMGR + "user/list", token=token).status == 200
    refused(call("PATCH", COREMGR + "user/admin", {"data": {
        "roles": {}}}, token), 403, "err_perm")
    refused(call("DELETE", COREMGR + "user/admin", token=token), 403,
            "err_perm")
    refused(site.call("DELETE", "user/admin"), 403, "err_perm")
    refused(site.call("DELETE", "client/public"), 403, "err_perm")
    made = call("POST", COREMGR + "client", {"data": {
        "redirectUris": ["http://b.example/x", "http://a.example/"],
        "scopes": [], "name": "mine"}, "credentials": True}, token)
    assert made.status == 200
    shown = call("GET", COREMGR + "client/" + made.data["clientId"],
                 token=token).data
    assert "userId" not in shown and len(shown["clientSecret"]) == 16
    assert shown["redirectUris"] == ["http://a.example/", "http://b.example/x"]


# --- bodies ---------------------------------------------------------------------------

def test_bodies_are_read_with_care(site):
    call, path = site.server.call, COREMGR + "unit"
    kind = {"Content-Type": "application/json"}
    for raw, headers in ((b'{"data":{"code":"x"}}', {}),
                         (b"not json", kind), (b"", kind), (b"[]", kind),
                         (b"{}", kind), (b'{"data":{}}', kind),
                         (b'{"data":{"code":5}}', kind),
                         (b'{"data":{"code":"B\xc3\xa4"}}', kind),
                         (b'{"data":{"code":"count"}}', kind),
                         (b'{"data":{"code":"x","info":{"":1}}}', kind)):
        answer = call("POST", path, raw=raw, token=site.token,
                      headers=headers or {"Content-Type": "text/plain"})
        refused(answer, 400, "err_param")
        assert answer.json()["message"]
    answer = call("POST", path, raw=b'{"data":{"code":"Ok-1","more":[1]}}',
                  token=site.token, headers=kind)
    assert answer.status == 200
    refused(site.call("PATCH", "unit/" + site.unit, {"data": {}}), 400,
            "err_param")
    too_big = b'{"data":"' + b"x" * (3 << 20) + b'"}'
    answer = call("POST", path, raw=too_big, token=site.token, headers=kind)
    refused(answer, 413, "err_param")
    assert "2097152 bytes; see server.bodyMax" in answer.json()["message"]


@pytest.mark.parametrize("kind,data,code", [
    ("unit", {"code": "x", "ownerId": "nobody"},
     "err_broker_owner_not_exist"),
    ("application", {"code": "a", "unitId": "x", "hostUri": "mqtt://h"},
     "err_broker_unit_not_exist"),
    ("application", {"code": "a", "unitId": "x", "hostUri": "http://h"},
     "err_param"),
    ("network", {"code": "a", "unitId": "", "hostUri": "mqtt://h"},
     "err_param"),
    ("device", {"unitId": "UNIT", "networkId": "x", "networkAddr": "1"},
     "err_broker_network_not_exist"),
    ("device", {"unitId": "UNIT", "networkId": "NET",
                "networkAddr": "01000461"}, "err_broker_network_addr_exist"),
    ("device", {"unitId": "UNIT", "networkId": "NET", "networkAddr": " "},
     "err_param"),
    ("device-route", {"deviceId": "x", "applicationId": "APP"},
     "err_broker_device_not_exist"),
    ("device-route", {"deviceId": "DEV", "applicationId": "x"},
     "err_broker_application_not_exist"),
    ("device-route", {"deviceId": "DEV", "applicationId": "APP"},
     "err_broker_route_exist"),
    ("network-route", {"networkId": "x", "applicationId": "APP"},
     "err_broker_network_not_exist"),
    ("network-route", {"networkId": "NET", "applicationId": "x"},
     "err_broker_application_not_exist"),
])
def test_every_error_has_its_code(site, kind, data, code):
    real = {"UNIT": site.unit, "APP": site.app, "NET": site.net,
            "DEV": site.device}
    data = {k: real.get(v, v) for k, v in data.items()}
    refused(site.server.call("POST", BROKER + kind, {"data": data},
                             site.token), 400, code)


def test_two_units_do_not_match(site):
    other = site.add("unit", {"code": "other"})["unitId"]
    app = site.add("application", {"code": "a", "unitId": other,
                                   "hostUri": "mqtt://localhost"})
    for kind, end in (("device-route", {"deviceId": site.device}),
                      ("network-route", {"networkId": site.net})):
        refused(site.call("POST", kind, {"data": {
            **end, "applicationId": app["applicationId"]}}), 400,
            "err_broker_unit_not_match")
    refused(site.call("POST", "device-route/bulk", {"data": {
        "applicationId": app["applicationId"], "networkId": site.net,
        "networkAddrs": ["01000461"]}}), 400, "err_broker_unit_not_match")


@pytest.mark.parametrize("first,last", [
    ("00", "0000"), ("02", "01"), ("0", "1"), ("zz", "zz"), ("", ""),
    ("0000", "ffff"), ("00" * 16, "f" * 32),
    ("0" * 32, "0000000000000001" + "0" * 16), ("0" * 34, "0" * 34)])
def test_ranges_have_limits(site, first, last):
    refused(site.call("POST", "device/range", {"data": {
        "unitId": site.unit, "networkId": site.net, "startAddr": first,
        "endAddr": last}}), 400, "err_param")


def test_a_range_may_end_at_the_last_address(site):
    assert site.call("POST", "device/range", {"data": {
        "unitId": site.unit, "networkId": site.net,
        "startAddr": "F" * 31 + "e", "endAddr": "f" * 32}}).status == 204
    rows = site.call("GET", "device/list?unit=%s&sort=addr:desc"
                     % site.unit).data
    assert [r["networkAddr"] for r in rows[:2]] == ["f" * 32, "f" * 31 + "e"]


# --- lists ---------------------------------------------------------------------------------

def many(site, n=250):
    for start in range(0, n, 1000):
        assert site.call("POST", "device/bulk", {"data": {
            "unitId": site.unit, "networkId": site.net,
            "networkAddrs": ["%06x" % i for i in
                             range(start, min(start + 1000, n))],
            "profile": "P1"}}).status == 204


def test_lists_page_sort_filter_and_format(site):
    many(site)
    def get(query):
        return site.call("GET", "device/list?unit=%s&%s" % (site.unit, query))
    assert len(get("").data) == 100
    everything = get("limit=0").data
    assert len(everything) == 251
    addrs = [d["networkAddr"] for d in everything]
    assert addrs == sorted(addrs)
    assert get("limit=0&sort=addr:desc").data == everything[::-1]
    assert get("offset=245&limit=120").data == everything[245:]
    assert get("offset=7&limit=120").data == everything[7:127]
    assert get("limit=0&format=array").json() == everything
    assert len(get("limit=0&profile=p1").data) == 250
    assert len(get("limit=0&network=test-net-mqtt").data) == 251
    assert len(get("limit=0&network=" + site.net).data) == 251
    assert [d["networkAddr"] for d in get("addr=0000FF").data] == []
    assert [d["networkAddr"] for d in get("addr=0000F0").data] == ["0000f0"]
    assert [d["name"] for d in get("contains=00F0").data] == ["0000f0"]
    assert get("contains=%25").data == []
    count = site.call("GET", "device/count?unit=%s&profile=p1" % site.unit)
    assert count.data == {"count": 250}
    for bad in ("sort=", "sort=addr", "sort=addr:up", "sort=x:asc",
                "sort=addr:asc:x", "offset=-1", "limit=x", "format=xml"):
        refused(get(bad), 400, "err_param")


def test_a_long_list_is_not_shifted_by_what_others_do(site):
    many(site, 1000)
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", site.server.http_port)
    c.request("GET", COREMGR + "device/list?limit=0&format=array&unit="
              + site.unit, headers={"Authorization": "Bearer " + site.token})
    answer = c.getresponse()
    first = answer.read(1000)
    site.call("POST", "device/bulk-delete", {"data": {
        "unitId": site.unit, "networkId": site.net,
        "networkAddrs": ["%06x" % i for i in range(50)]}})
    import json
    rows = json.loads(first + answer.read())
    addrs = [r["networkAddr"] for r in rows]
    assert len(addrs) == len(set(addrs)) and addrs == sorted(addrs)
    assert {"%06x" % i for i in range(100, 1000)} <= set(addrs)
    c.close()


@pytest.mark.parametrize("path,head", [
    ("coremgr/api/v1/user",
     "account,createdAt,modifiedAt,verifiedAt,roles,name,info"),
    ("coremgr/api/v1/client", "clientId,createdAt,modifiedAt,clientSecret,"
     "redirectUris,scopes,userId,name,image"),
    ("coremgr/api/v1/unit", "unitId,code,createdAt,modifiedAt,ownerId,"
     "memberIds,name,info"),
    ("coremgr/api/v1/application", "applicationId,code,unitId,unitCode,"
     "createdAt,modifiedAt,hostUri,name,info"),
    ("coremgr/api/v1/network", "networkId,code,unitId,unitCode,createdAt,"
     "modifiedAt,hostUri,name,info"),
    ("coremgr/api/v1/device", "deviceId,unitId,unitCode,networkId,"
     "networkCode,networkAddr,createdAt,modifiedAt,profile,name,info"),
    ("coremgr/api/v1/device-route", "routeId,unitId,applicationId,"
     "applicationCode,deviceId,networkId,networkCode,networkAddr,profile,"
     "createdAt,modifiedAt"),
    ("coremgr/api/v1/network-route", "routeId,unitId,applicationId,"
     "applicationCode,networkId,networkCode,createdAt"),
    ("coremgr/api/v1/dldata-buffer", "dataId,unitId,applicationId,"
     "applicationCode,deviceId,networkId,createdAt,expiredAt"),
    ("data/api/v1/application-uldata", "dataId,proc,pub,unitCode,networkCode,"
     "networkAddr,unitId,deviceId,time,profile,data,extension"),
    ("data/api/v1/application-dldata", "dataId,proc,resp,status,unitId,"
     "deviceId,networkCode,networkAddr,profile,data,extension"),
    ("data/api/v1/network-uldata", "dataId,proc,unitCode,networkCode,"
     "networkAddr,unitId,deviceId,time,profile,data,extension"),
    ("data/api/v1/network-dldata", "dataId,proc,pub,resp,status,unitId,"
     "deviceId,networkCode,networkAddr,profile,data,extension"),
    ("data/api/v1/coremgr-opdata", "dataId,reqTime,resTime,latencyMs,status,"
     "sourceIp,method,path,body,userId,clientId,errCode,errMessage"),
])
def test_lists_are_saved_as_csv(site, path, head):
    answer = site.server.call("GET", "/%s/list?format=csv" % path,
                              token=site.token)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Content-Disposition"] == (
        "attachment;filename=%s.csv" % path.split("/")[-1])
    assert answer.text.startswith("\ufeff" + head + "\n")
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert all(len(row) == len(rows[0]) for row in rows)
    if "/api/v1/unit" in path:
        assert rows[1][1] == "demo"
    refused(site.server.call("GET", "/broker/api/v1/unit/list?format=csv",
                             token=site.token), 400, "err_param")


# --- applications and networks ---------------------------------------------------------------

def test_passwords_are_shown_once_and_hosts_without_credentials(site):
    made = site.add("application", {
        "code": "Second", "unitId": site.unit, "ttl": 5000, "length": 7,
        "hostUri": "mqtt://user:pass@LOCALHOST:1883/x"})
    assert re.match(r"[A-Za-z0-9]{8}$", made["password"])
    shown = site.call("GET", "application/" + made["applicationId"]).data
    assert shown["code"] == "second"
    assert shown["hostUri"] == "mqtt://localhost:1883"
    assert (shown["ttl"], shown["length"]) == (5000, 7)
    assert made["password"] not in str(shown)
    answer = site.call("PATCH", "application/" + made["applicationId"],
                       {"data": {"length": 3}})
    assert answer.status == 204
    shown = site.call("GET", "application/" + made["applicationId"]).data
    assert (shown["ttl"], shown["length"]) == (0, 3)
    refused(site.call("POST", "application", {"data": {
        "code": "second", "unitId": site.unit,
        "hostUri": "mqtt://localhost"}}), 400,
        "err_broker_application_exist")
    refused(site.call("POST", "network", {"data": {
        "code": "rabbit", "unitId": site.unit,
        "hostUri": "amqp://localhost"}}), 503, "err_int_msg")
    refused(site.call("PATCH", "network/" + site.net, {"data": {
        "hostUri": "mqtt://127.0.0.1:1884"}}), 400, "err_param")
    refused(site.call("PATCH", "application/nobody", {"data": {
        "name": "x"}}), 404, "err_not_found")


def test_a_queue_keeps_no_more_than_its_length(site):
    site.call("PATCH", "application/" + site.app, {"data": {"length": 2}})
    network = site.network()
    for n in range(5):
        network.publish(site.net_topic("uldata"),
                        {**UPLINK, "data": "%02x" % n})
    assert site.server.counter("route_uplink_refused_total") == 3
    application = site.application()
    assert [m["data"] for m in application.wait(2)] == ["00", "01"]
    network.close()
    application.close()


def test_a_unit_takes_everything_with_it(site):
    network = site.network()
    network.client.reconnect_delay_set(60, 60)
    assert site.call("DELETE", "unit/" + site.unit).status == 204
    until("the session to end", network.gone.is_set)
    network.close()
    for kind, id in (("unit", site.unit), ("application", site.app),
                     ("network", site.net), ("device", site.device)):
        assert site.call("GET", kind + "/" + id).status == 404
    for kind in ("device-route", "network-route", "dldata-buffer"):
        assert site.call("GET", kind + "/count").data == {"count": 0}
    assert site.server.counter("route_applications") == 0
    assert site.call("DELETE", "unit/" + site.unit).status == 204


# --- records ------------------------------------------------------------------------------------

def test_what_people_do_is_on_record_without_passwords(site, stranger):
    token, user = stranger
    site.server.call("PATCH", COREMGR + "user", {"data": {
        "password": "very-secret", "name": "S"}}, token)
    site.server.call("POST", COREMGR + "unit", {"data": {"code": "!"}},
                     site.token)
    def records():
        return site.server.call(
            "GET", "/data/api/v1/coremgr-opdata/list?limit=0",
            token=site.token).data
    until("the record", lambda: any(r.get("errCode") for r in records()))
    rows = records()
    assert "very-secret" not in str(rows) and "secret-1" not in str(rows)
    wrong = next(r for r in rows if r.get("errCode"))
    assert wrong["errCode"] == "err_param" and wrong["status"] == 400
    assert wrong["method"] == "POST" and wrong["path"] == COREMGR + "unit"
    assert wrong["body"] == {"data": {"code": "!"}}
    assert wrong["userId"] == "admin" and wrong["clientId"] == "public"
    assert re.match(r"127\.0\.0\.1:\d+$", wrong["sourceIp"])
    added = next(r for r in rows if r["path"] == COREMGR + "user"
                 and r["method"] == "POST")
    assert added["body"]["data"]["password"] == ""
    log = site.server.logged()
    assert "very-secret" not in log and "secret-1" not in log
    mine = site.server.login("stranger", "very-secret")
    assert {r["userId"] for r in site.server.call(
        "GET", "/data/api/v1/coremgr-opdata/list?user=admin",
        token=mine).data} <= {user}


def test_records_are_found_by_time(site):
    network = site.network()
    network.publish(site.net_topic("uldata"), UPLINK)
    network.close()
    path = "/data/api/v1/network-uldata/count?unit=%s&" % site.unit
    at = 1688799302000  # the time in UPLINK
    for query, n in (("tfield=time&tstart=%d&tend=%d" % (at, at), 1),
                     ("tfield=time&tstart=%d" % (at + 1), 0),
                     ("tfield=proc&tend=%d" % at, 0),
                     ("device=" + site.device, 1), ("device=x", 0),
                     ("network=TEST-NET-MQTT&addr=01000461", 1)):
        answer = site.server.call("GET", path + query, token=site.token)
        assert answer.data == {"count": n}, query
    for query in ("tstart=1", "tfield=pub&tstart=1", "tfield=time&tend=x"):
        refused(site.server.call("GET", path + query, token=site.token), 400,
                "err_param")


# --- HTTP ----------------------------------------------------------------------------------------

def test_other_origins_may_read_the_api_but_bring_no_cookies(server):
    origin = {"Origin": "http://elsewhere.example"}
    answer = server.call("GET", "/version", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Credentials"] is None
    answer = server.call("OPTIONS", COREMGR + "unit", headers={
        **origin, "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization"})
    assert answer.status == 200
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"


def test_paths_end_with_or_without_a_slash(site):
    assert site.call("GET", "unit/count/").data == {"count": 1}
    refused(site.server.call("GET", "/nothing/here"), 404, "err_not_found")
    answer = site.server.call("PUT", "/version")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_static_files_are_served_and_nothing_beside_them(start, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<p>mine")
    (folder / ".secret").write_text("no")
    (tmp_path / "outside").write_text("no")
    (folder / "link").symlink_to(tmp_path / "outside")
    server = start("--server.static", str(folder))
    assert server.call("GET", "/").text == "<p>mine"
    assert server.call("GET", "/index.html").status == 200
    for path in ("/.secret", "/../outside", "/%2e%2e/outside", "/link",
                 "//outside", "/coremgr/index.html"):
        assert server.call("GET", path).status == 404, path


def test_https_is_served_with_a_certificate(start, tmp_path):
    import ssl
    import subprocess
    import urllib.request
    key, cert = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
         "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True,
        capture_output=True)
    server = start("--server.certfile", str(cert), "--server.keyfile",
                   str(key), "--server.httpsport", "0", "--listen",
                   "127.0.0.1")
    port = re.search(r"https://localhost:(\d+)", server.said).group(1)
    with urllib.request.urlopen(
            "https://localhost:%s/version" % port,
            context=ssl.create_default_context(cafile=str(cert))) as answer:
        assert answer.status == 200


def test_a_wrong_start_says_what_to_do(tmp_path):
    import subprocess
    from conftest import PROGRAM
    def run(*options):
        done = subprocess.run([PROGRAM, "serve", "--data-dir",
                               str(tmp_path / "d"), *options], text=True,
                              capture_output=True, timeout=LIMIT)
        return done.returncode, done.stderr
    config = tmp_path / "c.json5"
    config.write_text("{ server: { httpPort: 99999 } }")
    assert run("-f", str(config)) == (
        2, "marram: server.httpPort: must be 0 to 65535\n")
    config.write_text("{ server: {")
    assert run("-f", str(config)) == (
        2, "marram: %s: line 1 column 12: unexpected end\n" % config)
    status, said = run("--no-such-option")
    assert status == 2 and "there is no such option" in said
    status, said = run("--auth.db.engine", "mongodb")
    assert status == 1 and "not part of this version" in said
    status, said = run("--server.certfile", "x")
    assert status == 1 and "server.keyFile go together" in said

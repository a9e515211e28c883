"""A database that Sylvia-IoT 0.4.5 has written opens as it is."""
import sqlite3

from conftest import UPLINK, Client, Site

TABLES = """
CREATE TABLE user (user_id TEXT NOT NULL UNIQUE, account TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    verified_at INTEGER, expired_at INTEGER, disabled_at INTEGER, roles TEXT,
    password TEXT NOT NULL, salt TEXT NOT NULL, name TEXT NOT NULL, info TEXT,
    PRIMARY KEY (user_id));
CREATE TABLE client (client_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    client_secret TEXT, redirect_uris TEXT NOT NULL, scopes TEXT NOT NULL,
    user_id TEXT NOT NULL, name TEXT NOT NULL, image_url TEXT,
    PRIMARY KEY (client_id));
CREATE TABLE access_token (access_token TEXT NOT NULL UNIQUE,
    refresh_token TEXT, expires_at INTEGER NOT NULL, scope TEXT,
    client_id TEXT NOT NULL, redirect_uri TEXT NOT NULL, user_id TEXT NOT NULL,
    PRIMARY KEY (access_token));
CREATE TABLE unit (unit_id TEXT NOT NULL UNIQUE, code TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    owner_id TEXT NOT NULL, member_ids TEXT NOT NULL, name TEXT NOT NULL,
    info TEXT, PRIMARY KEY (unit_id));
CREATE TABLE application (application_id TEXT NOT NULL UNIQUE,
    code TEXT NOT NULL, unit_id TEXT NOT NULL, unit_code TEXT NOT NULL,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    host_uri TEXT NOT NULL, name TEXT NOT NULL, info TEXT,
    UNIQUE (unit_id, code), PRIMARY KEY (application_id));
CREATE TABLE network (network_id TEXT NOT NULL UNIQUE, code TEXT NOT NULL,
    unit_id TEXT NOT NULL, unit_code TEXT NOT NULL,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    host_uri TEXT NOT NULL, name TEXT NOT NULL, info TEXT,
    UNIQUE (unit_id, code), PRIMARY KEY (network_id));
CREATE TABLE device (device_id TEXT NOT NULL UNIQUE, unit_id TEXT NOT NULL,
    unit_code TEXT NOT NULL, network_id TEXT NOT NULL,
    network_code TEXT NOT NULL, network_addr TEXT NOT NULL,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    profile TEXT NOT NULL, name TEXT NOT NULL, info TEXT,
    UNIQUE (unit_code, network_code, network_addr), PRIMARY KEY (device_id));
CREATE TABLE device_route (route_id TEXT NOT NULL UNIQUE,
    unit_id TEXT NOT NULL, unit_code TEXT NOT NULL,
    application_id TEXT NOT NULL, application_code TEXT NOT NULL,
    device_id TEXT NOT NULL, network_id TEXT NOT NULL,
    network_code TEXT NOT NULL, network_addr TEXT NOT NULL,
    profile TEXT NOT NULL, created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL, UNIQUE (application_id, device_id),
    PRIMARY KEY (route_id));
"""
T = 1688798000000
TOKEN = "ab" * 32
ROWS = {
    "user": [("admin", "admin", T, T, T, None, None,
              '{"admin":true,"dev":false}',
              "27258772d876ffcef7ca2c75d6f4e6bcd81c203bd3e93c0791c736e5a2df4af"
              "a", "YsBsou2O", "Admin", "{}")],
    "client": [("public", T, T, None,
                "http://localhost:1080/auth/oauth2/redirect", "", "dev",
                "Public", None)],
    "access_token": [(TOKEN, None, 32503680000000, None, "public",
                      "http://localhost:1080/auth/oauth2/redirect", "admin")],
    "unit": [("u1", "demo", T, T, "admin", "admin other", "Demo", "{}")],
    "application": [("a1", "app", "u1", "demo", T, T, "mqtt://localhost",
                     "App", "{}")],
    "network": [("n1", "net", "u1", "demo", T, T, "mqtt://localhost", "Net",
                 "{}"),
                ("n2", "pub", "", "", T, T, "mqtt://localhost", "Pub", "{}")],
    "device": [("d1", "u1", "demo", "n1", "net", "01000461", T, T, "p", "D",
                '{"room":"hall"}'),
               ("d2", "u1", "", "n2", "pub", "77", T, T, "", "D2", "{}")],
    "device_route": [("r1", "u1", "demo", "a1", "app", "d1", "n1", "net",
                      "01000461", "p", T, T),
                     ("r2", "u1", "demo", "a1", "app", "d2", "n2", "pub", "77",
                      "", T, T)],
}


def test_upstreams_file_opens_and_goes_on(start, tmp_path):
    path = tmp_path / "test.db"
    db = sqlite3.connect(path)
    db.executescript(TABLES)
    for table, rows in ROWS.items():
        for row in rows:
            db.execute("INSERT INTO %s VALUES (%s)"
                       % (table, ",".join("?" * len(row))), row)
    db.commit()
    db.close()
    options = []
    for module in ("auth", "broker", "data"):
        options += ["--%s.db.sqlite.path" % module, str(path)]
    server = start(*options, password=None)
    assert "setup" not in server.said

    # the hand-written rows sign in, and a clear token goes on working
    token = server.login("admin", "admin")
    assert server.call("GET", "/auth/api/v1/user", token=TOKEN).status == 200
    kept = sqlite3.connect(path).execute(
        "SELECT password FROM user").fetchone()[0]
    assert kept.startswith("$argon2id$")
    assert server.login("admin", "admin")

    def get(what):
        return server.call("GET", "/coremgr/api/v1/" + what, token=token).data
    assert get("unit/u1")["memberIds"] == ["admin", "other"]
    assert get("network/n2")["unitId"] is None
    assert get("device/d2")["unitCode"] is None
    assert get("device/d1")["info"] == {"room": "hall"}
    assert [n["code"] for n in get("network/list?unit=")] == ["pub"]
    for kind in ("application", "network"):
        for row in ROWS[kind]:
            assert server.call("PATCH", "/coremgr/api/v1/%s/%s"
                               % (kind, row[0]),
                               {"data": {"password": "password"}},
                               token).status == 204
    application = Client(server, "application.demo.app",
                         topics=["broker.application.demo.app.uldata"])
    network = Client(server, "network.demo.net")
    public = Client(server, "network._.pub")
    network.publish("broker.network.demo.net.uldata", UPLINK)
    public.publish("broker.network._.pub.uldata",
                   {**UPLINK, "networkAddr": "77"})
    heard = {m["deviceId"]: m for m in application.wait(2)}
    assert heard["d1"]["profile"] == "p" and not heard["d1"]["isPublic"]
    assert heard["d2"]["isPublic"]
    for client in (application, network, public):
        client.close()
    server.restart()
    assert server.call("GET", "/auth/api/v1/user", token=token).status == 200


def test_a_shared_database_keeps_upstreams_forms(start, tmp_path):
    server = start("--compat.shared-database", "true")
    token = server.login()
    Site(server, token)
    db = sqlite3.connect(server.folder / "data" / "auth.db")
    password, salt = db.execute("SELECT password, salt FROM user").fetchone()
    assert len(password) == 64 and len(salt) == 8
    assert (token,) in db.execute(
        "SELECT access_token FROM access_token").fetchall()

"""Backups: made, listed, carried away and back, restored; what is refused."""
import io
import json
import os
import signal
import threading
import time
import zipfile

import pytest

from cli_test import Cli
from conftest import LIMIT, Site, until
from rules_test import Field, task, traces  # noqa: F401
from values_test import hub, listed, probe, uplink  # noqa: F401

API = "/hub/api/v1/backup"


def call(server, token, method, path="", body=None, status=200, **more):
    answer = server.call(method, API + path, body, token, **more)
    assert answer.status == status, answer.text
    return answer


def make(server, token, **how):
    return call(server, token, "POST", "", {"data": how}).data["backupId"]


def changes(report):
    return {c["entity"]: (c["added"], c["changed"], c["removed"])
            for c in report["changes"]}


def download(server, token, backup):
    """The bytes of the zip file."""
    import urllib.request
    request = urllib.request.Request(
        server.url + API + "/" + backup + "/file",
        headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        assert answer.headers["Content-Type"] == "application/zip"
        return answer.read()


def upload(server, token, name, data, status=200):
    return call(server, token, "POST", "/upload?name=" + name, status=status,
                raw=data, headers={"Content-Type": "application/zip"})


@pytest.fixture
def device(probe):  # noqa: F811
    f = Field(probe)
    yield f
    f.network.close()


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_everything_is_as_before(device, form):
    site, server = device.probe, device.probe.server
    app = site.application()
    device.send(temperature=20, relay=False)
    task(device)
    device.send(temperature=21)
    app.wait(2, "uldata")
    traces(device, 1)
    backup = make(server, site.token, storageExportType=form)
    assert form in backup
    path = server.folder / "data" / "backup" / (backup + ".zip")
    assert path.stat().st_mode & 0o777 == 0o600

    # nothing has changed but what goes on by itself
    report = call(server, site.token, "POST",
                  "/%s/restore?dryRun=true" % backup).data
    assert report["dryRun"] is True
    assert changes(report) == {}

    # everything is changed
    device.send(temperature=25)
    app.wait(3, "uldata")
    until("the new value", lambda: [
        f for f in listed(site, "field", fieldId="temperature")
        if f["current"]["value"] == 25])
    hub(site, "DELETE", "task/t", status=204)
    other = site.add("device", {"unitId": site.unit, "networkId": site.net,
                                "networkAddr": "99", "profile": ""})
    assert site.call("DELETE", "device-route/" + site.route).status == 204
    unit2 = site.add("unit", {"code": "second"})["unitId"]
    answer = server.call("PATCH", "/coremgr/api/v1/user/admin",
                         {"data": {"password": "changed"}}, site.token)
    assert answer.status == 204, answer.text
    token = server.login(password="changed")

    report = call(server, token, "POST",
                  "/%s/restore?dryRun=true" % backup).data
    found = changes(report)
    assert found["broker.device"] == (0, 0, 1)
    assert found["broker.unit"] == (0, 0, 1)
    assert found["broker.deviceRoute"] == (1, 0, 0)
    assert found["auth.user"] == (0, 1, 0)
    assert found["hub.task"] == (1, 0, 0)
    assert found["hub.field"][1] >= 1
    names = {c["entity"]: c["names"] for c in report["changes"]}
    assert names["broker.unit"]["removed"] == ["second"]
    assert names["broker.device"]["removed"] == ["99"]
    assert names["hub.task"]["added"] == ["t"]
    assert names["auth.user"]["changed"] == ["admin"]
    # and it was only said
    assert server.call("GET", "/coremgr/api/v1/unit/" + unit2, None,
                       token).status == 200

    report = call(server, token, "POST", "/%s/restore" % backup).data
    assert changes(report) == found
    # everybody signs in again, with the password of then
    assert server.call("GET", "/coremgr/api/v1/unit/count", None,
                       token).status == 401
    assert server.call("GET", "/coremgr/api/v1/unit/count", None,
                       site.token).status == 401
    site.token = server.login()
    assert site.call("GET", "unit/" + unit2).status == 404
    assert site.call("GET", "device/" + other["deviceId"]).status == 404
    assert [f["current"]["value"] for f in
            listed(site, "field", fieldId="temperature")] == [21]

    # clients were disconnected; what comes next goes its way
    assert app.gone.wait(LIMIT) and device.network.gone.wait(LIMIT)
    device.network.close()
    app.close()
    device.network = site.network()
    app = site.application()
    device.send(temperature=31)
    assert app.wait(1, "uldata")
    assert device.downs() == [{"relay": True}]
    traces(device, 2)
    assert [f["current"]["value"] for f in
            listed(site, "field", fieldId="temperature")] == [31]
    app.close()

    # a safety copy was made, and undoes it all
    kept = call(server, site.token, "GET", "/list").data
    assert len(kept) == 2
    safety = [k["backupId"] for k in kept
              if k["backupId"].startswith("before_restore")]
    call(server, site.token, "POST", "/%s/restore" % safety[0])
    token = server.login(password="changed")
    assert server.call("GET", "/coremgr/api/v1/unit/" + unit2, None,
                       token).status == 200
    assert not (server.folder / "data" / "restore.pending").exists()

    # and after a start it still is so
    server.restart()
    token = server.login(password="changed")
    assert server.call("GET", "/coremgr/api/v1/unit/" + unit2, None,
                       token).status == 200


def test_backups_are_carried_away_and_back(start):
    one, two = start(), start()
    site = Site(one, one.login())
    backup = make(one, site.token, prefix="nightly")
    assert backup.startswith("nightly_marram_backup_json_")
    detail = call(one, site.token, "GET", "/" + backup).data
    assert detail["product"] == "marram"
    assert call(one, site.token, "GET", "/count").data["count"] == 1
    data = download(one, site.token, backup)
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        names = z.namelist()
        assert "backup.yaml" in names
        assert "storage/broker.device__0.json" in names
        assert not [n for n in names if "accessToken" in n]
        devices = json.loads(z.read("storage/broker.device__0.json"))
        assert [d["networkAddr"] for d in devices] == ["01000461"]

    token = two.login()
    upload(two, token, "of-one", data)
    upload(two, token, "of-one.zip", data, 400)
    call(two, token, "POST", "/of-one/restore")
    site.server, site.token = two, two.login()
    assert site.call("GET", "device/" + site.device).status == 200
    app, network = site.application(), site.network()
    network.publish(site.net_topic("uldata"), {
        "time": "2023-07-08T06:55:02.000Z", "networkAddr": "01000461",
        "data": "74657374"})
    assert app.wait(1, "uldata")
    app.close()
    network.close()
    call(two, site.token, "DELETE", "/of-one", status=204)
    call(two, site.token, "GET", "/of-one", status=404)


def zipped(*files, **more):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in files:
            z.writestr(name, text)
    return b.getvalue()


def test_what_is_no_backup_is_refused(server):
    token = server.login()
    backup = make(server, token)
    data = download(server, token, backup)
    before = server.call("GET", "/coremgr/api/v1/user/count", None,
                         token).data["count"]
    head = ("storage_export_type: json\nproduct: marram\n"
            "version: {version: 0.1.0, format: 1}\n"
            "entities: {auth.user: 1}\n")

    assert "zip" in upload(server, token, "x", b"hello", 400).text
    assert "no backup" in upload(
        server, token, "x", zipped(("a.txt", "x")), 400).text
    for name in ("../../../etc/passwd", "firmware/../../x", "a\\..\\b"):
        assert "outside" in upload(server, token, "x", zipped(
            ("backup.yaml", head), (name, "x")), 400).text
    assert "have the name" in upload(server, token, "x", zipped(
        ("backup.yaml", head), ("/backup.yaml", head)), 400).text

    # a bit is turned over: the checksum tells
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        at = z.getinfo("storage/auth.user__0.json").header_offset
    broken = bytearray(data)
    broken[at + 60] ^= 0x10
    upload(server, token, "broken", bytes(broken))
    call(server, token, "POST", "/broken/restore", status=400)

    cases = [
        ("newer", head.replace("format: 1", "format: 2")
         .replace("0.1.0", "7.0.0"), "7.0.0, which is newer"),
        ("newer-rows", head.replace("auth.user: 1", "auth.user: 99"),
         "newer"),
        ("unknown", head.replace("auth.user", "auth.nobody"), "newer"),
    ]
    for name, text, said in cases:
        upload(server, token, name, zipped(("backup.yaml", text)))
        assert said in call(server, token, "POST", "/%s/restore" % name,
                            status=400).text
    row = ('[{"userId":"admin","account":"admin","createdAt":'
           '"2026-01-01T00:00:00.000Z","modifiedAt":'
           '"2026-01-01T00:00:00.000Z","password":"x"}]')
    for name, page in [("bad-rows", "[{"), ("bad-type", '[{"userId":1}]'),
                       ("twice", row[:-1] + "," + row[1:])]:
        upload(server, token, name, zipped(
            ("backup.yaml", head), ("storage/auth.user__0.json", page)))
        call(server, token, "POST", "/%s/restore" % name, status=400)
    upload(server, token, "stranger", zipped(
        ("backup.yaml", head), ("storage/what.ever__0.json", "[]")))
    assert "nobody knows" in call(
        server, token, "POST", "/stranger/restore", status=400).text

    # nothing has happened; the token still opens
    assert server.call("GET", "/coremgr/api/v1/user/count", None,
                       token).data["count"] == before
    progress = call(server, token, "GET", "/progress").data
    assert (progress["what"], progress["status"]) == ("restore", "error")
    call(server, token, "POST", "/..%2fdata/restore", status=404)
    call(server, token, "POST", "/.hidden/restore", status=404)


def test_only_administrators(site):
    answer = site.call("POST", "user", {"data": {
        "account": "bob", "password": "secret"}})
    assert answer.status == 200
    token = site.server.login("bob", "secret")
    for method, path in [("POST", ""), ("GET", "/list"),
                         ("GET", "/progress"), ("POST", "/x/restore"),
                         ("POST", "/x/import"), ("GET", "/x/file"),
                         ("DELETE", "/x"), ("POST", "/upload?name=x")]:
        assert site.server.call(method, API + path, {"data": {}},
                                token).status == 403


def test_only_the_newest_are_kept(start):
    server = start("--backup.retention-count", "2")
    token = server.login()
    all_of_them = [make(server, token, prefix=p)
                   for p in ("a", "a", "b", "a")]
    kept = [k["backupId"] for k in call(server, token, "GET", "/list").data]
    assert sorted(kept) == sorted(all_of_them[1:])


def three(server, token, value):
    """Something of each store."""
    site = Site.__new__(Site)
    site.server, site.token = server, token
    answer = server.call("PATCH", "/coremgr/api/v1/user/admin",
                         {"data": {"name": value}}, token)
    assert answer.status == 204, answer.text
    site.unit = [u["unitId"] for u in site.call(
        "GET", "unit/list").data][0]
    assert site.call("PATCH", "unit/" + site.unit,
                     {"data": {"name": value}}).status == 204
    assert hub(site, "PATCH", "data-repository/shared", {"data": {
        "description": value}}).status == 204
    return site


def what_is(server, token):
    user = server.call("GET", "/coremgr/api/v1/user/admin", None, token)
    unit = server.call("GET", "/coremgr/api/v1/unit/list", None, token)
    shared = server.call("GET", "/hub/api/v1/data-repository/shared", None,
                         token)
    return (user.data["name"], unit.data[0]["name"],
            shared.data["description"])


OLD, NEW = ("new",) * 3, ("old",) * 3  # what is restored is the older state


@pytest.fixture
def platform(server):
    """One with many rows, a backup of it, and later changes."""
    site = Site(server, server.login())
    hub(site, "POST", "data-repository", {"data": {
        "id": "shared", "unitId": site.unit}}, 200)
    for i in range(6):
        answer = site.call("POST", "device/range", {"data": {
            "unitId": site.unit, "networkId": site.net, "profile": "",
            "startAddr": "%08x" % (i * 1024),
            "endAddr": "%08x" % (i * 1024 + 1023)}})
        assert answer.status == 204, answer.text
    three(server, site.token, "old")
    site.backup = make(server, site.token)
    three(server, site.token, "new")
    return site


def test_a_kill_leaves_the_old_or_the_new(platform):
    server, seen, round_no = platform.server, set(), 0

    def begin(late=True):
        token = server.login()
        three(server, token, "new")
        worker = threading.Thread(target=lambda: swallow(
            server, token, "POST", "/%s/restore" % platform.backup))
        worker.start()
        if late:
            until("the restore", lambda: step(server, token) not in
                  ("beginning", "comparing", "safety copy"))
        return worker, time.monotonic()

    worker, began = begin()
    worker.join()
    whole = time.monotonic() - began
    while round_no < 12 and len(seen) < 3:
        worker, before = begin(round_no > 0)  # the first is killed early
        # the later the round, the longer it may go on; the last one ends
        worker.join(whole * round_no / 8 if round_no < 11 else None)
        server.stop(signal.SIGKILL)
        worker.join()
        was = (server.folder / "data" / "restore.pending").exists()
        server.start()
        now = what_is(server, server.login())
        assert now in (OLD, NEW), (now, before)
        if was:
            assert now == NEW
        assert not (server.folder / "data" / "restore.pending").exists()
        seen.add((was, now))
        round_no += 1
    assert {now for _, now in seen} == {OLD, NEW}, seen


def swallow(server, token, method, path):
    try:
        server.call(method, API + path, None, token)
    except OSError:
        pass


def step(server, token):
    """What the restore does; "" once it is over, or its tokens are gone."""
    answer = server.call("GET", API + "/progress", None, token)
    return answer.data["step"] if answer.status == 200 else ""


def test_a_mixture_is_completed_at_the_next_start(platform):
    """As if killed between the commits of two stores."""
    server, data = platform.server, platform.server.folder / "data"
    server.stop()
    kept = {f.name: f.read_bytes() for f in data.glob("*.db*")}
    server.start()
    call(server, server.login(), "POST", "/%s/restore" % platform.backup)
    server.stop()
    for name, content in kept.items():  # two of the stores go back
        if name.startswith(("broker", "hub")):
            (data / name).write_bytes(content)
    (data / "restore.pending").write_text(json.dumps({
        "backup": str(data / "backup" / (platform.backup + ".zip"))}))
    server.start()
    assert what_is(server, server.login()) == NEW
    assert not (data / "restore.pending").exists()
    assert "is complete" in server.logged()


def test_a_rule_makes_backups(device, tmp_path):
    site, server = device.probe, device.probe.server
    where = tmp_path / "away"
    hub(site, "POST", "handler", {"data": {
        "id": "nightly", "unitId": site.unit, "type": "backup",
        "spec": {"providerType": "disk", "prefix": "rule",
                 "targetDirectory": str(where), "retentionCount": 2}}}, 200)
    task(device, handlers=["nightly"], handlerParameters={
        "b": {"type": "backup", "storageExportType": "yaml"},
        "bad": {"type": "backup", "targetDirectory": "/tmp"}})
    for n in range(3):
        device.send(temperature=31 + n)
        trace = traces(device, n + 1)[0]
        done = {a["parameter"]: a for a in trace["actions"]}
        assert done["b"]["status"] == "ok", done
        assert done["b"]["message"].startswith(str(where))
        assert done["bad"]["status"] == "error"
    kept = sorted(p.name for p in where.iterdir())
    assert len(kept) == 2
    assert all(k.startswith("rule_marram_backup_yaml_") for k in kept)
    with zipfile.ZipFile(where / kept[0]) as z:
        assert "storage/hub.task__0.yaml" in z.namelist()
    # others who own a unit can not
    answer = site.call("POST", "user", {"data": {
        "account": "bob", "password": "secret"}})
    token = server.login("bob", "secret")
    unit = server.call("POST", "/coremgr/api/v1/unit", {
        "data": {"code": "bobs"}}, token).data["unitId"]
    answer = server.call("POST", "/hub/api/v1/handler", {"data": {
        "id": "mine", "unitId": unit, "type": "backup"}}, token)
    assert answer.status == 403, answer.text


def test_the_memory_engine_is_dumped_and_read_again(start):
    options = []
    for module in ("auth", "broker", "hub", "data", "fleet"):
        options += ["--%s.db.engine" % module, "memory",
                    "--%s.db.memory.dump-interval" % module, "20ms"]
    server = start(*options)
    site = Site(server, server.login())
    dumps = server.folder / "data" / "memory" / "broker"
    until("a dump", lambda: [
        f for f in dumps.glob("gen-*/device__0.json")
        if "01000461" in f.read_text()])
    assert not list((server.folder / "data").glob("*.db"))
    site.token = server.login()
    assert site.call("DELETE", "device/" + site.device).status == 204
    backup = make(server, site.token)
    server.restart()  # a clean end dumps, too
    site.token = server.login()
    assert site.call("GET", "device/" + site.device).status == 404
    assert site.call("GET", "network/" + site.net).status == 200
    # a restore is on the disk when it is answered
    assert site.call("DELETE", "network/" + site.net).status == 204
    call(server, site.token, "POST", "/%s/restore" % backup)
    server.restart(signal.SIGKILL)
    site.token = server.login()
    assert site.call("GET", "network/" + site.net).status == 200


def test_from_a_shell(start, tmp_path):
    one, two = start(), start()
    site = Site(one, one.login())
    folder = tmp_path / "home"
    folder.mkdir()
    cli, other = Cli(one, folder), Cli(two, folder)
    cli.ok("login", "-a", "admin", "-p", "admin")
    backup = cli.ok("backup", "run", "--prefix", "shell", "-f",
                    "yaml")["backupId"]
    assert [b["backupId"] for b in cli.ok("backup", "list")] == [backup]
    assert cli.ok("backup", "get", "-i", backup)["product"] == "marram"
    assert cli.ok("backup", "progress")["status"] == "ok"
    done = cli.run("backup", "download", "-i", backup)
    assert done.status == 0 and done.out.strip() == backup + ".zip"
    path = folder / (backup + ".zip")
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None
    assert cli.run("backup", "download", "-i", backup).status == 1  # is there
    assert cli.run("backup", "download", "-i", "nix", "-o", "y").status == 1
    assert not (folder / "y").exists()

    other.ok("login", "-a", "admin", "-p", "admin")
    other.ok("backup", "upload", "--file", path.name, "-n", "carried")
    said = other.ok("backup", "restore", "-i", "carried", "-n")
    assert said["dryRun"] is True and changes(said)["broker.unit"][0] == 1
    other.ok("backup", "restore", "-i", "carried")
    assert other.run("backup", "list").status == 1  # signed out
    other.ok("login", "-a", "admin", "-p", "admin")
    assert other.ok("unit", "get", "-i", site.unit)["code"] == "demo"
    assert other.run("backup", "delete", "-i", "carried").status == 0


def test_the_data_folder_may_be_named_from_here(start):
    server = start("--data-dir", "data")
    made = make(server, server.login())
    assert (server.folder / "data" / "backup" / (made + ".zip")).exists()


def test_with_history_and_metrics(device, start):
    site, server = device.probe, device.probe.server
    app = site.application()
    for n in range(3):
        device.send(temperature=20 + n)
    app.wait(3, "uldata")
    app.close()
    field = listed(site, "field", fieldId="temperature")[0]
    lean = make(server, site.token)
    full = make(server, site.token, history=True, metrics=True,
                storageExportType="yaml")
    for name, has in ((lean, False), (full, True)):
        with zipfile.ZipFile(io.BytesIO(
                download(server, site.token, name))) as z:
            names = z.namelist()
        assert ("storage/data.applicationUldata__0.yaml" in names) == has
        assert bool([n for n in names if n.startswith("metrics/")]) == has

    other = start()
    token = other.login()
    upload(other, token, "full", download(server, site.token, full))
    call(other, token, "POST", "/full/restore")
    token = other.login()
    for s, t in ((server, site.token), (other, token)):
        rows = s.call("GET", "/data/api/v1/application-uldata/list",
                      None, t).data
        assert len(rows) == 3
        answer = s.call("GET", "/prom/api/v1/query?time=2026-05-01T00:04:00Z"
                        "&query=temperature_celsius%5B1h%5D", None, t)
        values = answer.json()["data"]["result"]
        assert [v for _, v in values[0]["values"]] == ["20", "21", "22"], \
            answer.text
    assert field["id"] == other.call(
        "GET", "/hub/api/v1/field/" + field["id"], None, token).data["id"]
    # one without history leaves it alone
    upload(other, token, "lean", download(server, site.token, lean))
    call(other, token, "POST", "/lean/restore")
    token = other.login()
    rows = other.call("GET", "/data/api/v1/application-uldata/count",
                      None, token).data
    assert rows["count"] == 3


def test_what_unpacks_to_too_much_is_refused(start):
    server = start("--backup.max-page", "64KiB", "--backup.max-bytes",
                   "192KiB", "--backup.max-files", "20")
    token = server.login()
    head = ("product: marram\nversion: {version: 0.1.0, format: 1}\n"
            "entities: {auth.user: 1}\n")
    bomb = " " * 10_000_000
    upload(server, token, "page", zipped(
        ("backup.yaml", head), ("storage/auth.user__0.json", bomb)))
    assert "maxPage" in call(server, token, "POST", "/page/restore",
                             status=400).text
    upload(server, token, "all", zipped(("backup.yaml", head), *(
        ("storage/auth.user__%d.json" % i, "[]" + " " * 60000)
        for i in range(5))))
    assert "maxBytes" in call(server, token, "POST", "/all/restore",
                              status=400).text
    assert "maxFiles" in upload(server, token, "many", zipped(
        ("backup.yaml", head), *(("firmware/%d" % i, "")
                                 for i in range(30))), 400).text
    assert "maxPage" in upload(server, token, "head", zipped(
        ("backup.yaml", bomb)), 400).text


def test_firmware_goes_along(server):
    token = server.login()
    folder = server.folder / "data" / "firmware"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"\0\1")
    (folder / "deep" / "two.hex").write_bytes(b":00")
    backup = make(server, token)
    (folder / "one.bin").write_bytes(b"changed")
    (folder / "three").write_bytes(b"new")
    call(server, token, "POST", "/%s/restore" % backup)
    found = {str(p.relative_to(folder)): p.read_bytes()
             for p in folder.rglob("*") if p.is_file()}
    assert found == {"one.bin": b"\0\1", "deep/two.hex": b":00"}
    assert not (server.folder / "data" / "firmware.new").exists()
    assert not (server.folder / "data" / "firmware.old").exists()


def test_a_restore_that_fails_half_way_changes_nothing(device):
    """What no look at single rows tells: two accounts of one name."""
    site, server = device.probe, device.probe.server
    device.send(temperature=20)
    backup = make(server, site.token)
    with zipfile.ZipFile(io.BytesIO(
            download(server, site.token, backup))) as z:
        files = {n: z.read(n).decode() for n in z.namelist()}
    units = json.loads(files["storage/broker.unit__0.json"])
    files["storage/broker.unit__0.json"] = json.dumps(
        units + [{**units[0], "unitId": "other"}])
    upload(server, site.token, "double", zipped(*files.items()))
    device.send(temperature=21)
    answer = call(server, site.token, "POST", "/double/restore", status=400)
    assert "broker.unit" in answer.text and "code" in answer.text
    assert not (server.folder / "data" / "restore.pending").exists()
    # tokens and values are as they were, and all goes on
    assert [f["current"]["value"] for f in
            listed(site, "field", fieldId="temperature")] == [21]
    device.send(temperature=22)
    until("the next value", lambda: [
        f for f in listed(site, "field", fieldId="temperature")
        if f["current"]["value"] == 22])


def test_messages_pass_while_it_is_restored(device):
    site, server = device.probe, device.probe.server
    device.send(temperature=0)
    backup = make(server, site.token)
    stop, sent = threading.Event(), []

    def publish():
        while not stop.is_set():
            device.n += 1
            at = "2026-05-01T%02d:%02d:%02dZ" % (
                device.n // 3600, device.n // 60 % 60, device.n % 60)
            message = device.network.client.publish(
                site.net_topic("uldata"), json.dumps(uplink(
                    {"temperature": device.n}, at=at)), qos=1)
            sent.append(message)
            time.sleep(0.002)

    def told():
        return [m for m in sent if m.rc == 0]

    worker = threading.Thread(target=publish)
    worker.start()
    try:
        for _ in range(3):
            n = len(told())
            until("messages", lambda: len(told()) > n + 20)
            call(server, site.token, "POST", "/%s/restore" % backup)
            site.token = server.login()
    finally:
        stop.set()
        worker.join()
    last = device.n
    until("the last value", lambda: [
        f for f in listed(site, "field", fieldId="temperature")
        if f["current"]["value"] == last])
    # the client was told of each that it sent while it was connected
    until("the answers", lambda: all(m.is_published() for m in told()))
    assert len(listed(site, "field")) == 1
    assert len(listed(site, "node")) == 1


def test_what_is_restored_is_not_cleared_away(start):
    server = start("--backup.retention-count", "1")
    site = Site(server, server.login())
    backup = make(server, site.token, prefix="before_restore")
    assert site.call("DELETE", "device/" + site.device).status == 204
    call(server, site.token, "POST", "/%s/restore" % backup)
    site.token = server.login()
    assert site.call("GET", "device/" + site.device).status == 200
    kept = [k["backupId"] for k in call(server, site.token, "GET",
                                        "/list").data]
    assert backup in kept and len(kept) == 2


def test_without_its_promise_on_disk_nothing_is_committed(platform):
    """What is restored is written down within the transactions."""
    server = platform.server
    token = server.login()
    (server.folder / "data" / "restore.pending.new").mkdir()
    assert "restore.pending" in call(
        server, token, "POST", "/%s/restore" % platform.backup,
        status=503).text
    assert what_is(server, token) == OLD
    (server.folder / "data" / "restore.pending.new").rmdir()
    call(server, token, "POST", "/%s/restore" % platform.backup)
    assert what_is(server, server.login()) == NEW


def test_one_at_a_time(platform):
    server, token = platform.server, platform.server.login()
    worker = threading.Thread(target=lambda: swallow(
        server, token, "POST", "/%s/restore" % platform.backup))
    worker.start()
    until("the restore", lambda: step(server, token) not in ("", "beginning"))
    answer = server.call("POST", API, {"data": {}}, token)
    assert (answer.status, answer.code) == (409, "err_hub_backup_busy")
    assert call(server, token, "DELETE", "/" + platform.backup,
                status=409)
    worker.join()
    make(server, server.login())


def test_a_start_that_can_not_complete_says_what_to_do(server):
    data = server.folder / "data"
    token = server.login()
    backup = make(server, token)
    server.stop()
    pending = data / "restore.pending"
    pending.write_text(json.dumps({"backup": str(data / "gone.zip")}))
    with pytest.raises(AssertionError):
        server.start()
    assert "no such backup" in server.logged()
    assert "remove that file" in server.logged()
    pending.write_text(json.dumps({
        "backup": str(data / "backup" / (backup + ".zip"))}))
    server.start()
    assert not pending.exists()


def test_people_sign_in_where_it_was_restored(start):
    """The client of the pages knows the ports of this machine."""
    one, two = start(), start()
    backup = make(one, one.login())
    token = two.login()
    upload(two, token, "of-one", download(one, one.login(), backup))
    call(two, token, "POST", "/of-one/restore")
    redirect = two.url + "/auth/oauth2/redirect"
    assert two.login(redirect=redirect)


def test_what_a_kill_left_is_cleared_away(server, tmp_path):
    token = server.login()
    left = server.folder / "data" / "backup" / ".new-abcdef"
    left.mkdir()
    (left / "0").write_text("[")
    make(server, token)
    assert left.exists()  # it may be at work
    os.utime(left, (1, 1))
    make(server, token)
    assert not left.exists()
    left.mkdir()
    server.restart(signal.SIGKILL)
    assert not left.exists()

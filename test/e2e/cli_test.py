"""The command line: every command once, what it prints, and how it ends."""
import csv
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import LIMIT, PROGRAM, Client, until


class Done:
    def __init__(self, finished):
        self.status = finished.returncode
        self.out = finished.stdout
        self.said = finished.stderr

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        found = re.search(r"^Error \(\d+ ms\): (\{.*\})$", self.said, re.M)
        assert found, self.said
        return json.loads(found.group(1))


class Cli:
    """Runs commands in a folder that is home and current folder at once."""

    def __init__(self, server, folder):
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("MARRAM", "COREMGRCLI", "XDG"))}
        self.env["HOME"] = str(folder)
        self.env["MARRAM_URL"] = server.url

    def run(self, *words, program=(PROGRAM,), env=None, stdin=None):
        return Done(subprocess.run(
            [*program, *words], cwd=self.folder, capture_output=True,
            text=True, timeout=LIMIT, env={**self.env, **(env or {})},
            stdin=stdin or subprocess.DEVNULL))

    def ok(self, *words):
        done = self.run(*words)
        assert done.status == 0, (words, done.said)
        assert re.search(r"^OK \(\d+ ms\)$", done.said, re.M), done.said
        return json.loads(done.out) if done.out else None

    @property
    def tokens(self):
        return self.folder / ".config" / "marram" / "token.json"


@pytest.fixture
def fresh(server, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return Cli(server, folder)


@pytest.fixture
def cli(fresh):
    fresh.ok("login", "-a", "admin", "-p", "admin")
    return fresh


# --- signing in


def test_login_prints_and_keeps_the_tokens(fresh):
    printed = fresh.ok("login", "-a", "admin", "-p", "admin")
    assert printed["token_type"] == "bearer"
    assert re.fullmatch("[0-9a-f]{64}", printed["access_token"])
    assert json.loads(fresh.tokens.read_text()) == {
        "accessToken": printed["access_token"],
        "refreshToken": printed["refresh_token"]}
    assert fresh.tokens.stat().st_mode & 0o777 == 0o600
    assert fresh.ok("auth", "tokeninfo")["account"] == "admin"
    assert fresh.ok("token")["account"] == "admin"


def test_it_signs_in_where_pkce_is_required(start, tmp_path):
    server = start("--auth.require-pkce", "true")
    Cli(server, tmp_path).ok("login", "-a", "admin", "-p", "admin")


def test_a_wrong_password_is_an_error_and_keeps_nothing(fresh):
    done = fresh.run("login", "-a", "admin", "-p", "wrong")
    assert done.status == 1 and done.out == ""
    assert done.error["code"] == "invalid_auth"
    assert not fresh.tokens.exists()


def test_the_password_may_come_from_the_environment(fresh):
    done = fresh.run("login", "-a", "admin", env={"MARRAM_PASSWORD": "admin"})
    assert done.status == 0, done.said


def test_the_password_is_asked_for_on_the_terminal_without_echo(fresh):
    pid, fd = os.forkpty()
    if pid == 0:
        os.chdir(fresh.folder)
        os.execve(PROGRAM, [PROGRAM, "login", "-a", "admin"], fresh.env)
    seen = b""
    while b"Password: " not in seen:
        seen += os.read(fd, 1000)
    os.write(fd, b"admin\n")
    try:
        while True:
            part = os.read(fd, 1000)
            if not part:
                break
            seen += part
    except OSError:
        pass  # the other side has gone
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert b"admin" not in seen and b"access_token" in seen


def test_without_terminal_and_password_nothing_is_waited_for(fresh):
    done = subprocess.run([PROGRAM, "login", "-a", "admin"], env=fresh.env,
                          capture_output=True, text=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 2
    assert "MARRAM_PASSWORD" in done.stderr


def test_the_old_name_has_the_old_file_which_the_new_name_reads(fresh):
    old = fresh.folder / "sylvia-iot-coremgr-cli"
    old.symlink_to(PROGRAM)
    base = fresh.env["MARRAM_URL"]
    env = {"COREMGRCLI_AUTH": base + "/auth",
           "COREMGRCLI_COREMGR": base + "/coremgr",
           "COREMGRCLI_DATA": base + "/data"}
    done = fresh.run("login", "-a", "admin", "-p", "admin",
                     program=(str(old),), env=env)
    assert done.status == 0, done.said
    assert (fresh.folder / ".sylvia-iot-coremgr-cli.json").exists()
    assert not fresh.tokens.exists()
    assert fresh.ok("user", "get")["account"] == "admin"
    done = fresh.run("unit", "count", program=(str(old),), env=env)
    assert done.json == {"count": 0}


def test_a_settings_file_says_where_the_platform_is(cli):
    base = cli.env["MARRAM_URL"]
    file = cli.folder / "c.json5"
    file.write_text("""{ // ours
        coremgrCli: { auth: '%s/auth', coremgr: '%s/coremgr',
                      data: '%s/data', clientId: 'public',
                      redirectUri:
                          'http://localhost:1080/auth/oauth2/redirect', },
    }""" % (base, base, base))
    del cli.env["MARRAM_URL"]
    assert cli.ok("-f", str(file), "unit", "count") == {"count": 0}
    assert cli.ok("unit", "count", "--file", str(file)) == {"count": 0}
    assert cli.ok("--url", base + "/", "unit", "count") == {"count": 0}
    done = cli.run("-f", "missing.json5", "unit", "count")
    assert done.status == 2 and "missing.json5" in done.said


# --- tokens that have ended


def test_a_token_that_has_ended_is_renewed_and_kept(cli):
    kept = json.loads(cli.tokens.read_text())
    cli.tokens.write_text(json.dumps({**kept, "accessToken": "0" * 64}))
    assert cli.ok("unit", "count") == {"count": 0}
    now = json.loads(cli.tokens.read_text())
    assert now["accessToken"] not in ("0" * 64, kept["accessToken"])
    assert now["refreshToken"] != kept["refreshToken"]
    assert cli.ok("unit", "count") == {"count": 0}


def test_refresh_gives_new_tokens(cli):
    before = json.loads(cli.tokens.read_text())
    printed = cli.ok("auth", "refresh")
    now = json.loads(cli.tokens.read_text())
    assert now["accessToken"] == printed["access_token"]
    assert now["accessToken"] != before["accessToken"]


def test_logout_ends_the_tokens_and_leaves_the_file(cli):
    cli.ok("logout")
    assert cli.tokens.exists()
    done = cli.run("unit", "count")
    assert done.status == 1
    assert done.error["code"] == "err_auth"
    assert "login" in done.error["message"]


def test_who_never_signed_in_is_told_so(fresh):
    done = fresh.run("unit", "list")
    assert done.status == 1
    assert done.error["code"] == "err_auth"
    assert "login" in done.error["message"]


# --- every command once


def test_users(cli):
    ann = cli.ok("user", "add", "-a", "ann", "-p", "secret", "-n", "Ann",
                 "-i", '{"room": 5}')["userId"]
    bob = cli.ok("user", "add", "-a", "bob", "-p", "secret", "-x",
                 "2050-01-01T00:00:00Z")["userId"]
    assert cli.ok("user", "count") == {"count": 3}
    assert cli.ok("user", "count", "--contains", "AN") == {"count": 1}
    rows = cli.ok("user", "list", "-s", "account:desc", "--fields", "expired",
                  "disabled", "-o", "0", "-l", "2")
    assert [r["account"] for r in rows] == ["bob", "ann"]
    assert rows[0]["expiredAt"] == "2050-01-01T00:00:00.000Z"
    assert cli.ok("user", "update", "-i", bob, "-v", "2020-01-01T00:00:00Z",
                  "-r", "manager", "dev", "-n", "Bob", "--info", "{}",
                  "--disable") is None
    got = cli.ok("user", "get", "-i", bob)
    assert got["roles"] == {"manager": True, "dev": True}
    assert got["verifiedAt"] == "2020-01-01T00:00:00.000Z"
    cli.ok("user", "update", "-n", "Chief")
    assert cli.ok("user", "get")["name"] == "Chief"
    cli.ok("user", "delete", "-i", ann)
    assert cli.run("user", "get", "-i", ann).error["code"] == "err_not_found"


def test_clients(cli):
    made = cli.ok("client", "add", "-r", "http://localhost/a",
                  "http://localhost/b", "-s", "x", "y.z", "-n", "C", "-c",
                  "-m", "http://localhost/c.png")["clientId"]
    assert cli.ok("client", "count") == {"count": 2}
    assert len(cli.ok("client", "list", "--userid", "admin")) == 2
    before = cli.ok("client", "get", "-i", made)
    assert before["redirectUris"] == ["http://localhost/a",
                                      "http://localhost/b"]
    assert before["scopes"] == ["x", "y.z"]
    cli.ok("client", "update", "-i", made, "-m", "", "-n", "D", "--regen")
    now = cli.ok("client", "get", "-i", made)
    assert now["image"] is None and now["name"] == "D"
    assert now["clientSecret"] != before["clientSecret"]
    cli.ok("client", "delete", "-i", made)
    ann = cli.ok("user", "add", "-a", "ann", "-p", "secret")["userId"]
    cli.ok("client", "add", "-r", "http://localhost/a", "-s", "x", "-n", "E",
           "-u", ann)
    cli.ok("client", "delete-user", "-i", ann)
    assert cli.ok("client", "count", "--userid", ann) == {"count": 0}


def test_service_tokens(cli):
    made = cli.ok("service-token", "add", "--name", "grafana", "--scopes",
                  "metric.get", "metric.post", "--neverexpire")
    assert made["token"].startswith("marram_pat_")
    rows = cli.ok("service-token", "list")
    assert [r["name"] for r in rows] == ["grafana"]
    assert rows[0]["scopes"] == ["metric.get", "metric.post"]
    cli.ok("service-token", "update", "-i", made["id"], "--name", "mine",
           "--expireson", "2999-01-01T00:00:00Z")
    got = cli.ok("service-token", "get", "-i", made["id"])
    assert got["name"] == "mine" and got["neverExpire"] is False
    cli.ok("service-token", "delete", "-i", made["id"])
    assert cli.ok("service-token", "count") == {"count": 0}


def test_settings(cli):
    cli.ok("setting", "update", "-i", "hub.timeZone", "--value",
           "Europe/Berlin")
    got = cli.ok("setting", "get", "-i", "hub.timeZone")
    assert (got["value"], got["source"]) == ("Europe/Berlin", "runtime")
    rows = cli.ok("setting", "list", "--source", "runtime")
    assert [r["id"] for r in rows] == ["hub.timeZone"]
    cli.ok("setting", "delete", "-i", "hub.timeZone")
    assert cli.ok("setting", "get", "-i", "hub.timeZone")["source"] == "default"


def test_units(cli):
    ann = cli.ok("user", "add", "-a", "ann", "-p", "secret")["userId"]
    unit = cli.ok("unit", "add", "-c", "demo", "-o", "admin", "-n", "Demo",
                  "-i", '{"a": 1}')["unitId"]
    cli.ok("unit", "update", "-i", unit, "-m", ann, "admin", "-n", "New")
    got = cli.ok("unit", "get", "-i", unit)
    assert got["name"] == "New" and sorted(got["memberIds"]) == sorted(
        [ann, "admin"])
    assert cli.ok("unit", "count", "--memberid", ann) == {"count": 1}
    assert len(cli.ok("unit", "list", "--ownerid", "admin", "--format",
                      "array")) == 1
    cli.ok("unit", "delete", "-i", unit)
    assert cli.ok("unit", "count") == {"count": 0}


@pytest.fixture
def site(cli):
    """Ids of a unit, application, network, public network and device."""
    class Ids:
        unit = cli.ok("unit", "add", "-c", "demo")["unitId"]
        app_made = cli.ok("application", "add", "-c", "app", "-u", unit,
                          "--host", "mqtt://localhost", "-n", "A",
                          "--ttl", "60000", "--length", "100")
        app = app_made["applicationId"]
        net_made = cli.ok("network", "add", "-c", "net", "-u", unit,
                          "--host", "mqtt://localhost")
        net = net_made["networkId"]
        device = cli.ok("device", "add", "-u", unit, "--netid", net, "-a",
                        "01AB", "-p", "tracker", "-n", "D", "-i",
                        "{}")["deviceId"]
    return Ids


@pytest.mark.parametrize("kind, option, identity", [
    ("application", "app", "applicationId"), ("network", "net", "networkId")])
def test_applications_and_networks(cli, site, kind, option, identity):
    made = getattr(site, option + "_made")
    assert len(made["password"]) >= 8
    row = made[identity]
    assert cli.ok(kind, "count", "--unitid", site.unit, "--code",
                  option) == {"count": 1}
    rows = cli.ok(kind, "list", "--unitid", site.unit)
    assert [r["code"] for r in rows] == [option]
    cli.ok(kind, "update", "-i", row, "-n", "New", "-p", "password", "--ttl",
           "1000", "--info", '{"x":2}')
    got = cli.ok(kind, "get", "-i", row)
    assert got["name"] == "New" and got["info"] == {"x": 2}
    stats = cli.ok(kind, "stats", "-i", row)
    assert stats["uldata" if kind == "application" else "dldata"][
        "messages"] == 0
    cli.ok(kind, "delete", "-i", row)
    assert cli.ok(kind, "count", "--code", option) == {"count": 0}


def test_public_networks(cli, site):
    net = cli.ok("network", "add", "-c", "public", "-u", "--host",
                 "mqtt://localhost")["networkId"]
    assert cli.ok("network", "get", "-i", net)["unitId"] is None
    rows = cli.ok("network", "list", "--unitid")
    assert [r["code"] for r in rows] == ["public"]
    assert cli.ok("network", "count") == {"count": 2}


def test_devices(cli, site):
    where = ("-u", site.unit, "--netid", site.net)
    cli.ok("device", "add-bulk", *where, "-a", "02", "03", "-p", "p")
    cli.ok("device", "add-range", *where, "-s", "10", "-e", "1f")
    assert cli.ok("device", "count", "--unitid", site.unit) == {"count": 19}
    assert cli.ok("device", "count", "-p", "p") == {"count": 2}
    rows = cli.ok("device", "list", "--netid", "net", "--address", "01ab")
    assert [r["deviceId"] for r in rows] == [site.device]
    cli.ok("device", "update", "-i", site.device, "-a", "04", "-n", "New")
    got = cli.ok("device", "get", "-i", site.device)
    assert (got["networkAddr"], got["name"]) == ("04", "New")
    cli.ok("device", "delete-bulk", *where, "-a", "02", "03")
    cli.ok("device", "delete-range", *where, "-s", "10", "-e", "1f")
    cli.ok("device", "delete", "-i", site.device)
    assert cli.ok("device", "count") == {"count": 0}


def test_device_routes(cli, site):
    route = cli.ok("device-route", "add", "-d", site.device, "-a",
                   site.app)["routeId"]
    assert cli.ok("device-route", "count", "--devid", site.device) == {
        "count": 1}
    rows = cli.ok("device-route", "list", "--appid", site.app, "--netid",
                  site.net, "--unitid", site.unit)
    assert [r["routeId"] for r in rows] == [route]
    cli.ok("device-route", "delete", "-i", route)
    ends = ("--appid", site.app, "--netid", site.net)
    for more in (("-a", "01ab"),), (("-s", "01ab", "-e", "01ac"),):
        verb = "bulk" if more[0][0] == "-a" else "range"
        cli.ok("device-route", "add-" + verb, *ends, *more[0])
        assert cli.ok("device-route", "count") == {"count": 1}
        cli.ok("device-route", "delete-" + verb, *ends, *more[0])
        assert cli.ok("device-route", "count") == {"count": 0}


def test_network_routes(cli, site):
    route = cli.ok("network-route", "add", "-n", site.net, "-a",
                   site.app)["routeId"]
    assert cli.ok("network-route", "count", "--appid", site.app) == {
        "count": 1}
    assert len(cli.ok("network-route", "list", "--netid", site.net)) == 1
    cli.ok("network-route", "delete", "-i", route)
    assert cli.ok("network-route", "count") == {"count": 0}


def test_trial_messages_and_their_history(cli, site):
    cli.ok("network-route", "add", "-n", site.net, "-a", site.app)
    cli.ok("network", "uldata", "-i", site.net, "-d", site.device, "-p",
           "temp")
    cli.ok("network", "uldata", "-i", site.net, "-d", site.device, "-p",
           "01FF", "-t", "hex")
    cli.ok("application", "dldata", "-i", site.app, "-d", site.device, "-p",
           "on")

    def wait(kind, n):
        until("%d of %s" % (n, kind), lambda: cli.ok(
            "data." + kind, "count", "--unit", site.unit) == {"count": n})

    for kind, n in (("app-uldata", 2), ("net-uldata", 2), ("app-dldata", 1),
                    ("net-dldata", 1)):
        wait(kind, n)
    rows = cli.ok("data.app-uldata", "list", "--device", site.device,
                  "--network", "net", "--addr", "01ab", "-s", "proc:asc",
                  "--tfield", "proc", "--tstart", "2020-01-01T00:00:00Z",
                  "--tend", "2100-01-01T00:00:00+02:00")
    assert [r["data"] for r in rows] == ["74656d70", "01ff"]
    assert cli.ok("data", "app-uldata", "list", "--tfield", "proc", "--tend",
                  "2020-01-01T00:00:00Z") == []
    for kind in "net-uldata", "app-dldata", "net-dldata":
        assert cli.ok("data." + kind, "list", "--unit", site.unit)
    buffers = cli.ok("dldata-buffer", "list", "--devid", site.device)
    assert cli.ok("dldata-buffer", "count", "--unitid", site.unit) == {
        "count": 1}
    cli.ok("dldata-buffer", "delete", "-i", buffers[0]["dataId"])
    assert cli.ok("dldata-buffer", "count") == {"count": 0}
    until("the record of operations", lambda: cli.ok(
        "data.coremgr-opdata", "count", "--user", "admin")["count"] == 9)
    row = cli.ok("data.coremgr-opdata", "list", "-s", "req:desc", "-l", "1")
    assert row[0]["userId"] == "admin"


def test_csv_is_saved_under_its_name_here(cli, site):
    for group, file in (("user", "user"), ("client", "client"),
                        ("unit", "unit"), ("application", "application"),
                        ("network", "network"), ("device", "device"),
                        ("device-route", "device-route"),
                        ("network-route", "network-route"),
                        ("dldata-buffer", "dldata-buffer"),
                        ("data.app-uldata", "application-uldata"),
                        ("data.coremgr-opdata", "coremgr-opdata")):
        done = cli.run(group, "list", "--format", "csv")
        assert done.status == 0, done.said
        assert done.out == "" and "saved as %s.csv" % file in done.said
        text = (cli.folder / (file + ".csv")).read_text("utf-8-sig")
        assert next(csv.reader(text.splitlines()))[0].endswith(("Id",
                                                                "account"))


def test_csv_goes_through_no_link(cli):
    other = cli.folder.parent / "other"
    other.write_text("precious")
    (cli.folder / "unit.csv").symlink_to(other)
    done = cli.run("unit", "list", "--format", "csv")
    assert done.status == 1 and "unit.csv" in done.error["message"]
    assert other.read_text() == "precious"


# --- how it ends


def test_errors_of_the_server_are_shown_and_end_with_1(cli):
    cli.ok("unit", "add", "-c", "demo")
    done = cli.run("unit", "add", "-c", "demo")
    assert done.status == 1 and done.out == ""
    assert done.error["code"] == "err_broker_unit_exist"
    done = cli.run("unit", "list", "-s", "nonsense")
    assert done.status == 1 and done.error["code"] == "err_param"


def test_a_wrong_call_ends_with_2_and_a_hint(cli):
    for words, hint in (
            (("unit", "add"), "marram unit add --help"),
            (("unit", "add", "-c", "x", "--nonsense"), "unit add --help"),
            (("unit", "add", "-c", "x", "-i", "{"), "unit add --help"),
            (("unit", "nonsense"), "marram unit --help"),
            (("nonsense",), "marram --help"), (("--nonsense",), "--help"),
            (("unit",), "unit <sub-command>"), ((), "Usage: marram")):
        done = cli.run(*words)
        assert done.status == 2 and done.out == "", words
        assert hint in done.said, done.said


def test_where_nobody_listens_it_says_what_to_do(cli):
    done = cli.run("--url", "http://localhost:1", "unit", "list")
    assert done.status == 1
    assert "cannot reach http://localhost:1: is `marram serve` running" in \
        done.error["message"]


def test_help_everywhere(cli):
    for words in ("help",), ("--help",), ("-h",):
        done = cli.run(*words)
        assert done.status == 0 and "Commands:" in done.out, words
    groups = re.findall(r"^  ([a-z.-]+) {2,}(.*)$",
                        cli.run("help").out.split("Commands:")[1], re.M)
    assert len(groups) >= 16
    for group, verbs in groups:
        assert cli.run(group, "--help").status == 0, group
        if ", " not in verbs:
            continue
        assert "sub-command" in cli.run(group, "help").out
        for verb in verbs.split(", "):
            done = cli.run(group, verb, "--help")
            assert done.status == 0, (group, verb, done.said)
            assert done.out.startswith("Usage: marram %s %s" % (group, verb))
            assert cli.run("help", group, verb).out == done.out
    assert cli.run("demo", "--help").status == 0
    assert cli.run("-V").out.startswith("marram ")


# --- the demo


class Demo:
    def __init__(self, cli, server, *options):
        self.process = subprocess.Popen(
            [PROGRAM, "demo", "--mqtt-port", str(server.mqtt_port),
             "--devices", "4", "--interval", "1", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=cli.folder, env=cli.env)
        self.said = ""
        self.password = None
        for line in self.process.stdout:
            self.said += line
            found = re.search(r"mosquitto_sub .* -u (\S+) -P (\S+) -t (\S+)",
                              line)
            if found:
                self.user, self.password, self.topic = found.groups()
            if "Ctrl-C" in line:
                return
        raise AssertionError(self.said + self.process.stderr.read())

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        out, said = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, said


def test_the_demo_sends_and_answers_until_it_is_ended(cli, server):
    demo = Demo(cli, server)
    topics = [demo.topic, demo.topic.replace("uldata", "dldata-resp"),
              demo.topic.replace("uldata", "dldata-result")]
    app = Client(server, demo.user, demo.password, topics=topics)
    try:
        heard = app.wait(4, "uldata")
        assert len({m["networkAddr"] for m in heard[:4]}) == 4
        for message in heard:
            assert message["profile"] == "demo-climate"
            assert re.fullmatch(r"0167[0-9a-f]{4}0268[0-9a-f]{2}"
                                r"0302[0-9a-f]{4}", message["data"])
        app.publish(demo.topic.replace("uldata", "dldata"), {
            "correlationId": "1", "deviceId": heard[0]["deviceId"],
            "data": "01"})
        data_id = app.wait(1, "dldata-resp")[0]["dataId"]
        result = app.wait(1, "dldata-result")[0]
        assert (result["dataId"], result["status"]) == (data_id, 0)
    finally:
        app.close()
        status, out, said = demo.end()
    assert status == 0, said
    assert re.search(r"\d+ sent, \d+ acknowledged, 1 downlinks", out), out


def test_the_demo_uses_what_is_there_and_takes_away_what_it_made(cli, server):
    for said in "made", "is there":
        demo = Demo(cli, server, "--messages", "5")
        assert demo.process.wait(LIMIT) == 0
        assert "unit demo " + said in demo.said
    assert cli.ok("device", "count") == {"count": 4}
    assert cli.ok("network-route", "count") == {"count": 1}
    done = cli.run("demo", "--remove")
    assert done.status == 0, done.said
    assert cli.ok("unit", "count") == {"count": 0}
    assert cli.ok("device", "count") == {"count": 0}
    assert cli.run("demo", "--remove").status == 0


def test_the_demo_removes_no_unit_of_others(cli):
    unit = cli.ok("unit", "add", "-c", "demo")["unitId"]
    done = cli.run("demo", "--remove")
    assert done.status == 1 and "not made by the demo" in done.said
    assert cli.ok("unit", "get", "-i", unit)["code"] == "demo"


def test_the_demo_can_sign_in_by_itself(fresh, server):
    demo = Demo(fresh, server, "--unit", "second", "-a", "admin", "-p",
                "admin", "--messages", "1")
    assert demo.process.wait(LIMIT) == 0
    assert demo.topic == "broker.application.second.demo-app.uldata"


# --- firmware


def test_a_file_of_firmware_goes_there_and_back(cli):
    unit = cli.ok("unit", "add", "-c", "shed")["unitId"]
    cli.ok("firmware", "add", "--unitid", unit, "--id", "blink")
    (cli.folder / "blink.hex").write_bytes(b":00000001FF\n\0\xff")
    sent = cli.ok("firmware", "upload", "-i", "blink", "--file", "blink.hex")
    assert (sent["file"]["name"], sent["file"]["size"]) == ("blink.hex", 14)
    done = cli.run("firmware", "download", "-i", "blink", "-o", "back")
    assert (done.status, done.out) == (0, "back\n")
    assert (cli.folder / "back").read_bytes() == \
        (cli.folder / "blink.hex").read_bytes()
    assert cli.run("firmware", "upload", "-i", "blink").status == 2
    assert cli.run("firmware", "upload", "-i", "none", "--file",
                   "blink.hex").status == 1
    cli.ok("unit", "delete", "-i", unit)


# --- gateways


def test_gateways(cli):
    unit = cli.ok("unit", "add", "--code", "garden")["unitId"]
    provider = {"type": "tasmota", "protocol": {"type": "mqtt"}}
    made = cli.ok("gateway", "add", "--unitid", unit, "--code", "tas",
                  "--provider", json.dumps(provider))["id"]
    assert cli.ok("gateway", "get", "-i", made)["code"] == "tas"
    cli.ok("gateway", "update", "-i", made, "--description", "plugs")
    assert [g["description"] for g in cli.ok(
        "gateway", "list", "--unit", unit)] == ["plugs"]
    assert cli.ok("gateway", "sleeping", "-i", made) == []
    wrong = cli.run("gateway", "add", "--unitid", unit, "--code", "x",
                    "--provider", '{"type":"flute"}')
    assert wrong.status == 1 and "flute" in wrong.error["message"]

    cli.ok("gateway", "delete", "-i", made)

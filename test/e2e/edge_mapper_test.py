"""Mappers and the rules of their bridges as files: mappers/NAME/, `tedge
bridge`, `tedge mapper`, and what goes with them when a cloud is left."""
import subprocess

from conftest import LIMIT, until
from edge import EDGE, free_port
from edge_connect_test import bridge_file, world  # noqa: F401

MEASURED = "measurement/measurements/create"
HEALTH = "te/device/main/service/%s/status/health"


def mapper(edge, name, toml=None, **rules):
    """Makes the folder of a user's mapper; `rules`: files of its bridge."""
    folder = edge.config / "mappers" / name
    folder.mkdir(parents=True)
    if toml is not None:
        (folder / "mapper.toml").write_text(toml)
    if rules:
        (folder / "bridge").mkdir()
    for file, text in rules.items():
        (folder / "bridge" / (file + ".toml")).write_text(text)
    return folder


RULES = """
local_prefix = "tb/"
remote_prefix = "${mapper.bridge.topic_prefix}/"

[[rule]]
topic = "telemetry"
direction = "outbound"

[[rule]]
topic = "rpc/request/#"
direction = "inbound"

[[rule]]
if = "${connection.auth_method} == 'certificate'"
topic = "shared/#"
direction = "bidirectional"
"""


def by_account(edge, port):
    """Another broker is the cloud, reached in clear with an account."""
    folder = mapper(edge, "thingsboard", """\
url = "localhost:%d"
credentials_path = "account.toml"

[device]
id = "my-device"

[bridge]
topic_prefix = "v1/devices/me"
tls.enable = "off"
""" % port, rules=RULES)
    (folder / "account.toml").write_text(
        '[credentials]\nusername = "u"\npassword = "p"\n')
    return folder


# --- a mapper of one's own -----------------------------------------------------

def test_a_mapper_of_ones_own_bridges_to_any_broker(world):
    cloud = world.edge(name=None)
    edge = world.edge(name="dev1")
    by_account(edge, cloud.port)
    assert "tedge-mapper-thingsboard\tstopped" in edge.good(
        "part", "status").out
    edge.good("part", "enable", "tedge-mapper-thingsboard")
    said = edge.good("connect", "thingsboard", "--test")
    assert said.err == (
        "Waiting for tedge-mapper-thingsboard to be up... ✓\n"
        "Waiting for tedge-mapper-bridge-thingsboard to be up... ✓\n"), said
    there, here = cloud.client("v1/#"), edge.client("tb/#")
    here.say("tb/telemetry", '{"a":1}')
    assert there.wait("v1/devices/me/telemetry") == ['{"a":1}']
    there.say("v1/devices/me/rpc/request/7", "go")
    assert here.wait("tb/rpc/request/7") == ["go"]
    # what waits while it is stopped is sent when it runs again
    edge.good("part", "stop", "tedge-mapper-thingsboard")
    here.say("tb/telemetry", "later")
    edge.restart()
    assert there.wait("v1/devices/me/telemetry", 2)[-1] == "later"
    here.close()
    there.close()


def test_a_mapper_of_ones_own_by_certificate(world):
    cert, key = world.authority.sign("server")
    port = free_port()
    world.edge({"mqtt.external.bind.port": port,
                "mqtt.external.bind.address": "127.0.0.1",
                "mqtt.external.ca_path": str(world.authority.ca),
                "mqtt.external.cert_file": str(cert),
                "mqtt.external.key_file": str(key)}, name=None)
    edge = world.edge(name="dev1")
    mapper(edge, "my-cloud", """\
url = "localhost:%d"
[device]
root_cert_path = "../../ca.pem"
""" % port, rules=RULES.replace("${mapper.bridge.topic_prefix}", "x"))
    (edge.config / "ca.pem").write_text(world.authority.ca.read_text())
    edge.good("part", "enable", "tedge-mapper-my-cloud")
    edge.good("connect", "my-cloud", "--test")
    said = edge.good("mapper", "list")
    assert said.out == "my-cloud\tlocalhost:%d\tdev1 [cert CN]\t\n" % port


def test_one_that_is_down_is_told_by_the_exit_status(world):
    edge = world.edge(name="dev1")
    by_account(edge, free_port())
    said = edge.tedge("connect", "thingsboard", "--test")
    assert said.status == 2, said
    assert "tedge-mapper-thingsboard did not report as up" in said.err, said
    edge.good("part", "enable", "tedge-mapper-thingsboard")
    said = edge.tedge("connect", "thingsboard", "--test")
    assert said.status == 3, said
    assert "tedge-mapper-bridge-thingsboard did not report as up" in said.err
    said = edge.tedge("connect", "thingsboard")
    assert said.status == 1
    assert ("'tedge connect' is not supported for custom mappers (only --test "
            "is available)") in said.err, said


def test_a_mapper_without_a_bridge_clears_the_health_of_one_it_had(world):
    edge = world.edge(name=None)
    mapper(edge, "plain")
    topic = HEALTH % "tedge-mapper-bridge-plain"
    edge.good("mqtt", "pub", "-r", topic, '{"status":"up"}')
    edge.good("part", "enable", "tedge-mapper-plain")
    edge.good("connect", "plain", "--test")
    until("it is cleared", lambda: edge.good(
        "mqtt", "sub", "--retained-only", "-W", "1s", topic).out == "")


def test_what_is_wrong_with_a_mapper_is_told(world):
    edge = world.edge(name=None)

    def why(name, toml=None, **rules):
        folder = mapper(edge, name, toml, **rules)
        said = edge.tedge("part", "start", "tedge-mapper-" + name)
        edge.tedge("part", "stop", "tedge-mapper-" + name)
        assert said.status == 1, said
        return said.err, folder

    said, folder = why("bare", rules=RULES)
    assert ("Mapper directory '%s' contains a 'bridge/' subdirectory but no "
            "'mapper.toml'" % folder) in said, said
    assert "Mapper 'bare' has a 'bridge/' directory but no" in edge.good(
        "mapper", "list").err
    said, folder = why("nowhere", "", rules=RULES)
    assert "'%s/mapper.toml' is missing a 'url' field" % folder in said, said
    said, folder = why("typo", "\nurl = 7\n")
    assert "%s/mapper.toml: line 2: url: must be a text" % folder in said
    said, folder = why("clear", 'url = "h:1883"', rules=RULES)
    assert "certificate authentication requires TLS" in said, said
    said, folder = why("nopass", 'url = "h"\nauth_method = "password"',
                       rules=RULES)
    assert "no credentials_path is configured" in said, said
    said, folder = why("noid", 'url = "h"', rules=RULES)
    assert "No MQTT client ID could be determined" in said, said
    said, folder = why("badtype", 'cloud_type = "thingsboard"')
    assert "cloud_type: must be one of" in said, said
    said = edge.tedge("part", "start", "tedge-mapper-no-such").err
    assert ("Mapper directory '%s/mappers/no-such' does not exist. Available "
            "mappers: badtype, bare, clear" % edge.config) in said, said
    for name in ("Upper", "under_score", "bridge-x", "1st"):
        (edge.config / "mappers" / name).mkdir()
        said = edge.tedge("part", "start", "tedge-mapper-" + name).err
        assert "there is no part \"tedge-mapper-%s\"" % name in said, said
    done = subprocess.run([EDGE, "--config-dir", str(edge.config), "run",
                           "tedge-mapper", "no-such"], capture_output=True,
                          text=True, env=edge.env, timeout=LIMIT)
    assert done.returncode == 1 and "does not exist" in done.stderr, done


def test_a_mapper_whose_folder_is_gone_can_be_disabled(world):
    edge = world.edge(name=None)
    folder = mapper(edge, "gone")
    edge.good("part", "enable", "tedge-mapper-gone")
    edge.good("part", "stop", "tedge-mapper-gone")
    folder.rmdir()
    edge.good("part", "disable", "tedge-mapper-gone")
    assert (edge.folder / "data/parts").read_text() == ""
    assert edge.tedge("part", "disable", "tedge-mapper-gone").status == 1


# --- rule files of the clouds ----------------------------------------------------

def test_the_rules_of_a_cloud_are_files_that_may_be_changed(world):
    cloud, edge = world.connected("aws")
    folder = edge.config / "mappers/aws/bridge"
    rules, template = folder / "rules.toml", folder / "rules.toml.template"
    assert rules.read_text() == template.read_text()
    own = rules.read_text()
    # a file more
    (folder / "more.toml").write_text("""\
local_prefix = "out/"
remote_prefix = "thinedge/${mapper.device.id}/"
[[rule]]
topic = "td/extra"
direction = "outbound"
""")
    edge.good("part", "restart", "tedge-mapper-aws")
    edge.good("connect", "aws", "--test")  # it hears all of it by then
    here = edge.client()
    here.say("out/td/extra", "more")
    cloud.wait("thinedge/dev1/td/extra")
    # an old template is brought up to date, with the file that is like it
    rules.write_text("# old\n")
    template.write_text("# old\n")
    edge.good("part", "restart", "tedge-mapper-aws")
    assert rules.read_text() == template.read_text() == own
    # one of the user stays
    mine = own.replace('topic = "cmd/#"', 'topic = "mine/#"')
    rules.write_text(mine)
    template.write_text("# old\n")
    edge.good("part", "restart", "tedge-mapper-aws")
    assert (rules.read_text(), template.read_text()) == (mine, own)
    said = edge.good("bridge", "test", "aws", "thinedge/dev1/mine/x")
    assert ("[remote] thinedge/dev1/mine/x  ->  [local] aws/mine/x (inbound)\n"
            "  matched by rule: thinedge/dev1/mine/# -> aws/mine/#"
            ) in said.out, said
    # one that was taken away stays away, while its template is there
    rules.unlink()
    edge.good("part", "restart", "tedge-mapper-aws")
    assert not rules.exists() and template.read_text() == own
    # and with both gone they come again, unless it is disabled
    template.unlink()
    edge.good("part", "restart", "tedge-mapper-aws")
    assert rules.read_text() == own
    (folder / "rules.toml.disabled").write_text("")
    rules.write_text("# old\n")
    template.write_text("# old\n")
    edge.good("part", "restart", "tedge-mapper-aws")
    assert (rules.read_text(), template.read_text()) == ("# old\n", own)
    said = edge.good("bridge", "inspect", "aws")
    assert "Skipping: rules.toml (disabled)\n" in said.out, said
    assert "cmd/#" not in said.out, said
    here.close()


def test_a_bad_rule_file_stops_the_mapper_and_says_where(world):
    _, edge = world.connected("az")
    bad = edge.config / "mappers/az/bridge/bad.toml"
    bad.write_text('\n[[rule]]\ntopic = "x"\ndirection = "up"\n')
    said = edge.tedge("part", "restart", "tedge-mapper-az")
    assert said.status == 1
    assert ("%s: line 4: direction: must be inbound, outbound or "
            "bidirectional, not \"up\"" % bad) in said.err, said
    said = edge.tedge("bridge", "inspect", "az")
    assert said.status == 1 and "line 4: direction" in said.err, said


def test_a_folder_that_can_not_be_written_is_no_obstacle(world):
    cloud = world.cloud("aws")
    edge = world.edge(world.to(cloud))
    (edge.config / "mappers").write_text("a file is in the way")
    edge.good("connect", "aws")
    edge.client().say("aws/td/x", "1")
    cloud.wait("thinedge/dev1/td/x")
    assert "the rules of the bridge are not brought up to date" in edge.logged()


# --- tedge bridge ----------------------------------------------------------------

def test_inspect_shows_the_rules_by_direction(world):
    _, edge = world.connected("aws")
    said = edge.good("bridge", "inspect", "aws")
    assert said.out == """\
Bridge configuration for AWS
Reading from: %s/mappers/aws/bridge

Local -> Remote
  aws/td/#             ->  thinedge/dev1/td/#
  aws/test-connection  ->  thinedge/devices/dev1/test-connection

Remote -> Local
  thinedge/dev1/cmd/#                    ->  aws/cmd/#
  thinedge/devices/dev1/test-connection  ->  aws/connection-success

Bidirectional
  aws/shadow/#  <->  $aws/things/dev1/shadow/#
""" % edge.config


def test_inspect_says_what_is_skipped_and_why(world):
    edge = world.edge({"c8y.url": "localhost:1"}, run=False)
    said = edge.good("bridge", "inspect", "c8y")
    assert said.out == "Not connected to Cumulocity\n", said
    bridge_file(edge, "c8y").parent.mkdir()
    bridge_file(edge, "c8y").write_text("# built in\n")
    said = edge.good("bridge", "inspect", "c8y")
    assert said.out.endswith("""\
No bridge configuration directory found.
The bridge configuration will be created when the mapper starts.
"""), said
    folder = edge.config / "mappers/c8y/bridge"
    folder.mkdir(parents=True)
    said = edge.good("bridge", "inspect", "c8y")
    assert said.out.endswith("\nNo bridge configuration files found.\n")
    (folder / "a.toml").write_text("""\
local_prefix = "c8y/"
remote_prefix = ""
[[rule]]
if = "${connection.auth_method} == 'password'"
topic = "a"
direction = "outbound"
[[template_rule]]
for = "${tedge.c8y.smartrest.templates}"
topic = "s/uc/${item}"
direction = "outbound"
""")
    said = edge.good("bridge", "inspect", "c8y")
    assert said.out.endswith(
        "Bridge config files exist, but no rules were generated\n"
        "Help: Try running with the `--show-all` flag to see more information "
        "on disabled rules\n"), said
    for option in ("--show-all", "--debug"):
        said = edge.good("bridge", "inspect", "c8y", option)
        assert said.out.endswith("""\
Skipped rules:

  {0}/a.toml:3: rule: auth method is certificate, not password
  {0}/a.toml:7: template_rule: iterator is empty

""".format(folder)), said
    edge.set(mqtt__bridge__built_in=False)
    said = edge.good("bridge", "inspect", "c8y")
    assert said.out == (
        "Built-in bridge is disabled\nThe mosquitto bridge config is stored "
        "in %s\n" % bridge_file(edge, "c8y")), said


def test_the_bridge_is_asked_for_a_topic(world):
    edge = world.edge(name="dev1", run=False)
    by_account(edge, 1883)

    def asked(topic):
        said = edge.tedge("bridge", "test", "thingsboard", topic)
        return said.status, said.out.split("\n\n", 1)[-1] + said.err

    assert asked("tb/telemetry") == (
        0, "[local] tb/telemetry  ->  [remote] v1/devices/me/telemetry "
           "(outbound)\n")
    assert asked("v1/devices/me/rpc/request/1") == (
        0, "[remote] v1/devices/me/rpc/request/1  ->  [local] "
           "tb/rpc/request/1 (inbound)\n"
           "  matched by rule: v1/devices/me/rpc/request/# -> "
           "tb/rpc/request/#\n")
    assert asked("tb/nothing") == (
        2, 'No matching bridge rule found for "tb/nothing"\n')
    assert asked("tb/#") == (
        1, "Error: Wildcard characters (#, +) are not supported. Provide a "
           "concrete topic to test against.\n")
    said = edge.tedge("bridge", "test", "nowhere", "x")
    assert said.status == 1, said
    assert "Custom mapper 'nowhere' not found" in said.err, said


# --- tedge mapper ----------------------------------------------------------------

def test_settings_of_mappers_are_shown_with_where_they_are_from(world):
    edge = world.edge({"c8y.url": "acme.example.com",
                       "c8y.profiles.second.url": "other.example.com"},
                      name="dev1", run=False)
    folder = by_account(edge, 1883)
    (edge.config / "mappers/c8y.second").mkdir()

    def got(key):
        said = edge.tedge("mapper", "config", "get", key)
        return said.status, said.out, said.err

    assert got("thingsboard.url") == (0, "localhost:1883\n",
                                      "# from mapper.toml\n")
    assert got("thingsboard.credentials_path") == (
        0, "%s/account.toml\n" % folder,
        "# relative path 'account.toml' in mapper.toml, resolved to "
        "absolute\n")
    assert got("thingsboard.device.cert_path")[2] == (
        "# not set in mapper.toml, inherited from tedge.toml\n")
    assert got("thingsboard.auth_method") == (0, "password\n",
                                              "# schema default\n")
    assert got("c8y.url") == (0, "acme.example.com\n", "# from tedge.toml\n")
    assert got("c8y.second.url")[1] == "other.example.com\n"
    assert got("c8y.smartrest.templates")[1] == "[]\n"
    status, out, err = got("thingsboard.bridge.keepalive_interval")
    assert (status, out) == (1, "") and (
        "Key 'bridge.keepalive_interval' is not set for mapper 'thingsboard'"
        in err), err
    assert "Unknown mapper config key: thingsboard.nix" in got(
        "thingsboard.nix")[2]
    assert "Mapper 'nix' not found. Available mappers: c8y.second, " in got(
        "nix.url")[2]
    assert "expected format '<mapper-name>.<toml-key>'" in got("url")[2]
    assert edge.good("mapper", "list").out == (
        "c8y.second\tother.example.com\tdev1 [tedge.toml]\tc8y\n"
        "thingsboard\tlocalhost:1883\tmy-device [mapper.toml]\t\n")


# --- leaving a cloud ---------------------------------------------------------------

def test_disconnect_leaves_nothing_to_gather(world):
    cloud, edge = world.connected("aws")
    cloud.offline()
    here = edge.client()
    here.say("aws/td/before", "in the bridge's session")
    edge.good("disconnect", "aws")
    here.say("aws/td/between", "while disconnected")
    here.say("te/device/main///m/", '{"a":1}')
    cloud.online()
    edge.good("connect", "aws")
    here.say("aws/td/after", "again connected")
    cloud.wait("thinedge/dev1/td/after")
    topics = {m.topic for m in cloud.messages}
    assert not topics & {"thinedge/dev1/td/before", "thinedge/dev1/td/between",
                         "thinedge/dev1/td/device:main/m/"}, topics
    here.close()


def test_reconnect_keeps_what_waits(world):
    cloud, edge = world.connected("aws")
    cloud.offline()
    here = edge.client()
    here.say("aws/td/before", "in the bridge's session")
    cloud.online()
    edge.good("reconnect", "aws")
    cloud.wait("thinedge/dev1/td/before")
    edge.good("part", "stop", "tedge-mapper-aws")
    here.say("te/device/main///m/", '{"a":1}')
    edge.good("part", "start", "tedge-mapper-aws")
    cloud.wait("thinedge/dev1/td/device:main/m/")
    here.close()


# --- what is wrong with a message ---------------------------------------------------

TIME_ERROR = ("Not a timestamp: the time value must be an ISO8601 timestamp "
              "string in the YYYY-MM-DDThh:mm:ss.sss.\u00b1hh:mm format, not a "
              "number.")


def test_what_is_wrong_is_told_once_however_many_mappers_hear_it(world):
    clouds = [world.cloud(role) for role in ("c8y", "az", "aws")]
    settings = {}
    for cloud in clouds:
        settings.update(world.to(cloud))
    edge = world.edge(settings)
    for cloud in clouds:
        edge.good("connect", cloud.role.name)
    here = edge.client("tedge/errors", "te/errors")
    for _ in range(2):  # sent twice, told twice
        here.say("tedge/measurements", '{"temperature": 23,"time": 220}')
    here.say("te/device/main///m/", "no JSON")
    for cloud in clouds:  # what comes behind has been converted by everybody
        here.say("te/device/main///m/last", '{"a":1}')
    clouds[0].wait(MEASURED)
    clouds[1].wait("devices/dev1/messages/events/")
    clouds[2].wait("thinedge/dev1/td/device:main/m/last")
    here.say("tedge/measurements", '{"last":')
    until("the last is told", lambda: any(
        "last" in text for text in here.on("tedge/errors")))
    assert len(here.on("te/errors")) == 1, here.on("te/errors")
    assert here.on("te/errors")[0].startswith(
        "Failed to convert a message on topic 'te/device/main///m/': ")
    told = [t for t in here.on("tedge/errors") if t == TIME_ERROR]
    assert len(told) == 2, here.on("tedge/errors")
    assert len(here.on("tedge/errors")) == 4, here.on("tedge/errors")
    here.close()


def test_it_is_told_where_no_mapper_hears_the_first_scheme(world):
    _, edge = world.connected("aws")
    here = edge.client("tedge/errors")
    here.say("tedge/measurements", '{"temperature": 23,"time": 220}')
    assert here.wait("tedge/errors") == [TIME_ERROR]
    here.close()

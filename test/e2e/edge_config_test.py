"""`tedge config`: settings of a device from the command line."""
import os
import pathlib
import stat
import subprocess

import pytest

from conftest import LIMIT
from edge import EDGE, Edge, Said

UNKNOWN = ("Error: Invalid key `%s'. See `tedge config list --doc` for a list "
           "of valid keys.\n")


@pytest.fixture
def edge(tmp_path):
    made = Edge(tmp_path / "edge")
    made.file = made.config / "tedge.toml"
    made.file.write_text("")
    return made


def told(said):
    return said.status, said.out, said.err


def test_a_key_is_set_read_and_unset(edge):
    assert told(edge.tedge("config", "get", "c8y.url")) == (
        1, "", "The provided config key: 'c8y.url' is not set\n")
    assert told(edge.tedge("config", "set", "c8y.url",
                           "your.example.com")) == (0, "", "")
    assert told(edge.tedge("config", "get", "c8y.url")) == (
        0, "your.example.com\n", "")
    assert edge.good("config", "get", "c8y.mqtt").out == "your.example.com\n"
    assert told(edge.tedge("config", "unset", "c8y.url")) == (0, "", "")
    assert edge.tedge("config", "get", "c8y.url").status == 1


def test_the_seeds_own_example(edge):
    """sudo tedge config set az.mapper.timestamp false"""
    assert edge.good("config", "get", "az.mapper.timestamp").out == "true\n"
    edge.good("config", "set", "az.mapper.timestamp", "false")
    assert edge.good("config", "get", "az.mapper.timestamp").out == "false\n"
    assert edge.good("config", "get", "azure.mapper.timestamp").out == (
        "false\n")
    assert edge.file.read_text().endswith("timestamp = false\n")


def test_a_key_that_is_none_is_told_as_ever(edge):
    for words in (["get", "no.such"], ["set", "no.such", "1"],
                  ["unset", "no.such"], ["add", "no.such", "1"],
                  ["remove", "no.such", "1"]):
        assert told(edge.tedge("config", *words)) == (
            1, "", UNKNOWN % "no.such")


def test_a_wrong_value_names_itself_and_changes_nothing(edge):
    edge.file.write_text("# mine\n")
    assert told(edge.tedge("config", "set", "mqtt.port", "1e3")) == (
        1, "", "Error: failed to set the configuration key: 'mqtt.port' with "
        "value: '1e3'.\n\nCaused by:\n    mqtt.bind.port: must be a number of "
        "1 to 65535, not \"1e3\"\n")
    # a secret is not repeated
    said = edge.tedge("config", "set", "proxy.password", "hush\udcff")
    assert said.status == 1 and "hush" not in said.err
    assert edge.file.read_text() == "# mine\n"


def test_a_wrong_call_ends_with_two(edge):
    for words in (["config"], ["config", "get"], ["config", "set", "c8y.url"],
                  ["config", "get", "a", "b"], ["config", "nothing"],
                  ["config", "get", "--no-such", "c8y.url"], [],
                  ["config", "list", "--log-level", "loud"]):
        said = edge.tedge(*words)
        assert said.status == 2 and said.out == "", words
        assert "Usage: tedge" in said.err
    said = edge.tedge("config", "set", "--help")
    assert said.status == 0 and said.err == ""
    assert "Usage: tedge config set [OPTIONS] <KEY> <VALUE>" in said.out


def test_lists_are_added_to_and_taken_from(edge):
    key = "c8y.smartrest.templates"
    assert edge.good("config", "get", key).out == "[]\n"
    edge.good("config", "set", key, "a,b")
    edge.good("config", "add", key, "c")
    edge.good("config", "add", key, "c")
    assert edge.good("config", "get", key).out == '["a", "b", "c"]\n'
    edge.good("config", "remove", key, "a")
    edge.good("config", "remove", key, "none")
    assert edge.good("config", "get", key).out == '["b", "c"]\n'
    assert 'templates = ["b", "c"]' in edge.file.read_text()
    said = edge.tedge("config", "add", "c8y.url", "x")
    assert said.status == 1 and "c8y.url is no list" in said.err


def test_a_profile_has_every_key_of_its_cloud(edge):
    edge.good("config", "set", "c8y.url", "one.example.com")
    edge.good("config", "set", "c8y.url", "two.example.com", "--profile",
              "second")
    edge.good("config", "set", "c8y.profiles.second.proxy.bind.port", "8002")
    get = edge.good
    assert get("config", "get", "c8y.url").out == "one.example.com\n"
    assert get("config", "get", "c8y.profiles.second.url").out == (
        "two.example.com\n")
    assert get("config", "get", "--profile=SECOND",
               "c8y.proxy.client.port").out == "8002\n"
    assert get("config", "get", "c8y.http",
               env={"TEDGE_CLOUD_PROFILE": "second"}).out == (
                   "two.example.com\n")
    # the variable is for clouds; other keys have no profiles
    assert get("config", "get", "mqtt.topic_root",
               env={"TEDGE_CLOUD_PROFILE": "second"}).out == "te\n"
    assert edge.tedge("config", "get", "mqtt.topic_root", "--profile",
                      "second").status == 1
    assert edge.tedge("config", "set", "c8y.url", "x", "--profile",
                      "a/b").status == 1
    assert "[c8y.profiles.second]" in edge.file.read_text()
    listed = get("config", "list", "profiles.second").out.splitlines()
    assert "c8y.profiles.second.url=two.example.com" in listed
    assert "c8y.profiles.second.bridge.topic_prefix=c8y" in listed


def test_the_environment_wins_and_that_is_said(edge):
    edge.good("config", "set", "c8y.url", "file.example.com")
    env = {"TEDGE_C8Y_URL": "variable.example.com"}
    assert edge.good("config", "get", "c8y.url", env=env).out == (
        "variable.example.com\n")
    said = edge.good("config", "set", "c8y.url", "new.example.com", env=env)
    assert said.err == (
        "warning: the environment variable TEDGE_C8Y_URL is set and wins over "
        "tedge.toml\n")
    assert edge.tedge("config", "get", "c8y.url",
                      env={"TEDGE_C8Y_URL": ""}).status == 1
    assert edge.good("config", "get", "c8y.topics", env={
        "TEDGE_C8Y_TOPICS": '["a/b", "c"]'}).out == '["a/b", "c"]\n'
    said = edge.good("config", "get", "c8y.url", env={"TEDGE_NONE_SUCH": "1"})
    assert ('Unknown configuration field "none_such" from environment variable '
            "TEDGE_NONE_SUCH") in said.err
    said = edge.tedge("config", "get", "c8y.url",
                      env={"TEDGE_MQTT_BIND_PORT": "x"})
    assert said.status == 1 and "TEDGE_MQTT_BIND_PORT: must be" in said.err


def test_the_folder_of_the_settings_has_a_variable(edge):
    edge.good("config", "set", "c8y.url", "a.example.com")
    done = subprocess.run([EDGE, "config", "get", "c8y.url"],
                          capture_output=True, text=True, timeout=LIMIT,
                          env={**edge.env, "TEDGE_CONFIG_DIR": edge.config})
    assert told(Said(done)) == (0, "a.example.com\n", "")


def test_list_has_what_is_set_and_all(edge):
    edge.good("config", "set", "az.url", "hub.example.net")
    edge.good("config", "set", "proxy.password", "hush")
    some = edge.good("config", "list").out.splitlines()
    assert "az.url=hub.example.net" in some
    assert "mqtt.bind.port=1883" in some
    assert all("=" in line and not line.endswith("=") for line in some)
    assert "proxy.password=********" in some
    assert edge.good("config", "get", "proxy.password").out == "hush\n"
    both = edge.good("config", "list", "--all").out.splitlines()
    gap = both.index("")
    assert both[:gap] == some
    assert "c8y.url=" in both[gap:]
    assert edge.good("config", "list", "az.url").out == (
        "az.url=hub.example.net\n")
    assert edge.good("config", "list", "no.such").out == ""


def test_the_doc_of_every_key(edge):
    doc = edge.good("config", "list", "--doc").out
    keys = {line.split("=")[0] for line in
            edge.good("config", "list", "--all").out.splitlines() if line}
    for key in keys:
        assert "%s  " % key in doc, key
    lines = edge.good("config", "list", "--doc",
                      "az.mapper.timestamp").out.splitlines()
    assert [line.strip() for line in lines if line] == [
        "az.mapper.timestamp  Is the time added to messages that lack it?",
        "Examples: true, false",
        "az.mapper.timestamp_format  How time is written to Azure.",
        "Examples: unix, rfc-3339"]
    ends = {line.index("  ", len(line) - len(line.lstrip()))
            for line in lines if line.strip().startswith("az.")}
    assert len(ends) == 1  # keys stand flush right


def test_comments_old_keys_owner_and_mode_are_kept(edge):
    edge.file.write_text("# by hand\n[mqtt]\nport = 1885  # not ours\n\n"
                         "[c8y] # tenant\nurl = 'a'\nother = 1\n")
    edge.file.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(edge.file, 12345, 12346)
    said = edge.good("config", "set", "c8y.url", "b.example.com")
    assert 'unknown configuration field "c8y.other"' in said.err
    assert edge.file.read_text() == (
        '# by hand\n[mqtt]\nport = 1885  # not ours\n\n'
        '[c8y] # tenant\nurl = "b.example.com"\nother = 1\n')
    st = edge.file.stat()
    assert stat.S_IMODE(st.st_mode) == 0o664
    if os.geteuid() == 0:
        assert (st.st_uid, st.st_gid) == (12345, 12346)
    assert [p.name for p in edge.config.glob("tedge*")] == ["tedge.toml"]


def test_two_at_once_lose_nothing(edge):
    running = [subprocess.Popen(
        [EDGE, "--config-dir", edge.config, "config", "add",
         "c8y.smartrest.templates", "t%d" % i], env=edge.env)
        for i in range(16)]
    assert [p.wait(LIMIT) for p in running] == [0] * 16
    value = edge.good("config", "get", "c8y.smartrest.templates").out
    assert sorted(value.strip("[]\n").replace('"', "").split(", ")) == sorted(
        "t%d" % i for i in range(16))


def test_a_link_to_the_file_stays_one(edge, tmp_path):
    real = tmp_path / "real.toml"
    real.write_text("")
    edge.file.unlink()
    edge.file.symlink_to(real)
    edge.good("config", "set", "c8y.url", "a.example.com")
    assert edge.file.is_symlink()
    assert "a.example.com" in real.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes another user's link")
def test_a_link_of_another_user_is_not_followed(edge, tmp_path):
    real = tmp_path / "real.toml"
    real.write_text("")
    edge.file.unlink()
    edge.file.symlink_to(real)
    os.lchown(edge.file, 12345, 12345)
    said = edge.tedge("config", "set", "c8y.url", "a.example.com")
    assert said.status == 1
    assert "is a link of another user, and is not followed" in said.err
    assert real.read_text() == ""


def test_a_folder_may_be_named_from_here(edge):
    done = subprocess.run(
        [EDGE, "--config-dir", "etc", "config", "get", "device.key_path"],
        capture_output=True, text=True, timeout=LIMIT, env=edge.env,
        cwd=edge.folder)
    assert done.stdout == "%s/device-certs/tedge-private-key.pem\n" % (
        edge.config)


def test_who_has_read_enough_is_told_nothing(edge):
    done = subprocess.run(
        "%s --config-dir %s config list --doc | head -1" % (EDGE, edge.config),
        shell=True, capture_output=True, text=True, timeout=LIMIT, env=edge.env)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_a_broken_file_is_named_with_its_line(edge):
    edge.file.write_text("[c8y]\nurl = \n")
    said = edge.tedge("config", "get", "c8y.url")
    assert told(said) == (
        1, "", "Error: failed to read the settings\n\nCaused by:\n    %s: line "
        "2 column 7: a value must stand here\n" % edge.file)


def test_other_names_of_the_program(edge, tmp_path):
    def call(name, *words):
        link = tmp_path / name
        if not link.exists():
            link.symlink_to(pathlib.Path(EDGE).absolute())
        return Said(subprocess.run(
            [link, *words], capture_output=True, text=True, timeout=LIMIT,
            env=edge.env))

    assert call("tedge", "--version").out.startswith("tedge ")
    assert call("tedge-mapper").status == 2
    for name in ("c8y-firmware-plugin", "tedge-flows-plugin"):
        said = call(name)
        assert said.status == 1
        assert "is not part of this version" in said.err
        assert told(call("tedge", "run", name)) == told(said)
    assert call("apt").status == 1  # a wrong call of it


def test_run_all_with_mappers_runs_those_and_the_agent(edge):
    """Beside a broker that is there, here that of another of us."""
    edge.certificate("mine")
    edge.set(az__url="localhost:1")
    edge.start()
    bus, ran = edge.client("te/+/+/+/+/status/health"), None
    try:
        for words in (["run", "some"], ["run", "all", "more"]):
            assert edge.tedge(*words).status == 2
        with open(edge.folder / "all", "wb") as log:
            ran = subprocess.Popen(
                [EDGE, "--config-dir", edge.config, "run", "all", "--mapper",
                 "az"], env=edge.env, stdout=log, stderr=log)
        for name in ("tedge-agent", "tedge-mapper-az"):
            told = bus.wait("te/device/main/service/%s/status/health" % name)
            assert '"status":"up"' in told[-1]
        ran.terminate()
        assert ran.wait(LIMIT) == 0
    finally:
        if ran and ran.poll() is None:
            ran.kill()
            print((edge.folder / "all").read_text())
        bus.close()
        edge.stop()

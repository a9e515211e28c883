"""`tedge diag collect`: plugins of the test, and those we ship."""
import os
import stat
import subprocess
import tarfile
import time

import pytest

from conftest import LIMIT, ROOT
from edge import EDGE, Edge

SHIPPED = ROOT / "packaging/edge/diag-plugins"


@pytest.fixture
def edge(tmp_path):
    made = Edge(tmp_path / "edge")
    made.plugins = made.folder / "plugins"
    made.plugins.mkdir()
    made.set(diag__plugin_paths=[str(made.plugins)])
    return made


def plugin(edge, name, script, folder=None):
    path = (folder or edge.plugins) / name
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    return path


def collect(edge, *words):
    """What the command said, and the files in what it has packed."""
    done = edge.tedge("diag", "collect", *words)
    files = {}
    if done.out:
        assert done.out.endswith(".tar.gz\n") and done.out.count("\n") == 1
        with tarfile.open(done.out.strip()) as tar:
            for m in tar:
                files[m.name] = (tar.extractfile(m).read().decode()
                                 if m.isfile() else m.mode & 0o777)
    return done, files


def test_each_plugin_has_a_folder_of_its_own(edge):
    plugin(edge, "02_b.sh", 'echo "$@"; echo to-err >&2; pwd')
    plugin(edge, "01_a", 'echo more >"$3/file"; echo hello')
    done, files = collect(edge, "--name", "all")
    assert done.status == 0, done
    assert done.out == "%s/all.tar.gz\n" % (edge.folder / "tmp")
    folder = edge.folder / "tmp/all"
    lines = files["all/02_b/output.log"].splitlines()
    assert sorted(lines) == sorted([
        "collect --output-dir %s/02_b --config-dir %s" % (folder, edge.config),
        "to-err", "%s/02_b" % folder])
    assert files["all/01_a/output.log"] == "hello\n"
    assert files["all/01_a/file"] == "more\n"
    assert done.err.splitlines() == [
        "Executing %s/01_a... ✓" % edge.plugins,
        "Executing %s/02_b.sh... ✓" % edge.plugins]
    # nobody else may read it, and nothing else is left
    assert files["all/01_a"] == 0o700
    assert stat.S_IMODE(os.stat(done.out.strip()).st_mode) == 0o600
    assert os.listdir(edge.folder / "tmp") == ["all.tar.gz"]


def test_exit_statuses_of_plugins_and_of_the_command(edge):
    plugin(edge, "01_good", "echo one")
    plugin(edge, "02_not_here", "exit 2")
    done, files = collect(edge)
    assert done.status == 0
    assert "info: 02_not_here has nothing to say here" in done.err
    plugin(edge, "03_bad", "echo half; exit 3")
    plugin(edge, "04_killed", "kill -9 $$")
    done, files = collect(edge, "--name=some")
    assert done.status == 1
    assert "error: 03_bad exited with 3" in done.err
    assert "error: 04_killed killed by SIGKILL" in done.err
    assert "Executing %s/03_bad... ✗" % edge.plugins in done.err
    assert files["some/03_bad/output.log"] == "half\n"
    assert files["some/01_good/output.log"] == "one\n"


def test_without_plugins_it_ends_with_two(edge):
    plugin(edge, "01_off.ignore", "exit 1")
    (edge.plugins / "README").write_text("not a program")
    (edge.plugins / "folder").mkdir()
    done, files = collect(edge)
    assert (done.status, done.out) == (2, "")
    assert "there are no diag plugins" in done.err
    assert os.listdir(edge.folder / "tmp") == []


def test_a_plugin_that_hangs_is_ended(edge):
    plugin(edge, "01_hangs", "trap '' TERM; echo begun; while :; do sleep 1; "
           "done")
    plugin(edge, "02_next", "echo next")
    began = time.monotonic()
    done, files = collect(edge, "--timeout", "3s", "--forceful-timeout",
                          "300ms", "--name", "x")
    assert 3.3 <= time.monotonic() - began < LIMIT
    assert done.status == 1 and "01_hangs took longer than" in done.err
    assert files["x/01_hangs/output.log"] == "begun\n"
    assert files["x/02_next/output.log"] == "next\n"


def test_other_folders_by_option_and_variable(edge):
    plugin(edge, "of_settings", "echo no")
    one, two, three = (edge.folder / n for n in ("one", "two", "three"))
    for folder in (one, two, three):
        folder.mkdir()
        plugin(edge, "of_" + folder.name, "echo yes", folder)
    out = edge.folder / "made/out"
    out.parent.mkdir()
    done, files = collect(edge, "--plugin-dir", "%s,%s" % (one, two),
                          "--plugin-dir", three, "--plugin-dir", "/none",
                          "--output-dir", out, "--name", "n", "--keep-dir")
    assert done.status == 0, done
    assert {f.split("/")[1] for f in files if "/" in f} == {
        "of_one", "of_two", "of_three"}
    assert sorted(os.listdir(out)) == ["n", "n.tar.gz"]
    assert (out / "n/of_one/output.log").read_text() == "yes\n"
    done = edge.tedge("diag", "collect", "--name", "v",
                      env={"TEDGE_DIAG_PLUGIN_PATHS": str(two)})
    assert "of_two" in done.err and "of_settings" not in done.err
    # a second one of that name would mix with the first
    done = edge.tedge("diag", "collect", "--output-dir", out, "--name", "n")
    assert done.status == 1 and "File exists" in done.err


def test_plugins_of_one_name_do_not_mix(edge):
    plugin(edge, "01_a.sh", "echo sh")
    plugin(edge, "01_a.py", "echo py")
    other = edge.folder / "other"
    other.mkdir()
    plugin(edge, "01_a.sh", "echo other", other)
    done, files = collect(edge, "--plugin-dir", edge.plugins, "--plugin-dir",
                          other, "--name", "n")
    assert done.status == 0, done
    assert {f: t for f, t in files.items() if f.endswith("output.log")} == {
        "n/01_a/output.log": "py\n", "n/01_a-2/output.log": "sh\n",
        "n/01_a-3/output.log": "other\n"}


def test_what_can_not_be_packed_is_left_as_it_is(edge):
    plugin(edge, "01_a", "echo found")
    tools = edge.folder / "tools"
    tools.mkdir()
    plugin(edge, "tar", 'echo half >"$2"; echo no room >&2; exit 2', tools)
    done = edge.tedge("diag", "collect", "--name", "n",
                      env={"PATH": "%s:%s" % (tools, edge.env["PATH"])})
    assert done.status == 1 and done.out == "" and "no room" in done.err
    folder = edge.folder / "tmp/n"
    assert "what was found is in %s" % folder in done.err
    assert (folder / "01_a/output.log").read_text() == "found\n"
    assert os.listdir(edge.folder / "tmp") == ["n"]


def test_wrong_calls(edge):
    for words in (["--name", "a/b"], ["--name", ".."], ["--timeout", "x"],
                  ["more"]):
        assert edge.tedge("diag", "collect", *words).status == 2, words


def test_those_we_ship(edge):
    """With all that a device has; and no secret is in it."""
    links = edge.folder / "bin"
    links.mkdir()
    (links / "tedge").symlink_to(os.path.realpath(EDGE))
    edge.env["PATH"] = "%s:%s" % (links, edge.env["PATH"])
    edge.set(proxy__password="hush-hush", proxy__username="me",
             agent__state__path=str(edge.folder / "state"))
    (edge.folder / "state").mkdir()
    (edge.folder / "state/entities").write_text("x")
    (edge.folder / "log/agent").mkdir()
    (edge.folder / "log/agent/software-list-1.log").write_text("a log")
    edge.certificate("device1")
    edge.start()
    try:
        edge.good("mqtt", "pub", "-r", "te/device/child1//",
                  '{"@type":"child-device"}')
        done, files = collect(edge, "--plugin-dir", SHIPPED, "--name", "d")
    finally:
        edge.stop()
    assert done.status == 0, done
    found = {f.split("/")[1] for f in files if f.endswith("output.log")}
    assert found == {p.stem for p in SHIPPED.glob("*.sh")}
    assert "proxy.password=********" in files["d/01_tedge/output.log"]
    assert "/proc/meminfo" in files["d/02_os/output.log"]
    assert '[te/device/child1//] {"@type":"child-device"}\n' in (
        files["d/03_mqtt/retained.log"])
    assert files["d/04_workflow/agent/software-list-1.log"] == "a log"
    assert '"child-device"' in files["d/05_entities/registrations.log"]
    assert files["d/06_internal/agent-state/entities"] == "x"
    assert "CN = device1" in files["d/08_truststore/output.log"]
    for name, text in files.items():
        assert "hush-hush" not in str(text), name
        assert "PRIVATE KEY" not in str(text), name


def test_those_we_ship_say_how_they_are_called():
    for path in SHIPPED.glob("*.sh"):
        done = subprocess.run([path], capture_output=True, text=True,
                              timeout=LIMIT)
        assert done.returncode == 1 and "usage:" in done.stderr, path

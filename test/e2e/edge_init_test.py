"""`tedge init` and `tedge completions`."""
import os
import pathlib
import shutil
import stat
import subprocess

import pytest

from conftest import LIMIT
from edge import EDGE, Edge, Said

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def edge(tmp_path):
    """With a copy of the program, that it may put links beside."""
    made = Edge(tmp_path / "edge")
    made.bin = tmp_path / "bin"
    made.bin.mkdir()
    made.program = made.bin / "marram-edge"
    shutil.copy(EDGE, made.program)
    return made


def init(edge, *words):
    return Said(subprocess.run(
        [edge.program, "--config-dir", edge.config, "init", *words],
        capture_output=True, text=True, timeout=LIMIT, env=edge.env))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@as_root
def test_the_folders_are_made_and_given_away(edge):
    edge.set(data__path=str(edge.folder / "new/data"),
             logs__path=str(edge.folder / "new/log"))
    done = init(edge, "--user", "nobody", "--group", "nogroup")
    assert done.status == 0, done
    new = edge.folder / "new"
    for name in ("", "device-certs", "mosquitto-conf", "sm-plugins", "plugins",
                 "operations", "operations/c8y", "device", "mappers",
                 ".agent"):
        path = edge.config / name
        assert (path.owner(), path.group(), mode(path)) == (
            "nobody", "nogroup", 0o775), path
    for name in ("data", "data/file-transfer", "data/cache", "log",
                 "log/agent"):
        path = new / name
        assert (path.owner(), path.group(), mode(path)) == (
            "nobody", "nogroup", 0o775), path
    assert mode(new / "data/mqtt") == 0o700
    assert (new.owner(), mode(new)) == ("root", 0o755)
    # what is there already is put right, and files are left alone
    (edge.config / "device-certs").chmod(0o700)
    kept = edge.config / "device-certs/key.pem"
    kept.write_text("mine")
    kept.chmod(0o400)
    assert init(edge, "--user", "nobody", "--group", "nogroup").status == 0
    assert mode(edge.config / "device-certs") == 0o775
    assert (kept.read_text(), kept.owner(), mode(kept)) == (
        "mine", "root", 0o400)


@as_root
def test_the_user_may_be_told_by_system_toml(edge):
    (edge.config / "system.toml").write_text(
        'user = "nobody"\ngroup = "nogroup"\n')
    assert init(edge).status == 0
    assert (edge.config / "device").owner() == "nobody"


def test_a_user_that_is_none_is_told(edge):
    done = init(edge, "--user", "no-such-user")
    assert done.status == 1
    assert 'there is no user "no-such-user": make it' in done.err
    assert not (edge.config / "device").exists()


@as_root
def test_no_link_below_the_settings_is_followed(edge):
    outside = edge.folder / "outside"
    outside.mkdir(mode=0o755)
    (edge.config / "operations").symlink_to(outside)
    done = init(edge, "--user", "nobody", "--group", "nogroup")
    assert done.status == 1 and "operations" in done.err
    assert (outside.owner(), list(outside.iterdir())) == ("root", [])


@pytest.mark.parametrize("relative", [False, True])
def test_the_names_of_the_program(edge, relative):
    words = ["--relative-links"] if relative else []
    user = pathlib.Path(edge.config).owner()
    group = pathlib.Path(edge.config).group()
    (edge.bin / "tedge-agent").symlink_to("/old/version")
    (edge.bin / "tedge-write").write_text("another program")
    done = init(edge, "--user", user, "--group", group, *words)
    assert done.status == 0, done
    for name in ("tedge", "tedge-agent", "tedge-mapper", "tedge-apt-plugin"):
        target = os.readlink(edge.bin / name)
        assert target == ("marram-edge" if relative else str(edge.program))
    called = subprocess.run(
        [edge.bin / "tedge-mapper", "--help"], capture_output=True, text=True,
        timeout=LIMIT, env=edge.env)
    assert "Usage: tedge-mapper" in called.stdout
    assert (edge.bin / "tedge-write").read_text() == "another program"
    assert "tedge-write is a program of its own" in done.err
    assert not (edge.bin / "c8y-firmware-plugin").exists()


# How each shell offers what may stand in place of its last argument. (zsh: as
# its completion system calls a function.)
ASK = {
    "bash": 'eval "$(tedge completions bash)"; COMP_WORDS=(tedge "$@"); '
            'COMP_CWORD=$#; _tedge; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": 'compadd() { shift; print -l -- ${(M)@:#$word*} }; '
           'eval "$(tedge completions zsh)"; words=(tedge "$@"); '
           'word=${@[-1]}; CURRENT=${#words}; _tedge',
    "fish": 'tedge completions fish | source; complete -C "tedge $argv"',
}
START = {"bash": ["bash", "--norc", "-c"], "zsh": ["zsh", "-f", "-c"],
         "fish": ["fish", "--no-config", "-c"]}


def complete(edge, shell, *words):
    (edge.bin / "tedge").unlink(missing_ok=True)
    (edge.bin / "tedge").symlink_to(edge.program)
    # before its arguments a shell wants the name of the script; fish an end
    # of its own options
    name = ["--" if shell == "fish" else shell]
    done = subprocess.run(
        [*START[shell], ASK[shell], *name, *words], capture_output=True,
        text=True, timeout=LIMIT, check=True, env={
            **edge.env, "TEDGE_CONFIG_DIR": str(edge.config),
            "HOME": str(edge.folder),
            "PATH": "%s:%s" % (edge.bin, os.environ["PATH"])})
    assert done.stderr == ""
    return sorted(line.split("\t")[0] for line in done.stdout.splitlines()
                  if line)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_words_options_keys_and_clouds_are_completed(edge, shell):
    if shutil.which(shell) is None:
        pytest.skip("needs " + shell)

    def offered(*words):
        return complete(edge, shell, *words)

    assert offered("con") == ["config", "connect"]
    assert offered("config", "un") == ["unset"]
    assert offered("config", "set", "az.mapper.timestamp") == [
        "az.mapper.timestamp", "az.mapper.timestamp_format"]
    assert offered("--debug", "connect", "a") == ["aws", "az"]
    assert offered("cert", "up") == ["upload"]
    assert offered("cert", "upload", "c8") == ["c8y"]
    assert offered("mqtt", "pub", "--re") == ["--repeat", "--retain"]
    assert "reference" not in offered("config", "")  # it is hidden
    (pathlib.Path(edge.config) / "mappers/thingsboard").mkdir(parents=True)
    assert offered("bridge", "inspect", "th") == ["thingsboard"]
    assert offered("bridge", "test", "c8") == ["c8y"]
    assert offered("mapper", "config", "get", "th") == ["thingsboard."]


def test_another_shell_is_a_wrong_call(edge):
    done = edge.tedge("completions", "cmd")
    assert done.status == 2 and "it must be bash, zsh or fish" in done.err

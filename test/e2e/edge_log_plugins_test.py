"""The plugins of logs that the package has: journald and dmesg, with doubles of
the programs that they call."""
import os
import subprocess
import time

import pytest

from conftest import LIMIT, ROOT

PLUGINS = ROOT / "packaging/edge/log-plugins"


class Tools:
    """A PATH with shell, sed and date, and what a test puts beside."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("sh", "sed", "date"):
            for at in ("/bin", "/usr/bin"):
                if os.path.exists("%s/%s" % (at, name)):
                    (folder / name).symlink_to("%s/%s" % (at, name))
                    break

    def put(self, name, script):
        path = self.folder / name
        path.write_text("#!/bin/sh\n%s\n" % script)
        path.chmod(0o755)

    def run(self, plugin, *words):
        return subprocess.run(
            [PLUGINS / plugin, *words], text=True, capture_output=True,
            timeout=LIMIT, env={"PATH": str(self.folder), "TZ": "UTC"})


@pytest.fixture
def tools(tmp_path):
    return Tools(tmp_path)


def test_the_services_of_the_journal(tools):
    tools.put("journalctl", 'printf "%s\\n" "$@"')
    tools.put("systemctl", '[ "$1" = list-units ] && printf "%s\\n" '
              '"ssh.service loaded active running OpenBSD Secure Shell" '
              '"tedge-mapper-c8y@p.service loaded failed failed x.service y" '
              '"not-found-line"')
    done = tools.run("journald", "list")
    assert done.stdout == "ssh\ntedge-mapper-c8y@p\nall-units\n", done
    done = tools.run("journald", "get", "ssh", "--since", "1700000000",
                     "--until", "1700000100")
    assert done.returncode == 0
    for word in ("--unit=ssh", "--since=@1700000000", "--until=@1700000100",
                 "--no-pager"):
        assert word in done.stdout.splitlines(), done.stdout
    assert "--unit=*" in tools.run("journald", "get", "all-units").stdout


@pytest.mark.parametrize("plugin,kind", (("journald", "ssh"),
                                         ("dmesg", "all")))
def test_wrong_calls_are_refused(tools, plugin, kind):
    for name in ("journalctl", "systemctl", "dmesg"):
        tools.put(name, "echo called --since")
    for words in ((), ("get",), ("get", kind, "--since"), ("list", "x"),
                  ("get", kind, "--since", "yesterday"),
                  ("get", kind, "--until", "1; echo called"),
                  ("get", kind, "--size", "1"), ("set", kind)):
        done = tools.run(plugin, *words)
        assert done.returncode in (1, 2) and "called" not in done.stdout, (
            words, done)


def test_without_the_programs_there_are_no_types(tools):
    for plugin in ("journald", "dmesg"):
        done = tools.run(plugin, "list")
        assert (done.returncode, done.stdout) == (2, ""), done


def test_what_the_kernel_says(tools):
    tools.put("dmesg", '[ "$1" = --help ] && { echo " --since <time>"; exit; }\n'
              'printf "%s\\n" "$@"')
    assert tools.run("dmesg", "list").stdout == "all\n"
    done = tools.run("dmesg", "get", "all", "--since", "1700000000",
                     "--until", "1700000100")
    words = done.stdout.splitlines()
    assert words[words.index("--since") + 1] == "2023-11-14 22:13:20"
    assert words[words.index("--until") + 1] == "2023-11-14 22:15:00"
    assert tools.run("dmesg", "get", "nil").returncode == 2
    # That of BusyBox has no times.
    tools.put("dmesg", '[ "$1" = --help ] && { echo "Usage: dmesg [-c]"; exit; }\n'
              'echo "all of it $#"')
    done = tools.run("dmesg", "get", "all", "--since", "1700000000")
    assert done.stdout == "all of it 0\n" and "no times" in done.stderr


def test_the_real_dmesg(tmp_path):
    if subprocess.run(["dmesg"], capture_output=True).returncode != 0:
        pytest.skip("who runs this may not read what the kernel says")
    done = subprocess.run(
        [PLUGINS / "dmesg", "get", "all", "--since", "0", "--until",
         str(int(time.time()) + 100)], text=True, capture_output=True)
    assert done.returncode == 0, done
    assert done.stderr == ""


def test_the_real_journal_knows_the_words():
    """A journal need not run here: what it does not know it says."""
    try:
        done = subprocess.run([PLUGINS / "journald", "get", "ssh", "--since", "1",
                               "--until", "2"], text=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no journalctl")
    assert "option" not in done.stderr and "parse" not in done.stderr, done

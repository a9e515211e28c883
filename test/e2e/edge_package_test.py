"""What is in the Debian packages of the device side. That they install, run,
upgrade and go is asked in test/long/edge_install_test.py."""
import filecmp
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT
from edge import EDGE, SANITIZED

BUILD = pathlib.Path(EDGE).resolve().parents[2]


def build(folder):
    subprocess.run([str(ROOT / "packaging/debian/build"), str(BUILD),
                    str(folder), "7.8.9"], check=True, timeout=300,
                   stdout=subprocess.DEVNULL,
                   # to come: dpkg-deb itself takes later times back
                   env={**os.environ, "SOURCE_DATE_EPOCH": "4000000000"})
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return build(tmp_path_factory.mktemp("packages"))


def field(deb, name):
    return subprocess.run(["dpkg-deb", "-f", str(deb), name], text=True,
                          capture_output=True, check=True).stdout.strip()


def test_the_same_sources_give_the_same_bytes(packages, tmp_path):
    again = build(tmp_path / "again")
    names = sorted(p.name for p in packages.iterdir())
    assert names == sorted(p.name for p in again.iterdir())
    assert len(names) == 4
    for name in names:
        assert filecmp.cmp(packages / name, again / name, False), name


def test_what_is_in_it(packages, tmp_path):
    deb = next(packages.glob("marram-edge_7.8.9_*.deb"))
    assert field(deb, "Version") == "7.8.9"
    for library in ("libuv1", "libc6", "libmicrohttpd12"):
        assert library in field(deb, "Depends")
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tmp_path)], check=True)
    program = tmp_path / "usr/bin/marram-edge"
    assert ".symtab" not in subprocess.run(
        ["readelf", "-SW", str(program)], text=True, capture_output=True,
        check=True).stdout
    if not SANITIZED:
        assert program.stat().st_size <= 1_500_000
    said = subprocess.run([str(tmp_path / "usr/bin/tedge"), "--version"],
                          text=True, capture_output=True)
    assert said.returncode == 0 and said.stdout.startswith("tedge ")
    units = tmp_path / "lib/systemd/system"
    for unit in units.iterdir():
        text = unit.read_text()
        assert not set(re.findall("@[A-Z]+@", text)), unit.name
        if unit.suffix == ".service" and unit.name.startswith(
                ("tedge-agent", "tedge-mapper-")):
            part = unit.name[:-len(".service")].replace("@", "@%i")
            for word in ("start", "stop", "restart"):
                assert "part %s %s\n" % (word, part) in text, unit.name
            assert "Requires=marram-edge.service" in text
            assert "PartOf=marram-edge.service" in text
            assert "WatchdogSec=" in text, unit.name
            target = unit.name.replace("@.service", ".target")
            if "@" in unit.name:
                assert "PartOf=marram-edge.service %s\n" % target in text
                assert "WantedBy=multi-user.target %s\n" % target in text
                assert (units / target).is_file()
            else:
                assert "WantedBy=multi-user.target\n" in text
    for name in ("tedge-p11-server.socket", "tedge-p11-server.service",
                 "tedge-cert-renewer@.timer", "tedge-watchdog.service"):
        assert (units / name).is_file(), name
    if shutil.which("systemd-analyze"):
        (tmp_path / "bin").symlink_to("/bin")  # what the units name is there
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--root", str(tmp_path),
             *sorted("/lib/systemd/system/" + u.name for u in units.iterdir())],
            text=True, capture_output=True)
        wrong = [line for line in done.stderr.splitlines()
                 if re.search("[Uu]nknown|[Ii]nvalid|[Ff]ailed to parse|ignor",
                              line)]
        assert not wrong, done.stderr
    for name in ("bash-completion/completions/tedge", "marram-edge/hardened.conf",
                 "marram-edge/system.openrc.toml"):
        assert (tmp_path / "usr/share" / name).stat().st_size > 0


def test_the_old_names_lead_to_it(packages):
    for name in ("tedge", "tedge-agent", "tedge-mapper"):
        deb = packages / ("%s_7.8.9_all.deb" % name)
        assert field(deb, "Version") == "1:7.8.9"
        assert field(deb, "Depends") == "marram-edge (>= 7.8.9)"

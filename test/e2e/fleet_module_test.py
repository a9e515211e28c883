"""Modules of a fleet: what there is, what wins, what is generated, and modules from
repositories, with the real git and the real nix where it is at hand."""
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

from conftest import LIMIT, until
from fleet_state_test import DEVICE, PLACE, Fleet, fleet, token  # noqa: F401 (fixtures)

NETWORK = "thymis_controller.modules.networking.NetworkingModule"
KIOSK = "thymis_controller.modules.kiosk.Kiosk"
NIXPKGS = pathlib.Path(__file__).parents[2] / "src/core/fleet/nixpkgs"
needs_nix = pytest.mark.skipif(not shutil.which("nix"), reason="no nix here")

MODULE = """// a module of somebody else
{
  type: "own.Greeting",
  name: { en: "Greeting", de: "Gruss" },
  targets: ["nixos", "linux"],
  settings: {
    text: { name: { en: "Text", de: "Text" }, type: "string", default: "hello" },
  },
  nixos: { function: "greeting.nix" },
  linux: { files: [{ path: "/etc/greeting", text: { $text: ["{{text}}"] } }] },
}
"""
FUNCTION = """{ settings, defaults, ... }:
{ ... }:
{
  environment.etc.greeting.text = settings.text or defaults.text;
}
"""


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-C", folder,
                    *words], check=True, capture_output=True)


def nix(*words):
    return subprocess.run(
        ["nix", "--extra-experimental-features", "nix-command flakes", "--option", "substitute",
         "false", *words], check=True, capture_output=True, text=True).stdout


def faults(answer):
    return sorted((f["where"], f["what"]) for f in answer.data["faults"])


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*")
                  if p.is_file() and ".git/" not in str(p))


def test_modules_are_shown_in_the_language_that_is_asked_for(fleet):
    english = {m["type"]: m for m in fleet.get("module/list")}
    german = {m["type"]: m for m in fleet.get("module/list?lang=de")}
    assert english.keys() == german.keys()
    assert {DEVICE, PLACE, NETWORK, KIOSK, "marram.Packages", "marram.Users"} <= english.keys()
    assert (english[PLACE]["displayName"], german[PLACE]["displayName"]) == (
        "Localization & Time", "Ort und Zeit")
    assert english[PLACE]["targets"] == ["nixos", "linux"]
    assert english[DEVICE]["settings"]["device_type"]["type"]["extra_data"] == {
        "only_editable_on_target_type": ["config"]}
    formats = english[DEVICE]["settings"]["image_format"]["type"]["extra_data"]
    assert formats["restrict_values_on_other_key"]["device_type"]["raspberry-pi-4"] == [
        "sd-card-image"]
    secret = english["thymis_controller.modules.security.SecurityAccessModule"]["settings"][
        "password_secret"]["type"]
    assert (secret["type"], secret["allowed-types"], secret["default-processing-type"],
            secret["default-save-to-image"]) == (
        "secret", ["single_line"], "mkpasswd-yescrypt", True)
    rows = english[NETWORK]["settings"]["static_networks"]["type"]
    assert rows["list-of"]["ipv4prefixLength"]["type"] == {"type": "int", "min": 0, "max": 32}
    assert german[NETWORK]["settings"]["static_networks"]["type"]["element-name"] == "Schnittstelle"
    # Every text that people read is there in both languages.
    for kind, module in english.items():
        for key, setting in module["settings"].items():
            assert setting["displayName"] and german[kind]["settings"][key]["displayName"], key


def test_the_definition_that_wins_is_told_and_a_conflict_is_a_fault(fleet):
    fleet.call("POST", "configuration", {"displayName": "Hall", "deviceType": "generic-x86_64"})
    fleet.call("POST", "tag", {"displayName": "A", "priority": 90})
    fleet.call("POST", "tag", {"displayName": "B", "priority": 85})
    fleet.call("PATCH", "configuration/hall", {"tags": ["a", "b"]})
    fleet.call("PUT", "tag/a/module/" + NETWORK, {"settings": {"wifi_ssid": "a", "wifi_auth": "x"}})
    fleet.call("PUT", "tag/b/module/" + NETWORK, {"settings": {"wifi_ssid": "b"}})
    shown = [(d["setting"], d["tag"], d["priority"], d["wins"], d["conflict"])
             for d in fleet.get("configuration/hall/definition/list") if d["module"] == NETWORK]
    assert shown == [("wifi_auth", "a", 90, True, False), ("wifi_ssid", "b", 85, True, False),
                     ("wifi_ssid", "a", 90, False, False)]

    answer = fleet.call("PATCH", "tag/b", {"priority": 90})
    assert ("hosts/hall/" + NETWORK, "wifi_ssid: a contradicts another of priority 90") in faults(
        answer)
    assert [d["conflict"] for d in fleet.get("configuration/hall/definition/list")
            if d["setting"] == "wifi_ssid"] == [True, True]
    assert fleet.get("configuration/nobody/definition/list", 404)


def test_generated_files_follow_the_state(fleet, server):
    fleet.call("POST", "configuration", {"displayName": "Pi", "deviceType": "linux"})
    fleet.call("POST", "configuration", {"displayName": "Hall", "deviceType": "generic-x86_64"})
    fleet.call("POST", "tag", {"displayName": "Places"})
    fleet.call("PUT", "tag/places/module/" + PLACE, {"settings": {"timezone": "Europe/Rome"}})
    for config in "pi", "hall":
        fleet.call("PATCH", "configuration/" + config, {"tags": ["places"]})
    here = tree(fleet.repository)
    assert {"flake.nix", "hosts/pi/linux.json", "tags/places/%s.nix" % PLACE,
            "hosts/hall/%s.nix" % DEVICE, "modules/%s.nix" % DEVICE, "modules/%s.nix" % PLACE,
            "modules/base/default.nix", "modules/site.nix"} <= set(here)
    assert not any(name.startswith("hosts/pi/") and name.endswith(".nix") for name in here)
    assert json.loads((fleet.repository / "hosts/pi/linux.json").read_text()) == {
        "hostName": "pi", "timeZone": "Europe/Rome"}
    preview = fleet.get("configuration/pi/preview")
    assert (preview["target"], preview["faults"]) == ("linux", [])
    files = {f["path"]: f["text"] for f in preview["files"]}
    assert files["hosts/pi/linux.json"] == (fleet.repository / "hosts/pi/linux.json").read_text()
    files = {f["path"]: f["text"] for f in fleet.get("configuration/hall/preview")["files"]}
    assert files.keys() == {"hosts/hall/%s.nix" % DEVICE, "tags/places/%s.nix" % PLACE}

    # What no definition yields any more goes, what a value breaks is told.
    answer = fleet.put("hall", KIOSK, {"volume": "loud", "kiosk_url": "x"})
    assert ("hosts/hall/" + KIOSK, "volume: must be a whole number") in faults(answer)
    assert "throw" in (fleet.repository / ("hosts/hall/%s.nix" % KIOSK)).read_text()
    answer = fleet.put("pi", NETWORK, {"nameservers": [{"nameserver": "1\n[Evil]"}]})
    assert any(where == "hosts/pi/linux.json" and "must be one line" in what
               for where, what in faults(answer))
    assert not (fleet.repository / "hosts/pi/linux.json").exists()
    fleet.call("DELETE", "configuration/pi/module/" + NETWORK)
    assert (fleet.repository / "hosts/pi/linux.json").exists()
    fleet.call("DELETE", "configuration/hall")
    fleet.call("DELETE", "tag/places")
    here = tree(fleet.repository)
    assert not any(name.startswith(("hosts/hall", "tags/places", "modules/thymis_controller"))
                   for name in here)


def test_links_in_the_repository_are_never_followed(fleet, tmp_path):
    fleet.call("POST", "configuration", {"displayName": "Pi", "deviceType": "linux"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    host = fleet.repository / "hosts/pi"
    shutil.rmtree(host)
    host.symlink_to(outside)
    (fleet.repository / "modules/site.nix").unlink()
    (fleet.repository / "modules/site.nix").symlink_to(outside / "keep")
    (fleet.repository / "tags/link").symlink_to(outside)
    fleet.put("pi", PLACE, {"timezone": "UTC"})
    assert tree(outside) == ["keep"]
    assert (outside / "keep").read_text() == "keep"
    assert not host.is_symlink() and (host / "linux.json").exists()
    assert not (fleet.repository / "modules/site.nix").is_symlink()
    assert not (fleet.repository / "tags/link").exists()


@pytest.fixture
def library(tmp_path):
    """A repository of somebody else, with a module."""
    folder = tmp_path / "library"
    (folder / "marram-modules").mkdir(parents=True)
    (folder / "flake.nix").write_text("{ outputs = _: { }; }")
    (folder / "README.md").write_text("This contains thymis modules.\n")
    (folder / "marram-modules/greeting.json5").write_text(MODULE)
    (folder / "marram-modules/greeting.nix").write_text(FUNCTION)
    (folder / "marram-modules/broken.json5").write_text("{ type: 'own.Broken' }")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    return folder


def repositories(fleet, **inputs):
    state = fleet.get("state")
    state["repositories"] = {
        name: {"url": url, "follows": None, "inputs_follows": {}, "api_key_secret": None}
        for name, url in inputs.items()}
    return fleet.call("PATCH", "state", state)


@needs_nix
def test_modules_come_from_a_repository_and_nix_finds_them(start, library, tmp_path):
    server = start("--fleet.nix.localInputs", "true",
                   "--fleet.nix.nixpkgs", "path:%s" % NIXPKGS)
    token = server.login()
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    fleet = Fleet(server, token, unit.data["unitId"])
    url = "git+file://%s" % library
    answer = repositories(fleet, library=url, none="git+file://%s/none" % tmp_path,
                          plain="path:%s" % NIXPKGS)
    # One that is not there holds up nothing but the lock, and is told.
    assert any(where == "flake.lock" for where, _ in faults(answer))
    repositories(fleet, library=url, plain="path:%s" % NIXPKGS)
    # Nor does one that is added later.
    answer = repositories(fleet, library=url, plain="path:%s" % NIXPKGS,
                          none="git+file://%s/none" % tmp_path)
    assert any(where == "flake.lock" for where, _ in faults(answer))
    status = {i["name"]: i for i in fleet.get("input/list")}
    assert {n: i["status"] for n, i in status.items()} == {
        "library": "loaded", "plain": "no-readme", "none": "no-path"}
    assert "update it" in status["none"]["details"]
    repositories(fleet, library=url, plain="path:%s" % NIXPKGS)
    inputs = {i["name"]: i for i in fleet.get("input/list")}
    assert (inputs["library"]["status"], inputs["library"]["modules"]) == (
        "loaded", ["own.Greeting"])
    assert inputs["library"]["faults"] == ["broken.json5: `name` is missing"]
    assert inputs["library"]["type"] == "git"
    assert inputs["plain"]["status"] == "no-readme"
    first = inputs["library"]["locked"]["rev"]
    german = {m["type"]: m for m in fleet.get("module/list?lang=de")}
    assert (german["own.Greeting"]["displayName"], german["own.Greeting"]["input"]) == (
        "Gruss", "library")

    # For both targets, and by nix alone.
    fleet.call("POST", "configuration", {"displayName": "Pi", "deviceType": "linux"})
    fleet.call("POST", "configuration", {"displayName": "Hall", "deviceType": "generic-x86_64"})
    for config in "pi", "hall":
        fleet.put(config, "own.Greeting", {"text": 'to "you" ${x}'})
    assert json.loads((fleet.repository / "hosts/pi/linux.json").read_text())["files"] == [
        {"path": "/etc/greeting", "text": 'to "you" ${x}\n'}]
    fleet.commit("Greetings")
    assert fleet.git("status", "--porcelain") == ""
    flake = "git+file://%s?rev=%s" % (fleet.repository, fleet.git("rev-parse", "HEAD"))
    assert nix("eval", "--raw", flake + "#nixosConfigurations.hall.config"
               ".environment.etc.greeting.text") == 'to "you" ${x}'
    assert json.loads(nix("eval", "--json", flake + "#nixosConfigurations", "--apply",
                          "builtins.attrNames")) == ["hall"]

    # It goes on elsewhere; here when somebody says so.
    assert fleet.call("POST", "input/library/test").data["ok"] is True
    (library / "marram-modules/greeting.json5").write_text(
        MODULE.replace("/etc/greeting", "/etc/motd"))
    git(library, "rm", "-q", "marram-modules/broken.json5")
    git(library, "commit", "-qam", "Second")
    assert fleet.get("input/list")[0]["locked"]["rev"] == first
    fleet.call("POST", "input/library/update")
    after = {i["name"]: i for i in fleet.get("input/list")}["library"]
    assert after["locked"]["rev"] != first and after["faults"] == []
    assert json.loads((fleet.repository / "hosts/pi/linux.json").read_text())["files"][0][
        "path"] == "/etc/motd"
    assert fleet.call("POST", "input/nobody/update", status=404)

    # Without it nothing is generated that lacks it in silence.
    answer = repositories(fleet)
    assert ("hosts/hall/own.Greeting",
            "the module is not known; is its repository loaded?") in faults(answer)
    assert not (fleet.repository / "hosts/pi/linux.json").exists()


@needs_nix
def test_folders_of_the_server_are_no_repositories(fleet, library):
    answer = repositories(fleet, library="git+file://%s" % library, secret="path:/etc")
    assert [where for where, what in faults(answer) if "localInputs" in what] == [
        "library", "secret"]
    assert "library" not in (fleet.repository / "flake.nix").read_text()
    assert {i["status"] for i in fleet.get("input/list")} == {"no-path"}
    answer = fleet.call("POST", "input/library/test").data
    assert (answer["ok"], "localInputs" in answer["details"]) == (False, True)


def test_while_inputs_are_looked_for_others_go_on(start, library, tmp_path):
    """A stand-in for nix that takes as long as the test wants."""
    go, began = tmp_path / "go", tmp_path / "began"
    slow = tmp_path / "nix"
    slow.write_text("#!/bin/sh\n"
                    "case \" $* \" in *\" flake \"*) ;; *) exit 1 ;; esac\n"
                    "for last; do :; done\n"
                    "echo x >>%s\n"
                    "until [ -e %s ]; do sleep 0.05; done\n"
                    'printf \'{"nodes":{"root":{"inputs":{"library":"library",'
                    '"nixpkgs":"n","thymis":"t"}}},"root":"root","version":7}\''
                    ' >"${last#path:}/flake.lock"\n' % (began, go))
    slow.chmod(0o755)
    server = start("--fleet.nix.localInputs", "true", "--fleet.programs.nix", str(slow))
    token = server.login()
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    fleet = Fleet(server, token, unit.data["unitId"])
    state = fleet.get("state")
    one = {**state, "repositories": {"library": {
        "url": "git+file://%s" % library, "follows": None, "inputs_follows": {},
        "api_key_secret": None}}}

    mark = fleet.mark("state")

    def edit(into):
        into.append(server.call("PATCH", "/fleet/api/v1/state?unit=" + fleet.unit,
                                {"data": one}, token, headers={"If-Match": mark}))

    def in_between(*work):
        """`work` while inputs are looked for; what the edit was answered."""
        go.unlink(missing_ok=True)
        began.unlink(missing_ok=True)
        answers = []
        thread = threading.Thread(target=edit, args=(answers,))
        thread.start()
        until("nix looks", began.exists)
        for do in work:
            do()
        assert not answers
        go.touch()
        thread.join(LIMIT)
        return answers[0]

    # somebody else changes the state: it is there at once, and is not lost
    answer = in_between(
        lambda: fleet.get("configuration/list"),
        lambda: fleet.call("POST", "configuration", {"displayName": "Pi",
                                                     "deviceType": "linux"}))
    assert answer.status == 412, answer.text
    assert [c["identifier"] for c in fleet.get("configuration/list")] == ["pi"]
    assert fleet.get("state")["repositories"] == {}

    # nobody does: it counts, with what was found
    one["configs"] = fleet.get("state")["configs"]
    one["repositories"]["library"]["url"] += "?ref=master"
    mark = fleet.mark("state")
    answer = in_between(lambda: fleet.get("state"))
    assert answer.status == 200, answer.text
    assert "library" in fleet.get("state")["repositories"]
    lock = fleet.repository / "flake.lock"
    assert '"library":"library"' in lock.read_text()

    # the same of bringing them to what is newest
    go.unlink()
    began.unlink()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(server.call(
        "POST", "/fleet/api/v1/input/update?unit=" + fleet.unit, None, token)))
    thread.start()
    until("nix looks", began.exists)
    fleet.put("pi", KIOSK, {"volume": 5})
    assert not answers
    lock.write_text(lock.read_text() + " ")
    go.touch()
    thread.join(LIMIT)
    assert (answers[0].status, answers[0].code) == (409, "err_fleet_busy"), answers[0].text
    assert fleet.call("POST", "input/update").status == 200
    assert not lock.read_text().endswith(" ")

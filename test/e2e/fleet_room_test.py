"""What a fleet may not be more than, when many ask at once or much comes at once."""
import json
import os
import threading

import pytest

from conftest import LIMIT
from fleet_state_test import Fleet, bare, remote


def begin(start, *options):
    server = start(*options)
    token = server.login()
    unit = server.call("POST", "/coremgr/api/v1/unit", {"data": {"code": "hall"}}, token)
    return Fleet(server, token, unit.data["unitId"])


def test_of_many_that_begin_at_once_only_so_many_are_under_way(start):
    fleet = begin(start, "--fleet.deploy.under-way", "3", "--server.slow-workers", "12",
                  "--server.workers", "12")
    fleet.call("POST", "configuration", {"displayName": "pi", "identifier": "pi"})
    fleet.put("pi", "thymis_controller.modules.thymis.ThymisDevice",
              {"device_type": "linux", "device_name": "pi"})
    fleet.commit("first")
    for i in range(200):  # to take a while
        fleet.call("POST", "device", {"unitId": fleet.unit, "name": "pi-%d" % i,
                                      "config": "pi", "address": "127.0.0.1"})
    together, said = threading.Barrier(12), []

    def ask():
        together.wait(LIMIT)
        said.append(fleet.server.call(
            "POST", "/fleet/api/v1/plan?unit=" + fleet.unit, {"data": {}}, fleet.token).status)

    askers = [threading.Thread(target=ask) for _ in range(12)]
    for t in askers:
        t.start()
    for t in askers:
        t.join(LIMIT)
    assert sorted(said) == [200] * 3 + [429] * 9


def contents(folder):
    """Of files that git itself does not write anew at will."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("what", ["random", "zeros"])
def test_a_fetch_ends_where_the_room_does(start, tmp_path, what):
    """Also when it comes small, and would be large among the files."""
    fleet = begin(start, "--fleet.remote.local", "true", "--fleet.repository.max", "3MiB")
    fleet.call("POST", "configuration", {"displayName": "A"})
    fleet.commit("One")
    there = bare(fleet, tmp_path / "there.git")
    path = remote(fleet, "file://%s" % there)
    fleet.call("POST", path + "/push")
    other = tmp_path / "other"
    fleet.git("clone", "-q", str(there), str(other), folder=tmp_path)
    fleet.git("checkout", "-q", "-b", "large", folder=other)
    (other / "large").write_bytes(os.urandom(8 << 20) if what == "random" else bytes(8 << 20))
    fleet.git("add", "-A", folder=other)
    fleet.git("commit", "-q", "-m", "Large", folder=other)
    fleet.git("push", "-q", "origin", "large", folder=other)
    large = remote(fleet, "file://%s" % there, "large", branch="large")

    before = contents(fleet.repository)
    for _ in range(2):
        refused = fleet.call("POST", large + "/pull", status=400)
        assert "fleet.repository.max" in refused.json()["message"]
        assert contents(fleet.repository) == before
    assert "fleet.repository.max" in {r["name"]: r for r in fleet.get("remote/list")}[
        "large"]["fault"]
    # What has room comes as ever.
    fleet.git("checkout", "-q", "master", folder=other)
    state = json.loads((other / "state.json").read_text())
    state["configs"][0]["displayName"] = "There"
    (other / "state.json").write_text(json.dumps(state, indent=2))
    fleet.git("commit", "-q", "-a", "-m", "Small", folder=other)
    fleet.git("push", "-q", folder=other)
    fleet.call("POST", path + "/pull")
    assert fleet.get("state")["configs"][0]["displayName"] == "There"
    fleet.git("fsck", "--strict")
    assert not list((fleet.repository / ".git").glob("marram-fetch.*"))

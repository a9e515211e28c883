"""What a fleet may not be more than, when many ask at once or much comes at once."""
import os
import subprocess
import threading

import pytest

from conftest import LIMIT
from fleet_state_test import CLEAN, Fleet, remote


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

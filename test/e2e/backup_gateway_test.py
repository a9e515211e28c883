"""A restore while gateways run: they go on, both ways. And settings."""
from backup_test import call, make
from conftest import until
from gateways_test import CHILDREN, garden, mysensors  # noqa: F401
from setting_test import get, put
from mysensors_node import V_STATUS, V_TEMP, Radio


def up(garden, gateway):  # noqa: F811
    until("the port is open",
          lambda: garden.state(gateway)["status"] == "up")


def test_a_gateway_goes_on_after_a_restore(garden):  # noqa: F811
    radio = Radio.pty()
    gateway = garden.gateway("ms", mysensors(radio))
    up(garden, gateway)
    node = radio.node()
    node.join("Hall", "1.0", CHILDREN)
    node.send(2, V_STATUS, "0")
    node.send(1, V_TEMP, "21.5")
    garden.field("ms.1.1.V_TEMP", 21.5)
    garden.field("ms.1.2.V_STATUS", False)
    backup = make(garden.server, garden.token)

    for gone in (False, True):
        if gone:
            garden.hub("DELETE", "gateway/" + gateway, status=204)
        call(garden.server, garden.token, "POST", "/%s/restore" % backup)
        garden.token = garden.server.login()
        up(garden, gateway)
        value = 30 + gone
        node.send(1, V_TEMP, str(value))
        garden.field("ms.1.1.V_TEMP", value)
        garden.act("field:ms.1.2.V_STATUS", "true")
        assert node.wait_set(2, V_STATUS) == "1"
        garden.field("ms.1.2.V_STATUS", True)
    assert len(garden.listed("node")) == 1


def test_settings_are_those_of_the_backup(server):
    token = server.login()
    put(server, token, "hub.traceMax", "700")
    backup = make(server, token)
    put(server, token, "hub.traceMax", "800")
    put(server, token, "hub.timeZone", "Europe/Berlin")
    call(server, token, "POST", "/%s/restore" % backup)
    token = server.login()
    for _ in range(2):
        kept = get(server, token, "hub.traceMax")
        assert (kept["value"], kept["source"]) == ("700", "runtime")
        zone = get(server, token, "hub.timeZone")
        assert (zone["value"], zone["source"]) == (None, "default")
        server.restart()
        token = server.login()

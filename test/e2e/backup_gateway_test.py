"""A restore while gateways run: they go on, both ways."""
from backup_test import call, make
from conftest import until
from gateways_test import CHILDREN, garden, mysensors  # noqa: F401
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

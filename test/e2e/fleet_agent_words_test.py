"""What agents say that they should not, and what the platform makes of it: nothing of it
is kept, and nobody else is harmed."""
import os
import signal
import socket
from types import SimpleNamespace

import pytest

from conftest import LIMIT, until
from fleet_agent_test import access, access_env, fleet  # noqa: F401


def alone(fleet, name="a", **start):
    sshd = fleet.sshd(name, fleet.key)
    return fleet.agent(fleet.first["token"], sshd, **start).up(), sshd


def seen(fleet, agent, sshd, name="eth9"):
    """All that it said before has been taken."""
    agent.say(kind="network_interfaces", network_interfaces=[{"interface": name}])
    until("the last word", lambda: fleet.device(sshd)["networkInterfaces"] == [
        {"interface": name}])


@pytest.mark.parametrize("hardware", [
    {str(i): "1" for i in range(17)}, {"serial": "x" * 256}, {"serial": 1}, ["serial"]])
def test_who_says_too_much_of_its_hardware_is_not_let_in(fleet, hardware):
    sshd = fleet.sshd("a", fleet.key)
    assert fleet.agent(fleet.first["token"], sshd, hardware_ids=hardware).refused() == 1003
    assert fleet.devices() == [] and fleet.listed("hardware/list") == []
    assert fleet.listed("agent-token/list")[0]["uses"] == 0


def test_who_says_as_much_as_it_may_is(fleet):
    alone(fleet, hardware={str(i): "x" * 250 for i in range(16)})
    assert len(fleet.listed("hardware/list")[0]["hardwareIds"]) == 16


def test_who_starts_twice_is_put_out(fleet):
    agent, sshd = alone(fleet)
    other, _ = alone(fleet, "b")
    agent.say(kind="start", token=fleet.first["token"], hardware_ids={},
              public_key=sshd.public_key, deployed_config_id="", ip_addresses=[],
              network_interfaces=[])
    assert agent.closed.wait(LIMIT) and agent.code == 1003
    until("it is gone", lambda: [d["connected"] for d in fleet.devices()] == [False, True])
    assert not other.closed.is_set() and fleet.listed("agent-token/list")[0]["uses"] == 2


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "{", '{"inner": 1}', '{"inner": {"kind": 5}}', '{"inner": {"kind": "x"}}'])
def test_what_is_no_start_is_put_out(fleet, text):
    agent = fleet.agent(fleet.first["token"], None, key="x", kind="keep_alive")
    assert agent.refused() == 1003
    agent, sshd = alone(fleet)
    with agent.lock:
        agent.ws.send(text)
    # of what is no message it is told; what is only new to us is passed over
    if "x" not in text:
        assert agent.closed.wait(LIMIT) and agent.code == 1003
    else:
        seen(fleet, agent, sshd)


def test_interfaces_that_are_none_change_nothing(fleet):
    agent, sshd = alone(fleet, network_interfaces=[{"interface": "eth0"}])
    for wrong in ({"interface": "eth1"}, [{"interface": "x" * 70000}]):
        agent.say(kind="network_interfaces", network_interfaces=wrong)
    agent.say(kind="metrics", timestamp="x", cpu_percent=1, ram_percent=1, disk_percent=1)
    device = fleet.device(sshd)["id"]
    until("its load", lambda: fleet.listed("device/%s/metric/list" % device))
    assert fleet.device(sshd)["networkInterfaces"] == [{"interface": "eth0"}]


def test_load_is_kept_every_ten_seconds_at_most(fleet):
    agent, sshd = alone(fleet)
    for i in range(50):
        agent.say(kind="metrics", timestamp="x", cpu_percent=i, ram_percent=1, disk_percent=1)
    seen(fleet, agent, sshd)
    kept = fleet.listed("device/%s/metric/list" % fleet.device(sshd)["id"])
    assert kept[-1]["cpuPercent"] == 0 and len(kept) < 10, kept


def test_what_an_agent_stumbled_over_is_not_said_again(fleet):
    agent, sshd = alone(fleet, last_error="Unknown variant keep_alive, expected one of")
    agent.die()
    until("it is gone", lambda: not fleet.device(sshd)["connected"])
    again = fleet.agent(fleet.first["token"], sshd,
                        last_error="unknown variant successfully_ssh_connected")
    again.wait("update_hostname")
    seen(fleet, again, sshd)
    assert "successfully_ssh_connected" not in again.kinds()


def test_connections_end_with_the_server(fleet):
    """Also with one that could not say so any more."""
    _, sshd = alone(fleet)
    device = fleet.device(sshd)["id"]
    fleet.server.restart(signal.SIGKILL)
    fleet.token = fleet.server.login()
    row, = fleet.listed("device/%s/connection/list" % device)
    assert row["disconnectedAt"] is not None and row["reason"] == "the server ended"
    assert not fleet.device(sshd)["connected"]


def test_of_two_with_one_key_the_second_is_refused_while_the_first_is_proven(fleet):
    sshd = fleet.sshd("a", fleet.key)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        first = fleet.agent(fleet.first["token"], SimpleNamespace(
            port=silent.getsockname()[1], public_key=sshd.public_key))
        first.wait("initiate_connection")
        assert fleet.agent(fleet.first["token"], sshd).refused() == 4409
        assert fleet.devices() == []
        first.die()
        fleet.agent(fleet.first["token"], sshd).up()


def test_what_runs_on_a_device_is_what_the_platform_has_put_there(fleet):
    """What an agent says counts for a device that nothing is known of."""
    agent, sshd = alone(fleet, deployed_config_id="image")
    assert fleet.device(sshd)["deployedConfig"] == "image"
    agent.die()
    until("it is gone", lambda: not fleet.device(sshd)["connected"])
    fleet.agent(fleet.first["token"], sshd, deployed_config_id="another").up()
    assert fleet.device(sshd)["deployedConfig"] == "image"


def test_who_waits_for_a_twin_goes_on_when_that_one_goes(fleet):
    sshd = fleet.sshd("a", fleet.key)
    first = fleet.agent(fleet.first["token"], sshd, hardware={"k": "1"}).up()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        first.targets[22] = silent.getsockname()[1]
        second = fleet.agent(fleet.first["token"], sshd, hardware={"k": "1"})
        first.wait("initiate_connection", 2)  # is it alive? it does not say
        first.die()
        second.up()
    assert len(fleet.devices()) == 1


def test_a_device_that_was_given_another_key_has_one_connection(fleet):
    """Who comes with the new one is the device; who was there with the old one is not."""
    old, sshd = alone(fleet)
    other = fleet.sshd("b", fleet.key)
    device = fleet.device(sshd)["id"]
    fleet.call("PATCH", "device/" + device, {"sshPublicKey": other.public_key}, 204)
    new = fleet.agent(fleet.first["token"], other).up()
    assert old.closed.wait(LIMIT) and not new.closed.is_set()
    row, = fleet.devices()
    assert (row["id"], row["connected"]) == (device, True)
    history = fleet.listed("device/%s/connection/list" % device)
    assert [h["disconnectedAt"] is None for h in history] == [True, False]


def claimed(fleet, code):
    """What a device gets whose code somebody has typed."""
    fleet.call("POST", "claim", {"unitId": fleet.unit, "code": code["code"]})
    return fleet.server.call("POST", "/agent/claim/answer",
                             {"secret": code["secret"]}).json()


def test_the_token_of_a_claim_is_for_one_device(fleet):
    one, two = fleet.sshd("a", None), fleet.sshd("b", None)
    given = claimed(fleet, fleet.server.call("POST", "/agent/claim", {
        "publicKey": one.public_key, "hostName": "box"}).json())
    one.let_in(given["publicKey"])
    two.let_in(given["publicKey"])
    fleet.agent(given["token"], one).up()
    assert fleet.agent(given["token"], two).refused() == 4403
    assert len(fleet.devices()) == 1


def test_of_one_address_so_many_wait_to_be_claimed(fleet):
    sshd = fleet.sshd("a", None)

    def ask():
        return fleet.server.call("POST", "/agent/claim", {
            "publicKey": sshd.public_key, "hostName": "box"})
    codes = [ask() for _ in range(20)]
    assert {a.status for a in codes} == {200}
    refused = ask()
    assert refused.status == 429 and int(refused.headers["Retry-After"]) > 0
    assert claimed(fleet, codes[0].json())["token"]  # those that wait do so


def test_who_may_not_change_a_unit_claims_nothing_for_it(fleet):
    sshd = fleet.sshd("a", None)
    code = fleet.server.call("POST", "/agent/claim", {
        "publicKey": sshd.public_key, "hostName": "box"}).json()
    fleet.server.call("POST", "/coremgr/api/v1/user", {"data": {
        "account": "other", "password": "a long password"}}, fleet.token)
    theirs = fleet.server.login("other", "a long password")
    refused = fleet.server.call("POST", "/fleet/api/v1/claim", {"data": {
        "unitId": fleet.unit, "code": code["code"]}}, theirs)
    assert refused.status in (400, 403), refused.text
    assert fleet.server.call("POST", "/agent/claim/answer", {
        "secret": code["secret"]}).status == 202
    assert len(fleet.listed("agent-token/list")) == 1


def test_a_tunnel_is_for_the_device_and_the_time_it_was_asked_for(fleet):
    (_, a), (_, b) = alone(fleet), alone(fleet, "b")
    one, two = fleet.device(a)["id"], fleet.device(b)["id"]
    child = access(fleet, two, env=access_env(fleet, one))
    assert b"refused" in child.communicate(timeout=LIMIT)[1] and child.returncode
    brief = fleet.call("POST", "device/%s/access" % one, {"seconds": 1}).data["token"]

    def said():
        child = access(fleet, one, env={**os.environ, "MARRAM_URL": fleet.server.url,
                                        "MARRAM_ACCESS_TOKEN": brief})
        return child.communicate(timeout=LIMIT)[1]
    until("it is over", lambda: b"refused" in said())

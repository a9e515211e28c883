"""The doubles of networks behave as what they stand for, on a Mosquitto."""
import base64
import json
import shutil
import socket
import subprocess
import uuid

import pytest

from chirpstack import ChirpStack
from conftest import until
from mqtt_peer import Peer
from ports import free_port
from tasmota import Tasmota

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
EUI = "0102030405060708"


@pytest.fixture
def port(tmp_path):
    free = free_port()
    conf = tmp_path / "conf"
    conf.write_text("listener %d 127.0.0.1\nallow_anonymous true\n" % free)
    server = subprocess.Popen([MOSQUITTO, "-c", str(conf)],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)

    def is_up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", free)) == 0

    try:
        until("mosquitto", is_up)
        yield free
    finally:
        server.kill()
        server.wait()


class Listener(Peer):
    def __init__(self, port, *filters):
        self.filters = {f: lambda *_: None for f in filters}
        super().__init__(port)


def test_a_tasmota_says_what_it_is_and_obeys(port):
    device = Tasmota(port, topic="lamp", relays=2,
                     full_topic="house/%topic%/%prefix%/")
    all_of = Listener(port, "tasmota/#", "house/#")
    config = json.loads(
        all_of.wait("tasmota/discovery/020000A1B2C3/config")[0])
    assert (config["t"], config["ft"]) == ("lamp", "house/%topic%/%prefix%/")
    assert all_of.wait("house/lamp/tele/LWT") == ["Online"]
    all_of.say("house/lamp/cmnd/POWER2", "TOGGLE")
    assert json.loads(all_of.wait("house/lamp/stat/RESULT")[0]) == {
        "POWER2": "ON"}
    assert all_of.wait("house/lamp/stat/POWER2") == ["ON"]
    assert device.relays == ["OFF", "ON"]
    all_of.say("house/tasmotas/cmnd/Status", "0")
    assert "StatusSNS" in json.loads(
        all_of.wait("house/lamp/stat/STATUS10")[0])
    all_of.say("house/lamp/cmnd/Sing", "")
    assert json.loads(all_of.wait("house/lamp/stat/RESULT", 2)[1]) == {
        "Command": "Unknown"}
    device.vanish()
    assert all_of.wait("house/lamp/tele/LWT", 2)[1] == "Offline"
    all_of.close()


@pytest.mark.parametrize("outcome, confirmed, kinds", [
    ("ack", False, ["txack"]), ("ack", True, ["txack", "ack"]),
    ("nack", True, ["txack", "ack"]), ("too long", False, ["log"])])
def test_a_chirpstack_sends_after_an_uplink(port, outcome, confirmed, kinds):
    server = ChirpStack(port)
    server.add(EUI)
    server.devices[EUI]["outcome"] = outcome
    app = "application/%s/device/%s/" % (server.application, EUI)
    all_of = Listener(port, "application/#")
    down = {"id": str(uuid.uuid4()), "devEui": EUI, "confirmed": confirmed,
            "fPort": 5, "data": "AQI="}
    all_of.say(app + "command/down", down)
    until("it waits", lambda: server.waiting(EUI) == 1)
    server.up(EUI, b"\x01")
    said = json.loads(all_of.wait(app + "event/up")[0])
    assert base64.b64decode(said["data"]) == b"\x01"
    assert "fCnt" not in said  # it is 0
    for kind in kinds:
        said = json.loads(all_of.wait(app + "event/" + kind)[0])
        assert down["id"] in (said.get("queueItemId"),
                              said.get("context", {}).get("queue_item_id"))
    if "ack" in kinds:
        assert said.get("acknowledged", False) == (outcome == "ack")
    all_of.say(app + "command/down", dict(down, devEui="0" * 16))
    until("it is refused", lambda: server.refused_downs)
    assert server.waiting(EUI) == 0
    all_of.close()
    server.close()

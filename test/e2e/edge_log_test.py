"""How much the services of marram-edge write: [log] of system.toml, and again
on SIGHUP."""
import json
import re
import signal
import subprocess

import pytest

from conftest import LIMIT, until
from edge import EDGE, NO_MANAGER, Edge


@pytest.fixture
def device(tmp_path):
    d = Edge(tmp_path)
    (tmp_path / "data/parts").write_text("tedge-agent\ntedge-mapper-collectd\n")
    yield d
    d.stop()


def levels(device, **of):
    (device.config / "system.toml").write_text(
        NO_MANAGER + "[log]\n" + "".join(
            '%s = "%s"\n' % (k.replace("_", "-"), v) for k, v in of.items()))


def modules(device):
    """Who has written at level INFO."""
    return set(re.findall(r" INFO \[([^]]*)\]", device.logged()))


def number(device, bus, counter=[0]):
    """Has the agent do something; it says so at level INFO."""
    counter[0] += 1
    topic = "te/device/main///cmd/software_list/%d" % counter[0]
    bus.say(topic, '{"status":"init"}', retain=True)
    until("it is done", lambda: any(
        json.loads(p)["status"] == "successful" for p in bus.on(topic) if p))
    return "software_list %d: successful" % counter[0]


def test_each_service_has_its_level(device):
    levels(device, tedge_agent="warn")
    device.start()
    bus = device.client("te/#")
    done = number(device, bus)
    assert done not in device.logged()
    assert "edge" in modules(device) and "agent" not in modules(device)
    # Read again, without a restart of anything.
    pid = device.process.pid
    levels(device, tedge_agent="INFO", marram_edge="error")
    device.process.send_signal(signal.SIGHUP)
    until("it is read", lambda: "agent" in modules(device) or number(
        device, bus) in device.logged())
    before = len(device.logged())
    device.good("part", "restart", "tedge-mapper-collectd")
    assert "tedge-mapper-collectd has" not in device.logged()[before:]
    assert number(device, bus) in device.logged()
    assert device.process.pid == pid and device.process.poll() is None


def test_a_level_that_is_none_is_told(device):
    said = ('line 10: Invalid log level: "loud", supported levels are info, '
            "warn, error and debug")
    device.start()
    bus = device.client("te/#")
    number(device, bus)  # the agent, too, has read what was there before
    levels(device, tedge_agent="loud")
    device.process.send_signal(signal.SIGHUP)
    until("it is told", lambda: said in device.logged())
    assert number(device, bus) in device.logged()
    device.stop()
    done = subprocess.run([EDGE, "--config-dir", device.config, "run"],
                          capture_output=True, text=True, timeout=LIMIT,
                          env=device.env)
    assert done.returncode == 1 and said in done.stderr, done


def test_the_command_line_is_above(device, tmp_path):
    levels(device, tedge_agent="error", marram_edge="error")
    with open(tmp_path / "stderr", "ab") as log:
        device.process = subprocess.Popen(
            [EDGE, "--config-dir", device.config, "--log-level", "info", "run"],
            stderr=log, env=device.env)
    until("it is ready", device.is_ready)
    assert number(device, device.client("te/#")) in device.logged()
    device.process.send_signal(signal.SIGHUP)
    until("it is told", lambda: "have been read" in device.logged())
    assert number(device, device.client("te/#")) in device.logged()


def test_a_mapper_alone_is_its_own(device):
    device.set(mqtt__client__port=device.port)
    (device.folder / "data/parts").write_text("")
    device.start()
    for level, told in (("warn", False), ("info", True)):
        levels(device, tedge_mapper="error", tedge_mapper_collectd=level)
        mapper = subprocess.Popen(
            [EDGE, "--config-dir", device.config, "run", "tedge-mapper",
             "collectd"],
            stderr=subprocess.PIPE, text=True, env=device.env)
        bus = device.client("te/#")
        until("it is up", lambda: any('"up"' in p for p in bus.on(
            "te/device/main/service/tedge-mapper-collectd/status/health")))
        mapper.terminate()
        said = mapper.communicate(timeout=LIMIT)[1]
        assert ("tedge-mapper-collectd has started" in said) == told, said


def test_the_memory_in_use_is_logged_if_asked_for(tmp_path):
    d = Edge(tmp_path, {"run.log_memory_interval": "1s"})
    d.start()
    said = re.compile(r"memory in use: (\d+) KiB, and (\d+) KiB of files")
    until("it is said again", lambda: len(said.findall(d.logged())) > 1)
    own, _ = said.findall(d.logged())[-1]
    assert 50 < int(own) < 100000
    d.stop()
    d = Edge(tmp_path / "without")
    d.start()
    d.stop()
    assert not said.search(d.logged())

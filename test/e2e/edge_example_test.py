"""The components in examples/edge, beside a real marram-edge."""
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import LIMIT, ROOT, until
from edge import Edge

EXAMPLES = ROOT / "examples/edge"
MEAN = "te/device/main///m/mean"
ALARM = "te/device/main///a/temperature_high"


@pytest.fixture
def edge(tmp_path):
    e = Edge(tmp_path / "edge").start()
    yield e
    e.stop()


def python(port, _folder):
    return [sys.executable, EXAMPLES / "mean.py", "--port", str(port),
            "--window", "0.3", "--above", "30"]


def c(port, folder):
    if not pathlib.Path("/usr/include/mosquitto.h").exists():
        pytest.skip("libmosquitto-dev is not installed")
    for f in ("mean.c", "Makefile"):
        shutil.copy(EXAMPLES / f, folder)
    subprocess.run(["make", "-s", "-C", str(folder), "mean"], check=True,
                   timeout=LIMIT)
    return [folder / "mean", "127.0.0.1", str(port), "temperature", "0.3", "30"]


@pytest.mark.parametrize("program", [python, c])
def test_means_and_an_alarm_that_comes_and_goes(edge, tmp_path, program):
    command = program(edge.port, tmp_path)
    heard = edge.client(MEAN, ALARM)
    running = subprocess.Popen([str(w) for w in command])
    try:
        def means(value):
            # until it has subscribed, too
            heard.say("te/device/main///m/", '{"temperature": %d}' % value)
            assert running.poll() is None
            return any(json.loads(p)["temperature"] == value
                       for p in heard.on(MEAN))

        until("a mean", lambda: means(20))
        assert heard.on(ALARM) == []
        until("a mean above", lambda: means(40))
        alarm = json.loads(heard.wait(ALARM)[0])
        assert alarm["severity"] == "major" and "above 30" in alarm["text"]
        late = edge.client(ALARM)  # it is retained
        assert json.loads(late.wait(ALARM)[0]) == alarm
        late.close()
        until("a mean below", lambda: means(21))
        assert heard.wait(ALARM, 2)[1] == ""
    finally:
        running.terminate()
        running.wait(LIMIT)
        heard.close()

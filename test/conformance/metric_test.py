"""Points that were told as committed survive kill -9 at any instant."""
import os
import random
import subprocess
import time

import pytest

METRICD = os.environ["METRICD"]


def write_and_kill(folder, begin, mode, seconds):
    """How many points were told as committed before the end."""
    p = subprocess.Popen([METRICD, "write", folder, str(begin), mode],
                         stdout=subprocess.PIPE)
    first = p.stdout.readline()  # it is at work
    time.sleep(seconds)
    p.kill()
    told = (first + p.stdout.read()).decode()
    p.wait()
    # the last line may be torn
    lines = told[:told.rfind("\n") + 1].split()
    assert lines, "nothing was committed: " + told
    return int(lines[-1])


def check(folder, told):
    done = subprocess.run([METRICD, "check", folder, str(told)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) >= told


def crash_rounds(folder, mode, rounds):
    """How many points were told as committed in all. More rounds than that, if
    there are yet too few points to lose."""
    rnd, told = random.Random(7), 0
    while rounds > 0 or told <= 1000:
        rounds -= 1
        told = write_and_kill(folder, told, mode, rnd.random() ** 3 * 0.1)
        # every other time the next writer finds what the kill left
        if rnd.random() < 0.5:
            check(folder, told)
    check(folder, told)
    return told


@pytest.mark.parametrize("mode", ["sync", "fast"])
def test_what_was_committed_is_there_after_every_kill(tmp_path, mode):
    assert crash_rounds(str(tmp_path), mode, 25) > 1000


def test_a_torn_tail_is_cut(tmp_path):
    folder = str(tmp_path)
    told = write_and_kill(folder, 0, "fast", 0.05)
    log = max((tmp_path / "metric" / "log").iterdir(),
              key=lambda f: f.name if f.name[0].isdigit() else "")
    with open(log, "ab") as f:
        f.write(b"\x17\x00\x00\x00half a record")
    check(folder, told)


def test_what_waits_for_influxdb_survives_too(tmp_path, monkeypatch):
    monkeypatch.setenv("METRIC_ENGINE", "influx")
    rnd, told = random.Random(3), 0
    for _ in range(10):
        told = write_and_kill(str(tmp_path), told, "fast",
                              rnd.random() ** 3 * 0.1)
    done = subprocess.run([METRICD, "waiting", str(tmp_path)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) >= told

"""Messages that wait for a cloud that is away, and a program that is killed
meanwhile."""
import signal
import time

from conftest import LIMIT, until
from edge_connect_test import MEASURED

WINDOW = 100  # messages that the bridge has on their way at a time


def queue_and_kill(world, n, limit=LIMIT):
    """`n` messages while the link is down; SIGKILL when half of them are in,
    and again when half of them are out. Returns (seconds in, seconds out)."""
    cloud = world.cloud("c8y")
    edge = world.edge({**world.to(cloud),
                       "mqtt.broker.max_queued_messages": 2 * n,
                       "mqtt.broker.max_queued_bytes": 1000 * n})
    edge.good("connect", "c8y")
    cloud.offline()
    half = n // 2
    begin = time.monotonic()
    for first in (0, half):
        local = edge.client()
        sent = [local.say("c8y/" + MEASURED, '{"n":%d}' % i, wait=False)
                for i in range(first, first + half)]
        until("the broker has them",
              lambda: all(s.is_published() for s in sent[-200:]), limit)
        local.close()
        if first == 0:
            edge.restart(signal.SIGKILL)
    took_in = time.monotonic() - begin
    assert not cloud.on(MEASURED)

    begin = time.monotonic()
    cloud.online()
    cloud.wait(MEASURED, half, limit)
    edge.restart(signal.SIGKILL)
    until("the last has come",
          lambda: '{"n":%d}' % (n - 1) in cloud.on(MEASURED)[-WINDOW:], limit)
    took_out = time.monotonic() - begin

    found = [int(p[5:-1]) for p in cloud.on(MEASURED)]
    once = list(dict.fromkeys(found))
    assert once == list(range(n))  # all, in order, counted once
    assert len(found) - n <= WINDOW, "%d came twice" % (len(found) - n)
    repeats = [i for i in range(1, len(found)) if found[i] <= found[i - 1]]
    assert len(repeats) <= 1  # only where it was killed
    assert not cloud.refused
    return took_in, took_out

"""What waits while the link is down: in the device's broker, on its disk."""
import signal

import pytest

from conftest import LIMIT, until
from edge_connect_test import MEASURED, World
from edge_queue import queue_and_kill


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


def test_two_thousand_wait_and_outlive_a_kill(world):
    queue_and_kill(world, 2000)


def test_a_full_queue_lets_the_oldest_go(world):
    cloud = world.cloud("c8y")
    edge = world.edge({**world.to(cloud),
                       "mqtt.broker.max_queued_messages": 500})
    edge.good("connect", "c8y")
    cloud.offline()
    local = edge.client()
    for n in range(2000):
        local.say("c8y/" + MEASURED, '{"n":%d}' % n, wait=n == 1999)
    cloud.online()
    until("the last has come",
          lambda: '{"n":1999}' in cloud.on(MEASURED))
    found = [int(p[5:-1]) for p in cloud.on(MEASURED)]
    # those that were on their way when the link broke, and the newest
    assert 500 <= len(found) <= 700, len(found)
    assert found == sorted(found)
    assert found[-490:] == list(range(1510, 2000))
    local.close()


def test_a_kill_while_messages_flow_loses_nothing(world):
    cloud, edge = world.connected("c8y")
    local = edge.client(name="sensor", clean=False)
    local.client.reconnect_delay_set(1, 1)
    sent = [local.say("c8y/" + MEASURED, '{"n":%d}' % n, wait=False)
            for n in range(600)]
    sent[200].wait_for_publish(LIMIT)
    edge.stop(signal.SIGKILL)
    edge.start()
    for s in sent:
        s.wait_for_publish(LIMIT)
    want = ['{"n":%d}' % n for n in range(600)]
    until("all have come",
          lambda: set(cloud.on(MEASURED)) == set(want))
    assert list(dict.fromkeys(cloud.on(MEASURED))) == want
    local.close()

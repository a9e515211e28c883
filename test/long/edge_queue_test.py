"""A hundred thousand messages wait for a cloud, over two kills."""
import pytest

from edge_connect_test import World
from edge_queue import queue_and_kill


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


def test_a_hundred_thousand_wait_and_outlive_kills(world):
    took_in, took_out = queue_and_kill(world, 100000, 600)
    print("100,000 messages in by %.1f s, out by %.1f s" % (took_in, took_out))

"""What all tests of this folder share: a way to start servers."""
import pytest

from wire import Server


@pytest.fixture
def start():
    running = []

    def go(*args):
        running.append(Server(*args))
        return running[-1]

    yield go
    for s in running:
        s.end()


@pytest.fixture
def server(start):
    return start()

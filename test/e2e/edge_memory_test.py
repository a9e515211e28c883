"""marram-edge where there is little memory: the kernel refuses more (RLIMIT_DATA),
and, where cgroups can be made, kills who takes more (memory.max)."""
import contextlib
import os
import pathlib
import resource

import pytest

from certificates import Authority
from cloud import Cloud
from conftest import until
from edge import SANITIZED, Edge

MIB = 1 << 20
CREATED = "measurement/measurements/create"
MAPPED = "te/device/main///m/"
GROUPS = [(pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
          (pathlib.Path("/sys/fs/cgroup"), "memory.max")]

pytestmark = pytest.mark.skipif(
    SANITIZED, reason="a sanitizer takes more memory than the limit")


class Limit:
    """For what is started with it; `group`: there is a cgroup, too."""

    def __init__(self, mib):
        self.bytes, self.group = mib * MIB, None
        for folder, file in GROUPS:
            group = folder / ("marram-%d-%d" % (os.getpid(), mib))
            with contextlib.suppress(OSError):
                group.mkdir()
                try:
                    (group / file).write_text(str(self.bytes))
                    self.group = group
                    break
                except OSError:
                    group.rmdir()

    def __call__(self):
        resource.setrlimit(resource.RLIMIT_DATA, (self.bytes, self.bytes))
        if self.group:
            (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def close(self):
        if self.group:
            self.group.rmdir()


@pytest.fixture
def small(tmp_path, request):
    limit = Limit(request.param)
    authority = Authority(tmp_path / "ca")
    cloud = Cloud("c8y", authority)
    edge = Edge(tmp_path / "edge", {
        "c8y.url": "localhost", "c8y.mqtt": "localhost:%d" % cloud.port,
        "c8y.root_cert_path": str(authority.ca),
        "mqtt.bridge.reconnect_policy.initial_interval": "1s",
        "mqtt.bridge.reconnect_policy.maximum_interval": "1s"}, before=limit)
    edge.certificate("dev1", authority)
    yield edge, cloud, limit
    edge.stop()
    cloud.stop()
    limit.close()


def private(pid):
    """What is the process's own, and what it has read of files of libraries: that
    is its own, too, where no other program has it."""
    found, own = 0, True
    for line in pathlib.Path("/proc/%d/smaps" % pid).read_text().splitlines():
        word, *rest = line.split()
        if word[-1] != ":":
            own = not (rest[-1:] and "/libc.so" in rest[-1])
        elif word.startswith("Private_") or (
                own and word.startswith("Shared_") and "Huge" not in word):
            found += int(rest[0]) * 1024
    return found


def send(local, begin, n):
    for i in range(begin, begin + n):
        local.say(MAPPED, '{"temperature": %d}' % i,
                  wait=i % 100 == 99 or i == begin + n - 1)


def all_of(cloud, n):
    """Each has come; what was not answered when it was cut off, twice."""
    def values():
        return list(dict.fromkeys(
            int(float(text.split('"value":')[1].split("}")[0]))
            for text in cloud.on(CREATED)))
    until("all have come", lambda: len(values()) >= n)
    assert values() == list(range(n))


@pytest.mark.parametrize("small", [16], indirect=True)
def test_before_the_first_tls_connection_3_mib(small):
    """Broker, agent, mapper and bridge; neither GnuTLS nor an HTTP server is there
    while the cloud is away and nobody asks. A new certificate that is bad is told
    when there is a connection, and is mended without a restart."""
    edge, cloud, _ = small
    cert = edge.config / "device-certs/tedge-certificate.pem"
    good = cert.read_bytes()
    cloud.offline()
    edge.good("connect", "c8y", "--offline")
    edge.start()
    until("it has been tried", lambda: edge.logged().count(
        "c8y: not connected to localhost") > 0)
    until("the agent is up", lambda: "tedge-agent has started" in edge.logged())
    assert not edge.has_loaded("gnutls") and not edge.has_loaded("microhttpd")
    assert private(edge.process.pid) <= 3 * MIB
    cert.write_text("nonsense")
    cloud.online()
    until("it is told", lambda: "load %s" % cert in edge.logged())
    cert.write_bytes(good)
    until("it is up", lambda: "c8y: connected to localhost" in edge.logged())
    assert edge.has_loaded("gnutls") and not edge.has_loaded("microhttpd")


@pytest.mark.parametrize("small", [16], indirect=True)
def test_the_main_path_in_16_mib(small):
    """Broker, agent, mapper and a bridge over TLS, and a restart."""
    edge, cloud, limit = small
    edge.start()
    edge.good("connect", "c8y")
    local = edge.client()
    send(local, 0, 3000)
    all_of(cloud, 3000)
    local.close()
    assert edge.peak() < limit.bytes
    edge.restart()
    local = edge.client()
    send(local, 3000, 1000)
    all_of(cloud, 4000)
    local.close()
    assert "memory" not in edge.logged().lower()


@pytest.mark.parametrize("small", [32], indirect=True)
def test_a_cloud_that_was_away_long_in_32_mib(small):
    edge, cloud, limit = small
    edge.start()
    edge.good("connect", "c8y")
    cloud.offline()
    local = edge.client()
    send(local, 0, 100000)
    edge.restart()  # what waits is on disk
    cloud.online()
    all_of(cloud, 100000)
    local.close()
    assert edge.peak() < limit.bytes

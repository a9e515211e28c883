"""Minutes of traffic and changes: memory stays, nothing is lost."""
import pathlib
import time

from e2e_conftest import UPLINK, Site

SECONDS = 180


def resident(server):
    status = pathlib.Path("/proc/%d/status" % server.process.pid).read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_memory_stays_while_messages_and_devices_come_and_go(start):
    # small page caches: they may grow to their setting and are no leak
    server = start(*[word for module in ("auth", "broker", "data") for word in
                     ("--%s.db.sqlite.cache" % module, "1MiB")])
    site = Site(server, server.login())
    network, application = site.network(), site.application()
    end, n, warm = time.monotonic() + SECONDS, 0, None
    while time.monotonic() < end:
        addr = "%06x" % (n % 500)
        body = {"data": {"unitId": site.unit, "networkId": site.net,
                         "networkAddrs": [addr]}}
        assert site.call("POST", "device/bulk", body).status == 204
        for _ in range(20):
            network.publish(site.net_topic("uldata"), UPLINK)
        assert site.call("POST", "device/bulk-delete", body).status == 204
        n += 1
        if warm is None and n == 200:
            warm = resident(site.server)
    application.wait(n * 20, "uldata")
    assert len(application.messages("uldata")) == n * 20
    assert warm is not None
    assert resident(site.server) < warm * 1.5 + 20000
    network.close()
    application.close()

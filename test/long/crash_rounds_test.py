"""kill -9 at random moments, again and again: what was acknowledged is there."""
import random
import signal
import time

from e2e_conftest import UPLINK

ROUNDS = 40


def test_nothing_acknowledged_is_lost_in_many_crashes(site):
    random.seed(4)
    acknowledged, n = set(), 0
    for _ in range(ROUNDS):
        network = site.network()
        network.client.reconnect_delay_set(60, 60)
        sent, end = {}, time.monotonic() + random.uniform(0.05, 0.6)
        while time.monotonic() < end:
            data = "%08x" % n
            sent[data] = network.publish(site.net_topic("uldata"),
                                         {**UPLINK, "data": data}, wait=False)
            n += 1
        site.server.stop(signal.SIGKILL)
        acknowledged |= {d for d, s in sent.items() if s.is_published()}
        network.client.loop_stop()
        site.server.start()
    rows = site.server.call(
        "GET", "/data/api/v1/network-uldata/list?limit=0&unit=" + site.unit,
        token=site.token).data
    assert len(acknowledged) > ROUNDS
    assert acknowledged <= {r["data"] for r in rows}
    assert site.call("GET", "device/" + site.device).status == 200

"""After kill -9 every object is there, and the work goes on."""
import signal

from conftest import LIMIT, UPLINK


def test_everything_is_there_after_a_kill(site):
    network, application = site.network(), site.application()
    network.publish(site.net_topic("uldata"), UPLINK)
    application.wait(1, "uldata")
    network.close()
    application.close()
    kinds = ("user", "client", "unit", "application", "network", "device",
             "device-route")
    before = {k: site.call("GET", k + "/list?unit=" + site.unit).json()
              for k in kinds}
    site.server.restart(signal.SIGKILL)
    for kind in kinds:
        after = site.call("GET", kind + "/list?unit=" + site.unit).json()
        if kind == "client":  # it has learned the new port
            for client in before[kind]["data"] + after["data"]:
                del client["redirectUris"], client["modifiedAt"]
        assert after == before[kind], kind
    network, application = site.network(), site.application()
    network.publish(site.net_topic("uldata"), UPLINK)
    assert application.wait(1, "uldata")[0]["data"] == "74657374"
    stored = site.server.call(
        "GET", "/data/api/v1/application-uldata/count?unit=" + site.unit,
        token=site.token).data
    assert stored["count"] == 2
    network.close()
    application.close()


def test_what_was_acknowledged_is_in_the_history(site):
    network = site.network()
    sent = [network.publish(site.net_topic("uldata"),
                            {**UPLINK, "data": "%04x" % n}, wait=False)
            for n in range(300)]
    sent[150].wait_for_publish(LIMIT)
    site.server.stop(signal.SIGKILL)
    acknowledged = {"%04x" % n for n, s in enumerate(sent)
                    if s.is_published()}
    network.close()
    assert len(acknowledged) > 100
    site.server.start()
    rows = site.server.call(
        "GET", "/data/api/v1/network-uldata/list?limit=0&unit=" + site.unit,
        token=site.token).data
    assert acknowledged <= {r["data"] for r in rows}

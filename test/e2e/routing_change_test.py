"""What a change through the API does to queues that are in use."""


def figures(site, queue="uldata"):
    answer = site.call("GET", "application/%s/stats" % site.app)
    assert answer.status == 200, answer.text
    return answer.data[queue]


def test_limits_of_queues_stay_when_the_broker_names_their_host_anew(
        server, site):
    answer = site.call("PATCH", "application/%s" % site.app,
                       {"data": {"length": 2}})
    assert answer.status == 204, answer.text
    answer = server.call("PATCH", "/broker/api/v1/application/%s" % site.app,
                         {"data": {"hostUri": "mqtt://127.0.0.1"}},
                         site.token)
    assert answer.status == 204, answer.text
    network = site.network()
    for _ in range(5):
        network.publish(site.net_topic("uldata"), {
            "time": "2023-07-08T06:55:02.000Z", "networkAddr": "01000461",
            "data": "74657374"})
    network.close()
    assert figures(site)["messages"] == 2

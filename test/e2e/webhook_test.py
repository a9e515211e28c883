"""Rules that ask web servers: webhooks of tasks, schedules and variables, and
scripts over HTTP."""
import http.server
import json
import threading

import pytest

from conftest import LIMIT, until
from rules_test import (PLACE, device, field_on,  # noqa: F401
                        probe_on, schedule, task, traces)
from values_test import hub, listed, probe  # noqa: F401


class Web:
    """A server that answers what a test has laid down for a path, and
    remembers what it was asked."""

    def __init__(self):
        self.asked, self.answers = [], {}
        self.gate = threading.Event()  # /slow waits for it
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size).decode()
                web.asked.append((self.command, self.path, body,
                                  dict(self.headers)))
                path = self.path.split("?")[0]
                if path == "/slow":
                    web.gate.wait(LIMIT)
                status, answer, headers = web.answers.get(
                    path, (200, "true", {}))
                if callable(answer):
                    answer = answer(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def says(self, path, answer, status=200, **headers):
        if not isinstance(answer, str) and not callable(answer):
            answer = json.dumps(answer)
        self.answers[path] = (status, answer, headers)

    def at(self, path):
        return [a for a in self.asked if a[1].split("?")[0] == path]


@pytest.fixture
def web():
    w = Web()
    yield w
    w.gate.set()
    w.server.shutdown()


def asking(web, path, **more):
    return {"evaluationType": "webhook", "evaluationConfig": {
        "webhook": dict(url=web.url + path, **more)}}


def test_a_web_server_decides(device, web):  # noqa: F811
    device.send(temperature=0, relay=False)
    web.says("/x", lambda body: json.dumps({
        "isTriggered": json.loads(body)["t"] > 30, "how": True}))
    task(device, **asking(web, "/x", headers={"X-Key": "k"},
                          queryParameters={"a": 1}),
         handlerParameters={"on": {
             "type": "resource_by_quick_id", "resourceType": "field",
             "quickId": PLACE + "relay", "payload": "{{ .how }}"}})
    device.send(temperature=20)
    device.send(temperature=40)
    assert device.downs() == [{"relay": True}]
    found = traces(device, 2)
    assert [t["isTriggered"] for t in found] == [True, False]
    method, path, body, headers = web.asked[1]
    assert (method, path) == ("POST", "/x?a=1")
    assert (headers["X-Key"], headers["Content-Type"]) == (
        "k", "application/json")
    sent = json.loads(body)
    assert sent["taskEvent"]["entity"]["current"]["value"] == 40
    assert "task" not in sent
    # plain text is a verdict, too; the task goes along when it is asked for
    task(device, "plain", **asking(web, "/plain", includeConfig=True,
                                   method="PUT"))
    device.send(temperature=41)
    assert traces(device, 1, "plain")[0]["isTriggered"] is True
    method, _, body, _ = web.at("/plain")[0]
    assert method == "PUT" and json.loads(body)["task"]["id"] == "plain"


def test_what_a_web_server_can_not_say_is_told(start, web):  # noqa: F811
    def begin(limit):
        return probe_on(start, "--hub.webhook-timeout", limit,
                        "--hub.webhook-size", "1KiB")

    dev = begin("60s")
    site, server = dev.probe, dev.probe.server
    web.says("/status", "secret-answer", 500)
    web.says("/nonsense", "{no json")
    web.says("/long", "x" * 2000)
    web.says("/away", "", 302, Location="http://localhost:1/x")
    wrong = {"/status": "answered HTTP 500", "/nonsense": "is not JSON", "/long": "too long",
             "/away": "answered HTTP 302"}
    for path in wrong:
        task(dev, path[1:], **asking(web, path, headers={
            "Authorization": "Bearer secret-one"}))
    task(dev, "url", evaluationType="webhook", evaluationConfig={
        "webhook": {"url": "file:///etc/passwd"}})
    wrong["/url"] = "begins with http://"
    task(dev, "none", evaluationType="webhook", evaluationConfig={})
    wrong["/none"] = "has no `webhook`"
    dev.send(temperature=40)
    for path, text in wrong.items():
        t = traces(dev, 1, path[1:])[0]
        assert text in t["message"] and not t["isTriggered"], t
        assert "secret" not in t["message"]
        state = until("its state", lambda: [
            t["state"] for t in listed(site, "task") if t["id"] == path[1:]
            and t["state"]["executedCount"]])[0]
        assert state["lastStatus"] is False and text in state["message"]
    assert server.counter("hub_webhooks_failed_total") == 3
    dev.network.close()
    dev = begin("300ms")
    task(dev, "slow", **asking(web, "/slow"))
    dev.send(temperature=40)
    t = traces(dev, 1, "slow")[0]
    assert "within 300 ms" in t["message"] and not t["isTriggered"], t
    assert dev.probe.server.counter("hub_webhooks_failed_total") == 1
    dev.network.close()


def test_a_slow_web_server_holds_its_own_task_only(device, web):  # noqa: F811
    device.send(temperature=0, relay=False)
    web.says("/slow", lambda body: json.dumps({"isTriggered": True}))
    task(device, "slow", **asking(web, "/slow"))
    task(device, "quick")
    for t in (31, 32, 33):
        device.send(temperature=t)
    assert len(traces(device, 3, "quick")) == 3
    # one run at a time: the others wait for their turn, in order
    until("the first", lambda: web.at("/slow"))
    assert len(web.at("/slow")) == 1
    assert listed(device.probe, "trace", rule="task:slow") == []
    web.gate.set()
    assert len(traces(device, 3, "slow")) == 3
    assert [json.loads(a[2])["taskEvent"]["entity"]["current"]["value"]
            for a in web.at("/slow")] == [31, 32, 33]


def test_few_events_wait_for_a_slow_web_server(start, web):
    server = start("--hub.task-queue", "2")
    dev = field_on(server)
    dev.send(temperature=0)
    task(dev, "slow", **asking(web, "/slow"))
    for t in range(31, 36):
        dev.send(temperature=t)
    assert server.counter("hub_evaluations_dropped_total") == 2
    # it can be deleted while it waits
    assert hub(dev.probe, "DELETE", "task/slow").status == 204
    dev.send(temperature=50)
    assert listed(dev.probe, "field", fieldId="temperature")[0]["current"][
        "value"] == 50
    dev.network.close()


def test_variables_come_from_web_servers(device, web):  # noqa: F811
    device.send(temperature=0, relay=False)
    web.says("/forecast", {"days": [{"high": 35}]})
    web.says("/echo", lambda body: json.dumps({"got": body}))
    task(device, variables={
        "before": {"type": "string", "value": "b"},
        "w": {"type": "webhook", "server": web.url + "/forecast",
              "keyPath": "days.0"},
        "e": {"type": "webhook", "server": web.url + "/echo",
              "method": "POST", "data": {"x": 1}, "responseCode": 200},
        "after": {"type": "string", "value": "{{ .w.high }}"}},
        evaluationConfig={"rule": {"conditions": [
            {"variable": "w.high", "operator": "gt", "value": "30"}]}})
    task(device, "bad", variables={
        "w": {"type": "webhook", "server": web.url + "/forecast",
              "responseCode": 204}})
    device.send(temperature=1)
    t = traces(device, 1)[0]
    assert t["isTriggered"] is True
    assert {k: t["variables"][k] for k in ("before", "w", "e", "after")} == {
        "before": "b", "w": {"high": 35}, "e": {"got": '{"x":1}'},
        "after": "35"}
    assert "variable w: webhook: the server answered HTTP 200" in \
        traces(device, 1, "bad")[0]["message"]


def test_schedules_ask_web_servers(device, web):  # noqa: F811
    device.send(relay=False)
    web.says("/v", {"x": True})
    web.says("/how", lambda body: json.dumps(
        {"how": json.loads(body)["v"]["x"]}))
    assert schedule(device, "s", "repeat", {
        "interval": "200ms", "repeatCount": 1},
        variables={"v": {"type": "webhook", "server": web.url + "/v"}},
        customVariableType="webhook", customVariableConfig={
            "webhook": {"url": web.url + "/how"}}).status == 200
    assert device.downs() == [{"relay": True}]
    assert web.at("/v")[0][0] == "GET"
    method, _, body, _ = web.at("/how")[0]
    assert method == "POST"
    assert json.loads(body)["schedule"]["id"] == "s"
    web.says("/list", [1])
    assert schedule(device, "bad", "repeat", {
        "interval": "200ms", "repeatCount": 1}, customVariableType="webhook",
        customVariableConfig={"webhook": {"url": web.url + "/list"}}
    ).status == 200
    state = until("it has run", lambda: [
        s["state"] for s in listed(device.probe, "schedule")
        if s["id"] == "bad" and s["state"]["lastRun"]])[0]
    assert state["lastStatus"] is False
    assert "no JSON object" in state["message"]


SCRIPT = """
const c = mcUtils.httpClient.New(false, "5s");
c.UpdateTimeout("60s");
const r = c.ExecuteJson("%(url)s/api", "POST", {"X-A": "1"}, {q: "2"},
                        {hi: 1}, 200);
const p = mcUtils.http.New(false, 0).Execute("%(url)s/plain", "GET");
({isTriggered: true, method: r.method, url: r.url, status: r.statusCode,
  kind: r.headers["x-kind"], said: JSON.parse(r.StringBody()).said,
  plain: p.StringBody()})"""


def scripted(web):
    return {"evaluationType": "javascript", "evaluationConfig": {
        "javascript": SCRIPT % {"url": web.url}}}


def test_scripts_ask_allowed_hosts(start, web):
    dev = probe_on(start, "--hub.script.allow-hosts", "127.0.0.1")
    web.says("/api", lambda body: json.dumps({"said": json.loads(body)}),
             **{"X-Kind": "k"})
    web.says("/plain", "text")
    task(dev, **scripted(web))
    dev.send(temperature=1)
    t = traces(dev, 1)[0]
    assert t["isTriggered"] is True, t["message"]
    assert {k: t["variables"][k] for k in (
        "method", "url", "status", "kind", "said", "plain")} == {
        "method": "POST", "url": web.url + "/api?q=2", "status": 200,
        "kind": "k", "said": {"hi": 1}, "plain": "text"}
    assert web.at("/api")[0][3]["X-A"] == "1"
    # another host, a status that was not expected, too long a wait
    for name, text, limit in (
            ("host", "get('http://localhost:1/')", "60s"),
            ("status", "get('%s/plain', 'GET', {}, {}, '', 201)" % web.url,
             "60s"),
            ("slow", "get('%s/slow')" % web.url, "200ms")):
        task(dev, name, evaluationType="javascript", evaluationConfig={
            "javascript": "const get = mcUtils.httpClient.New(false, '%s')"
                          ".Execute; %s" % (limit, text)})
    dev.send(temperature=2)
    for name, say in (("host", "hub.script.allowHosts"),
                      ("status", "status 200 instead of 201"),
                      ("slow", "within 200 ms")):
        assert say in traces(dev, 1, name)[0]["message"]
    dev.network.close()


def test_scripts_ask_nobody_unless_it_is_allowed(device, web):  # noqa: F811
    device.send(temperature=0)
    task(device, **scripted(web))
    device.send(temperature=1)
    assert "hub.script.allowHosts" in traces(device, 1)[0]["message"]
    assert web.asked == []


def test_the_end_does_not_wait_for_web_servers(start, web):
    dev = probe_on(start, "--hub.script.allow-hosts", "127.0.0.1")
    task(dev, "hook", **asking(web, "/slow"))
    task(dev, "script", evaluationType="javascript", evaluationConfig={
        "javascript": "mcUtils.httpClient.New(false, '9s')"
                      ".Execute('%s/slow')" % web.url})
    task(dev, "variable", variables={
        "w": {"type": "webhook", "server": web.url + "/slow"}})
    dev.send(temperature=1)
    until("three wait", lambda: len(web.at("/slow")) == 3)
    dev.network.close()
    assert dev.probe.server.stop() == 0


def test_a_unit_goes_while_its_rules_wait(device, web):  # noqa: F811
    p = device.probe
    device.send(temperature=0, relay=False)
    task(device, "hook", **asking(web, "/slow"))
    task(device, "variable", variables={
        "w": {"type": "webhook", "server": web.url + "/slow"}})
    task(device, "later", handlerParameters={"on": {
        "type": "resource_by_quick_id", "resourceType": "field",
        "quickId": PLACE + "relay", "payload": "true", "preDelay": "1h"}})
    schedule(device, "s", "repeat", {"interval": "200ms"},
             customVariableType="webhook", customVariableConfig={
                 "webhook": {"url": web.url + "/slow"}})
    for t in (40, 41):
        device.send(temperature=t)
    until("three wait", lambda: len(web.at("/slow")) == 3)
    # a changed rule begins anew
    hub(p, "PATCH", "task/hook", {"data": {"description": "x"}}, 204)
    device.send(temperature=42)
    until("it asks again", lambda: len(web.at("/slow")) == 4)
    p.call("DELETE", "unit/" + p.unit)
    until("nothing is left", lambda: [
        kind for kind in ("task", "schedule", "trace", "field")
        if hub(p, "GET", kind + "/list", status=200).data] == [])
    web.gate.set()
    assert p.server.stop() == 0

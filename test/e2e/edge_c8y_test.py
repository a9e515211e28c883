"""The mapper of Cumulocity in the program: from a local process to the cloud's
double, and from its operations to programs on the device."""
import http.server
import json
import re
import threading

from conftest import until
from edge import free_port
from edge_connect_test import MEASURED, world  # noqa: F401

NOTIFIED = "devicecontrol/notifications"


def lines(cloud, template, topic="s/us"):
    """What came of one SmartREST template."""
    return [m for m in cloud.on(topic)
            if m == template or m.startswith(template + ",")]


def wait_line(cloud, line, topic="s/us"):
    until("%s on %s" % (line, topic), lambda: line in cloud.on(topic))


def operation(cloud, number, device="dev1", **fragment):
    cloud.send(NOTIFIED, json.dumps(
        {"id": str(number), "status": "PENDING",
         "externalSource": {"externalId": device, "type": "c8y_Serial"},
         **fragment}))


def program(edge, name, text, exec_):
    """A script, and the file that says when it runs."""
    script = edge.folder / name
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    folder = edge.config / "operations/c8y"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("[exec]\n" + exec_ % {"script": script})


def test_the_examples_of_the_first_years(world):
    cloud, edge = world.connected("c8y")
    local = edge.client("tedge/errors", "te/errors")
    edge.good("mqtt", "pub", "tedge/measurements", '{"temperature": 23}')
    said = cloud.wait(MEASURED)[0]
    assert re.fullmatch(
        r'\{"type":"ThinEdgeMeasurement","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
        r'\.\d{9}[+-]\d\d:\d\d","temperature":\{"temperature":\{"value":23\}\}'
        r'\}', said), said
    assert [m.qos for m in cloud.messages if m.topic == MEASURED] == [1]
    edge.good("mqtt", "pub", "tedge/measurements",
              '{"temperature": 23,"pressure": 220')
    edge.good("mqtt", "pub", "tedge/measurements",
              '{"temperature": 23,"time": 220}')
    assert local.wait("tedge/errors", 2) == [
        'Invalid JSON: Unexpected end of JSON: '
        '{"temperature":23,"pressure":220',
        "Not a timestamp: the time value must be an ISO8601 timestamp string "
        "in the YYYY-MM-DDThh:mm:ss.sss.±hh:mm format, not a number."]
    # The copies on te/ were passed over: a later one is the second.
    edge.good("mqtt", "pub", "te/device/main///m/env", '{"humidity": 40}')
    cloud.wait(MEASURED, 2)
    assert len(cloud.on(MEASURED)) == 2, cloud.on(MEASURED)
    local.close()
    assert not cloud.refused, cloud.refused


def test_children_events_and_alarms(world):
    cloud, edge = world.connected("c8y")
    local = edge.client()
    local.say("te/device/kid//", '{"@type":"child-device","name":"Kid"}',
              retain=True)
    wait_line(cloud, "101,dev1:device:kid,Kid,thin-edge.io-child,false")
    local.say("te/device/kid///e/login", '{"text":"hi","user":"ada"}')
    event = json.loads(cloud.wait("event/events/create")[0])
    assert event["externalSource"] == {"externalId": "dev1:device:kid",
                                       "type": "c8y_Serial"}
    assert (event["type"], event["text"], event["user"]) == ("login", "hi",
                                                             "ada")
    alarm = '{"severity":"major","text":"hot","time":"2021-01-01T05:30:45Z"}'
    local.say("te/device/main///a/temp", alarm, retain=True)
    wait_line(cloud, "302,temp,hot,2021-01-01T05:30:45Z")
    local.say("te/device/main///a/other", alarm, retain=True)
    wait_line(cloud, "302,other,hot,2021-01-01T05:30:45Z")
    local.close()
    # What the cloud knows is not sent again; and what is cleared is.
    edge.restart()
    until("the mapper is back", lambda: len(lines(cloud, "500")) >= 2)
    local = edge.client()
    local.say("te/device/main///a/other", "", retain=True)
    wait_line(cloud, "306,other")
    assert len(lines(cloud, "302")) == 2, lines(cloud, "302")
    assert not cloud.refused, cloud.refused
    local.close()


def test_operations_of_ones_own(world):
    cloud, edge = world.connected("c8y")
    program(edge, "c8y_Relay", 'printf "%%s|%%s" "$#" "$1"\n'.replace(
        "%%", "%"), 'on_fragment = "c8y_Relay"\n'
        'command = "%(script)s ${.payload.c8y_Relay.state}"\n')
    until("the operation is told",
          lambda: any("c8y_Relay" in line for line in lines(cloud, "114")))
    operation(cloud, 1, c8y_Relay={"state": "OPEN; echo no"})
    wait_line(cloud, "504,1")
    wait_line(cloud, "506,1,1|OPEN; echo no")
    program(edge, "c8y_Fails", "echo first >&2\necho because >&2\nexit 3\n",
            'on_fragment = "c8y_Fails"\ncommand = "%(script)s"\n')
    program(edge, "c8y_Hangs", "sleep 600\n",
            'on_fragment = "c8y_Hangs"\ncommand = "%(script)s"\ntimeout = 1\n')
    (edge.config / "operations/c8y/c8y_None").write_text(
        '[exec]\non_fragment = "c8y_None"\ncommand = "/nowhere/program"\n')
    until("they are told", lambda: any(
        "c8y_Fails,c8y_Hangs,c8y_None,c8y_Relay" in re.sub(
            r"c8y_(?!Fails|Hangs|None|Relay)\w+,", "", line)
        for line in lines(cloud, "114")))
    operation(cloud, 2, c8y_Hangs={})
    operation(cloud, 3, c8y_Fails={})
    operation(cloud, 4, c8y_None={})
    wait_line(cloud, '505,3,"because"')
    until("a program that is not there is told",
          lambda: any(m.startswith("505,4,") for m in cloud.on("s/us")))
    until("a program that hangs is told",
          lambda: any(m.startswith('505,2,"c8y_Hangs') for m in
                      cloud.on("s/us")))


def test_an_operation_becomes_a_command_and_its_end_is_told(world):
    cloud, edge = world.connected("c8y")
    local = edge.client("te/device/main///cmd/take_picture/+",
                        "te/device/main///cmd/firmware_update/+")
    local.say("te/device/main///cmd/firmware_update", "{}", retain=True)
    until("firmware is told", lambda: any(
        "c8y_Firmware" in line for line in lines(cloud, "114")))
    operation(cloud, 7, c8y_Firmware={"name": "core", "version": "2",
                                      "url": "https://localhost/b/3"})
    topic = "te/device/main///cmd/firmware_update/c8y-mapper-7"
    command = json.loads(local.wait(topic)[0])
    assert command["status"] == "init" and command["name"] == "core"
    assert "/c8y/b/3" in command["tedgeUrl"]
    assert command["remoteUrl"] == "https://localhost/b/3"
    local.say(topic, '{"status":"executing"}', retain=True)
    wait_line(cloud, "504,7")
    local.say(topic, '{"status":"failed","reason":"no, \\"never\\""}',
              retain=True)
    wait_line(cloud, '505,7,"no, ""never"""')
    until("the command is cleared", lambda: local.on(topic)[-1] == "")
    local.close()


class Rest:
    """The cloud's REST API, as the device's proxy shows it."""

    def __init__(self, port):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                outer.asked.append((self.command, self.path,
                                    self.headers.get("Content-Type"),
                                    self.rfile.read(size)))
                body = {"/c8y/identity/externalIds/c8y_Serial/dev1":
                        b'{"managedObject":{"id":"4711"}}',
                        "/c8y/event/events": b'{"id":"99"}'}.get(self.path,
                                                                 b"{}")
                self.send_response(201)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port),
                                                      Handler)
        threading.Thread(target=self.server.serve_forever).start()

    def wait(self, method, path):
        return until("%s %s" % (method, path), lambda: next(
            (a for a in self.asked if a[:2] == (method, path)), None))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_files_lists_and_large_events_go_by_http(world):
    port = free_port()
    rest = Rest(port)
    world.made.append(rest)
    cloud = world.cloud("c8y")
    edge = world.edge({**world.to(cloud), "c8y.proxy.client.port": port})
    edge.good("connect", "c8y")
    local = edge.client("te/device/main///cmd/log_upload/+")
    log = edge.folder / "operation.log"
    log.write_bytes(bytes(range(256)) * 4000)
    topic = "te/device/main///cmd/restart/c8y-mapper-5"
    local.say(topic, json.dumps({"status": "failed", "reason": "no",
                                 "logPath": str(log)}), retain=True)
    wait_line(cloud, '505,5,"no"')
    sent = rest.wait("POST", "/c8y/event/events/99/binaries")
    assert sent[2:] == ("text/plain", log.read_bytes())
    event = json.loads(rest.wait("POST", "/c8y/event/events")[3])
    assert event["source"] == {"id": "4711"}
    assert event["type"] == "restart_op_log"
    local.say("te/device/main///cmd/software_list/c8y-mapper-1-1", json.dumps({
        "status": "successful", "currentSoftwareList": [
            {"type": "apt", "modules": [{"name": "a", "version": "1"}]}]}),
        retain=True)
    want = {"c8y_SoftwareList": [
        {"name": "a", "version": "1::apt", "url": ""}]}
    until("the list is there", lambda: any(
        a[:2] == ("PUT", "/c8y/inventory/managedObjects/4711") and
        json.loads(a[3]) == want for a in rest.asked))
    rest.asked.clear()
    text = "x" * 20000
    local.say("te/device/main///e/big", json.dumps({"text": text}))
    event = json.loads(rest.wait("POST", "/c8y/event/events")[3])
    assert (event["type"], event["text"]) == ("big", text)
    assert "externalSource" not in event
    # A file of the file transfer service, which is told where it is gone.
    local.say("te/device/main///cmd/log_upload/c8y-mapper-6", json.dumps({
        "status": "successful", "type": "syslog", "tedgeUrl":
        "http://127.0.0.1:%d/c8y/some/file" % port}), retain=True)
    wait_line(cloud, "506,6,https://localhost/event/events/99/binaries")
    rest.wait("GET", "/c8y/some/file")
    local.say("te/device/main///cmd/log_upload/c8y-mapper-7", json.dumps({
        "status": "successful", "type": "syslog", "tedgeUrl":
        "http://127.0.0.1:%d/nobody" % free_port()}), retain=True)
    until("a file that is not there is told", lambda: any(
        m.startswith('505,7,"uploading the file: ')
        for m in cloud.on("s/us")))
    until("its command is cleared", lambda: local.on(
        "te/device/main///cmd/log_upload/c8y-mapper-7")[-1:] == [""])
    local.close()

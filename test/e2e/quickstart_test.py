"""The first ten minutes: the Quick Start of Sylvia-IoT, with its own command
lines and program names, and again as `marram`."""
import json
import os
import re
import subprocess

import pytest

from conftest import LIMIT, PROGRAM

SCRIPT = r"""
set -eu
$LOGIN login -a admin -p admin >login.json
UNIT_ID=$($CLI unit add -c demo -o admin -n 'Demo' | jq -r .unitId)
APP_ID=$($CLI application add -c test-app-mqtt -u $UNIT_ID --host 'mqtt://localhost' -n 'TestApp-MQTT' | jq -r .applicationId)
NET_ID=$($CLI network add -c test-net-mqtt -u $UNIT_ID --host 'mqtt://localhost' -n 'TestNet-MQTT' | jq -r .networkId)
$CLI application update -i $APP_ID -p password
$CLI network update -i $NET_ID -p password
DEV_ID=$($CLI device add -u $UNIT_ID --netid $NET_ID -a 01000461 -n 01000461 | jq -r .deviceId)
$CLI device-route add -d $DEV_ID -a $APP_ID
mosquitto_sub -p $MQTT -u test-app-mqtt -P password -t broker.application.demo.test-app-mqtt.uldata -C 1 -W 20 >heard.json &
SUB=$!
mosquitto_pub -p $MQTT -u test-net-mqtt -P password -t broker.network.demo.test-net-mqtt.uldata -m '{"time":"2023-07-08T06:55:02.000Z","networkAddr":"01000461","data":"74657374"}'
wait $SUB
"""
SCRIPT = SCRIPT.replace("mosquitto_sub -p", "mosquitto_sub -h 127.0.0.1 -p")
SCRIPT = SCRIPT.replace("mosquitto_pub -p", "mosquitto_pub -h 127.0.0.1 -p")

CONFIG = """// upstream's example, changed as its Quick Start says
{
    "log": { "level": "info", "style": "log4j" },
    "server": {
        "httpPort": 0,
        //"certFile": "/home/user/rust/conf/certs/sylvia-iot.crt",
        "staticPath": "static",
    },
    "auth": {
        "db": { "engine": "sqlite", "sqlite": { "path": "test.db" },
            "mongodb": { "url": "mongodb://localhost:27017",
                "database": "test1" } },
        "templates": { //"login": "/home/user/rust/static/login.j2",
        },
        "apiScopes": { "auth.tokeninfo.get": [], "user.get": [] },
    },
    "broker": {
        "auth": "http://localhost:1080/auth",
        "db": { "engine": "sqlite", "sqlite": { "path": "test.db" } },
        "cache": { "engine": "memory", "memory": { "device": 1000000,
            "deviceRoute": 1000000, "networkRoute": 1000000 } },
        "mq": { "prefetch": 100, "persistent": false,
            "sharedPrefix": "$share/sylvia-iot-broker/" },
        "mqChannels": {
            "unit": { "url": "amqp://localhost", "prefetch": 100 },
            "data": { "url": "amqp://localhost", "persistent": false } },
        "apiScopes": { "unit.get": [], },
    },
    "coremgr": {
        "auth": "http://localhost:1080/auth",
        "broker": "http://localhost:1080/broker",
        "mq": {
            "engine": { "amqp": "rabbitmq", "mqtt": "rumqttd" },
            "rabbitmq": { "username": "guest", "password": "guest",
                "ttl": 3600, "length": 10000 },
            "rumqttd": { "mqttPort": 0, "mqttsPort": 8883,
                "consolePort": 18083 } },
        "mqChannels": { "data": { "url": "amqp://localhost" } },
    },
    "coremgrCli": {
        "auth": "http://localhost:HTTP/auth",
        "coremgr": "http://localhost:HTTP/coremgr",
        "data": "http://localhost:HTTP/data",
        "clientId": "public",
        "redirectUri": "http://localhost:1080/auth/oauth2/redirect",
    },
    "data": {
        "db": { "engine": "sqlite", "sqlite": { "path": "test.db" } },
        "mqChannels": { "broker": { "url": "amqp://localhost" } },
    },
}
"""

MEMBERS = ["dataId", "time", "pub", "deviceId", "networkId", "networkCode",
           "networkAddr", "isPublic", "profile", "data"]
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def check_heard(folder):
    heard = json.loads((folder / "heard.json").read_text())
    assert list(heard) == MEMBERS
    assert re.match(r"\d{13}-[A-Za-z0-9]{12}$", heard["dataId"])
    assert re.match(r"\d{13}-[A-Za-z0-9]{8}$", heard["deviceId"])
    assert re.match(STAMP, heard["pub"])
    assert heard["time"] == "2023-07-08T06:55:02.000Z"
    assert heard["networkCode"] == "test-net-mqtt"
    assert heard["networkAddr"] == "01000461"
    assert heard["isPublic"] is False
    assert heard["profile"] == ""
    assert heard["data"] == "74657374"


def play(folder, cli, server, **env):
    done = subprocess.run(
        ["bash", "-c", SCRIPT], cwd=folder, text=True, timeout=LIMIT * 2,
        capture_output=True,
        env={**os.environ, "HOME": str(folder), "CLI": cli, "LOGIN": cli,
             "MQTT": str(server.mqtt_port), **env})
    assert done.returncode == 0, done.stdout + done.stderr
    login = json.loads((folder / "login.json").read_text())
    assert set(login) >= {"access_token", "refresh_token", "token_type",
                          "expires_in"}
    assert login["token_type"] == "bearer"
    check_heard(folder)


def test_the_quick_start_with_upstreams_names_and_settings(start, tmp_path):
    for name in ("sylvia-iot-core", "sylvia-iot-coremgr-cli"):
        (tmp_path / name).symlink_to(os.path.realpath(PROGRAM))
    config = tmp_path / "config.json5"
    config.write_text(CONFIG)
    server = start(program=[str(tmp_path / "sylvia-iot-core"), "-f",
                            str(config)])
    config.write_text(CONFIG.replace("HTTP", str(server.http_port)))
    play(tmp_path, "./sylvia-iot-coremgr-cli -f config.json5", server)
    assert (tmp_path / ".sylvia-iot-coremgr-cli.json").exists()
    assert server.call("GET", "/version?q=name").text == "sylvia-iot-core"


def test_the_quick_start_as_marram(server, tmp_path):
    play(tmp_path, PROGRAM, server, MARRAM_URL=server.url)


def test_what_arrives_before_the_subscriber_waits_for_it(site):
    from conftest import UPLINK
    network = site.network()
    network.publish(site.net_topic("uldata"), UPLINK)
    application = site.application()
    assert application.wait()[0]["data"] == "74657374"
    application.close()
    network.close()


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/healthz",
                                  "/readyz", "/version", "/metrics"])
def test_the_public_pages_answer(server, path):
    assert server.call("GET", path).status == 200


def test_openapi_names_every_path_of_the_spec(server):
    paths = server.call("GET", "/openapi.json").json()["paths"]
    for path, methods in {
            "/auth/oauth2/token": ["post"],
            "/auth/api/v1/auth/tokeninfo": ["get"],
            "/auth/api/v1/user": ["get", "patch", "post"],
            "/broker/api/v1/device/bulk": ["post"],
            "/broker/api/v1/unit/user/{userId}": ["delete"],
            "/coremgr/api/v1/application/{applicationId}/stats": ["get"],
            "/coremgr/api/v1/network/{networkId}/uldata": ["post"],
            "/data/api/v1/network-uldata/list": ["get"],
            "/data/api/v1/coremgr-opdata/count": ["get"]}.items():
        for method in methods:
            assert method in paths[path], (path, method)


def test_a_second_server_in_the_same_folder_is_refused(server):
    second = subprocess.run(
        [PROGRAM, "serve", "--data-dir", str(server.folder / "data"),
         "--http-port", "0", "--mqtt-port", "0"], text=True,
        capture_output=True, timeout=LIMIT)
    assert second.returncode == 1
    assert "is in use by another marram" in second.stderr


def test_the_sample_of_all_settings_starts_the_server(start, tmp_path):
    sample = subprocess.run([PROGRAM, "config", "sample"], text=True,
                            capture_output=True, check=True).stdout
    config = tmp_path / "all.json5"
    # every setting in force, at its default
    lines = [re.sub(r'^(\s*)//"', r'\1"', line)
             for line in sample.splitlines()]
    text = "\n".join(line for line in lines if ": null," not in line)
    text = re.sub(r'"(httpPort|port)": \d+', r'"\1": 0', text)
    config.write_text(text)
    server = start("-f", str(config))
    assert "no such setting" not in server.logged()
    assert server.call("GET", "/version").data["name"] == "marram"


def test_systemd_is_told(tmp_path, start):
    import socket
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(LIMIT)
        server = start(env={"NOTIFY_SOCKET": path})
        assert listener.recv(100) == b"READY=1\n"
        assert server.stop() == 0
        assert listener.recv(100) == b"STOPPING=1\n"

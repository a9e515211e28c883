"""A device that speaks as marram-edge does to the platform (the topics of
docs/decisions/edge-platform.md), for tests of the platform's side."""
import json
import threading

import paho.mqtt.client as mqtt

from conftest import LIMIT, until


class EdgeDevice:
    """Signs in as edge.UNIT.GATEWAY.ID and keeps what it is told."""

    def __init__(self, server, unit, gateway, name, secret=None, key=None,
                 session=True, wait=True):
        self.root = "marram/%s/gateway/%s/%s/" % (unit, gateway, name)
        self.told, self.granted, self.status = [], {}, None
        self.gone = threading.Event()
        self.client = mqtt.Client(client_id="edge-" + name,
                                  clean_session=not session)
        secret = secret or "secret-of-%s-" % name + "x" * 32
        self.client.username_pw_set(
            "edge.%s.%s.%s" % (unit, gateway, name),
            secret + (":" + key if key else ""))
        self.client.will_set(self.root + "online", "0", 1, True)
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda c, d, mid, granted: (
            self.granted.__setitem__(mid, granted[0]))
        self.client.on_disconnect = lambda *_: self.gone.set()
        self.client.connect("127.0.0.1", server.mqtt_port)
        self.client.loop_start()
        if wait:
            until("%s is let in or not" % name,
                  lambda: self.status is not None)

    def on_connect(self, client, _data, _flags, status):
        if status == 0:
            client.subscribe(self.root + "down/#", 1)
            client.publish(self.root + "online", "1", 1, True)
        self.status = status

    def on_message(self, _client, _data, message):
        self.told.append((message.topic[len(self.root):],
                          json.loads(message.payload or "null")))

    def say(self, rest, payload, device="main", service="-"):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        sent = self.client.publish("%sup/%s/%s/%s" % (
            self.root, device, service, rest), text, 1)
        sent.wait_for_publish(LIMIT)
        assert sent.is_published(), rest

    def subscribed(self, topic):
        """The reason code that the server answers."""
        mid = self.client.subscribe(topic, 1)[1]
        return until("an answer", lambda: (self.granted.get(mid, -1) + 1)) - 1

    def order(self, operation, device="main"):
        """The next operation of this name: its number and payload."""
        head = "down/%s/-/cmd/%s/" % (device, operation)

        def look():
            for i, (topic, payload) in enumerate(self.told):
                if topic.startswith(head):
                    del self.told[i]
                    return topic[len(head):], payload
            return None
        return until("the order " + operation, look)

    def close(self, clean=True):
        if clean:
            self.client.publish(self.root + "online", "0", 1,
                                True).wait_for_publish(LIMIT)
            self.client.disconnect()
        else:  # as by a cable that is pulled
            self.client._sock_close()
        self.client.loop_stop()

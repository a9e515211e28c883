"""What doubles of networks stand on: an MQTT client whose methods hear what
matches their filters, on any MQTT server."""
import json
import threading

import paho.mqtt.client as mqtt

from conftest import LIMIT, until


class Peer:
    """Hears `filters`, {filter: method}, when it is connected."""

    filters = {}

    def __init__(self, port, host="127.0.0.1", user=None, password=None,
                 client_id="", will=None):
        self.heard = []  # (topic, payload as text)
        self.lock = threading.Lock()
        self.ready = threading.Event()
        self.refused = None
        self.client = mqtt.Client(client_id=client_id)
        if user is not None:
            self.client.username_pw_set(user, password)
        if will is not None:
            self.client.will_set(will[0], will[1], qos=1, retain=True)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.ready.set()
        for wanted, method in self.filters.items():
            self.client.message_callback_add(wanted, self.hears(method))
        self.client.connect(host, port)
        self.client.loop_start()
        until("the MQTT sign-in",
              lambda: self.ready.is_set() or self.refused is not None)
        assert self.refused is None, self.refused

    def on_connect(self, client, _data, _flags, status):
        if status != 0:
            self.refused = status
            client.disconnect()
        elif self.filters:
            client.subscribe([(f, 1) for f in self.filters])
        else:
            self.ready.set()

    def hears(self, method):
        def on_message(_client, _data, message):
            text = message.payload.decode("utf-8", "replace")
            with self.lock:
                self.heard.append((message.topic, text))
            method(message.topic, text)
        return on_message

    def say(self, topic, payload, retain=False, wait=False):
        """From a callback it must not wait: paho sends after it."""
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload)
        sent = self.client.publish(topic, payload, qos=1, retain=retain)
        if wait:
            sent.wait_for_publish(LIMIT)
            assert sent.is_published()

    def topics(self):
        with self.lock:
            return [topic for topic, _ in self.heard]

    def wait(self, topic, n=1):
        """The payloads that came to a topic, when there are `n`."""
        def those():
            with self.lock:
                return [p for t, p in self.heard if t == topic]
        until("%d on %s" % (n, topic), lambda: len(those()) >= n)
        return those()

    def close(self):
        """Says goodbye: no will."""
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """The connection breaks: the server sends the will."""
        self.client._sock_close()
        self.client.loop_stop()

#!/usr/bin/python3
"""A component of a device: the mean of each measurement over a window, and an
alarm while a mean is above a threshold.

    examples/edge/mean.py --window 10 --name temperature --above 30

It hears te/+/+/+/+/m/+ on the device's broker, and publishes for each entity

    te/ENTITY/m/mean                 {"time": ..., "temperature": 23.4}
    te/ENTITY/a/temperature_high     {"severity": "major", "text": ...}

the alarm retained, and cleared when the mean is below again. Needs
python3-paho-mqtt."""
import argparse
import collections
import json
import time

import paho.mqtt.client as mqtt

ours = "mean"  # the type of what we publish: not to be heard again


class Window:
    def __init__(self):
        self.sums = collections.defaultdict(lambda: [0.0, 0])

    def add(self, name, value):
        s = self.sums[name]
        s[0] += value
        s[1] += 1

    def means(self):
        return {name: round(s / n, 6) for name, (s, n) in self.sums.items()}


class Component:
    def __init__(self, options):
        self.options = options
        self.windows = {}   # entity -> Window
        self.alarms = set()  # entities with an alarm
        self.client = mqtt.Client(client_id="example-mean")
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message

    def on_connect(self, client, _data, _flags, _code):
        client.subscribe("te/+/+/+/+/m/+", 1)

    def on_message(self, _client, _data, message):
        _root, *entity, _m, kind = message.topic.split("/")
        if kind == ours:
            return
        try:
            values = json.loads(message.payload)
        except ValueError:
            return  # the mapper tells about it on te/errors
        if not isinstance(values, dict):
            return
        window = self.windows.setdefault("/".join(entity), Window())
        for name, value in values.items():
            if name != "time" and type(value) in (int, float):
                window.add(name, value)

    def publish_means(self):
        for entity, window in self.windows.items():
            means = window.means()
            if not means:
                continue
            self.client.publish("te/%s/m/%s" % (entity, ours), json.dumps(
                {"time": time.time(), **means}), qos=1)
            if self.options.name in means:
                self.judge(entity, means[self.options.name])
        self.windows = {}

    def judge(self, entity, mean):
        topic = "te/%s/a/%s_high" % (entity, self.options.name)
        if mean > self.options.above and entity not in self.alarms:
            self.alarms.add(entity)
            self.client.publish(topic, json.dumps({
                "severity": "major", "text": "the mean of %s is %g, above %g" % (
                    self.options.name, mean, self.options.above)}),
                qos=2, retain=True)
        elif mean <= self.options.above and entity in self.alarms:
            self.alarms.remove(entity)
            self.client.publish(topic, "", qos=2, retain=True)

    def run(self):
        self.client.connect(self.options.host, self.options.port)
        due = time.monotonic() + self.options.window
        while True:
            left = due - time.monotonic()
            if left <= 0:
                self.publish_means()
                due += self.options.window
            elif self.client.loop(left) != mqtt.MQTT_ERR_SUCCESS:
                time.sleep(1)
                self.client.reconnect()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=1883)
    p.add_argument("--window", type=float, default=10, help="seconds")
    p.add_argument("--name", default="temperature", help="the value to judge")
    p.add_argument("--above", type=float, default=30)
    Component(p.parse_args()).run()


if __name__ == "__main__":
    main()

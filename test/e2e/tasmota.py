"""A double of a Tasmota device: relays, a dimmer, a sensor, discovery, and
those commands that a platform gives.

    tasmota.py PORT [TOPIC [FULL-TOPIC]]    runs one until its input ends
"""
import sys
import time

from mqtt_peer import Peer

SECTIONS = {"1": ("StatusPRM", 1), "2": ("StatusFWR", 2),
            "5": ("StatusNET", 5), "10": ("StatusSNS", 10),
            "11": ("StatusSTS", 11)}


class Tasmota(Peer):
    """`full_topic` and `prefixes` as in the device's settings. A `deaf` one
    hears commands and does not answer."""

    def __init__(self, port, topic="tasmota_A1B2C3", mac="020000A1B2C3",
                 name="Plug", relays=1, full_topic="%prefix%/%topic%/",
                 prefixes=("cmnd", "stat", "tele"), discovery=True,
                 version="12.5.0(tasmota)", group="tasmotas", **more):
        self.topic, self.mac, self.name = topic, mac, name
        self.full_topic, self.prefixes = full_topic, prefixes
        self.version, self.deaf = version, False
        self.relays = ["OFF"] * relays
        self.dimmer = 0
        self.sensors = {"DS18B20": {"Id": "00000A1", "Temperature": 20.6}}
        self.temp_unit = "C"
        self.settings = {"OtaUrl": "", "TelePeriod": 300}
        self.restarts = 0
        self.filters = {self.at(0, "+"): self.on_command,
                        self.at(0, "+", group): self.on_command}
        super().__init__(port, will=(self.at(2, "LWT"), "Offline"), **more)
        if discovery:
            self.discover()
        self.start()

    def at(self, prefix, command, topic=None):
        path = self.full_topic.replace("%prefix%", self.prefixes[prefix])
        path = path.replace("%topic%", topic or self.topic)
        return path.rstrip("/") + "/" + command

    # --- what it says by itself

    def discover(self):
        """None of the members that nobody reads."""
        where = "tasmota/discovery/%s/" % self.mac
        self.say(where + "config", {
            "ip": "192.0.2.7", "dn": self.name,
            "fn": [self.name] + [None] * 7, "hn": self.topic,
            "mac": self.mac, "md": "Sonoff Basic", "ofln": "Offline",
            "onln": "Online", "state": ["OFF", "ON", "TOGGLE", "HOLD"],
            "sw": self.version.split("(")[0], "t": self.topic,
            "ft": self.full_topic, "tp": list(self.prefixes),
            "rl": [1] * len(self.relays) + [0] * (8 - len(self.relays)),
            "so": {"4": 0}, "ver": 1}, retain=True, wait=True)
        self.say(where + "sensors", {"sn": self.sensor(), "ver": 1},
                 retain=True, wait=True)

    def start(self):
        self.say(self.at(2, "LWT"), "Online", retain=True)
        self.say(self.at(2, "INFO1"), {"Info1": {
            "Module": "Sonoff Basic", "Version": self.version,
            "GroupTopic": "cmnd/tasmotas/"}})
        self.say(self.at(2, "INFO2"), {"Info2": {
            "Hostname": self.topic, "IPAddress": "192.0.2.7"}})
        self.say(self.at(2, "INFO3"), {"Info3": {
            "RestartReason": "Software/System restart",
            "BootCount": self.restarts + 1}})
        self.tell()

    def tell(self):
        """What comes every `TelePeriod` seconds."""
        self.say(self.at(2, "STATE"), self.state())
        self.say(self.at(2, "SENSOR"), self.sensor())

    def press(self, relay=1):
        """Somebody presses the button."""
        self.switch(relay, "TOGGLE")

    # --- parts of payloads

    def now(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S")

    def relay_name(self, relay):
        return "POWER" if len(self.relays) == 1 else "POWER%d" % relay

    def state(self):
        state = {"Time": self.now(), "Uptime": "0T00:10:00",
                 "UptimeSec": 600, "Heap": 27, "SleepMode": "Dynamic",
                 "Sleep": 50, "LoadAvg": 19, "MqttCount": 1}
        for i, on in enumerate(self.relays):
            state[self.relay_name(i + 1)] = on
        state["Dimmer"] = self.dimmer
        state["Wifi"] = {"AP": 1, "SSId": "home", "Channel": 6, "RSSI": 62,
                         "Signal": -69, "LinkCount": 1}
        return state

    def sensor(self):
        return {"Time": self.now(), **self.sensors,
                "TempUnit": self.temp_unit}

    def status(self, which):
        return {"1": {"GroupTopic": "tasmotas",
                      "OtaUrl": self.settings["OtaUrl"],
                      "RestartReason": "Power On",
                      "BootCount": self.restarts + 1},
                "2": {"Version": self.version, "Core": "2_7_4_9",
                      "SDK": "2.2.2", "Hardware": "ESP8266EX"},
                "5": {"Hostname": self.topic, "IPAddress": "192.0.2.7",
                      "Mac": "02:00:00:A1:B2:C3"},
                "10": self.sensor(), "11": self.state()}[which]

    # --- commands

    def on_command(self, topic, payload):
        if not self.deaf:
            self.obey(topic.rsplit("/", 1)[1], payload)

    def obey(self, command, payload):
        name = command.rstrip("0123456789").lower()
        digits = command[len(name):]
        if name == "backlog":
            for one in payload.split(";"):
                self.obey(*(one.strip() + " ").split(" ", 1))
        elif name == "power":
            self.switch(int(digits or 1), payload.strip().upper())
        elif name == "dimmer":
            self.dimmer = int(payload or self.dimmer)
            if payload and self.dimmer > 0:
                self.relays[0] = "ON"
            self.result({self.relay_name(1): self.relays[0],
                         "Dimmer": self.dimmer})
        elif name == "status":
            self.tell_status(payload)
        elif name == "restart":
            self.result({"Restart": "Restarting"})
            self.restarts += 1
            self.start()
        elif name == "reset":
            self.result({"Reset": "Erase, Restarting"})
        elif name == "upgrade":
            self.result({"Upgrade": "Version %s from %s" % (
                self.version, self.settings["OtaUrl"])})
        elif command in self.settings:
            if payload:
                self.settings[command] = payload
            self.result({command: self.settings[command]})
        else:
            self.result({"Command": "Unknown"})

    def switch(self, relay, how):
        if not 1 <= relay <= len(self.relays):
            self.result({"Command": "Error"})
            return
        on = self.relays[relay - 1]
        if how in ("TOGGLE", "2"):
            on = "OFF" if on == "ON" else "ON"
        elif how in ("ON", "1", "TRUE"):
            on = "ON"
        elif how in ("OFF", "0", "FALSE"):
            on = "OFF"
        self.relays[relay - 1] = on
        name = self.relay_name(relay)
        self.result({name: on})
        self.say(self.at(1, name), on)

    def tell_status(self, which):
        which = which.strip() or "0"
        if which == "0":
            self.say(self.at(1, "STATUS"), {"Status": {
                "Module": 1, "DeviceName": self.name,
                "FriendlyName": [self.name], "Topic": self.topic}})
        for number, (header, n) in SECTIONS.items():
            if which in ("0", number):
                self.say(self.at(1, "STATUS%d" % n),
                         {header: self.status(number)})

    def result(self, what):
        self.say(self.at(1, "RESULT"), what)


if __name__ == "__main__":
    lamp = Tasmota(int(sys.argv[1]),
                   **dict(zip(("topic", "full_topic"), sys.argv[2:])))
    sys.stdin.read()
    lamp.vanish()

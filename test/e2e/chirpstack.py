"""A double of a ChirpStack v4 network server with its MQTT integration
(json=true), and of the devices behind it.

    chirpstack.py PORT EUI...    an uplink of each for each line of input
"""
import base64
import datetime
import json
import sys
import uuid

from mqtt_peer import Peer


class ChirpStack(Peer):
    """A downlink waits in its device's queue, and is sent after the device's
    next uplink, or at once to a device of class C. `outcome` says what becomes
    of it: "ack", "nack", "lost" (nothing is heard), "too long"."""

    def __init__(self, port, application="3f7a1c1e-0000-4000-8000-0000000000aa",
                 **more):
        self.application = application
        self.queues = {}   # EUI: downlinks that wait
        self.devices = {}  # EUI: name, class, frame counter, outcome
        self.refused_downs = []  # (why, payload)
        self.filters = {
            "application/%s/device/+/command/down" % application: self.on_down}
        super().__init__(port, **more)

    # --- devices

    def add(self, eui, name="Barn", device_class="CLASS_A", tags=None):
        self.devices[eui] = {"name": name, "class": device_class, "fCnt": 0,
                             "outcome": "ack", "tags": tags or {}}
        self.queues[eui] = []

    def event(self, eui, kind, **members):
        """proto3's JSON: what has its default is absent. A `time` or
        `deduplicationId` may be given."""
        device = self.devices[eui]
        now = datetime.datetime.now(datetime.timezone.utc)
        said = {"deduplicationId": str(uuid.uuid4()),
                "time": now.isoformat(timespec="microseconds"),
                "deviceInfo": {
                    "tenantId": "52f14cd4-0000-4000-8000-000000000001",
                    "tenantName": "tenant",
                    "applicationId": self.application,
                    "applicationName": "Farm",
                    "deviceProfileId": "52f14cd4-0000-4000-8000-000000000002",
                    "deviceProfileName": "LHT65",
                    "deviceName": device["name"], "devEui": eui,
                    "deviceClassEnabled": device["class"],
                    "tags": device["tags"]}}
        said.update(members)
        self.say("application/%s/device/%s/event/%s" % (
            self.application, eui, kind),
            {k: v for k, v in said.items()
             if v not in (0, False, "") or k == "tags"})

    def join(self, eui):
        self.devices[eui]["fCnt"] = 0
        self.event(eui, "join", devAddr="00189440")

    def up(self, eui, data=b"", port=2, snr=9.5, rssi=-48, **more):
        """`object` is what a codec of ChirpStack's own has made of it."""
        device = self.devices[eui]
        self.event(eui, "up", devAddr="00189440", adr=True, dr=5,
                   fCnt=device["fCnt"], fPort=port,
                   data=base64.b64encode(data).decode(),
                   rxInfo=[{"gatewayId": "0016c001f153a14c", "uplinkId": 4217,
                            "rssi": rssi, "snr": snr, "channel": 3,
                            "context": "AAAA", "metadata": {}}],
                   txInfo={"frequency": 867100000, "modulation": {"lora": {
                       "bandwidth": 125000, "spreadingFactor": 7,
                       "codeRate": "CR_4_5"}}},
                   regionConfigId="eu868", **more)
        device["fCnt"] += 1
        self.send_next(eui)

    def status(self, eui, battery=None, margin=7):
        if battery is None:
            self.event(eui, "status", margin=margin, externalPowerSource=True)
        else:
            self.event(eui, "status", margin=margin, batteryLevel=battery)

    # --- downlinks

    def on_down(self, topic, payload):
        eui = topic.split("/")[3]
        try:
            down = json.loads(payload)
            why = self.what_is_wrong(eui, down)
        except ValueError:
            down, why = None, "not JSON"
        if why:
            self.refused_downs.append((why, payload))  # only in its log
            return
        self.queues[eui].append(down)
        if self.devices[eui]["class"] == "CLASS_C":
            self.send_next(eui)

    def what_is_wrong(self, eui, down):
        if eui not in self.devices:
            return "no such device"
        if down.get("devEui") != eui:
            return "devEui is not that of the topic"
        if not 1 <= down.get("fPort", 0) <= 223:
            return "fPort"
        if ("data" in down) == ("object" in down):
            return "either data or object"
        if "data" in down:
            base64.b64decode(down["data"], validate=True)
        uuid.UUID(down["id"])
        return None

    def send_next(self, eui):
        if not self.queues[eui]:
            return
        down = self.queues[eui].pop(0)
        outcome = self.devices[eui]["outcome"]
        if outcome == "too long":
            self.event(eui, "log", level="ERROR",
                       code="DOWNLINK_PAYLOAD_SIZE",
                       description="Device queue-item discarded because it "
                       "exceeds the max. payload size",
                       context={"queue_item_id": down["id"]})
        elif outcome != "lost":
            self.event(eui, "txack", downlinkId=17, queueItemId=down["id"],
                       fCntDown=1, gatewayId="0016c001f153a14c")
            if down.get("confirmed"):
                self.event(eui, "ack", queueItemId=down["id"], fCntDown=1,
                           acknowledged=outcome == "ack")

    def waiting(self, eui):
        return len(self.queues[eui])


if __name__ == "__main__":
    network = ChirpStack(int(sys.argv[1]))
    for device in sys.argv[2:]:
        network.add(device, tags={"room": "barn"})
        network.join(device)
    for line in sys.stdin:
        for device in sys.argv[2:]:
            network.up(device, line.strip().encode(),
                       object={"air": {"t": 21.5}})
    network.close()

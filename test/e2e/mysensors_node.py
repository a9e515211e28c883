#!/usr/bin/python3
"""MySensors nodes, and the gateway they are heard through, for tests.

A `Radio` is what stands at the end of a serial cable or a TCP connection: it
carries lines to nodes and back. It is strict: what a real gateway would cut or
misread is written to `faults`.

    radio = Radio.tcp()            # listens on radio.port
    radio = Radio.pty()            # a serial port at radio.path
    radio = Radio.mqtt(1883)       # publishes below out/, listens to in/#
    node = radio.node()            # has no id yet
    node.join("Hall", "1.0", {1: (6, "Hall"), 2: (3, "Lamp")})
    node.send(1, V_TEMP, "21.5")
    node.wait_set(2, V_STATUS)     # "1"; echoed when an echo was asked for
    node.sleep(); node.wake()
    node.wait_boot()               # after a reboot: takes a firmware, if told

As a program it runs a whole story against one gateway and tells it by lines:

    mysensors_node.py tcp|pty|mqtt PORT
"""
import os
import queue
import socket
import sys
import threading
import time
import tty

from ports import free_port

PRESENTATION, SET, REQUEST, INTERNAL, STREAM = range(5)
V_TEMP, V_STATUS = 0, 2
I_BATTERY_LEVEL, I_TIME, I_ID_REQUEST, I_ID_RESPONSE, I_CONFIG = 0, 1, 3, 4, 6
I_SKETCH_NAME, I_SKETCH_VERSION, I_REBOOT, I_GATEWAY_READY = 11, 12, 13, 14
I_HEARTBEAT_REQUEST, I_PRESENTATION, I_DISCOVER_REQUEST = 18, 19, 20
I_DISCOVER_RESPONSE, I_HEARTBEAT_RESPONSE = 21, 22
I_PRE_SLEEP, I_POST_SLEEP = 32, 33
CONFIG_REQUEST, CONFIG_RESPONSE, FIRMWARE_REQUEST, FIRMWARE_RESPONSE = range(4)
ALL = ITSELF = 255
PATIENCE = 60
BLOCK = 16
RETRY = 0.5  # seconds until a block is asked for again
UNHEARD = 20  # seconds until it takes it that nobody has an image for it
RETRIES = 100


class Fault(Exception):
    """The other side did what it must not do, or did nothing."""


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def words(*numbers):
    return b"".join(n.to_bytes(2, "little") for n in numbers).hex().upper()


def read_words(text, n):
    data = bytes.fromhex(text)
    return [int.from_bytes(data[2 * i:2 * i + 2], "little") for i in range(n)]


class Radio:
    def __init__(self):
        self.nodes = []
        self.faults = []
        self.lines = []  # all that came, for tests that look
        self.lock = threading.Lock()
        self.up = threading.Event()
        self.fd = None
        self.conn = None
        self.client = None

    @classmethod
    def tcp(cls, port=None):
        self = cls()
        self.port = port or free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    @classmethod
    def pty(cls):
        self = cls()
        self.fd, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self.slave = slave  # kept open, or the line hangs up
        self.up.set()
        threading.Thread(target=self._read, args=(
            lambda: os.read(self.fd, 4096),), daemon=True).start()
        return self

    @classmethod
    def mqtt(cls, port, out="out", to="in", user=None, password=None):
        """The caller sees to it that the other side listens before a node
        says anything."""
        import paho.mqtt.client as paho
        self = cls()
        self.out = out
        self.client = paho.Client()
        if user is not None:
            self.client.username_pw_set(user, password)
        self.client.on_connect = lambda *_: self.client.subscribe(to + "/#")
        self.client.on_subscribe = lambda *_: self.up.set()
        self.client.on_message = lambda _, __, m: self._hear(b";".join(
            m.topic[len(to) + 1:].encode().split(b"/") + [m.payload]))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        return self

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:  # it was closed
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conn = conn
            self.up.set()
            self.put(0, ITSELF, INTERNAL, 0, I_GATEWAY_READY,
                     "Gateway startup complete.")
            self._read(lambda: conn.recv(4096))
            self.up.clear()

    def _read(self, read):
        rest = b""
        while True:
            try:
                data = read()
            except OSError:
                return
            if not data:
                return
            rest += data
            *lines, rest = rest.split(b"\n")
            for line in lines:
                self._hear(line)

    def _hear(self, raw):
        try:
            line = raw.decode()
            self.lines.append(line)
            parts = line.split(";", 5)
            node, child, command, ack, kind = map(int, parts[:5])
            payload = parts[5]
            size = len(payload.encode())
            if command == STREAM:
                size = len(bytes.fromhex(payload))
            if not (0 <= node <= 255 and 0 <= child <= 255 and
                    SET <= command <= STREAM and ack in (0, 1) and
                    0 <= kind <= 255):
                raise ValueError("a number out of its range")
            if size > 25:
                raise ValueError("%d bytes of payload" % size)
            if node == ALL and ack:
                raise ValueError("an echo of everybody")
        except (ValueError, IndexError) as why:
            self.faults.append("%r: %s" % (raw, why))
            return
        for one in list(self.nodes):
            if node in (one.id, ALL):
                one.hear(child, command, ack, kind, payload)

    def put(self, node, child, command, ack, kind, payload=""):
        line = "%d;%d;%d;%d;%d;%s\n" % (node, child, command, ack, kind,
                                        payload)
        if self.client is not None:
            self.client.publish("%s/%d/%d/%d/%d/%d" % (
                self.out, node, child, command, ack, kind), payload)
            return
        with self.lock:
            if self.fd is not None:
                os.write(self.fd, line.encode())
            else:
                self.conn.sendall(line.encode())

    def wait_up(self):
        if not self.up.wait(PATIENCE):
            raise Fault("nobody has connected")

    def node(self, **options):
        one = Node(self, **options)
        self.nodes.append(one)
        return one


class Node:
    """One node with MYSBootloader. `lose` of its block requests are lost on
    their way, every `lose`th."""

    def __init__(self, radio, lose=0, forward=False):
        self.radio = radio
        self.id = ALL
        self.lose, self.forward = lose, forward
        self.awake = True
        self.inbox = queue.Queue()
        self.running = [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]  # of the firmware
        self.image = b""
        self.values = {}
        self.boots = 0

    # --- what it says

    def put(self, child, command, kind, payload="", ack=0):
        self.radio.put(self.id, child, command, ack, kind, payload)

    def internal(self, kind, payload=""):
        self.put(ITSELF, INTERNAL, kind, payload)

    def send(self, child, kind, payload):
        self.put(child, SET, kind, payload)

    def present(self):
        self.put(ITSELF, PRESENTATION, 17, "2.3.2")
        self.internal(I_CONFIG, "0")
        self.units = self.wait(INTERNAL, I_CONFIG)[4]
        self.internal(I_SKETCH_NAME, self.name)
        self.internal(I_SKETCH_VERSION, self.version)
        for child, (kind, text) in self.children.items():
            self.put(child, PRESENTATION, kind, text)

    def join(self, name, version, children):
        self.name, self.version, self.children = name, version, children
        self.radio.wait_up()
        self.get_id()
        self.present()

    def get_id(self):
        self.internal(I_ID_REQUEST)
        given = int(self.wait(INTERNAL, I_ID_RESPONSE)[4])
        if not 1 <= given <= 254:
            raise Fault("id %d" % given)
        self.id = given

    def time(self):
        self.internal(I_TIME)
        return int(self.wait(INTERNAL, I_TIME)[4])

    # --- what it hears

    def hear(self, child, command, ack, kind, payload):
        if not self.awake:
            return
        if self.id == ALL and (command, kind) != (INTERNAL, I_ID_RESPONSE):
            return
        if ack:
            self.radio.put(self.id, child, command, 1, kind, payload)
        if command == SET:
            self.values[child, kind] = payload
        if command == INTERNAL and kind == I_HEARTBEAT_REQUEST:
            self.internal(I_HEARTBEAT_RESPONSE,
                          str(int(time.monotonic() * 1000) % 2**32))
        elif command == INTERNAL and kind == I_DISCOVER_REQUEST:
            self.internal(I_DISCOVER_RESPONSE, "0")
        else:
            self.inbox.put((child, command, ack, kind, payload))

    def wait(self, command, *kinds, patience=PATIENCE):
        """The next message of this kind; others before it are dropped."""
        end = time.monotonic() + patience
        while True:
            try:
                m = self.inbox.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise Fault("node %d has waited for command %d type %s" %
                            (self.id, command, kinds)) from None
            if m[1] == command and m[3] in kinds:
                return m

    def wait_set(self, child, kind):
        while True:
            m = self.wait(SET, kind)
            if m[0] == child:
                return m[4]

    # --- sleep

    def sleep(self):
        """Tells, stays awake for a moment, then is deaf."""
        self.internal(I_PRE_SLEEP, "500")
        time.sleep(0.5)
        self.awake = False

    def wake(self):
        self.awake = True
        self.internal(I_POST_SLEEP, "1000")

    # --- firmware

    def wait_boot(self):
        """Waits until it is rebooted, or told what to run; then boots. True
        when it runs something new."""
        m = self.wait_any((INTERNAL, I_REBOOT), (STREAM, CONFIG_RESPONSE))
        return self.boot() if m[1] == INTERNAL else self.take(m[4])

    def wait_any(self, *kinds):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                m = self.inbox.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise Fault("node %d was told nothing" % self.id) from None
            if (m[1], m[3]) in kinds:
                return m

    def boot(self):
        self.boots += 1
        self.put(ITSELF, STREAM, CONFIG_REQUEST, words(*self.running, 0x0301))
        try:
            m = self.wait(STREAM, CONFIG_RESPONSE, patience=UNHEARD)
        except Fault:  # nobody answers: it goes on with what it has
            self.present()
            return False
        return self.take(m[4])

    def take(self, payload):
        config = read_words(payload, 4)
        if len(payload) != 16:
            raise Fault("a config of %d digits" % len(payload))
        if config[2] == 0 and config[3] == 0xDA7A:
            self.id = ALL  # the EEPROM is empty
            self.get_id()
            self.present()
            return False
        if config == self.running:
            self.present()
            return False
        self.image = self.download(config)
        self.running = config
        self.present()
        return True

    def download(self, config):
        kind, version, total, crc = config
        image = bytearray(b"\0" * (total * BLOCK))
        order = range(total) if self.forward else range(total - 1, -1, -1)
        asked = 0
        for block in order:
            for _ in range(RETRIES):
                asked += 1
                if not (self.lose and asked % self.lose == 0):
                    self.put(ITSELF, STREAM, FIRMWARE_REQUEST,
                             words(kind, version, block))
                try:
                    m = self.wait(STREAM, FIRMWARE_RESPONSE, patience=RETRY)
                except Fault:
                    continue
                got = read_words(m[4], 3)
                data = bytes.fromhex(m[4])[6:]
                if got == [kind, version, block] and len(data) == BLOCK:
                    break
            else:
                raise Fault("block %d of %d did not come" % (block, total))
            image[block * BLOCK:(block + 1) * BLOCK] = data
        if crc16(image) != crc:
            raise Fault("the sum is %04X and not %04X" % (crc16(image), crc))
        return bytes(image)


def story(radio):
    """A life: told line by line, so that a test can play the other side."""
    def say(text):
        print(text, flush=True)

    node = radio.node(lose=7)
    node.join("Hall", "1.0", {1: (6, "Hall"), 2: (3, "Lamp")})
    say("id %d units %s" % (node.id, node.units))
    say("time %d" % node.time())
    node.internal(I_BATTERY_LEVEL, "87")
    node.send(1, V_TEMP, "21.5")
    say("lamp %s" % node.wait_set(2, V_STATUS))
    node.sleep()
    say("asleep")
    sys.stdin.readline()
    node.wake()
    node.internal(I_PRE_SLEEP, "500")
    say("lamp %s" % node.wait_set(2, V_STATUS))
    say("ready")
    if node.wait_boot():
        say("runs %d %d: %d bytes, sum %04X" % (
            node.running[0], node.running[1], len(node.image),
            crc16(node.image)))
    node.wait_boot()  # to be reset
    say("id %d" % node.id)
    for fault in radio.faults:
        say("fault %s" % fault)
    say("end")


def main():
    if sys.argv[1:] == ["tcp"]:
        radio = Radio.tcp()
        print("port %d" % radio.port, flush=True)
    elif sys.argv[1:] == ["pty"]:
        radio = Radio.pty()
        print("pty %s" % radio.path, flush=True)
    elif sys.argv[1:2] == ["mqtt"] and len(sys.argv) == 3:
        radio = Radio.mqtt(int(sys.argv[2]))
        radio.wait_up()
        print("connected", flush=True)
        sys.stdin.readline()
    else:
        sys.exit(__doc__)
    try:
        story(radio)
    except Fault as why:
        print("fault %s" % why, flush=True)
        sys.exit(1)
    sys.stdin.readline()  # the others decide when it is over


if __name__ == "__main__":
    main()

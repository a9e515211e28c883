#!/usr/bin/env python3
"""Runs the interoperability tests of Eclipse Paho against the test server.

    python3 test/conformance/paho_suite.py DIRECTORY [MQTTD]

DIRECTORY is "interoperability" of the public repository paho.mqtt.testing (see
README.md); MQTTD is the test server, by default that of build/. Each test runs
in a process and with a server of its own. Prints a table and totals; ends with
0 if nothing failed but what is known to contradict the standard.
"""
import concurrent.futures
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "../../build/test/conformance/mqttd")
SETTINGS = ["--deny-subscribe", "test/nosubscribe", "--max-keepalive-s", "60"]
WORKERS = 6  # they mostly sleep

# The suite sets these when it is run as a program.
TOPICS = ["TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA"]
WILD = ["TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#"]

# What the suite asks against the standard, and where the standard says so.
CONTRADICTS = {
    ("client_test5", "test_subscribe_failure"):
        "wants a SUBACK code of 0, 1, 2 or 0x80; 3.9.3 of MQTT 5.0 has 0x87 "
        "(not authorized) for just this",
}


def prepare(file, port):
    """The module with the globals it has as a program."""
    module = __import__(file)
    prefix = "client_test5/" if file == "client_test5" else ""
    module.host, module.port = "127.0.0.1", port
    module.topic_prefix = prefix
    module.topics = [prefix + t for t in TOPICS]
    module.wildtopics = [prefix + t for t in WILD]
    module.nosubscribe_topics = ("test/nosubscribe",)
    return module


def names(file):
    loaded = unittest.TestLoader().loadTestsFromModule(prepare(file, 0))
    return [test.id().split(".")[-1] for suite in loaded for test in suite]


def run_one(file, name, port):
    """In the process of its own."""
    test = unittest.TestLoader().loadTestsFromName(
        "Test." + name, prepare(file, port))
    result = unittest.TextTestRunner(sys.stderr).run(test)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if result.wasSuccessful() else 1)  # its threads may linger


def run_in_process(directory, mqttd, file, name):
    server = subprocess.Popen([mqttd, *SETTINGS], stdout=subprocess.PIPE,
                              text=True)
    port = server.stdout.readline().split()[0]
    try:
        done = subprocess.run(
            [sys.executable, __file__, directory, "--one", file, name, port],
            capture_output=True, text=True, timeout=120, check=False)
        passed, said = done.returncode == 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        passed, said = False, "took more than 120 s"
    server.terminate()
    if server.wait(10) != 0:
        passed, said = False, said + "\nthe server ended badly"
    return passed, said


def main():
    directory = os.path.abspath(sys.argv[1])
    sys.path.insert(0, directory)
    if sys.argv[2:3] == ["--one"]:
        run_one(sys.argv[3], sys.argv[4], int(sys.argv[5]))
    mqttd = sys.argv[2] if len(sys.argv) > 2 else BUILT
    tests = [(f, n) for f in ("client_test", "client_test5") for n in names(f)]
    counts, bad = {}, 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        results = pool.map(
            lambda t: run_in_process(directory, mqttd, *t), tests)
        for (file, name), (passed, said) in zip(tests, results):
            why = CONTRADICTS.get((file, name))
            verdict = "pass" if passed else "contradicts" if why else "FAIL"
            print("%-12s %-32s %s" % (file, name, verdict), flush=True)
            if verdict == "contradicts":
                print("%-12s   %s" % ("", why))
            if verdict == "FAIL":
                print(said)
                bad += 1
            total, good = counts.get(file, (0, 0))
            counts[file] = (total + 1, good + passed)
    for file, (total, good) in counts.items():
        print("%s: %d of %d pass" % (file, good, total))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""The MQTT server killed 200 times at random instants."""
import os
import pathlib
import random
import sys

here = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("MQTTD", str(pathlib.Path(os.environ["MARRAM"])
                                   .resolve().parent.parent.parent /
                                   "test/conformance/mqttd"))
sys.path.insert(0, str(here / "conformance"))

from durable import crash_rounds  # noqa: E402

ROUNDS = 200


def test_200_crashes_lose_nothing_and_double_no_qos_2(tmp_path):
    assert crash_rounds(tmp_path / "j", ROUNDS, random.Random(1)) > 5000

"""The metric store killed 200 times at random instants."""
import os
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("METRICD", str(pathlib.Path(os.environ["MARRAM"])
                                     .resolve().parent.parent.parent /
                                     "test/conformance/metricd"))
sys.path.insert(0, str(here / "conformance"))

from metric_test import crash_rounds  # noqa: E402


def test_200_crashes_lose_no_committed_point(tmp_path):
    assert crash_rounds(str(tmp_path), "sync", 200) > 10000

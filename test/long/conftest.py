"""The long tests use what the black-box tests use."""
import importlib.util
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent.parent / "e2e"
sys.path.insert(0, str(here))
spec = importlib.util.spec_from_file_location("e2e_conftest",
                                              here / "conftest.py")
e2e = importlib.util.module_from_spec(spec)
sys.modules["e2e_conftest"] = e2e
spec.loader.exec_module(e2e)
start, server, site = e2e.start, e2e.server, e2e.site
# what the modules of e2e take from their conftest
LIMIT, PROGRAM, ROOT = e2e.LIMIT, e2e.PROGRAM, e2e.ROOT
all_bytes, until = e2e.all_bytes, e2e.until

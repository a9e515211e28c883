"""Deployments to devices that run NixOS, what takes its time: checks, devices that are
off or cut off, a server that is killed."""
from conftest import until
from fleet_nixos import NEEDED, fleet

pytestmark = NEEDED


def test_checks_decide_and_a_late_failure_takes_all_back(fleet):
    f = fleet("pi", "other")
    one, two = f.device("pi"), f.device("other")
    before = one.current(), two.current()
    f.set("pi", "2", switch="    touch /run/well")
    f.set("other", "2")
    f.commit("second")
    no = f.post("deployment", checks=[{"argv": ["test", "-e", "/run/well"]}])
    d = f.ended(no)
    assert d["state"] == "rolledBack" and "not well: test -e /run/well" in d["reason"]
    assert f.states(no) == {"pi-1": "rolledBack", "pi-2": "rolledBack"}
    assert (one.current(), two.current()) == before
    assert one.profile() == before[0] and two.profile() is None


def test_a_device_that_cuts_itself_off_comes_back_by_itself(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2", switch="    kill $(cat /run/sshd.pid); sleep 1\n"
          '    ln -sfn "$top" /run/current-system; exit 0')
    f.commit("it cuts itself off")
    no = f.post("deployment")
    ended = f.ended(no)
    assert ended["state"] == "rolledBack", f.outputs(no)
    assert "taken itself back" in ended["reason"] or "reached" in ended["reason"]
    assert d.current() == before and d.listens()


def test_a_device_that_starts_again_has_what_it_had(fleet):
    f = fleet("pi")
    d = f.device("pi")
    before = d.current()
    f.set("pi", "2")
    f.commit("second")
    no = f.post("deployment", checks=[{"argv": ["test", "-e", "/run/never"]}])
    until("it checks", lambda: f.states(no) == {"pi-1": "checks"}, 60)
    assert d.current() == f.build("pi") != before
    d.stop()
    until("it is to go back", lambda: f.states(no) == {"pi-1": "rollback"}, 60)
    d.start()
    assert d.current() == before
    assert f.ended(no)["state"] == "rolledBack", f.outputs(no)
    assert d.current() == before and d.profile() is None
    no = f.post("deployment")
    assert f.ended(no)["state"] == "done", f.outputs(no)


def test_a_device_that_is_off_gets_it_when_it_is_back(fleet):
    f = fleet("pi")
    d = f.device("pi")
    d.stop()
    f.set("pi", "2")
    f.commit("second")
    first = f.post("deployment")
    until("it waits", lambda: f.states(first) == {"pi-1": "waiting"}, 60)
    second = f.post("deployment")
    assert f.ended(first)["state"] == "done"
    assert f.states(first) == {"pi-1": "superseded"}
    until("it waits", lambda: f.states(second) == {"pi-1": "waiting"}, 60)
    d.start()
    assert f.ended(second)["state"] == "done", f.outputs(second)
    assert d.current() == f.build("pi")


def test_a_server_that_is_killed_goes_on(fleet):
    f = fleet("pi")
    many = [f.device("pi") for _ in range(10)]
    f.set("pi", "2", switch="    sleep 1")
    f.commit("second")
    no = f.post("deployment", canary=1, atOnce=4)
    until("the first", lambda: "done" in f.states(no).values(), 60)
    until("some apply", lambda: "apply" in f.states(no).values(), 60)
    f.server.restart(9)
    f.token = f.server.login()
    assert f.ended(no, 240)["state"] == "done", f.outputs(no)
    built = f.build("pi")
    assert {d.current() for d in many} == {d.profile() for d in many} == {built}
    # each was switched once for all that
    for d in many:
        runs = [p for p in (d.root / "lib").iterdir() if (p / "log").exists()]
        assert len(runs) == 1, d.name

#!/usr/bin/python3
"""Programs of a device that is only a folder: each link to this file is one.
What they know is in $MARRAM_ROOT/state.json, so that a test can look at it."""
import fcntl
import json
import os
import sys

ROOT = os.environ["MARRAM_ROOT"]
NAME = os.path.basename(sys.argv[0])
ARGS = sys.argv[1:]
FRESH = {"packages": {"base": "1.0", "other": "1"},
         "users": {"root": {"uid": 0, "gid": 0, "comment": "", "home": "/root",
                            "shell": "/bin/sh", "hash": "*", "groups": []}},
         "groups": {"root": 0, "plant": 50},
         "units": {"old.service": {"enabled": True, "active": True}},
         "boxes": {}, "host": "before"}
# What a repository has; "broken" can not be installed.
SHOP = {"base": ["1.0", "2.0"], "tool": ["1.0", "1.1"], "other": ["1"],
        "tool-lib": ["1"]}


def fail(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def option(args, *names):
    """Takes an option with its value out of args."""
    for name in names:
        if name in args:
            at = args.index(name)
            value = args[at + 1]
            del args[at:at + 2]
            return value
    return None


def getent(s):
    base, name = ARGS
    users, groups = s["users"], s["groups"]
    if base in ("passwd", "shadow"):
        for user, u in users.items():
            if name in (user, str(u["uid"])):
                print("%s:x:%d:%d:%s:%s:%s" % (
                    user, u["uid"], u["gid"], u["comment"], u["home"],
                    u["shell"]) if base == "passwd"
                    else "%s:%s:::::" % (user, u["hash"]))
                return
    for group, gid in groups.items():
        if base == "group" and name in (group, str(gid)):
            print("%s:x:%d:%s" % (group, gid, ",".join(
                user for user, u in users.items() if group in u["groups"])))
            return
    sys.exit(2)


def id_(s):
    user = s["users"].get(ARGS[-1])
    if user is None:
        fail("no such user")
    first = [g for g, n in s["groups"].items() if n == user["gid"]]
    if "-gn" in ARGS:
        print(first[0])
    elif "-nG" in ARGS:
        print(" ".join(first + user["groups"]))
    else:
        print(user["uid"])


def useradd(s):
    args, user = ARGS[:-1], ARGS[-1]
    if (user in s["users"]) != (NAME == "usermod"):
        fail("%s: user '%s'" % (NAME, user))
    uid = option(args, "-u")
    gid = option(args, "-g")
    u = s["users"].get(user)
    if u is None:
        uid = int(uid or 1000 + len(s["users"]))
        if gid is None:
            s["groups"].setdefault(user, uid)
            gid = user
        u = {"uid": uid, "gid": uid, "comment": "", "shell": "/bin/sh",
             "home": "/home/" + user, "hash": "!", "groups": []}
        s["users"][user] = u
    elif uid:
        u["uid"] = int(uid)
    if gid is not None:
        u["gid"] = s["groups"][gid] if gid in s["groups"] else int(gid)
    for key, name in (("comment", "-c"), ("shell", "-s"), ("home", "-d")):
        value = option(args, name)
        if value is not None:
            u[key] = value
    more = option(args, "-G")
    if more is not None:
        more = [g for g in more.split(",") if g]
        if [g for g in more if g not in s["groups"]]:
            fail("%s: group '%s' does not exist" % (NAME, more[0]))
        keep = u["groups"] if "-a" in args else []
        u["groups"] = sorted(set(keep + more))
    if "-m" in args:
        os.makedirs(ROOT + u["home"], exist_ok=True)


def userdel(s):
    user = s["users"].pop(ARGS[-1], None)
    if user is None:
        fail("userdel: no user", 6)
    if s["groups"].get(ARGS[-1]) == user["gid"]:
        del s["groups"][ARGS[-1]]
    if "-r" in ARGS:
        os.system("rm -rf '%s'" % (ROOT + user["home"]))


def groupadd(s):
    args, group = ARGS[:-1], ARGS[-1]
    gid = option(args, "-g")
    if NAME == "groupdel":
        del s["groups"][group]
        for u in s["users"].values():
            u["groups"] = [g for g in u["groups"] if g != group]
    else:
        s["groups"][group] = int(gid or 900 + len(s["groups"]))


def chpasswd(s):
    user, hashed = sys.stdin.readline().rstrip("\n").split(":", 1)
    s["users"][user]["hash"] = hashed


def dpkg_query(s):
    names = [a for a in ARGS if a in s["packages"]] if not ARGS[-1].endswith(
        "\\n") else sorted(s["packages"])
    whole = "binary:Package" in " ".join(ARGS)
    for name in names:
        print("installed %s%s" % (name + "=" if whole else "",
                                  s["packages"][name]))
    if not names:
        sys.exit(1)


def dpkg(s):
    if ARGS[0] == "--purge":
        for name in ARGS[1:]:
            s["packages"].pop(name, None)


def apt_get(s):
    if "install" not in ARGS:
        return
    for word in ARGS[ARGS.index("install") + 1:]:
        name, _, version = word.partition("=")
        if name.startswith("--"):
            continue
        if name.endswith("-"):
            s["packages"].pop(name[:-1], None)
            continue
        if name not in SHOP or version and version not in SHOP[name]:
            fail("E: Unable to locate package " + word, 100)
        s["packages"][name] = version or SHOP[name][-1]
        if name == "tool":
            s["packages"]["tool-lib"] = "1"


def systemctl(s):
    verb = ARGS[0]
    names = [a for a in ARGS[1:] if not a.startswith("-") and "." in a]
    if verb == "daemon-reload" or names[0] == "marram-fleet-boot.service":
        return
    name = names[0]
    unit = s["units"].get(name)
    if unit is None and os.path.exists(ROOT + "/etc/systemd/system/" + name):
        unit = s["units"][name] = {"enabled": False, "active": False}
    if verb == "show":
        print("Type=simple\nResult=success\nActiveState=%s" % (
            "active" if unit and unit["active"] else "inactive"))
    elif unit is None:
        fail("Unit %s not found." % name, 5)
    elif verb == "is-enabled":
        print("enabled" if unit["enabled"] else "disabled")
    elif verb in ("enable", "disable"):
        unit["enabled"] = verb == "enable"
    elif verb in ("start", "restart"):
        with open(ROOT + "/starts", "a") as f:
            f.write("%s %s\n" % (verb, name))
        unit["active"] = "bad" not in name  # it says so, and dies
    elif verb == "stop":
        unit["active"] = False
    elif verb == "status":
        print(name, unit)


def podman(s):
    boxes, verb = s["boxes"], ARGS[0]
    if verb == "container":
        box = boxes.get(ARGS[-1])
        if box is None:
            fail("no such container", 125)
        print("%s %s" % ("true" if box["up"] else "false", box["sum"]))
    elif verb == "run":
        name = ARGS[ARGS.index("--name") + 1]
        declared = ARGS[ARGS.index("--label") + 1].partition("=")[2]
        if name in boxes:
            fail("the name is in use", 125)
        boxes[name] = {"up": True, "sum": declared,
                       "args": ARGS[ARGS.index("--restart=always") + 1:]}
    elif verb == "rename":
        boxes[ARGS[2]] = boxes.pop(ARGS[1])
    elif verb == "rm":
        boxes.pop(ARGS[-1])
    elif verb in ("start", "stop"):
        boxes[ARGS[-1]]["up"] = verb == "start"
    elif verb == "ps":
        print("\n".join(boxes))


def hostname(s):
    s["host"] = ARGS[0]


def chown(s):
    user, _, group = ARGS[0].partition(":")
    os.chown(ARGS[1], int(user) if user.isdigit() else s["users"][user]["uid"],
             int(group) if group.isdigit() else s["groups"][group])


def stat(s):
    st = os.stat(ARGS[2])
    users = {u["uid"]: name for name, u in s["users"].items()}
    groups = {gid: name for name, gid in s["groups"].items()}
    out = ARGS[1]
    for letter, value in (("%U", users.get(st.st_uid, "UNKNOWN")),
                          ("%G", groups.get(st.st_gid, "UNKNOWN")),
                          ("%u", st.st_uid), ("%g", st.st_gid),
                          ("%a", "%o" % (st.st_mode & 0o7777))):
        out = out.replace(letter, str(value))
    print(out)


def age(s):
    with open(ARGS[-1], "rb") as f:
        sys.stdout.buffer.write(f.read())


PROGRAMS = {
    "getent": getent, "id": id_, "useradd": useradd, "usermod": useradd,
    "userdel": userdel, "groupadd": groupadd, "groupmod": groupadd,
    "groupdel": groupadd, "chpasswd": chpasswd, "dpkg-query": dpkg_query,
    "dpkg": dpkg, "apt-get": apt_get, "systemctl": systemctl,
    "podman": podman, "hostname": hostname, "age": age,
    "uname": lambda s: print(s["host"]), "chown": chown,
    "stat": stat,
}

with open(ROOT + "/state.lock", "a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    at = ROOT + "/state.json"
    state = json.load(open(at)) if os.path.exists(at) else FRESH
    before = json.dumps(state, indent=1, sort_keys=True)
    PROGRAMS[NAME](state)
    for unit in list(state["units"]):
        if unit != "old.service" and not os.path.exists(
                ROOT + "/etc/systemd/system/" + unit):
            del state["units"][unit]
    after = json.dumps(state, indent=1, sort_keys=True)
    if after != before or not os.path.exists(at):
        with open(at + ".new", "w") as f:
            f.write(after)
        os.rename(at + ".new", at)

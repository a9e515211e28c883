"""The web application's types, from the description of the API.

An interface per object as it is answered, named by its title, and one per body,
named by its operation: hub.task.post takes a TaskPost. Where two differ that
would have one name, the later one has its module in front: CoremgrNetwork.
"""
import re

HEAD = ("// Made by test/docs.py --write from /openapi.json: not to be changed "
        "by hand.\n")


def pascal(words):
    return "".join(w[:1].upper() + w[1:] for w in re.split(r"[._-]", words))


class Types:
    def __init__(self):
        self.known = {}  # name: members

    def add(self, names, members):
        """The name under which these members are known."""
        for name in names:
            if self.known.setdefault(name, members) == members:
                return name
        raise SystemExit("no name is left for " + " or ".join(names))

    def of(self, schema, answered):
        if "enum" in schema:
            return " | ".join("null" if v is None else "'%s'" % v
                              for v in schema["enum"])
        kinds = schema.get("type", "any")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return " | ".join(self.plain(k, schema, answered) for k in kinds)

    def plain(self, kind, schema, answered):
        if kind in ("integer", "number"):
            return "number"
        if kind == "array":
            item = self.of(schema["items"], answered)
            return ("(%s)[]" if " " in item else "%s[]") % item
        if kind != "object":
            return kind
        if "additionalProperties" in schema:
            return "Record<string, %s>" % self.of(
                schema["additionalProperties"], answered)
        if "title" in schema:
            return self.add([schema["title"] + ("" if answered else "Given")],
                            self.members(schema, answered))
        if "properties" in schema and "anyOf" not in schema:
            return "{ %s }" % self.members(schema, answered)
        return "Record<string, any>"

    def members(self, schema, answered):
        required = schema.get("required", [])
        return "; ".join(
            "%s%s: %s" % (name, "" if name in required else "?",
                          self.of(s, answered))
            for name, s in schema["properties"].items())


def answered(types, operation, schema):
    """The object in an answer's `data`."""
    words = operation.split(".")
    while True:
        if schema.get("type") == "array":
            schema = schema["items"]
        elif "additionalProperties" in schema:
            schema = schema["additionalProperties"]
        else:
            break
    title, members = schema["title"], types.members(schema, True)
    if words[-1] == "post" and len(words) == 3 and \
            types.known.get(title) != members:
        types.add([title + "Added", pascal(operation) + "ed"], members)
    else:
        types.add([title, pascal(".".join(words[:-1])), pascal(operation)],
                  members)


def data_of(content):
    schema = content.get("application/json", {}).get("schema")
    return schema and schema.get("properties", {}).get("data", schema)


def make(document):
    types = Types()
    operations = {o["operationId"]: o for methods in
                  document["paths"].values() for o in methods.values()}
    # Lists, and modules that are not a second door, have the first choice.
    order = sorted(operations, key=lambda name: (
        name.startswith("coremgr."), not name.endswith(".list"), name))
    for name in order:
        o = operations[name]
        schema = data_of(o["responses"].get("200", {}).get("content", {}))
        if schema:
            answered(types, name, schema)
    for name in order:
        schema = data_of(operations[name].get("requestBody", {}).get("content", {}))
        if schema and "properties" in schema:
            types.add([pascal(name.split(".", 1)[1]), pascal(name)],
                      types.members(schema, False))
    return HEAD + "".join("export interface %s { %s }\n" % item
                          for item in sorted(types.known.items()))

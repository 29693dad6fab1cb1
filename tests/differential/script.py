"""Reads scenarios: text files with one step on each line. README.md in this directory describes the language."""

import re
from dataclasses import dataclass, field

from harness import protocol
from harness.jute import Writer

_TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")


class ScriptError(Exception):
    """A scenario that cannot be understood."""


@dataclass
class Step:
    """One line of a scenario, and the indented lines below it."""

    line: int
    client: str
    verb: str
    args: list
    options: dict
    flags: set
    text: str
    children: list = field(default_factory=list)


@dataclass
class Scenario:
    """The content of one file."""

    name: str
    settings: dict
    properties: dict
    steps: list
    # The zxids depend on chance, and are not compared.
    zxids_free: bool = False
    # Before the next step, the leader must have applied what was answered, because that step depends on its tree.
    leader_first: bool = False


def unquote(token):
    """Removes the quotes and resolves the escapes inside them."""

    def escape(match):
        what = match.group(1)
        if what[0] in "ux":
            return chr(int(what[1:], 16))
        return {"n": "\n", "t": "\t", "0": "\0"}.get(what, what)

    return _QUOTED.sub(lambda quoted: _ESCAPE.sub(escape, quoted.group(1)), token)


def parse_step(number, line, client=None):
    tokens = _TOKEN.findall(line)
    if client is None:
        client = tokens.pop(0)
    verb, args, options, flags = tokens.pop(0), [], {}, set()
    for token in tokens:
        key, equals, value = token.partition("=")
        if token.startswith("!"):
            flags.add(token[1:])
        elif equals and key.isidentifier():
            options[key] = unquote(value)
        else:
            args.append(unquote(token))
    return Step(number, client, verb, args, options, flags, line.strip())


def parse(path):
    settings, properties, steps, lines = {}, {}, [], set()
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.split(" # ")[0].rstrip()
        if not line or line.lstrip().startswith("#"):
            continue
        if line.startswith(("server ", "property ")):
            kind, pair = line.split(None, 1)
            key, _, value = pair.partition("=")
            (settings if kind == "server" else properties)[key] = value
        elif line in ("zxids free", "leader first"):
            lines.add(line)
        elif line[0].isspace():
            if not steps:
                raise ScriptError(f"{path}:{number}: an indented line with nothing above it")
            steps[-1].children.append(parse_step(number, line, steps[-1].client))
        else:
            steps.append(parse_step(number, line))
    # Otherwise the server would delete containers on its own when a scenario takes long.
    properties.setdefault("znode.container.checkIntervalMs", "86400000")
    return Scenario(path.stem, settings, properties, steps, "zxids free" in lines, "leader first" in lines)


def data(text):
    """Returns the bytes for null, hex:00ff, zeros:100, or the text itself."""
    if text == "null":
        return None
    kind, _, rest = text.partition(":")
    if kind == "hex":
        return bytes.fromhex(rest)
    if kind == "zeros":
        return bytes(int(rest))
    return text.encode("utf-8", "surrogatepass")


def acl(text):
    """Returns the ACL for open, null, none, or scheme:id:perms,... (perms are letters of cdrwa, or a number)."""
    if text in ("open", "null", "none"):
        return {"open": protocol.OPEN_ACL, "null": None, "none": []}[text]
    entries = []
    for entry in text.split(","):
        scheme, _, rest = entry.partition(":")
        who, _, perms = rest.rpartition(":")
        if perms.lstrip("-").isdigit():
            bits = int(perms)
        else:
            bits = sum(protocol.PERMS[letter] for letter in perms)
        scheme, who = (None if word == "NULL" else word for word in (scheme, who))
        entries.append(protocol.acl_entry(scheme, who, bits))
    return entries


def body(items):
    """Returns the bytes of items such as i32:5 str:/a buf:xyz hex:00 nullstr i64:-1 i8:0 zeros:10."""
    writer = Writer()
    for item in items:
        kind, _, value = item.partition(":")
        if kind in ("i8", "i32", "i64"):
            {"i8": writer.byte, "i32": writer.int, "i64": writer.long}[kind](int(value, 0))
        elif kind == "str":
            writer.ustring(value)
        elif kind == "buf":
            writer.buffer(value.encode("utf-8"))
        elif kind in ("nullstr", "nullbuf"):
            writer.int(-1)
        elif kind == "hex":
            writer.out += bytes.fromhex(value)
        elif kind == "zeros":
            writer.out += bytes(int(value))
        elif kind == "ascii":
            writer.out += value.encode("ascii")
        else:
            raise ScriptError(f"what is {item!r}?")
    return bytes(writer.out)


def zxid(text, zxid_now):
    """Returns a zxid for a number, or for `now`, `now-3`, `now+1`, where `now` is the newest zxid seen."""
    return zxid_now + int(text[3:] or 0) if text.startswith("now") else int(text, 0)


def _paths(text):
    if text == "null":
        return None
    return text.split(",") if text else []


def _create(step, path):
    default = {"createContainer": "container", "createTTL": "ttl"}.get(step.verb, "persistent")
    mode = step.options.get("mode", default)
    return {
        "path": path,
        "data": data(step.options.get("data", "")),
        "acl": acl(step.options.get("acl", "open")),
        "flags": protocol.CREATE_MODES[mode] if mode in protocol.CREATE_MODES else int(mode),
        "ttl": int(step.options.get("ttl", "0")),
    }


def _set_watches(step, zxid_now):
    names = ("data", "exist", "child", "persistent", "recursive")
    record = {name: _paths(step.options.get(name, "")) for name in names}
    record["relativeZxid"] = zxid(step.options.get("relative", "now"), zxid_now)
    return record


def request(step, zxid_now):
    """Returns the request record of a step, for all verbs in protocol.OPS."""
    options, args = step.options, step.args
    path = args[0] if args else None
    path = None if path == "NULL" else path
    version = int(options.get("version", "-1"))
    kind = protocol.OPS[step.verb][1]
    if kind in ("CreateRequest", "CreateTTLRequest"):
        return _create(step, path)
    if kind in ("SetWatches", "SetWatches2"):
        return _set_watches(step, zxid_now)
    auth = data(args[1]) if kind == "AuthPacket" and args[1:] else None
    makers = {
        "Empty": lambda: {},
        "PathVersion": lambda: {"path": path, "version": version},
        "PathWatch": lambda: {"path": path, "watch": "watch" in args[1:]},
        "PathOnly": lambda: {"path": path},
        "PathType": lambda: {"path": path, "type": int(args[1])},
        "AddWatchRequest": lambda: {"path": path, "mode": int(args[1])},
        "SetDataRequest": lambda: {
            "path": path, "data": data(options.get("data", "")), "version": version},
        "SetACLRequest": lambda: {
            "path": path, "acl": acl(options.get("acl", "open")), "version": version},
        "AuthPacket": lambda: {"type": int(options.get("type", "0")), "scheme": path, "auth": auth},
        "SaslToken": lambda: {"token": data(options.get("token", "null"))},
        "ReconfigRequest": lambda: {
            "joiningServers": options.get("joining"), "leavingServers": options.get("leaving"),
            "newMembers": options.get("members"), "curConfigId": int(options.get("config", "-1"))},
    }
    return makers[kind]()

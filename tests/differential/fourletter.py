"""Brings answers to four-letter words into a form in which two servers can be compared.

Values that follow from the scenario stay (nodes, connections, zxid, packets, watches, timeouts). Values that depend on
the machine, the clock or the process become placeholders of the same shape (latencies, ports, paths, sizes, dates).
"""

import re

_SESSION = re.compile(r"0x[0-9a-f]{12,16}\b")
_ADDRESS = re.compile(r"/127\.0\.0\.1:\d+")
_CLOCKED = re.compile(r"\b(est|lresp|llat|minlat|avglat|maxlat)=-?\d+")
_LAST_ZXID = re.compile(r"\blzxid=0x([0-9a-f]+)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")
_VERSION = re.compile(r"\d+\.\d+\.\d+.*, built on \S.*")
_CONF_MACHINE = re.compile(r"^(clientPort|dataDir|dataLogDir|dataDirSize|dataLogSize)=.+")

# The values of mntr that follow only from the scenario.
_MNTR_EXACT = {
    "zk_server_state", "zk_num_alive_connections", "zk_znode_count", "zk_watch_count",
    "zk_ephemerals_count", "zk_outstanding_requests", "zk_global_sessions", "zk_local_sessions",
}


def shape(value):
    """Returns N for a whole number, N.N for another number, and the value itself if it is no number."""
    match = _NUMBER.fullmatch(value)
    if not match:
        return value
    return "N.N" if match.group(1) or match.group(2) else "N"


def _status(line, normaliser):
    """Normalises a line of srvr or stat."""
    key, colon, value = line.partition(": ")
    if key == "Zookeeper version" and _VERSION.fullmatch(value):
        value = "VERSION, built on DATE"
    elif key == "Latency min/avg/max":
        value = "/".join(shape(part) for part in value.split("/"))
    elif key == "Zxid" and value.startswith("0x"):
        value = normaliser.zx(int(value, 16))
    return key + colon + value


def _stat(lines, normaliser):
    """Normalises the lines of stat: those of srvr, with connections between them in no particular order."""
    connections = sorted(line for line in lines if line.startswith(" /"))
    rest = [_status(line, normaliser) for line in lines if not line.startswith(" /")]
    return rest + connections


def _sections(lines):
    """Joins each header with the indented lines below it, and sorts the results."""
    groups = []
    for line in lines:
        if line.startswith("\t") and groups:
            groups[-1].append(line.strip())
        else:
            groups.append([line])
    return sorted(f"{g[0]} -> {sorted(g[1:])}" if g[1:] else g[0] for g in groups)


def _dump(line):
    line = re.sub(r"^\d+ expire at .*:", "N expire at DATE:", line)
    return re.sub(r"Sets \(\d+\)(/\(\d+\))?", lambda m: "Sets " + re.sub(r"\d+", "N", m[0][5:]), line)


def _mntr(line):
    key, tab, value = line.partition("\t")
    # Only acknowledgements that come before the commit have a latency, and which of the followers is first is chance.
    key = re.sub(r"_\d+_ack_latency$", "_SID_ack_latency", key)
    if key == "zk_version" and _VERSION.fullmatch(value):
        value = "VERSION, built on DATE"
    elif key not in _MNTR_EXACT:
        value = shape(value)
    return key + tab + value


def _signed(number):
    """Returns a number of 64 bits with a sign, as Java has it."""
    return number - (1 << 64) if number >> 63 else number


def _common(line, normaliser):
    line = _SESSION.sub(lambda found: normaliser.session(int(found[0], 16)), line)
    line = _ADDRESS.sub("/ADDRESS", line)
    line = _LAST_ZXID.sub(lambda found: f"lzxid={normaliser.zx(_signed(int(found[1], 16)))}", line)
    line = normaliser.name_ports(line)
    return _CLOCKED.sub(lambda found: f"{found[1]}=N", line)


_WITH_ZXIDS = {
    "srvr": lambda raw, normaliser: [_status(line, normaliser) for line in raw],
    "stat": _stat,
}
_WORDS = {
    "cons": sorted,
    "wchc": _sections,
    "wchp": _sections,
    # The number and the times of expiry buckets depend on the clock, so only the set of lines is compared.
    "dump": lambda raw: sorted({_dump(line) for line in raw}),
    "mntr": lambda raw: sorted({_mntr(line) for line in raw}),
    "conf": lambda raw: [_CONF_MACHINE.sub(r"\1=VALUE", line) for line in raw],
    "envi": lambda raw: [line.split("=")[0] for line in raw],
    "dirs": lambda raw: [re.sub(r"\d+", "N", line) for line in raw],
    "hash": lambda raw: [re.sub(r": -?[0-9a-f]+$", ": DIGEST", line) for line in raw],
}


def lines(word, answer, normaliser, flags=frozenset()):
    """Returns the normalised lines of an answer. With the flag `keys`, only what is in front of each value."""
    raw = answer.split("\n")
    ends_line = raw[-1] == ""
    if ends_line:
        raw.pop()
    raw = [_common(line, normaliser) for line in raw]
    if word in _WITH_ZXIDS:
        raw = _WITH_ZXIDS[word](raw, normaliser)
    else:
        raw = _WORDS.get(word, list)(raw)
    if "keys" in flags:
        raw = [re.split("\t|: ", line)[0] for line in raw]
    return [f"answer {line!r}" for line in raw] + ([] if ends_line else ["no line end"])
